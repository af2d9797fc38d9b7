//! Spoils objects in ways that people, tools and attackers would, from a seed.

use serde_json::{Map, Value, json};

/// Random numbers from a seed: the same everywhere.
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() >> 11) as usize % bound.max(1)
    }
}

/// Texts that mean something to some reader on the way.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "a\nb: c\n- d",
    "\n- job_name: injected\n",
    "\"",
    "'",
    "\\",
    "{{ .x }}",
    "${1}",
    "$",
    "$(SHARD)",
    "%",
    "#",
    "&a *a",
    "!!binary x",
    "*",
    "(",
    "a)(b",
    "[z-a]",
    "(?=a)",
    "\\1",
    "x{1001}",
    "null",
    "true",
    "1e9",
    "-1",
    "\u{0}",
    "\u{7f}",
    "\u{feff}",
    "\u{2028}",
    "é😀",
    "../../etc/passwd",
    "http://xxx-${dev}:x",
    "30 s",
];

/// Spoils one place of an object's spec.
pub fn mutate(object: &mut Value, random: &mut Random) {
    let mut paths = Vec::new();
    collect(&object["spec"], "/spec".to_owned(), &mut paths);
    let path = paths[random.below(paths.len())].clone();
    let Some(place) = object.pointer_mut(&path) else { return };
    match random.below(12) {
        0 => *place = Value::Null,
        1 => *place = json!(TEXTS[random.below(TEXTS.len())]),
        2 => *place = json!([1, "a", null, {}, -5, 1.5, u64::MAX, i64::MIN])[random.below(8)].take(),
        3 => *place = json!({ "a": { "b": ["c"] } }),
        4 => *place = json!([[], {}, "x", 3]),
        5 => *place = json!("x".repeat(1 << random.below(20))),
        6 => *place = json!(format!("{}x", "(".repeat(1 << random.below(16)))),
        7 => *place = json!("a{900}".repeat(1 + random.below(3_000))),
        8 => {
            // Many of the same.
            if let Value::Array(items) = place
                && let Some(item) = items.first().cloned()
            {
                items.extend(std::iter::repeat_n(item, random.below(2_000)));
            }
        }
        9 => {
            let mut deep = json!("x");
            for _ in 0..random.below(100) {
                deep = if random.below(2) == 0 { json!([deep]) } else { json!({ "k": deep }) };
            }
            *place = deep;
        }
        10 => {
            if let Value::Object(fields) = place
                && let Some(key) = fields.keys().nth(random.below(fields.len())).cloned()
            {
                fields.remove(&key);
            }
        }
        _ => {
            if let Value::Object(fields) = place {
                swap(fields, random);
            } else {
                *place = json!(TEXTS[random.below(TEXTS.len())]);
            }
        }
    }
}

/// Gives one field the value of another.
fn swap(fields: &mut Map<String, Value>, random: &mut Random) {
    let keys: Vec<String> = fields.keys().cloned().collect();
    if keys.len() < 2 {
        return;
    }
    let (from, to) = (&keys[random.below(keys.len())], &keys[random.below(keys.len())]);
    let value = fields[from].clone();
    fields.insert(to.clone(), value);
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                collect(inner, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), paths);
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                collect(inner, format!("{path}/{i}"), paths);
            }
        }
        _ => {}
    }
    paths.push(path);
}

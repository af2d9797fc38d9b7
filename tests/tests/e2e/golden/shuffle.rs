//! The same input in another order: every map, and every list whose order means nothing.

use serde_json::Value;

/// Lists that keep their order, by the end of their path; `golden/README.md` says why.
const ORDERED: [&str; 10] = [
    ".routes",
    ".rules",
    ".slack",
    ".webhook",
    ".pullSecrets",
    ".relabelings",
    ".metricRelabelings",
    ".writeRelabelConfigs",
    ".sourceLabels",
    ".endpoints",
];
/// What is taken as it is, lists included.
const OPAQUE: [&str; 3] = [".podTemplate", ".affinity", ".resources"];

/// A small generator of numbers (splitmix64): the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// The documents of a text in another order. JSON is YAML, and keeps the order that it is written in.
pub(crate) fn shuffled(text: &str, seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    dice.shuffle(&mut documents);
    documents.iter().map(|document| format!("---\n{}\n", write(document, "", &mut dice))).collect()
}

fn write(value: &Value, path: &str, dice: &mut Dice) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            dice.shuffle(&mut fields);
            let field = |(key, value): (&String, &Value), dice: &mut Dice| {
                format!("{}: {}", Value::from(key.as_str()), write(value, &format!("{path}.{key}"), dice))
            };
            let fields: Vec<String> = fields.into_iter().map(|f| field(f, dice)).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => {
            let mut items: Vec<&Value> = items.iter().collect();
            let ordered = ORDERED.iter().any(|end| path.ends_with(end));
            if !ordered && !OPAQUE.iter().any(|part| path.contains(part)) {
                dice.shuffle(&mut items);
            }
            let items: Vec<String> = items.into_iter().map(|item| write(item, path, dice)).collect();
            format!("[{}]", items.join(", "))
        }
        plain => plain.to_string(),
    }
}

#[test]
fn it_says_the_same_in_another_order() {
    let text = "a: [1, 2, 3, 4, 5, 6]\nroutes: [1, 2, 3]\nb: { x: 1, y: 2, z: 3 }\n";
    let texts: std::collections::BTreeSet<String> = (1..20).map(|seed| shuffled(text, seed)).collect();
    assert!(texts.len() > 10);
    for text in texts {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let mut list: Vec<i64> = serde_json::from_value(value["a"].clone()).unwrap();
        list.sort_unstable();
        assert_eq!(list, [1, 2, 3, 4, 5, 6]);
        assert_eq!(value["routes"], serde_json::json!([1, 2, 3]));
        assert_eq!(value["b"], serde_json::json!({ "x": 1, "y": 2, "z": 3 }));
    }
}

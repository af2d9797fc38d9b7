//! The JSON paths of printer columns: fields, indexes, `[*]`, and filters that compare with a text.

use serde_json::Value;

enum Step {
    Field(String),
    Index(usize),
    All,
    Filter(String, String),
}

/// The first value at the path, or null.
pub(crate) fn first(object: &Value, path: &str) -> Value {
    let Some(steps) = parse(path) else { return Value::Null };
    let mut found = vec![object];
    for step in &steps {
        found = found.into_iter().flat_map(|value| follow(value, step)).collect();
    }
    found.first().map_or(Value::Null, |v| (*v).clone())
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => value.get(index).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Filter(field, wanted) => {
            let items = value.as_array();
            let matches = |item: &&Value| {
                let found = match first(item, field) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                found == *wanted
            };
            items.into_iter().flatten().filter(matches).collect()
        }
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            // A dot inside a name is written with a backslash.
            let mut name = String::new();
            let mut chars = after.char_indices();
            let mut end = after.len();
            while let Some((index, c)) = chars.next() {
                match c {
                    '\\' => name.extend(chars.next().map(|(_, c)| c)),
                    '.' | '[' => {
                        end = index;
                        break;
                    }
                    c => name.push(c),
                }
            }
            rest = &after[end..];
            match name.as_str() {
                "" => {}
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Field(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    Some(steps)
}

/// Where the bracket ends, brackets in quotes left out.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some(index),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::All);
    }
    if let Ok(index) = text.parse() {
        return Some(Step::Index(index));
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let (field, wanted) = filter.split_once("==")?;
        let field = field.trim().trim_start_matches('@').to_owned();
        return Some(Step::Filter(field, unquote(wanted.trim())));
    }
    Some(Step::Field(unquote(text)))
}

fn unquote(text: &str) -> String {
    text.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::first;
    use serde_json::json;

    #[test]
    fn paths_of_printer_columns() {
        let object = json!({
            "spec": {"a": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "dotted.name/key": "z"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Live]", "status": "No"}]},
        });
        for (path, wanted) in [
            (".spec.a[0].n", json!("x")),
            (".spec.a[1].v", json!(2)),
            (".spec.a[*].v", json!(1)),
            (".spec.a[?(@.v==2)].n", json!("y")),
            (".status.conditions[?(@.type==\"Ready\")].status", json!("True")),
            (".status.conditions[?(@.type=='Live]')].status", json!("No")),
            (".spec.dotted\\.name/key", json!("z")),
            (".spec['dotted.name/key']", json!("z")),
            (".spec.none", json!(null)),
            (".status.conditions[?(@.type==\"None\")].status", json!(null)),
        ] {
            assert_eq!(first(&object, path), wanted, "{path}");
        }
    }
}

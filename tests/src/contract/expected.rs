//! Whole answers, kept as files that both servers are compared to. `UPDATE_GOLDEN=1` writes them from what
//! the real server answers.

use super::failure::Failure;
use serde_json::Value;

/// Differences that one failure shows.
const SHOWN: usize = 12;

/// Fields whose values differ from run to run, by what is kept in their place.
const PASSING: &[(&str, &[&str])] = &[
    ("UID", &["uid", "batch.kubernetes.io/controller-uid", "controller-uid"]),
    ("VERSION", &["resourceVersion"]),
    (
        "TIME",
        &[
            "creationTimestamp",
            "deletionTimestamp",
            "lastTransitionTime",
            "lastPhaseTransitionTime",
            "expirationTimestamp",
            "time",
        ],
    ),
    ("ADDRESS", &["clusterIP"]),
];

/// The value without what differs from run to run. Nulls stay: whether a field is there is part of an answer.
pub(super) fn normalise(value: &Value, tag: &str) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(name, _)| *name != "managedFields").map(|(name, value)| {
                let passing = PASSING.iter().find(|(_, names)| names.contains(&name.as_str()));
                let value = match (passing, value) {
                    (Some((place, _)), Value::String(text)) if !matches!(text.as_str(), "" | "None") => {
                        Value::from(*place)
                    }
                    _ if name == "clusterIPs" => Value::from("ADDRESSES"),
                    _ => normalise(value, tag),
                };
                (name.replace(tag, "TAG"), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(|item| normalise(item, tag)).collect(),
        Value::String(text) => {
            let text = text.replace(tag, "TAG");
            // The name of a volume with a token ends with random letters.
            let volume = text.strip_prefix("kube-api-access-").map(|_| "kube-api-access-RANDOM".to_owned());
            Value::from(volume.unwrap_or(text))
        }
        other => other.clone(),
    }
}

/// Compares with the answer that is kept under `name`.
#[track_caller]
pub(super) fn compare(name: &str, found: &Value, real: bool) -> Result<(), Failure> {
    let path = super::folder().join("expected").join(format!("{name}.json"));
    if super::updating() && real {
        let text = serde_json::to_string_pretty(found).map_err(|e| e.to_string())? + "\n";
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        return Ok(());
    }
    let kept = std::fs::read_to_string(&path).map_err(|e| {
        Failure::new(format!("{}: {e}; UPDATE_GOLDEN=1 with a real server writes it", path.display()))
    })?;
    let kept: Value = serde_json::from_str(&kept).map_err(|e| e.to_string())?;
    let mut differences = Vec::new();
    differ("", &kept, found, &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    let mut failure = Failure::new(format!("not as in {name}.json:\n{}", differences.join("\n")));
    failure.place = std::panic::Location::caller().to_string();
    Err(failure)
}

fn differ(at: &str, kept: &Value, found: &Value, into: &mut Vec<String>) {
    match (kept, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                let at = format!("{at}/{name}");
                match b.get(name) {
                    Some(other) => differ(&at, value, other, into),
                    None => into.push(format!("{at}: expected {value}, found nothing")),
                }
            }
            let extra = b.iter().filter(|(name, _)| !a.contains_key(*name));
            into.extend(extra.map(|(name, value)| format!("{at}/{name}: expected nothing, found {value}")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (kept, found)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}/{index}"), kept, found, into);
            }
        }
        _ if kept == found => {}
        _ => into.push(format!("{at}: expected {kept}, found {found}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{differ, normalise};
    use serde_json::json;

    #[test]
    fn differences_name_their_place() {
        let mut found = Vec::new();
        differ("", &json!({"a": [{"b": 1}], "c": 2}), &json!({"a": [{"b": 3}], "d": 4}), &mut found);
        assert_eq!(
            found,
            ["/a/0/b: expected 1, found 3", "/c: expected 2, found nothing", "/d: expected nothing, found 4"]
        );
    }

    #[test]
    fn what_differs_from_run_to_run_is_put_aside() {
        let object =
            json!({"metadata": {"uid": "1", "namespace": "c1x2", "managedFields": []}, "name": null});
        let kept = json!({"metadata": {"uid": "UID", "namespace": "TAG"}, "name": null});
        assert_eq!(normalise(&object, "c1x2"), kept);
    }
}

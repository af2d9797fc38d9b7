//! Which object is at fault where the tool refuses Alertmanager's configuration. All of it is one file, so no reason
//! names an object for sure: the configuration is tried without some of its objects, a bounded number of times, by
//! the tool alone. The engine is not touched.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::checker::{Verdict, check_with};
use super::layout::Layout;
use crate::running::{Engine, object_path};
use crate::yaml::emit;

/// Most runs of the tool: enough for 16,000 objects.
const MOST: u32 = 16;
/// Most bytes of a configuration that is tried.
const MAX_BYTES: u64 = 16 << 20;

/// The path of the object at fault; none where it is not one of the objects, or not found with so many tries.
pub(super) async fn object_at_fault(tool: &Path, layout: &Layout, generation: &str) -> Option<String> {
    let path = layout.dir(generation).join(Engine::Alertmanager.main_file());
    let fits = std::fs::metadata(&path).ok()?.len() <= MAX_BYTES;
    let text = fits.then(|| std::fs::read_to_string(&path).ok()).flatten()?;
    let config: Value = serde_saphyr::from_str(&text).ok()?;
    let objects = objects(&config);
    let trial = Trial { tool, layout, generation, config: &config };
    // With fewer than `low` of them out it is refused, with `high` it passes: the last of these is at fault.
    let (mut low, mut high) = (0, objects.len());
    let mut left = MOST;
    if high == 0 || !trial.passes_without(&objects[..high]).await? {
        return None;
    }
    while high - low > 1 {
        left = left.checked_sub(1).filter(|left| *left > 0)?;
        let middle = low + (high - low) / 2;
        if trial.passes_without(&objects[..middle]).await? {
            high = middle;
        } else {
            low = middle;
        }
    }
    objects.get(high - 1).map(|id| object_path(id))
}

/// What is tried.
struct Trial<'a> {
    tool: &'a Path,
    layout: &'a Layout,
    generation: &'a str,
    config: &'a Value,
}

impl Trial<'_> {
    /// Whether the tool takes the configuration without these objects; none where it cannot be run.
    async fn passes_without(&self, out: &[String]) -> Option<bool> {
        let text = emit(&without(self.config, out)).ok()?;
        match check_with(Engine::Alertmanager, self.tool, self.layout, self.generation, &text).await {
            Verdict::Passed => Some(true),
            Verdict::Refused(_) => Some(false),
            Verdict::Skipped(_) => None,
        }
    }
}

/// The objects that a configuration has receivers or intervals of, as `namespace/name`.
fn objects(config: &Value) -> Vec<String> {
    let lists = ["receivers", "time_intervals", "mute_time_intervals"];
    let items = lists.iter().filter_map(|list| config[*list].as_array()).flatten();
    let ids: BTreeSet<&str> = items.filter_map(|item| object_of(item["name"].as_str()?)).collect();
    ids.into_iter().map(str::to_owned).collect()
}

/// The object that a name belongs to: `namespace/name/receiver`.
fn object_of(name: &str) -> Option<&str> {
    let (end, _) = name.match_indices('/').nth(1)?;
    name.get(..end)
}

/// A configuration without what these objects have brought.
fn without(config: &Value, out: &[String]) -> Value {
    let mut config = config.clone();
    let is_out = |name: &Value| {
        let object = name.as_str().and_then(object_of);
        object.is_some_and(|object| out.binary_search_by(|id| id.as_str().cmp(object)).is_ok())
    };
    for list in ["receivers", "time_intervals", "mute_time_intervals"] {
        if let Some(items) = config.get_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| !is_out(&item["name"]));
        }
    }
    let routes = config.get_mut("route").and_then(|route| route.get_mut("routes"));
    if let Some(routes) = routes.and_then(Value::as_array_mut) {
        routes.retain(|route| !is_out(&route["receiver"]));
    }
    config
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_goes_with_all_that_it_brought() {
        let config = json!({
            "route": { "receiver": "null", "routes": [
                { "receiver": "a/one/hook" }, { "receiver": "b/two/hook", "mute_time_intervals": ["b/two/night"] },
            ] },
            "receivers": [{ "name": "null" }, { "name": "a/one/hook" }, { "name": "b/two/hook" }],
            "time_intervals": [{ "name": "b/two/night" }],
        });
        let all = objects(&config);
        assert_eq!(all, ["a/one", "b/two"]);
        let less = without(&config, &all[1..]);
        assert_eq!(less["receivers"], json!([{ "name": "null" }, { "name": "a/one/hook" }]));
        assert_eq!(less["route"]["routes"], json!([{ "receiver": "a/one/hook" }]));
        assert_eq!(less["time_intervals"], json!([]));
        assert_eq!(without(&config, &[]), config);
    }
}

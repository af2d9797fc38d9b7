//! Which part of a change is at fault where no reason names it: the configuration is tried with more and more of the
//! change, a bounded number of times. Where the engine's tool refuses it the tool alone is asked, and the engine is
//! not touched; where the engine refuses what its tool takes, see [`super::trial`].

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::checker::{Verdict, check, check_with, culprit};
use super::lay::{Laid, is_named_by_main};
use super::layout::Layout;
use crate::running::{Engine, object_path};
use crate::yaml::emit;

/// Most tries: enough for 16,000 parts.
const MOST: u32 = 16;
/// The lists of Alertmanager's configuration whose items carry the name of their object.
const LISTS: [&str; 3] = ["receivers", "time_intervals", "mute_time_intervals"];
/// Most bytes of a configuration that is tried.
const MAX_BYTES: u64 = 16 << 20;

/// The search for the one part of many that is at fault: without it and those after it what is tried passes, and with
/// it not. That all of them together are refused is known.
#[derive(Debug)]
pub(super) struct Search {
    /// Whether it passes without any of them.
    passes_without: Option<bool>,
    /// With so many of them it passes.
    low: usize,
    /// With so many of them it is refused.
    high: usize,
    left: u32,
}

impl Search {
    /// A search among so many.
    pub(super) fn among(count: usize) -> Self {
        Self { passes_without: None, low: 0, high: count, left: MOST }
    }

    /// How many of them are to be tried now, the first ones; none where the search is over.
    pub(super) fn next(&mut self) -> Option<usize> {
        match self.passes_without {
            None => (self.high > 0).then_some(0),
            Some(true) if self.high - self.low > 1 => {
                self.left = self.left.checked_sub(1)?;
                Some(self.low + (self.high - self.low) / 2)
            }
            Some(_) => None,
        }
    }

    /// Notes whether it passes with so many of them.
    pub(super) fn note(&mut self, count: usize, passes: bool) {
        match (count, passes) {
            (0, passes) => self.passes_without = Some(passes),
            (count, true) => self.low = count,
            (count, false) => self.high = count,
        }
    }

    /// The place of the one at fault; none where it is none of them, or was not found with so many tries.
    pub(super) fn found(&self) -> Option<usize> {
        (self.passes_without == Some(true) && self.high - self.low == 1).then_some(self.low)
    }
}

/// The path of what is at fault where the tool refuses a generation for this reason: the file that it names, or what
/// is found without the engine.
pub(super) async fn tool_at_fault(
    engine: Engine,
    tool: &Path,
    reason: &str,
    layout: &Layout,
    generation: &str,
    laid: &Laid,
) -> Option<String> {
    match (engine, culprit(engine, reason, layout, generation, laid)) {
        (Engine::Alertmanager, _) => object_at_fault(tool, layout, generation).await,
        (Engine::Prometheus, None) => file_at_fault(tool, layout, generation, laid).await,
        (Engine::Prometheus, named) => named,
    }
}

/// The file at fault: each is checked under a main file that names just those that are tried.
async fn file_at_fault(tool: &Path, layout: &Layout, generation: &str, laid: &Laid) -> Option<String> {
    let mut files = laid.changed.clone().or_else(|| layout.files(generation).ok())?;
    files.retain(|path| is_named_by_main(path));
    let mut search = Search::among(files.len());
    while let Some(count) = search.next() {
        let changed = Some(files.get(..count)?.to_vec());
        let tried = Laid { changed, main_changed: false, bytes: 0 };
        let verdict = check(Engine::Prometheus, Some(tool), layout, generation, &tried).await;
        search.note(count, passed(verdict)?);
    }
    files.get(search.found()?).cloned()
}

/// The object at fault. All of Alertmanager's configuration is one file, so no reason names one for sure.
async fn object_at_fault(tool: &Path, layout: &Layout, generation: &str) -> Option<String> {
    let config = read(layout, generation)?;
    let objects = objects(&config);
    let mut search = Search::among(objects.len());
    while let Some(count) = search.next() {
        let text = emit(&without(&config, objects.get(count..)?)).ok()?;
        let verdict = check_with(Engine::Alertmanager, tool, layout, generation, &text).await;
        search.note(count, passed(verdict)?);
    }
    objects.get(search.found()?).map(|id| object_path(id))
}

/// Whether the tool was content; none where it cannot be run.
fn passed(verdict: Verdict) -> Option<bool> {
    match verdict {
        Verdict::Passed => Some(true),
        Verdict::Refused(_) => Some(false),
        Verdict::Skipped(_) => None,
    }
}

/// Alertmanager's configuration in a generation.
pub(super) fn read(layout: &Layout, generation: &str) -> Option<Value> {
    let path = layout.dir(generation).join(Engine::Alertmanager.main_file());
    let fits = std::fs::metadata(&path).ok()?.len() <= MAX_BYTES;
    let text = fits.then(|| std::fs::read_to_string(&path).ok()).flatten()?;
    serde_saphyr::from_str(&text).ok()
}

/// The objects of Alertmanager's configuration that another lacks or has otherwise, as `namespace/name`.
pub(super) fn changed_objects(before: &Value, config: &Value) -> Vec<String> {
    let (was, is) = (by_object(before), by_object(config));
    is.iter().filter(|(id, items)| was.get(*id) != Some(*items)).map(|(id, _)| (*id).to_owned()).collect()
}

/// All that each object has brought, by object.
fn by_object(config: &Value) -> BTreeMap<&str, Vec<&Value>> {
    let named = LISTS.iter().flat_map(|list| items(&config[*list])).map(|item| (&item["name"], item));
    let routes = items(&config["route"]["routes"]).iter().map(|route| (&route["receiver"], route));
    let mut all: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (name, item) in named.chain(routes) {
        if let Some(id) = name.as_str().and_then(object_of) {
            all.entry(id).or_default().push(item);
        }
    }
    all
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The objects that a configuration has receivers, intervals or routes of, as `namespace/name`.
fn objects(config: &Value) -> Vec<String> {
    by_object(config).into_keys().map(str::to_owned).collect()
}

/// The object that a name belongs to: `namespace/name/receiver`.
fn object_of(name: &str) -> Option<&str> {
    let (end, _) = name.match_indices('/').nth(1)?;
    name.get(..end)
}

/// A configuration without what these objects have brought.
pub(super) fn without(config: &Value, out: &[String]) -> Value {
    let mut config = config.clone();
    let is_out = |name: &Value| {
        let object = name.as_str().and_then(object_of);
        object.is_some_and(|object| out.binary_search_by(|id| id.as_str().cmp(object)).is_ok())
    };
    for list in LISTS {
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
        assert_eq!(changed_objects(&less, &config), ["b/two"]);
        assert_eq!(changed_objects(&config, &less), [] as [&str; 0], "what is gone is not tried");
    }

    #[test]
    fn one_at_fault_among_many_is_found_with_few_tries() {
        let find = |count: usize, passes: &dyn Fn(usize) -> bool| {
            let (mut search, mut tries) = (Search::among(count), 0);
            while let Some(count) = search.next() {
                search.note(count, passes(count));
                tries += 1;
            }
            (search.found(), tries)
        };
        for bad in [[0, 9_999], [4_711, 4_712], [9_998, 9_999]] {
            let (found, tries) = find(10_000, &|count| !bad.iter().any(|one| *one < count));
            assert_eq!(found, Some(bad[0]));
            assert!(tries <= 15, "{tries}");
        }
        assert_eq!(find(1, &|count| count == 0), (Some(0), 1));
        assert_eq!(find(3, &|_| false), (None, 1), "it is none of them");
        assert_eq!(find(0, &|_| true), (None, 0));
    }
}

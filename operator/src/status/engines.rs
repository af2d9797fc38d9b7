//! What each replica's engine says of itself, held against what is wanted of it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::short_digest;
use super::wanted::WantedEngine;
use crate::observe::observer::is_ready;
use crate::observe::{EngineFact, Fact, Facts};
use crate::units::{Bytes, PromDuration};

/// Flags that are left aside: where an engine listens is the business of where it runs.
const LISTEN_FLAGS: [&str; 3] = ["web.listen-address", "cluster.listen-address", "cluster.advertise-address"];

/// How the running configuration of one engine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Live {
    /// Every Ready replica, and at least one, says that it runs what is wanted.
    Yes,
    /// So it does, but it is another version than wanted.
    OtherVersion(String),
    /// A replica runs another generation.
    OtherGeneration(String),
    /// A replica runs with other flags.
    OtherFlags(String),
    /// A replica does not tell.
    Unreachable(String),
    /// No replica is ready.
    NoneReady,
}

/// How the running configuration of an engine stands, over its replicas.
pub(super) fn live(wanted: &WantedEngine, facts: &Facts) -> Live {
    let pods = facts.pods.known().and_then(|pods| pods.get(&wanted.role));
    let mut ready = pods.into_iter().flatten().filter(|pod| is_current(pod)).peekable();
    if ready.peek().is_none() {
        return Live::NoneReady;
    }
    let none = BTreeMap::new();
    let answers = facts.engines.get(&wanted.role).unwrap_or(&none);
    let verdicts = ready.map(|pod| {
        let name = pod.name_any();
        match answers.get(&name) {
            Some(Fact::Known(said)) => compare(&name, wanted, said),
            Some(Fact::Unavailable(reason)) => Live::Unreachable(format!("{name}: {reason}")),
            None => Live::Unreachable(format!("{name}: not asked")),
        }
    });
    verdicts.max_by_key(Live::weight).unwrap_or(Live::NoneReady)
}

/// What a replica says of the generation that is wanted, where its reloader refuses it.
pub(super) fn refusal(wanted: &WantedEngine, facts: &Facts) -> Option<String> {
    let generation = wanted.generation.as_ref()?;
    let (pod, refusal) =
        facts.refusals.get(&wanted.role)?.iter().find(|(_, refusal)| refusal.generation == *generation)?;
    Some(format!("{pod} refuses generation {}: {}", short_digest(generation), refusal.reason))
}

impl Live {
    /// The heaviest replica speaks for all.
    fn weight(&self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::OtherVersion(_) => 1,
            Self::NoneReady => 2,
            Self::Unreachable(_) => 3,
            Self::OtherFlags(_) => 4,
            Self::OtherGeneration(_) => 5,
        }
    }
}

fn is_current(pod: &Pod) -> bool {
    is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn compare(pod: &str, wanted: &WantedEngine, said: &EngineFact) -> Live {
    if wanted.generation.is_some() && said.generation != wanted.generation {
        let running = said.generation.as_deref().map_or("no generation".to_owned(), short_digest);
        let goal = wanted.generation.as_deref().map(short_digest).unwrap_or_default();
        return Live::OtherGeneration(format!("{pod} runs {running}, wanted is {goal}"));
    }
    if let Some(difference) = said.flags.as_ref().and_then(|flags| other_flag(&wanted.flags, flags)) {
        return Live::OtherFlags(format!("{pod}: {difference}"));
    }
    match &wanted.version {
        // What a distribution adds after a plus sign is its own build of the same version.
        Some(version) if *version != said.version.split('+').next().unwrap_or_default() => {
            Live::OtherVersion(format!("{pod} is version {}, wanted is {version}", said.version))
        }
        _ => Live::Yes,
    }
}

/// The first wanted flag that an engine runs without, or with another value.
fn other_flag(wanted: &BTreeMap<String, String>, said: &BTreeMap<String, String>) -> Option<String> {
    let compared = wanted.iter().filter(|(name, _)| !LISTEN_FLAGS.contains(&name.as_str()));
    for (name, value) in compared {
        match said.get(name) {
            Some(running) if same_value(running, value) => {}
            Some(running) => return Some(format!("--{name} is {running}, wanted is {value}")),
            // `--no-x` is told as `x=false`.
            None if name
                .strip_prefix("no-")
                .and_then(|name| said.get(name))
                .is_some_and(|v| v == "false") => {}
            None => return Some(format!("it does not know --{name}")),
        }
    }
    None
}

/// Engines tell durations and sizes in their own spelling.
fn same_value(left: &str, right: &str) -> bool {
    let same_duration = || Some(left.parse::<PromDuration>().ok()? == right.parse::<PromDuration>().ok()?);
    let same_size = || Some(size(left)? == size(right)?);
    left == right || same_duration().unwrap_or(false) || same_size().unwrap_or(false)
}

/// A size as Prometheus writes it (`10GB`, `9GiB`, powers of two in either spelling) or as Kubernetes does.
fn size(text: &str) -> Option<Bytes> {
    let plain = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    if plain == text || plain.is_empty() {
        return None;
    }
    if plain.ends_with(|c: char| c.is_ascii_digit()) {
        plain.parse().ok()
    } else {
        format!("{plain}i").parse().ok()
    }
}

/// What all Ready replicas agree on; none where they differ, the last known where none tells.
pub(super) fn agreed(
    wanted: &WantedEngine,
    facts: &Facts,
    last: Option<String>,
    of: impl Fn(&EngineFact) -> Option<String>,
) -> Option<String> {
    let answers = facts.engines.get(&wanted.role);
    let mut told: Vec<Option<String>> =
        answers.into_iter().flatten().filter_map(|(_, fact)| fact.known()).map(of).collect();
    told.dedup();
    match told.len() {
        0 => last,
        1 => told.pop().flatten(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn flags_are_compared_in_any_spelling_listen_addresses_aside() {
        let said = map(&[
            ("web.listen-address", "127.2.0.1:9090"),
            ("storage.tsdb.retention.time", "1w"),
            ("storage.tsdb.retention.size", "9GiB"),
            ("web.enable-lifecycle", "true"),
            ("storage.tsdb.wal-compression", "false"),
        ]);
        let wanted = map(&[
            ("web.listen-address", ":9090"),
            ("storage.tsdb.retention.time", "7d"),
            ("storage.tsdb.retention.size", "9GB"),
            ("no-storage.tsdb.wal-compression", "true"),
        ]);
        assert_eq!(other_flag(&wanted, &said), None);
        let difference = other_flag(&map(&[("storage.tsdb.retention.time", "15d")]), &said);
        assert_eq!(difference.as_deref(), Some("--storage.tsdb.retention.time is 1w, wanted is 15d"));
        let unknown = other_flag(&map(&[("web.new", "1")]), &said);
        assert_eq!(unknown.as_deref(), Some("it does not know --web.new"));
    }
}

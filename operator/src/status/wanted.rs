//! What is wanted of each engine, read from the objects that are wanted: what is applied is what is compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::desired::WantedObject;
use crate::names::{Role, StackId};
use crate::observe::kinds::Kind;
use crate::running::Generation;

/// What is wanted of the engine of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedEngine {
    /// The role.
    pub role: Role,
    /// Kind of its workload.
    pub kind: String,
    /// Replicas.
    pub replicas: i32,
    /// Digest of the generation that it shall run; none where it takes no generations.
    pub generation: Option<String>,
    /// Its flags, without dashes. A flag that is given more than once is not in it.
    pub flags: BTreeMap<String, String>,
    /// Its version by the image's tag; none where a digest names the image.
    pub version: Option<String>,
}

impl WantedEngine {
    /// Whether prometheus-operator runs it.
    pub fn is_handed_over(&self) -> bool {
        Kind::of(&self.kind).is_some_and(Kind::is_handed_over)
    }
}

/// What is wanted of every engine that has a workload among these objects, and of the generations that are
/// delivered to them.
pub fn wanted_engines(
    id: &StackId,
    wanted: &[WantedObject],
    generations: &BTreeMap<Role, Arc<Generation>>,
) -> Vec<WantedEngine> {
    Role::ALL.into_iter().filter_map(|role| wanted_engine(id, role, wanted, generations)).collect()
}

fn wanted_engine(
    id: &StackId,
    role: Role,
    wanted: &[WantedObject],
    generations: &BTreeMap<Role, Arc<Generation>>,
) -> Option<WantedEngine> {
    let name = id.child(role);
    let is_workload = |body: &Value| {
        body["kind"].as_str().and_then(Kind::of).is_some_and(Kind::is_workload)
            && body["metadata"]["name"] == name
    };
    let workload = wanted.iter().map(|object| &object.body).find(|body| is_workload(body))?;
    let kind = workload["kind"].as_str().unwrap_or_default().to_owned();
    let replicas = workload["spec"]["replicas"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(1);
    if Kind::of(&kind).is_some_and(Kind::is_handed_over) {
        // Its flags and its configuration are for others to say.
        let version = version(workload["spec"]["image"].as_str().unwrap_or_default());
        return Some(WantedEngine {
            role,
            kind,
            replicas,
            generation: None,
            flags: BTreeMap::new(),
            version,
        });
    }
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array()?;
    // The reloader runs in the engine's own image; the engine is the container without a command.
    let engine = containers.iter().find(|container| container["command"].is_null())?;
    Some(WantedEngine {
        role,
        kind,
        replicas,
        generation: generations.get(&role).map(|generation| generation.digest.clone()),
        flags: flags(engine),
        version: version(engine["image"].as_str().unwrap_or_default()),
    })
}

fn flags(container: &Value) -> BTreeMap<String, String> {
    let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arg in container["args"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let Some(flag) = arg.strip_prefix("--") else { continue };
        let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
        flags.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    let single = |(name, mut values): (String, Vec<String>)| match values.len() {
        1 => values.pop().map(|value| (name, value)),
        _ => None,
    };
    flags.into_iter().filter_map(single).collect()
}

/// The version that an image's tag names: `3.5.0` of `quay.io/prometheus/prometheus:v3.5.0`.
fn version(image: &str) -> Option<String> {
    if image.contains('@') {
        return None;
    }
    let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
    let version = tag.strip_prefix('v').unwrap_or(tag);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use obstack_crds::Component;
    use serde_json::json;

    use super::*;
    use crate::desired::Policy;
    use crate::running::{Engine, Fragment};

    #[test]
    fn an_engine_is_read_from_its_workload_and_what_is_delivered() {
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        let main = Fragment::new("main", "prometheus.yaml", b"global: {}".to_vec());
        let generation = Generation::build(Engine::Prometheus, vec![main]).unwrap();
        let digest = generation.digest.clone();
        let generations = BTreeMap::from([(Role::Metrics, Arc::new(generation))]);
        let object = |body| WantedObject { body, component: Component::MetricsStore, policy: Policy::Apply };
        let wanted = [object(json!({
            "kind": "StatefulSet", "metadata": { "name": "main-metrics" },
            "spec": { "replicas": 2, "template": { "spec": { "containers": [
                { "name": "reloader", "image": "x/y:v1", "command": ["/obstack/bin/obstack"] },
                { "name": "prometheus", "image": "quay.io:5000/prometheus/prometheus:v3.5.0",
                  "args": ["--web.enable-lifecycle", "--a=1", "--b=1", "--b=2"] }
            ] } } }
        }))];
        let engines = wanted_engines(&id, &wanted, &generations);
        assert_eq!(engines.len(), 1);
        assert_eq!(engines[0].generation, Some(digest));
        assert_eq!(engines[0].version.as_deref(), Some("3.5.0"));
        assert_eq!(engines[0].replicas, 2);
        let flags: Vec<(&str, &str)> =
            engines[0].flags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(flags, [("a", "1"), ("web.enable-lifecycle", "true")]);
    }

    #[test]
    fn a_digest_or_a_word_names_no_version() {
        assert_eq!(version("quay.io/prometheus/prometheus@sha256:00"), None);
        assert_eq!(version("quay.io:5000/prometheus/prometheus"), None);
        assert_eq!(version("prometheus:latest"), None);
        assert_eq!(version("prometheus:v3.5.0"), Some("3.5.0".to_owned()));
    }
}

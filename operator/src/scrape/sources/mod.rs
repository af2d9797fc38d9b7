//! Objects of others that become configuration, as the watches saw them, and which stack takes which.

mod build;
#[cfg(test)]
mod build_tests;
mod cache;
mod pick;
mod shelf;
mod sum;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use build::asset;
pub use build::{ObjectSettings, Objects, judge_object, references_of, unknown_of};
pub use cache::Cache;
pub(crate) use pick::NAME_LABEL;
pub use pick::{Namespaces, Picker, Verdict, is_searched, judge, pick};
pub use shelf::Sources;

/// Group of the objects. It is never forked: the objects are read as they were installed by others.
pub const GROUP: &str = "monitoring.coreos.com";

/// A kind of object that becomes configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Endpoints of Services.
    ServiceMonitor,
    /// Pods.
    PodMonitor,
    /// Addresses that an exporter probes.
    Probe,
    /// A scrape job as Prometheus has it.
    ScrapeConfig,
    /// Alert and recording rules.
    PrometheusRule,
    /// Routes and receivers.
    AlertmanagerConfig,
}

/// Which field of a stack says whether a kind is picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// `spec.collection.objects`.
    Collection,
    /// `spec.rules.objects`.
    Rules,
    /// `spec.alerting.objects`.
    Alerting,
}

impl Group {
    /// Path of the field.
    pub fn path(self) -> &'static str {
        match self {
            Self::Collection => "spec.collection.objects",
            Self::Rules => "spec.rules.objects",
            Self::Alerting => "spec.alerting.objects",
        }
    }
}

impl SourceKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 6] = [
        Self::ServiceMonitor,
        Self::PodMonitor,
        Self::Probe,
        Self::ScrapeConfig,
        Self::PrometheusRule,
        Self::AlertmanagerConfig,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
            Self::Probe => "Probe",
            Self::ScrapeConfig => "ScrapeConfig",
            Self::PrometheusRule => "PrometheusRule",
            Self::AlertmanagerConfig => "AlertmanagerConfig",
        }
    }

    /// The kind of this name, whichever letters are capital, or of its resource: `servicemonitors`.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| name == kind.as_str().to_ascii_lowercase() || name == kind.plural())
    }

    /// Name of the resource in URLs.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "servicemonitors",
            Self::PodMonitor => "podmonitors",
            Self::Probe => "probes",
            Self::ScrapeConfig => "scrapeconfigs",
            Self::PrometheusRule => "prometheusrules",
            Self::AlertmanagerConfig => "alertmanagerconfigs",
        }
    }

    /// Versions that can be read, the best first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::ServiceMonitor | Self::PodMonitor | Self::Probe | Self::PrometheusRule => &["v1"],
            Self::ScrapeConfig => &["v1alpha1"],
            Self::AlertmanagerConfig => &["v1beta1", "v1alpha1"],
        }
    }

    /// Which field of a stack says whether it is picked up.
    pub fn group(self) -> Group {
        match self {
            Self::ServiceMonitor | Self::PodMonitor | Self::Probe | Self::ScrapeConfig => Group::Collection,
            Self::PrometheusRule => Group::Rules,
            Self::AlertmanagerConfig => Group::Alerting,
        }
    }
}

impl std::fmt::Display for SourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey {
    /// Its kind.
    pub kind: SourceKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for SourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// An object of others, in little memory: what is not read is not held, and what is read is parsed only when
/// the object is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which object.
    pub key: SourceKey,
    /// Its UID: another object of the same name is another source.
    pub uid: String,
    /// Its version of the API: `v1`.
    pub version: &'static str,
    /// Changes with every change of the object.
    pub revision: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its spec, as JSON.
    spec: Box<str>,
}

impl Source {
    /// An object by its parts: its spec is JSON, `null` where it has none.
    pub fn new(
        key: SourceKey,
        version: &'static str,
        (uid, revision): (String, String),
        labels: BTreeMap<String, String>,
        spec: Box<str>,
    ) -> Self {
        Self { key, uid, version, revision, labels, spec }
    }

    /// The object as it is written whole; none where it lacks what every object has.
    pub fn of(kind: SourceKind, version: &'static str, object: &Value) -> Option<Self> {
        let about = &object["metadata"];
        let text = |field: &str| about[field].as_str().map(str::to_owned);
        let labels = about["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        Some(Self {
            key: SourceKey { kind, namespace: text("namespace")?, name: text("name")? },
            uid: text("uid").unwrap_or_default(),
            version,
            revision: text("resourceVersion").unwrap_or_default(),
            labels: labels.collect(),
            spec: serde_json::to_string(spec).ok()?.into_boxed_str(),
        })
    }

    /// Its spec, as JSON.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// What the object's files are named by: its UID, so that they keep their names while it lives; objects of
    /// files have none yet, and go by their name.
    pub fn file_id(&self) -> Cow<'_, str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !self.uid.is_empty() && self.uid.len() <= 64 && self.uid.bytes().all(plain) {
            return self.uid.as_str().into();
        }
        let mut id = crate::running::digest(self.key.to_string().as_bytes());
        id.truncate(16);
        id.into()
    }

    /// The object as it would be written in a file, without what only the API server knows.
    ///
    /// # Errors
    /// When its spec is nested deeper than any reader follows.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        let spec: Value = serde_json::from_str(&self.spec)?;
        let mut object = serde_json::json!({
            "apiVersion": format!("{GROUP}/{}", self.version),
            "kind": self.key.kind.as_str(),
            "metadata": {
                "name": self.key.name, "namespace": self.key.namespace,
                "uid": self.uid, "labels": self.labels,
            },
        });
        // Moved: as a part of the above it would be copied.
        object["spec"] = spec;
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_found_by_any_of_its_names() {
        for kind in SourceKind::ALL {
            for name in [kind.as_str().to_owned(), kind.as_str().to_lowercase(), kind.plural().to_owned()] {
                assert_eq!(SourceKind::of(&name), Some(kind), "{name}");
            }
        }
        assert_eq!(SourceKind::of("Service"), None);
    }

    #[test]
    fn an_object_comes_back_as_it_was_written() {
        let object = json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "7",
                "labels": { "team": "a" }, "managedFields": [{ "manager": "helm" }]
            },
            "spec": { "endpoints": [{ "port": "http" }] },
            "status": { "bindings": [] }
        });
        let source = Source::of(SourceKind::ServiceMonitor, "v1", &object).unwrap();
        assert_eq!(source.revision, "7");
        let mut written = object;
        for field in ["resourceVersion", "managedFields"] {
            written["metadata"].as_object_mut().unwrap().remove(field);
        }
        written.as_object_mut().unwrap().remove("status");
        assert_eq!(source.to_value().unwrap(), written);
        assert_eq!(Source::of(SourceKind::Probe, "v1", &json!({ "metadata": { "name": "x" } })), None);
    }
}

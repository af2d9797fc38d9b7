//! What is read of the ecosystem's objects. Field names are those of the group `monitoring.coreos.com`; a field
//! that no configuration depends on is left out, and an unknown one is ignored.

pub(crate) mod http;
pub(crate) mod monitors;
pub(crate) mod prometheus;
pub(crate) mod remote;
pub(crate) mod scrape_config;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use http::{
    Authorization, BasicAuth, OAuth2, Proxy, SafeAuthorization, SafeTls, SecretOrConfigMap, Tls,
};
pub(crate) use monitors::{Endpoint, PodEndpoint, PodMonitorSpec, ProbeSpec, ServiceMonitorSpec};
pub(crate) use prometheus::{AttachMetadata, PrometheusSpec, ScrapeClass};
pub(crate) use scrape_config::ScrapeConfigSpec;

use super::judge::{Rejection, fault};

/// The group of the ecosystem's objects.
pub const GROUP: &str = "monitoring.coreos.com";

/// Kinds that say what is scraped, in the order in which their jobs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Endpoints of Services.
    ServiceMonitor,
    /// Pods.
    PodMonitor,
    /// Addresses that are probed from outside.
    Probe,
    /// Everything that the engine can discover.
    ScrapeConfig,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::ServiceMonitor, Self::PodMonitor, Self::Probe, Self::ScrapeConfig];

    /// The kind as the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
            Self::Probe => "Probe",
            Self::ScrapeConfig => "ScrapeConfig",
        }
    }

    /// The resource as the API's paths name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "servicemonitors",
            Self::PodMonitor => "podmonitors",
            Self::Probe => "probes",
            Self::ScrapeConfig => "scrapeconfigs",
        }
    }

    /// The version of the API in which the kind is read.
    pub fn version(self) -> &'static str {
        match self {
            Self::ScrapeConfig => "v1alpha1",
            _ => "v1",
        }
    }

    /// What job names begin with.
    pub(crate) fn job(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "serviceMonitor",
            Self::PodMonitor => "podMonitor",
            Self::Probe => "probe",
            Self::ScrapeConfig => "scrapeConfig",
        }
    }
}

/// Namespaces in which targets are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// In all of them.
    pub everywhere: bool,
    /// In these.
    pub namespaces: BTreeSet<String>,
}

impl Reach {
    /// Adds what another reaches.
    pub fn add(&mut self, other: &Self) {
        self.everywhere |= other.everywhere;
        // Most name what is named already.
        let new = other.namespaces.iter().filter(|namespace| !self.namespaces.contains(*namespace)).cloned();
        let new: Vec<String> = new.collect();
        self.namespaces.extend(new);
    }
}

/// An object that says what is scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spec {
    Service(Box<ServiceMonitorSpec>),
    Pod(Box<PodMonitorSpec>),
    Probe(Box<ProbeSpec>),
    Scrape(Box<ScrapeConfigSpec>),
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default = "none")]
    spec: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// Whose object it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Monitor {
    /// Reads an object of a kind as the API serves it.
    ///
    /// # Errors
    /// A field of another type than the API has it, with its path.
    pub fn read(kind: Kind, object: &Value) -> Result<Self, Rejection> {
        fn of<T: DeserializeOwned + Default>(
            kind: Kind,
            object: &Value,
            wrap: impl FnOnce(Box<T>) -> Spec,
        ) -> Result<Monitor, Rejection> {
            let read: Envelope<T> = typed(object).map_err(|found| found.of_object(kind.as_str(), object))?;
            Ok(Monitor {
                namespace: read.metadata.namespace,
                name: read.metadata.name,
                spec: wrap(Box::new(read.spec.unwrap_or_default())),
            })
        }
        match kind {
            Kind::ServiceMonitor => of(kind, object, Spec::Service),
            Kind::PodMonitor => of(kind, object, Spec::Pod),
            Kind::Probe => of(kind, object, Spec::Probe),
            Kind::ScrapeConfig => of(kind, object, Spec::Scrape),
        }
    }

    /// Reads an object by its spec as JSON, in one pass and without a tree of values between. None where it cannot be
    /// read; why, [`Monitor::read`] says.
    pub(crate) fn from_spec(kind: Kind, namespace: &str, name: &str, spec: &str) -> Option<Self> {
        fn of<T: DeserializeOwned + Default>(spec: &str) -> Option<Box<T>> {
            let spec: Option<T> = serde_json::from_str(spec).ok()?;
            Some(Box::new(spec.unwrap_or_default()))
        }
        let spec = match kind {
            Kind::ServiceMonitor => Spec::Service(of(spec)?),
            Kind::PodMonitor => Spec::Pod(of(spec)?),
            Kind::Probe => Spec::Probe(of(spec)?),
            Kind::ScrapeConfig => Spec::Scrape(of(spec)?),
        };
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), spec })
    }

    /// Where its targets are looked for; with `ignore_selectors` in its own namespace, whatever it says. A
    /// ScrapeConfig says that by itself, in whichever way, and is not asked.
    pub(crate) fn reach(&self, ignore_selectors: bool) -> Reach {
        let selector = match &self.spec {
            Spec::Service(spec) => Some(&spec.namespace_selector),
            Spec::Pod(spec) => Some(&spec.namespace_selector),
            Spec::Probe(spec) => spec.targets.ingress.as_ref().map(|ingress| &ingress.namespace_selector),
            Spec::Scrape(_) => None,
        };
        let Some(selector) = selector else { return Reach::default() };
        let own = || BTreeSet::from([self.namespace.clone()]);
        if ignore_selectors {
            return Reach { everywhere: false, namespaces: own() };
        }
        let named: BTreeSet<String> = selector.match_names.iter().cloned().collect();
        Reach { everywhere: selector.any, namespaces: if named.is_empty() { own() } else { named } }
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        match self.spec {
            Spec::Service(_) => Kind::ServiceMonitor,
            Spec::Pod(_) => Kind::PodMonitor,
            Spec::Probe(_) => Kind::Probe,
            Spec::Scrape(_) => Kind::ScrapeConfig,
        }
    }

    /// The object with what an API server fills in: objects that come from files alone lack it.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        if let Spec::Probe(probe) = &mut self.spec
            && probe.prober.path.is_empty()
        {
            probe.prober.path = "/probe".to_owned();
        }
        self
    }
}

/// Reads a value as a type. What is null counts as absent.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Rejection> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { "" } else { path.as_str() };
        let path = match field_at_fault::<T>(value, &pointer(e.path())) {
            Some(field) if path.is_empty() => field,
            Some(field) => format!("{path}.{field}"),
            None => path.to_owned(),
        };
        let found = e.inner().to_string().chars().take(200).collect::<String>();
        fault(&path, found, "a value of the type that the API has there")
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        _ => pointer,
    })
}

/// Most fields that are tried.
const MAX_TRIED: usize = 100;

/// The field of an object without which all could be read: where types share fields, an error names only the
/// object that they are in.
fn field_at_fault<T: DeserializeOwned>(value: &Value, pointer: &str) -> Option<String> {
    let mut copy = value.clone();
    let fields: Vec<String> = copy.pointer(pointer)?.as_object()?.keys().take(MAX_TRIED).cloned().collect();
    for field in fields {
        let taken = copy.pointer_mut(pointer)?.as_object_mut()?.remove(&field)?;
        if T::deserialize(&copy).is_ok() {
            return Some(field);
        }
        copy.pointer_mut(pointer)?.as_object_mut()?.insert(field, taken);
    }
    None
}

/// A key of a Secret or of a ConfigMap, in the namespace of whoever refers to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct KeyRef {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) key: String,
}

/// null as the type's default.
pub(crate) fn lenient<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A name or a number of a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum IntOrString {
    Int(i64),
    Text(String),
}

impl IntOrString {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Int(number) => number.to_string().into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// A Kubernetes quantity, as text or as a number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Quantity {
    Number(f64),
    Text(String),
}

impl Quantity {
    /// The value; none where the text is no quantity.
    pub(crate) fn value(&self) -> Option<f64> {
        let text = match self {
            Self::Number(number) => return Some(*number).filter(|n| n.is_finite()),
            Self::Text(text) => text.trim(),
        };
        let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        // An exponent is a number's own letter.
        if let (Ok(value), true) = (text.parse::<f64>(), suffix.is_empty() || suffix.len() > 1) {
            return Some(value).filter(|v| v.is_finite());
        }
        let factor = match suffix {
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1_048_576.0,
            "Gi" => 1_073_741_824.0,
            _ => return None,
        };
        number.parse::<f64>().ok().map(|n| n * factor).filter(|n| n.is_finite())
    }
}

/// Namespaces that are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NamespaceSelector {
    #[serde(deserialize_with = "lenient")]
    pub(crate) any: bool,
    #[serde(deserialize_with = "lenient")]
    pub(crate) match_names: Vec<String>,
}

/// A selector of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LabelSelector {
    #[serde(deserialize_with = "lenient")]
    pub(crate) match_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) match_expressions: Vec<Expression>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Expression {
    #[serde(deserialize_with = "lenient")]
    pub(crate) key: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) operator: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) values: Vec<String>,
}

/// One step of relabelling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Relabel {
    #[serde(deserialize_with = "lenient")]
    pub(crate) source_labels: Vec<String>,
    pub(crate) separator: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) target_label: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) regex: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) modulus: u64,
    pub(crate) replacement: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) action: String,
}

/// What one scrape may bring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Limits {
    pub(crate) sample_limit: Option<u64>,
    pub(crate) target_limit: Option<u64>,
    pub(crate) label_limit: Option<u64>,
    pub(crate) label_name_length_limit: Option<u64>,
    pub(crate) label_value_length_limit: Option<u64>,
    pub(crate) keep_dropped_targets: Option<u64>,
}

/// How histograms are taken in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Histograms {
    pub(crate) scrape_native_histograms: Option<bool>,
    pub(crate) scrape_classic_histograms: Option<bool>,
    pub(crate) native_histogram_bucket_limit: Option<u64>,
    pub(crate) native_histogram_min_bucket_factor: Option<Quantity>,
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub(crate) convert_classic_histograms_to_nhcb: Option<bool>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_have_their_values() {
        let value = |text: &str| Quantity::Text(text.to_owned()).value();
        for (text, expected) in
            [("500m", 0.5), ("12.124", 12.124), ("1", 1.0), ("1e3", 1000.0), ("2Ki", 2048.0), ("0.1", 0.1)]
        {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in ["", "x", "1x", "m", "1e999", "NaN", "inf"] {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(Quantity::Number(0.25).value(), Some(0.25));
    }

    /// Values as they are right in some field, and wrong in others.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            prop_oneof![any::<i64>(), 0..100i64].prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-2.0..2.0f64).prop_map(Value::from),
            prop_oneof![Just("http"), Just("5s"), Just("1e3"), Just("ä\"\\\n")].prop_map(Value::from),
        ];
        let fields = "endpoints podMetricsEndpoints port targetPort portNumber interval params relabelings \
             sourceLabels modulus separator action basicAuth username name key tlsConfig ca secret \
             proxyUrl noProxy sampleLimit nativeHistogramMinBucketFactor selector matchLabels \
             matchExpressions namespaceSelector any matchNames attachMetadata node prober url \
             targets staticConfig static labels staticConfigs kubernetesSDConfigs role unknown";
        let field = prop::sample::select(fields.split(' ').collect::<Vec<_>>());
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((field.clone(), inner), 0..6).prop_map(|fields| {
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_come_to_the_same(spec in value(), kind in prop::sample::select(&Kind::ALL[..])) {
            // Both read the same text: a fraction that is written and read again can differ in its last bit.
            let spec = spec.to_string();
            let quick = Monitor::from_spec(kind, "b", "a", &spec);
            let spec: Value = serde_json::from_str(&spec).unwrap();
            let object = serde_json::json!({ "metadata": { "namespace": "b", "name": "a" }, "spec": spec });
            prop_assert_eq!(quick, Monitor::read(kind, &object).ok());
        }
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        for (endpoint, path) in [
            (serde_json::json!({ "port": 9090 }), "spec.endpoints[1].port"),
            (serde_json::json!({ "interval": 5 }), "spec.endpoints[1].interval"),
            (serde_json::json!({ "proxyUrl": [] }), "spec.endpoints[1].proxyUrl"),
            (serde_json::json!("x"), "spec.endpoints[1]"),
        ] {
            let object = serde_json::json!({
                "metadata": { "name": "a", "namespace": "b" },
                "spec": { "endpoints": [{ "port": "web" }, endpoint] },
            });
            let rejection = Monitor::read(Kind::ServiceMonitor, &object).unwrap_err();
            assert_eq!(rejection.path, path);
            assert_eq!((&*rejection.namespace, &*rejection.name), ("b", "a"));
        }
        let object = serde_json::json!({ "spec": { "sampleLimit": -1, "endpoints": [] } });
        let rejection = Monitor::read(Kind::ServiceMonitor, &object).unwrap_err();
        assert_eq!(rejection.path, "spec.sampleLimit");
    }
}

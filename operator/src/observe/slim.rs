//! Objects of others as a watch reads them: what names one, its labels, and its spec as it is written. The rest is
//! passed over while it is read: who manages which field is half of many objects, and a tree of JSON takes ten times
//! the memory of its text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object with its spec.
#[derive(Clone, Debug)]
pub(super) struct Specified {
    /// What names it, and its labels.
    pub(super) metadata: ObjectMeta,
    /// Its spec as it came, JSON: `null` where it has none. It is not looked into: one that is nested too deep to be
    /// read must not keep others of its list from being read.
    pub(super) spec: Box<str>,
}

/// An object of which the API is asked for the metadata alone.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// What names it, and its labels.
    pub(super) metadata: ObjectMeta,
}

/// What is read of an object's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            labels: meta.labels,
            ..Self::default()
        }
    }
}

impl<'de> Deserialize<'de> for Specified {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            metadata: Meta,
            spec: Option<Box<RawValue>>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let spec = wire.spec.map_or_else(|| "null".into(), Box::<str>::from);
        Ok(Self { metadata: wire.metadata.into(), spec })
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            metadata: Meta,
        }
        Ok(Self { metadata: Wire::deserialize(deserializer)?.metadata.into() })
    }
}

macro_rules! resource {
    ($type:ty, $metadata_alone:literal) => {
        impl Resource for $type {
            type DynamicType = ApiResource;
            type Scope = DynamicResourceScope;

            fn kind(kind: &ApiResource) -> Cow<'_, str> {
                kind.kind.as_str().into()
            }

            fn group(kind: &ApiResource) -> Cow<'_, str> {
                kind.group.as_str().into()
            }

            fn version(kind: &ApiResource) -> Cow<'_, str> {
                kind.version.as_str().into()
            }

            fn api_version(kind: &ApiResource) -> Cow<'_, str> {
                kind.api_version.as_str().into()
            }

            fn plural(kind: &ApiResource) -> Cow<'_, str> {
                kind.plural.as_str().into()
            }

            fn metadata_api() -> bool {
                $metadata_alone
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(Specified, false);
resource!(Named, true);

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;
    use serde_json::{Value, json};

    use super::*;

    fn object() -> Value {
        json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Probe",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "labels": { "app": "web" }, "annotations": { "much": "x" },
                "managedFields": [{ "manager": "m", "fieldsV1": { "f:spec": {} } }]
            },
            "spec": {
                "text": "a\"b\\c\n\u{1}é😀", "numbers": [0, -5, 18_446_744_073_709_551_615u64, 1.5, 1e300],
                "truth": [true, false, null], "empty": [{}, [], ""], "deep": { "k\"ey": { "a": [[1], [2, 3]] } }
            },
            "status": { "much": ["x"] }
        })
    }

    #[test]
    fn the_spec_is_as_it_was_written_and_the_rest_is_passed_over() {
        let wanted = object();
        let read: Specified = serde_json::from_str(&wanted.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read.spec).unwrap(), wanted["spec"]);
        assert_eq!(
            read.spec,
            wanted["spec"].to_string().into_boxed_str(),
            "byte for byte, where keys come sorted"
        );
        let named: Named = serde_json::from_str(&wanted.to_string()).unwrap();
        for metadata in [&read.metadata, &named.metadata] {
            let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
            let expected = ObjectMeta {
                name: Some("web".to_owned()),
                namespace: Some("shop".to_owned()),
                uid: Some("u".to_owned()),
                resource_version: Some("7".to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            };
            assert_eq!(*metadata, expected);
        }
        let without: Specified = serde_json::from_str(r#"{ "metadata": { "name": "x" } }"#).unwrap();
        assert_eq!(&*without.spec, "null");
    }

    #[test]
    fn a_spec_that_is_too_deep_to_be_read_spoils_no_list() {
        let deep = format!("{}{}", r#"{"routes":["#.repeat(5_000), "]}".repeat(5_000));
        let item = |name: &str, spec: &str| format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{spec}}}"#);
        let list = format!(r#"{{"metadata":{{}},"items":[{},{}]}}"#, item("deep", &deep), item("good", "{}"));
        let list: kube::core::ObjectList<Specified> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.items.iter().map(|item| item.spec.len()).collect::<Vec<_>>(), [deep.len(), 2]);
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, item("deep", &deep));
        assert!(matches!(serde_json::from_str(&event).unwrap(), WatchEvent::<Specified>::Added(_)));
    }
}

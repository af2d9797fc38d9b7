//! Objects of others as a watch reads them: what names one, its labels, and its spec as it is written. The rest is
//! passed over while it is read: who manages which field is half of many objects, and a tree of JSON takes ten times
//! the memory of its text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// An object with its spec.
#[derive(Clone, Debug)]
pub(super) struct Specified {
    /// What names it, and its labels.
    pub(super) metadata: ObjectMeta,
    /// Its spec as JSON: `null` where it has none.
    pub(super) spec: Vec<u8>,
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
            #[serde(default)]
            spec: Json,
        }
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self { metadata: wire.metadata.into(), spec: wire.spec.0 })
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

/// A value as the text of its JSON, written while it is read.
struct Json(Vec<u8>);

impl Default for Json {
    fn default() -> Self {
        Self(b"null".to_vec())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut out = Vec::with_capacity(1024);
        Writer(&mut out).deserialize(deserializer)?;
        Ok(Self(out))
    }
}

/// Writes what it is given to the end of a text.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn plain<E: Error>(self, value: impl fmt::Display) -> Result<(), E> {
        write!(self.0, "{value}").map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        serde_json::to_writer(self.0, &value).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        serde_json::to_writer(self.0, value).map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.plain("null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        let mut first = true;
        loop {
            let before = self.0.len();
            if !first {
                self.0.push(b',');
            }
            if items.next_element_seed(Writer(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            first = false;
        }
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        let mut first = true;
        loop {
            let before = self.0.len();
            if !first {
                self.0.push(b',');
            }
            if fields.next_key_seed(Writer(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            self.0.push(b':');
            fields.next_value_seed(Writer(self.0))?;
            first = false;
        }
        self.0.push(b'}');
        Ok(())
    }
}

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
        assert_eq!(serde_json::from_slice::<Value>(&read.spec).unwrap(), wanted["spec"]);
        assert_eq!(
            read.spec,
            wanted["spec"].to_string().into_bytes(),
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
        let without: Specified = serde_json::from_value(json!({ "metadata": { "name": "x" } })).unwrap();
        assert_eq!(without.spec, b"null");
    }

    #[test]
    fn an_event_may_name_its_object_before_its_type() {
        for text in [
            format!(r#"{{"type":"ADDED","object":{}}}"#, object()),
            format!(r#"{{"object":{},"type":"ADDED"}}"#, object()),
        ] {
            let Ok(WatchEvent::Added(read)) = serde_json::from_str::<WatchEvent<Specified>>(&text) else {
                panic!("{text}");
            };
            assert_eq!(serde_json::from_slice::<Value>(&read.spec).unwrap(), object()["spec"]);
        }
    }
}

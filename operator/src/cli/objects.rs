//! Objects of others in the files of the command line, built as the operator would.

use std::sync::Arc;

use serde_json::Value;

use super::input::{Document, Input};
use crate::scrape::assets::data_of;
use crate::scrape::contents::{Content, Holder, Known, Place};
use crate::scrape::references::UNSEEN;
use crate::scrape::sources::{
    Cache, GROUP, Namespaces, Objects, Source, SourceKind, is_searched, pick, references_of,
};
use crate::validate::Valid;

/// Whether contents of Secrets are used, or only stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are used: for objects that are to be applied.
    Used,
    /// They are hidden: for what is printed to be read.
    Hidden,
}

/// Objects that become configuration, in the order of the files.
pub fn sources(input: &Input) -> Vec<Arc<Source>> {
    input.documents.iter().filter_map(source_of).map(Arc::new).collect()
}

/// The object that becomes configuration; none where the document is another. Without a namespace it is in
/// `default`.
pub fn source_of(document: &Document) -> Option<Source> {
    let (api, kind) = (document.text(&["apiVersion"])?, document.text(&["kind"])?);
    let kind = SourceKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let version = kind.versions().iter().find(|version| api == format!("{GROUP}/{version}"))?;
    let mut object = document.node.to_json();
    object["metadata"]["namespace"] = document.id().namespace.into();
    Source::of(kind, version, &object)
}

/// Labels of the namespaces in the files.
pub fn namespaces(input: &Input) -> Namespaces {
    let labels = |object: &Value| {
        let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
        labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    let named = input.of_kind("v1", "Namespace").map(|(document, object)| {
        let name = document.id().name;
        let mut labels: std::collections::BTreeMap<String, String> = labels(&object);
        labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| name.clone());
        (name, labels)
    });
    named.collect()
}

/// What the objects of the files became for a stack. A Secret or a ConfigMap that is not in the files is taken to
/// be in the cluster.
///
/// # Errors
/// What in the stack would spoil every object.
pub fn build(input: &Input, valid: &Valid, secrets: Secrets) -> Result<Objects, String> {
    let settings = crate::reconcile::object_settings(valid)?;
    let settings = if secrets == Secrets::Hidden { settings.hiding_secrets() } else { settings };
    let sources = sources(input);
    let searched = sources.iter().filter(|source| is_searched(valid, source.key.kind));
    let picked = pick(valid, searched, &namespaces(input));
    let mut known = contents(input, secrets);
    if secrets == Secrets::Hidden {
        show_written(input, valid, &mut known);
    }
    let mut cache = Cache::default();
    loop {
        let objects = cache.build(&settings, &picked, &known);
        if objects.unknown.is_empty() {
            return Ok(objects);
        }
        known.extend(objects.unknown.into_iter().map(|place| (place, Arc::new(Content::Unseen))));
    }
}

/// Keys of a configuration whose values are secret.
const SECRET_KEYS: [&str; 11] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "access_key",
    "secret_key",
    "token",
    "key",
    "application_secret",
    "consumer_key",
    "application_credential_secret",
];

/// Maps of headers, whose values can be secret.
const HEADERS: [&str; 2] = ["proxy_connect_header", "http_headers"];

/// A text of a Secret that is taken over, without what is secret in it. One that is no YAML stays as it is, and is
/// refused.
pub(super) fn masked(text: &str) -> String {
    fn hide(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(hide),
            Value::Array(items) => items.iter_mut().for_each(hide),
            Value::String(text) => UNSEEN.clone_into(text),
            _ => {}
        }
    }
    fn mask(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| match value {
                Value::String(_) if SECRET_KEYS.contains(&key.as_str()) => *value = UNSEEN.into(),
                value if HEADERS.contains(&key.as_str()) => hide(value),
                value => mask(value),
            }),
            Value::Array(items) => items.iter_mut().for_each(mask),
            _ => {}
        }
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(mut value) => {
            mask(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

/// Contents in which nothing is secret that the stack takes over as it was written.
fn show_written(input: &Input, valid: &Valid, known: &mut Known) {
    let written = [
        &valid.spec.collection.additional_scrape_configs,
        &valid.spec.metrics.additional_alert_relabel_configs,
    ];
    let of_stack = |name: &str| Place {
        holder: Holder::Secret,
        namespace: valid.id.namespace.clone(),
        name: name.to_owned(),
    };
    for (document, object) in input.of_kind("v1", "Secret") {
        let place = of_stack(&document.id().name);
        let shown: Vec<&str> = written
            .iter()
            .filter_map(|key| key.as_ref())
            .filter(|key| key.name == place.name)
            .map(|key| key.key.as_str())
            .collect();
        if document.id().namespace != place.namespace || shown.is_empty() {
            continue;
        }
        let show = |(key, bytes): (String, Vec<u8>)| {
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) if shown.contains(&key.as_str()) => masked(text),
                _ => UNSEEN.to_owned(),
            };
            (key, text.into_bytes())
        };
        let keys = data_of(&object).into_iter().map(show).collect();
        known.insert(place, Arc::new(Content::Keys(keys)));
    }
}

/// Secrets and ConfigMaps that the stack itself refers to beside those of its receivers and that are not among the
/// files: `Secret login`.
///
/// # Errors
/// What in the stack would spoil every object.
pub fn missing(input: &Input, valid: &Valid) -> Result<Vec<String>, String> {
    let settings = crate::reconcile::object_settings(valid)?;
    let known = contents(input, Secrets::Hidden);
    let missing = references_of(&settings).into_iter().filter(|place| !known.contains_key(place));
    Ok(missing.map(|place| format!("{} {}", place.holder.as_str(), place.name)).collect())
}

/// Contents of the Secrets and ConfigMaps in the files.
pub fn contents(input: &Input, secrets: Secrets) -> Known {
    let mut known = Known::new();
    for (holder, kind) in [(Holder::Secret, "Secret"), (Holder::ConfigMap, "ConfigMap")] {
        for (document, object) in input.of_kind("v1", kind) {
            let id = document.id();
            let is_hidden = holder == Holder::Secret && secrets == Secrets::Hidden;
            let content = if is_hidden { Content::Unseen } else { Content::Keys(data_of(&object)) };
            known.insert(Place { holder, namespace: id.namespace, name: id.name }, Arc::new(content));
        }
    }
    known
}

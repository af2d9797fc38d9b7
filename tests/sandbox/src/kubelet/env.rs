//! The environment and the command of a container, with references to earlier variables filled in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};

use super::fields::{self, Addresses};

/// Where values of Secrets and ConfigMaps of the pod's namespace come from.
pub(crate) trait Lookup {
    /// A Secret by name.
    fn secret(&self, name: &str) -> Option<std::sync::Arc<Secret>>;
    /// A ConfigMap by name.
    fn config_map(&self, name: &str) -> Option<std::sync::Arc<ConfigMap>>;
}

/// Why an environment cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("{kind} {name:?} not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {name}")]
    NoKey { kind: &'static str, name: String, key: String },
    #[error("variable {name}: {path} is no field of the downward API")]
    NoField { name: String, path: String },
    #[error("variable {0}: this source of a value is not served by the sandbox")]
    Source(String),
}

/// Replaces `$(NAME)` by the value of a variable; `$$(NAME)` stands for `$(NAME)`, and a name that is not
/// known stays as it is.
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// The variables of a container, on top of those that every container gets.
///
/// # Errors
/// A Secret, a ConfigMap, a key or a field that is not there and not optional.
pub(crate) fn build_env(
    pod: &Pod,
    container: &Container,
    addresses: &Addresses,
    lookup: &dyn Lookup,
    base: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EnvError> {
    let mut variables = base;
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            match lookup.config_map(&reference.name) {
                Some(map) => variables.extend(
                    map.data.iter().flatten().map(|(key, value)| (format!("{prefix}{key}"), value.clone())),
                ),
                None if reference.optional == Some(true) => (),
                None => return Err(EnvError::NotFound { kind: "configmap", name: reference.name.clone() }),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match lookup.secret(&reference.name) {
                Some(secret) => variables.extend(secret.data.iter().flatten().map(|(key, value)| {
                    (format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned())
                })),
                None if reference.optional == Some(true) => (),
                None => return Err(EnvError::NotFound { kind: "secret", name: reference.name.clone() }),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &variables)),
            Some(source) => from_source(pod, container, addresses, lookup, &variable.name, source)?,
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn from_source(
    pod: &Pod,
    container: &Container,
    addresses: &Addresses,
    lookup: &dyn Lookup,
    variable: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, EnvError> {
    if let Some(selector) = &source.field_ref {
        let no_field = || EnvError::NoField { name: variable.to_owned(), path: selector.field_path.clone() };
        return fields::field(pod, addresses, &selector.field_path).map(Some).ok_or_else(no_field);
    }
    if let Some(selector) = &source.resource_field_ref {
        let no_field = || EnvError::NoField { name: variable.to_owned(), path: selector.resource.clone() };
        return fields::resource(pod, Some(container), selector).map(Some).ok_or_else(no_field);
    }
    let (kind, name, key, optional, value) = if let Some(selector) = &source.secret_key_ref {
        let secret = lookup.secret(&selector.name);
        let value = secret.as_ref().map(|secret| {
            let value = secret.data.as_ref().and_then(|data| data.get(&selector.key));
            value.map(|value| String::from_utf8_lossy(&value.0).into_owned())
        });
        ("secret", &selector.name, &selector.key, selector.optional, value)
    } else if let Some(selector) = &source.config_map_key_ref {
        let map = lookup.config_map(&selector.name);
        let value =
            map.as_ref().map(|map| map.data.as_ref().and_then(|data| data.get(&selector.key)).cloned());
        ("configmap", &selector.name, &selector.key, selector.optional, value)
    } else {
        return Err(EnvError::Source(variable.to_owned()));
    };
    match value {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        Some(None) => Err(EnvError::NoKey { kind, name: name.clone(), key: key.clone() }),
        None => Err(EnvError::NotFound { kind, name: name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    struct Objects;

    impl Lookup for Objects {
        fn secret(&self, name: &str) -> Option<Arc<Secret>> {
            let secret = json!({ "data": { "password": "aHVudGVy" } });
            (name == "s").then(|| Arc::new(serde_json::from_value(secret).unwrap()))
        }

        fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
            let map = json!({ "data": { "level": "debug" } });
            (name == "m").then(|| Arc::new(serde_json::from_value(map).unwrap()))
        }
    }

    fn build(env: serde_json::Value) -> Result<BTreeMap<String, String>, EnvError> {
        let container: Container = serde_json::from_value(json!({ "name": "c", "env": env })).unwrap();
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" } })).unwrap();
        let addresses = Addresses { pod: "127.42.1.1".into(), host: String::new() };
        build_env(&pod, &container, &addresses, &Objects, BTreeMap::new())
    }

    #[test]
    fn references_are_replaced_and_escapes_kept() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(B)", "x1y$(B)"),
            ("$$(A)", "$(A)"),
            ("$A ${A} $", "$A ${A} $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn variables_come_from_every_source() {
        let variables = build(json!([
            { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "URL", "value": "http://$(IP):9090" },
            { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } },
            { "name": "LEVEL", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "level" } } },
            { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": "x", "key": "y", "optional": true } } },
        ]))
        .unwrap();
        assert_eq!(variables["URL"], "http://127.42.1.1:9090");
        assert_eq!((variables["PASSWORD"].as_str(), variables["LEVEL"].as_str()), ("hunter", "debug"));
        assert!(!variables.contains_key("NONE"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |name: &str, key: &str| {
            build(json!([{ "name": "V", "valueFrom": { "secretKeyRef": { "name": name, "key": key } } }]))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(missing("x", "y"), "secret \"x\" not found");
        assert_eq!(missing("s", "y"), "couldn't find key y in secret s");
    }
}

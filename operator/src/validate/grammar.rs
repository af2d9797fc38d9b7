//! Names as Kubernetes and Prometheus take them, and the parts of a spec that are made of names.

use std::collections::BTreeSet;

use obstack_crds::MAX_STACK_NAME;
use obstack_crds::stack::ObservabilityStackSpec;

use crate::names::StackId;

use super::Faults;

/// A text in quotes, shortened to what an error message can hold.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST - 1).collect();
    format!("{:?}", format!("{start}…"))
}

/// The path of a key below a path: `spec.metrics.labels.team`, or `spec.metrics.labels["example.com/team"]`
/// where the key is no plain word.
pub fn child_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

/// Whether a text is a DNS label of RFC 1123 of at most `max` characters.
pub(super) fn is_dns_label(text: &str, max: usize) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=max).contains(&bytes.len())
        && bytes.iter().all(|&c| alphanumeric(c) || c == b'-')
        && alphanumeric(bytes[0])
        && alphanumeric(bytes[bytes.len() - 1])
}

/// Whether a text is a DNS subdomain of RFC 1123: what names most objects of Kubernetes.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_dns_label(label, 63))
}

/// Whether a text is the name of a label of Prometheus that anyone may set.
pub(crate) fn is_label_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with("__")
}

/// Whether a text is the name of a metric of Prometheus in its classic form.
pub(crate) fn is_metric_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// Whether a text is a label's value in Kubernetes: empty, or at most 63 characters of the known kind.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    bytes.is_empty()
        || (bytes.len() <= 63
            && bytes.iter().all(|&c| inner(c))
            && bytes[0].is_ascii_alphanumeric()
            && bytes[bytes.len() - 1].is_ascii_alphanumeric())
}

/// Whether a text is the key of a label or annotation in Kubernetes: a name, with or without a prefix.
pub(super) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_dns_subdomain)
}

/// The stack's own name: every other name is made from it.
pub(super) fn stack_name(id: &StackId, faults: &mut Faults) {
    if !is_dns_label(&id.name, MAX_STACK_NAME) {
        let write = format!(
            "a name of 1 to {MAX_STACK_NAME} lower case letters, digits and dashes that starts and ends with a \
             letter or digit: the names of the stack's objects are made from it"
        );
        faults.add("metadata.name", quoted(&id.name), write);
    }
    if !id.namespace.is_empty() && !is_dns_label(&id.namespace, 63) {
        faults.add(
            "metadata.namespace",
            quoted(&id.namespace),
            "the name of a namespace, such as monitoring",
        );
    }
}

/// Namespaces that are searched for targets.
pub(super) fn collection(spec: &ObservabilityStackSpec, faults: &mut Faults) {
    let namespaces = &spec.collection.namespaces;
    let mut seen = BTreeSet::new();
    for (index, namespace) in namespaces.iter().enumerate() {
        let path = format!("spec.collection.namespaces[{index}]");
        if namespace == "*" {
            if namespaces.len() > 1 {
                faults.add(path, "\"*\" beside other namespaces", "\"*\" alone, or each namespace by name");
            }
        } else if !is_dns_label(namespace, 63) {
            faults.add(path, quoted(namespace), "the name of a namespace, or \"*\" for all of them");
        } else if !seen.insert(namespace) {
            faults.add(path, format!("{} a second time", quoted(namespace)), "each namespace once");
        }
    }
}

/// How the stack is reached from outside.
pub(super) fn exposure(spec: &ObservabilityStackSpec, faults: &mut Faults) {
    let exposure = &spec.exposure;
    if let Some(host) = &exposure.host
        && !is_dns_subdomain(host)
    {
        faults.add("spec.exposure.host", quoted(host), "a host name, such as metrics.example.com");
    }
    for (field, name) in [("className", &exposure.class_name), ("gateway", &exposure.gateway)] {
        let Some(name) = name else { continue };
        let path = format!("spec.exposure.{field}");
        if !is_dns_subdomain(name) {
            faults.add(path.as_str(), quoted(name), "the name of an object, such as public");
        }
        if exposure.host.is_none() {
            faults.add(path, "a value without a host", "spec.exposure.host too, or leave this out");
        }
    }
    if exposure.class_name.is_some() && exposure.gateway.is_some() {
        let write = "className for an Ingress, or gateway for an HTTPRoute, and leave the other out";
        faults.add("spec.exposure", "both className and gateway", write);
    }
}

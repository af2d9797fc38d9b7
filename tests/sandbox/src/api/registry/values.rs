//! Validation of single values of built-in types: a table of fields and what they may be.

use super::super::errors::Cause;
use super::Resource;
use Check::{Above, Address, AtLeast, Must, OneOf, Port, Share, Text, Word};
use serde_json::Value;

/// What a value may be. What is not there is checked by [`Text`] alone.
#[derive(Clone, Copy)]
enum Check {
    AtLeast(i64),
    Above(i64),
    /// A port; 0 counts as missing.
    Port,
    OneOf(&'static [&'static str]),
    /// As `OneOf`, and there.
    Must(&'static [&'static str]),
    /// One of these, with a text of its own.
    Word(&'static [&'static str], &'static str),
    /// Something has to be there.
    Text,
    /// A number from 0 on, or a percentage.
    Share,
    Address,
}

const PROTOCOLS: Check = OneOf(&["SCTP", "TCP", "UDP"]);

/// Fields by resource. `[]` stands for every item of a list.
const FIELDS: &[(&str, &str, Check)] = &[
    ("daemonsets.apps", "spec.template.spec.restartPolicy", OneOf(&["Always"])),
    ("deployments.apps", "spec.template.spec.restartPolicy", OneOf(&["Always"])),
    ("replicasets.apps", "spec.template.spec.restartPolicy", OneOf(&["Always"])),
    ("statefulsets.apps", "spec.template.spec.restartPolicy", OneOf(&["Always"])),
    ("deployments.apps", "spec.strategy.type", OneOf(&["Recreate", "RollingUpdate"])),
    (
        "statefulsets.apps",
        "spec.podManagementPolicy",
        Word(&["OrderedReady", "Parallel"], "must be 'OrderedReady' or 'Parallel'"),
    ),
    (
        "statefulsets.apps",
        "spec.updateStrategy.type",
        Word(&["RollingUpdate", "OnDelete"], "must be 'RollingUpdate' or 'OnDelete'"),
    ),
    ("jobs.batch", "spec.parallelism", AtLeast(0)),
    ("jobs.batch", "spec.completions", AtLeast(0)),
    ("jobs.batch", "spec.backoffLimit", AtLeast(0)),
    ("pods", "spec.restartPolicy", OneOf(&["Always", "OnFailure", "Never"])),
    ("services", "spec.sessionAffinity", OneOf(&["ClientIP", "None"])),
    ("services", "spec.type", OneOf(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])),
    ("services", "spec.ports[].protocol", PROTOCOLS),
    ("leases.coordination.k8s.io", "spec.leaseDurationSeconds", Above(0)),
    ("leases.coordination.k8s.io", "spec.leaseTransitions", AtLeast(0)),
    ("poddisruptionbudgets.policy", "spec.minAvailable", Share),
    ("poddisruptionbudgets.policy", "spec.maxUnavailable", Share),
    ("endpointslices.discovery.k8s.io", "addressType", Text),
    ("endpointslices.discovery.k8s.io", "addressType", OneOf(&["FQDN", "IPv4", "IPv6"])),
    ("endpointslices.discovery.k8s.io", "endpoints[].addresses", Text),
    ("endpointslices.discovery.k8s.io", "endpoints[].addresses[]", Address),
    ("endpointslices.discovery.k8s.io", "ports[].protocol", PROTOCOLS),
    ("rolebindings.rbac.authorization.k8s.io", "roleRef.kind", Must(&["Role", "ClusterRole"])),
    ("rolebindings.rbac.authorization.k8s.io", "roleRef.name", Text),
    (
        "rolebindings.rbac.authorization.k8s.io",
        "subjects[].kind",
        OneOf(&["ServiceAccount", "User", "Group"]),
    ),
    ("clusterrolebindings.rbac.authorization.k8s.io", "roleRef.kind", Must(&["ClusterRole"])),
    ("clusterrolebindings.rbac.authorization.k8s.io", "roleRef.name", Text),
];

/// Fields of a pod's spec, wherever that is.
const POD_FIELDS: &[(&str, Check)] = &[
    ("containers[].imagePullPolicy", OneOf(&["Always", "IfNotPresent", "Never"])),
    ("containers[].ports[].containerPort", Port),
    ("containers[].ports[].protocol", PROTOCOLS),
    ("containers[].env[].name", Text),
];

/// Everything that is wrong with the values of an object.
pub(super) fn check(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let name = resource.qualified();
    for (_, path, check) in FIELDS.iter().filter(|(of, _, _)| *of == name) {
        walk(object, path, String::new(), *check, causes);
    }
    let pod = match name.as_str() {
        "pods" => "spec.",
        "daemonsets.apps" | "deployments.apps" | "jobs.batch" | "replicasets.apps" | "statefulsets.apps" => {
            "spec.template.spec."
        }
        _ => return,
    };
    for (path, check) in POD_FIELDS {
        walk(object, &format!("{pod}{path}"), String::new(), *check, causes);
    }
}

/// Follows a path to the values that it stands for.
fn walk(value: &Value, path: &str, at: String, check: Check, causes: &mut Vec<Cause>) {
    if let Some(rest) = path.strip_prefix("[]") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            walk(item, rest.trim_start_matches('.'), format!("{at}[{index}]"), check, causes);
        }
        return;
    }
    if path.is_empty() {
        judge(value, at, check, causes);
        return;
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (field, rest) = path.split_at(end);
    let at = if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
    walk(&value[field], rest.trim_start_matches('.'), at, check, causes);
}

fn judge(value: &Value, at: String, check: Check, causes: &mut Vec<Cause>) {
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let number = value.as_i64();
    match check {
        Text if empty => causes.push(Cause::required(at, "")),
        Must(words) => {
            let found = value.as_str().unwrap_or_default();
            judge(&Value::from(found), at, OneOf(words), causes);
        }
        _ if value.is_null() => {}
        AtLeast(least) if number.is_some_and(|number| number < least) => {
            causes.push(Cause::invalid(at, value, format!("must be greater than or equal to {least}")));
        }
        Above(bound) if number.is_some_and(|number| number <= bound) => {
            causes.push(Cause::invalid(at, value, format!("must be greater than {bound}")));
        }
        Port if number == Some(0) => causes.push(Cause::required(at, "")),
        Port if number.is_some_and(|number| !(1..=65535).contains(&number)) => {
            causes.push(Cause::invalid(at, value, "must be between 1 and 65535, inclusive"));
        }
        OneOf(words) if !words.iter().any(|word| value == word) => {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            causes.push(Cause::not_supported(at, value, &words));
        }
        Word(words, why) if !words.iter().any(|word| value == word) => {
            causes.push(Cause::invalid(at, value, why));
        }
        Share => share(value, at, causes),
        Address if value.as_str().is_none_or(|text| text.parse::<std::net::IpAddr>().is_err()) => {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            causes.push(Cause::invalid(at, value, why));
        }
        _ => {}
    }
}

fn share(value: &Value, at: String, causes: &mut Vec<Cause>) {
    let Some(text) = value.as_str() else {
        return judge(value, at, AtLeast(0), causes);
    };
    let percent: Option<u64> = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    match percent {
        Some(percent) if percent > 100 => {
            causes.push(Cause::invalid(at, value, "must not be greater than 100%"));
        }
        Some(_) => {}
        None => causes.push(Cause::invalid(
            at,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
             used for validation is '[0-9]+%')",
        )),
    }
}

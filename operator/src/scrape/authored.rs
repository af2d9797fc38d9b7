//! What a stack's author says of how objects become configuration, and of where samples and alerts go besides. The
//! fields have the names of the peers' Prometheus, so that they mean what the builder means by them already.

use std::collections::BTreeSet;

use obstack_crds::stack::ObservabilityStackSpec;
use serde_json::{Map, Value};

use super::engine::parts;
use super::jobs::relabel::sanitized;
use super::judge::names::is_label_for;
use super::judge::{Rejection, Under, fault};
use super::objects::{PrometheusSpec, typed};
use super::references::UnseenAssets;
use super::settings::{Role, Settings};
use super::version::Version;
use crate::names::StackId;
use crate::rules::objects::Excluded;
use crate::validate::Fault;

/// The fields that mean what the peers' Prometheus means by them, each with the part of the stack that it is in.
const HOMES: [(&str, &str); 29] = [
    ("scrapeClasses", "collection"),
    ("podTargetLabels", "collection"),
    ("overrideHonorLabels", "collection"),
    ("overrideHonorTimestamps", "collection"),
    ("ignoreNamespaceSelectors", "collection"),
    ("arbitraryFSAccessThroughSMs", "collection"),
    ("sampleLimit", "collection"),
    ("targetLimit", "collection"),
    ("labelLimit", "collection"),
    ("labelNameLengthLimit", "collection"),
    ("labelValueLengthLimit", "collection"),
    ("keepDroppedTargets", "collection"),
    ("bodySizeLimit", "collection"),
    ("additionalScrapeConfigs", "collection"),
    ("enforcedNamespaceLabel", "tenancy"),
    ("excludedFromEnforcement", "tenancy"),
    ("enforcedSampleLimit", "tenancy"),
    ("enforcedTargetLimit", "tenancy"),
    ("enforcedLabelLimit", "tenancy"),
    ("enforcedLabelNameLengthLimit", "tenancy"),
    ("enforcedLabelValueLengthLimit", "tenancy"),
    ("enforcedKeepDroppedTargets", "tenancy"),
    ("enforcedBodySizeLimit", "tenancy"),
    ("remoteWrite", "metrics"),
    ("remoteRead", "metrics"),
    ("tsdb", "metrics"),
    ("exemplars", "metrics"),
    ("alerting", "metrics"),
    ("additionalAlertRelabelConfigs", "metrics"),
];

/// The fields as the spec of a peers' Prometheus has them.
///
/// # Errors
/// A value that cannot be written, which the API's own types rule out.
pub(crate) fn fields(spec: &ObservabilityStackSpec) -> Result<Map<String, Value>, Rejection> {
    let json = |value: Result<Value, serde_json::Error>| {
        value.map_err(|error| fault("spec", error.to_string(), "values that can be written"))
    };
    let parts = [
        ("collection", json(serde_json::to_value(&spec.collection))?),
        ("tenancy", json(serde_json::to_value(&spec.tenancy))?),
        ("metrics", json(serde_json::to_value(&spec.metrics))?),
    ];
    let mut fields = Map::new();
    for (field, home) in &HOMES {
        let part = parts.iter().find(|(part, _)| part == home);
        if let Some(value) = part.and_then(|(_, part)| part.get(*field)) {
            fields.insert((*field).to_owned(), value.clone());
        }
    }
    Ok(fields)
}

/// The settings of a stack's engine, judged in no way.
///
/// # Errors
/// A field of another type than the builder has it, which the API's own types rule out.
pub(crate) fn settings(
    id: &StackId,
    spec: &ObservabilityStackSpec,
    version: Version,
) -> Result<Settings, Rejection> {
    let mut read: PrometheusSpec = typed(&Value::Object(fields(spec)?)).under("spec")?;
    read.service_discovery_role = Some("EndpointSlice".to_owned());
    // Each label is copied by a step of its own, whose order means nothing.
    let labels: BTreeSet<String> = read.pod_target_labels.drain(..).collect();
    read.pod_target_labels.extend(labels);
    if spec.collection.arbitrary_fs_access_through_sms.is_none() {
        read.arbitrary_fs_access.deny = true;
        read.arbitrary_fs_access.own_namespace_may = true;
    }
    Ok(Settings::unjudged(id.namespace.clone(), id.name.clone(), Role::Server, read, version))
}

/// The settings of jobs of objects: without what is only the engine's, so that a change of that builds no job anew.
pub(crate) fn without_engine(mut settings: Settings) -> Settings {
    let spec = &mut settings.spec;
    spec.remote_write.clear();
    spec.remote_read.clear();
    (spec.tsdb, spec.exemplars, spec.alerting) = (None, None, None);
    spec.additional_scrape_configs = None;
    spec.additional_alert_relabel_configs = None;
    settings
}

/// PrometheusRules that the enforced label leaves alone.
pub(crate) fn excluded_rules(spec: &ObservabilityStackSpec) -> Vec<Excluded> {
    let rules = spec.tenancy.excluded_from_enforcement.iter().filter(|one| one.resource == "prometheusrules");
    let name = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    rules.map(|one| Excluded { namespace: one.namespace.clone(), name: name(&one.name) }).collect()
}

/// A rejection with its path as it is in a stack: `spec.remoteWrite[0].url` is under `spec.metrics` there.
pub(crate) fn at_home(mut rejection: Rejection) -> Rejection {
    if let Some(rest) = rejection.path.strip_prefix("spec.") {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let home = HOMES.iter().find(|(field, _)| *field == &rest[..end]);
        if let Some((_, part)) = home {
            rejection.path = format!("spec.{part}.{rest}");
        }
    }
    rejection
}

/// Everything that is wrong with these fields of a stack, Secrets left aside; of each entry of a list the first.
/// What only an older engine would not know is left to the builder.
pub(crate) fn faults(id: &StackId, spec: &ObservabilityStackSpec) -> Vec<Fault> {
    if says_nothing(spec) {
        return Vec::new();
    }
    let found = match settings(id, spec, Version::DEFAULT) {
        Ok(settings) => rejections(&settings),
        Err(rejection) => vec![rejection],
    };
    let fault = |rejection: Rejection| {
        let Rejection { path, found, write, .. } = at_home(rejection);
        Fault { path, found, write }
    };
    found.into_iter().map(fault).collect()
}

/// Whether none of the fields that can be at fault is there: as for most stacks, and for each of the many that are
/// looked at to find flip points.
fn says_nothing(spec: &ObservabilityStackSpec) -> bool {
    let (collection, metrics) = (&spec.collection, &spec.metrics);
    spec.tenancy == Default::default()
        && collection.scrape_classes.is_empty()
        && collection.pod_target_labels.is_empty()
        && collection.limits == Default::default()
        && metrics.remote_write.is_empty()
        && metrics.remote_read.is_empty()
        && metrics.tsdb == Default::default()
        && metrics.exemplars == Default::default()
        && metrics.more_alerting == Default::default()
}

fn rejections(settings: &Settings) -> Vec<Rejection> {
    let spec = &settings.spec;
    let mut found = settings.class_faults();
    let mut note = |judged: Result<(), Rejection>| found.extend(judged.err());
    note(parts::judge_global(settings));
    note(enforced_label(settings));
    for (index, label) in spec.pod_target_labels.iter().enumerate() {
        if !is_label_for(settings.version, false, &sanitized(label)) {
            let bad = fault("", format!("{label:?}"), "the key of a label");
            note(Err(bad).at("spec.podTargetLabels", index));
        }
    }
    let names = |list: &str, names: Vec<Option<&str>>| {
        let twice = |(index, name): (usize, &Option<&str>)| {
            name.filter(|name| names[..index].contains(&Some(name))).map(|name| {
                let found = format!("{name:?} a second time");
                fault(&format!("spec.{list}[{index}].name"), found, "a name that no other entry has")
            })
        };
        names.iter().enumerate().filter_map(twice).collect::<Vec<_>>()
    };
    found.extend(names("scrapeClasses", spec.scrape_classes.iter().map(|c| Some(&*c.name)).collect()));
    found.extend(names("remoteWrite", spec.remote_write.iter().map(|one| one.name.as_deref()).collect()));
    let read_names = spec.remote_read.iter().map(|one| Some(&*one.name).filter(|name| !name.is_empty()));
    found.extend(names("remoteRead", read_names.collect()));
    found.extend(again("remoteWrite", &spec.remote_write));
    found.extend(again("remoteRead", &spec.remote_read));
    let assets = &UnseenAssets;
    for judged in [
        parts::remote_writes(settings, assets),
        parts::remote_reads(settings, assets),
        parts::alertmanagers(settings, assets),
    ] {
        found.extend(judged.into_iter().filter_map(Result::err));
    }
    found
}

/// Labels that the engine or the stack itself gives a meaning to.
fn enforced_label(settings: &Settings) -> Result<(), Rejection> {
    const TAKEN: [&str; 6] = ["job", "instance", "alertname", "le", "quantile", "severity"];
    let label = settings.spec.enforced_namespace_label.as_str();
    if label.starts_with("__") || TAKEN.contains(&label) {
        let write = "a label that has no meaning of its own, such as namespace or tenant";
        return Err(fault("spec.enforcedNamespaceLabel", format!("{label:?}"), write));
    }
    Ok(())
}

/// An engine refuses all of a list where two entries without names are the same.
fn again<T: PartialEq>(list: &str, entries: &[T]) -> Vec<Rejection> {
    let twice = entries.iter().enumerate().filter(|(index, one)| entries[..*index].contains(one));
    let told = |(index, _): (usize, &T)| {
        fault(&format!("spec.{list}[{index}]"), "an entry a second time", "each entry once")
    };
    twice.map(told).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id() -> StackId {
        StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() }
    }

    fn spec(json: Value) -> ObservabilityStackSpec {
        serde_json::from_value(json).unwrap()
    }

    fn read(json: Value) -> PrometheusSpec {
        settings(&id(), &spec(json), Version::DEFAULT).unwrap().spec
    }

    /// A value for each field of [`HOMES`].
    fn values() -> Value {
        let key = json!({ "name": "a", "key": "b" });
        json!({
            "collection": {
                "scrapeClasses": [{ "name": "a" }], "podTargetLabels": ["a"], "overrideHonorLabels": true,
                "overrideHonorTimestamps": true, "ignoreNamespaceSelectors": true,
                "arbitraryFSAccessThroughSMs": { "deny": true }, "sampleLimit": 1, "targetLimit": 1,
                "labelLimit": 1, "labelNameLengthLimit": 1, "labelValueLengthLimit": 1, "keepDroppedTargets": 1,
                "bodySizeLimit": "1MB", "additionalScrapeConfigs": key
            },
            "tenancy": {
                "enforcedNamespaceLabel": "tenant", "enforcedSampleLimit": 1, "enforcedTargetLimit": 1,
                "excludedFromEnforcement": [{ "resource": "probes", "namespace": "a" }],
                "enforcedLabelLimit": 1, "enforcedLabelNameLengthLimit": 1,
                "enforcedLabelValueLengthLimit": 1, "enforcedKeepDroppedTargets": 1,
                "enforcedBodySizeLimit": "1MB"
            },
            "metrics": {
                "remoteWrite": [{ "url": "https://a.example" }], "remoteRead": [{ "url": "https://a.example" }],
                "tsdb": { "outOfOrderTimeWindow": "1h" }, "exemplars": { "maxSize": 1 },
                "alerting": { "alertmanagers": [{ "name": "a", "port": "http" }] },
                "additionalAlertRelabelConfigs": key
            }
        })
    }

    #[test]
    fn every_field_reaches_the_builder() {
        let all = values();
        let none = read(json!({}));
        for (field, home) in HOMES {
            let value = &all[home][field];
            assert!(!value.is_null(), "{home}.{field} has a value here");
            assert_ne!(read(json!({ home: { field: value } })), none, "{home}.{field} is lost on the way");
            // The API knows it: what it does not know would not come back.
            let back = serde_json::to_value(spec(json!({ home: { field: value } }))).unwrap();
            assert_eq!(&back[home][field], value, "{home}.{field}");
        }
        assert_eq!(rejections(&settings(&id(), &spec(all), Version::DEFAULT).unwrap()), []);
    }

    #[test]
    fn every_field_of_an_entry_reaches_the_builder() {
        let key = json!({ "name": "a", "key": "b" });
        let proxy = |mut of: Value| {
            of["proxyUrl"] = json!("http://proxy");
            of["noProxy"] = json!("a");
            of["proxyFromEnvironment"] = json!(false);
            of["proxyConnectHeader"] = json!({ "x": [key] });
            of
        };
        let tls = json!({
            "ca": { "secret": key }, "cert": { "configMap": key }, "keySecret": key, "serverName": "a",
            "insecureSkipVerify": true, "minVersion": "TLS12", "maxVersion": "TLS13",
            "caFile": "/a", "certFile": "/b", "keyFile": "/c"
        });
        let step = json!({
            "sourceLabels": ["a"], "separator": ";", "targetLabel": "b", "regex": "c", "modulus": 1,
            "replacement": "d", "action": "HashMod"
        });
        let authorization = json!({ "type": "X", "credentials": key, "credentialsFile": "/a" });
        let mut safe_tls = tls.clone();
        safe_tls.as_object_mut().unwrap().retain(|name, _| !name.ends_with("File"));
        let oauth2 = proxy(json!({
            "clientId": { "secret": key }, "clientSecret": key, "tokenUrl": "https://a", "scopes": ["a"],
            "endpointParams": { "a": "b" }, "tlsConfig": safe_tls
        }));
        let basic = json!({ "username": key, "password": key });
        let sigv4 = json!({
            "region": "a", "accessKey": key, "secretKey": key, "profile": "a", "roleArn": "a",
            "useFIPSSTSEndpoint": true
        });
        let write = proxy(json!({
            "url": "https://a", "name": "a", "messageVersion": "V2.0", "sendExemplars": true,
            "sendNativeHistograms": true, "remoteTimeout": "1s", "headers": { "a": "b" },
            "writeRelabelConfigs": [step], "basicAuth": basic, "authorization": authorization,
            "oauth2": oauth2, "sigv4": sigv4, "bearerTokenFile": "/a", "tlsConfig": tls,
            "azureAd": {
                "cloud": "AzurePublic", "managedIdentity": { "clientId": "a" }, "scope": "a",
                "oauth": { "clientId": "a", "clientSecret": key, "tenantId": "a" }, "sdk": { "tenantId": "a" },
                "workloadIdentity": { "clientId": "a", "tenantId": "b" }
            },
            "followRedirects": true, "enableHTTP2": true, "roundRobinDNS": true,
            "queueConfig": {
                "capacity": 1, "minShards": 1, "maxShards": 2, "maxSamplesPerSend": 1,
                "batchSendDeadline": "1s", "minBackoff": "1s", "maxBackoff": "1s", "retryOnRateLimit": true,
                "sampleAgeLimit": "1h"
            },
            "metadataConfig": { "send": true, "sendInterval": "1m", "maxSamplesPerSend": 1 }
        }));
        let reading = proxy(json!({
            "url": "https://a", "name": "a", "requiredMatchers": { "a": "b" }, "remoteTimeout": "1s",
            "headers": { "a": "b" }, "readRecent": true, "basicAuth": basic, "authorization": authorization,
            "oauth2": oauth2, "bearerTokenFile": "/a", "tlsConfig": tls, "followRedirects": true,
            "filterExternalLabels": false
        }));
        let class = json!({
            "name": "a", "default": true, "fallbackScrapeProtocol": "PrometheusProto", "tlsConfig": tls,
            "authorization": authorization, "relabelings": [step], "metricRelabelings": [step],
            "attachMetadata": { "node": true }
        });
        let safe = json!({ "type": "X", "credentials": key });
        let alertmanager = proxy(json!({
            "namespace": "a", "name": "b", "port": 1, "scheme": "https", "pathPrefix": "/a", "timeout": "1s",
            "enableHttp2": true, "apiVersion": "v2", "tlsConfig": tls, "basicAuth": basic,
            "authorization": safe, "sigv4": sigv4, "bearerTokenFile": "/a", "relabelings": [step],
            "alertRelabelings": [step]
        }));
        // What the API's types do not know is lost on the way out, what the builder's do not know on the way in.
        let out = |home: &str, field: &str, entry: &Value| {
            let list = match field {
                "alerting" => json!({ "alertmanagers": [entry] }),
                _ => json!([entry]),
            };
            let stack = spec(json!({ home: { field: list } }));
            assert_eq!(serde_json::to_value(&stack).unwrap()[home][field], list);
            format!("{:?}", settings(&id(), &stack, Version::DEFAULT).unwrap().spec)
        };
        for (home, field, entry) in [
            ("metrics", "remoteWrite", write),
            ("metrics", "remoteRead", reading),
            ("metrics", "alerting", alertmanager),
            ("collection", "scrapeClasses", class),
        ] {
            let whole = out(home, field, &entry);
            let needed = ["url", "name", "port", "clientId", "clientSecret", "tokenUrl"];
            for name in entry.as_object().unwrap().keys().filter(|name| !needed.contains(&name.as_str())) {
                let mut without = entry.clone();
                without.as_object_mut().unwrap().remove(name);
                assert_ne!(out(home, field, &without), whole, "{field}: {name} is lost on the way");
            }
        }
    }

    #[test]
    fn files_are_denied_to_objects_of_other_namespaces_where_nothing_is_said() {
        let may = |json: Value, namespace: &str| {
            !settings(&id(), &spec(json), Version::DEFAULT).unwrap().denies_files(namespace)
        };
        assert!(may(json!({}), "monitoring") && !may(json!({}), "shop"));
        let said = |deny: bool| json!({ "collection": { "arbitraryFSAccessThroughSMs": { "deny": deny } } });
        assert!(may(said(false), "monitoring") && may(said(false), "shop"));
        assert!(!may(said(true), "monitoring") && !may(said(true), "shop"));
    }

    #[test]
    fn each_fault_is_told_where_it_is_written() {
        let bad = spec(json!({
            "collection": {
                "scrapeClasses": [
                    { "name": "a", "default": true, "relabelings": [{ "regex": "(", "targetLabel": "x" }] },
                    { "name": "b", "default": true },
                    { "name": "b", "tlsConfig": { "certFile": "/c" } }
                ],
                "bodySizeLimit": "many"
            },
            "tenancy": { "enforcedNamespaceLabel": "job" },
            "metrics": {
                "remoteWrite": [
                    { "url": "store.example" },
                    { "url": "https://a.example", "name": "x", "queueConfig": { "minBackoff": "soon" } },
                    { "url": "https://b.example", "name": "x" },
                    { "url": "https://b.example", "name": "x" }
                ],
                "remoteRead": [{ "url": "https://a", "basicAuth": {
                    "username": { "name": "a", "key": "b" }, "password": { "name": "a", "key": "b" }
                }, "bearerTokenFile": "/x" }],
                "alerting": { "alertmanagers": [{ "name": "a", "port": 1, "timeout": "x" }] }
            }
        }));
        let paths: Vec<String> = faults(&id(), &bad).into_iter().map(|fault| fault.path).collect();
        assert_eq!(
            paths,
            [
                "spec.collection.scrapeClasses[0].relabelings[0].regex",
                "spec.collection.scrapeClasses[2].tlsConfig.keySecret",
                "spec.collection.scrapeClasses",
                "spec.collection.bodySizeLimit",
                "spec.tenancy.enforcedNamespaceLabel",
                "spec.collection.scrapeClasses[2].name",
                "spec.metrics.remoteWrite[2].name",
                "spec.metrics.remoteWrite[3].name",
                "spec.metrics.remoteWrite[3]",
                "spec.metrics.remoteWrite[0].url",
                "spec.metrics.remoteWrite[1].queueConfig.minBackoff",
                "spec.metrics.remoteRead[0]",
                "spec.metrics.alerting.alertmanagers[0].timeout",
            ]
        );
    }
}

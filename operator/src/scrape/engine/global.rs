//! What holds for every job: intervals, labels, limits; and how samples are kept.

use std::collections::BTreeMap;

use crate::scrape::jobs::{Yaml, protocols, there};
use crate::scrape::judge::names::{duration, is_label_for, judge_byte_size, key, word};
use crate::scrape::judge::object::judge_protocols;
use crate::scrape::judge::{Rejection, fault};
use crate::scrape::settings::{Role, Settings};

/// Writes `global` and `runtime`.
pub(super) fn write(y: &mut Yaml, settings: &Settings) -> Result<(), Rejection> {
    let spec = &settings.spec;
    let at_least = |major, minor| settings.version.at_least(major, minor, 0);
    y.map("global", |y| {
        y.text("scrape_interval", &spec.scrape_interval);
        y.text_if("scrape_timeout", there(&spec.scrape_timeout));
        protocols(y, settings, &spec.scrape_protocols);
        let labels = external_labels(settings);
        y.pairs("external_labels", labels.iter().map(|(name, value)| (*name, value.as_str())));
        limits(y, settings);
        if at_least(2, 55) {
            let file = spec.scrape_failure_log_file.as_deref().map(|file| log_file(settings, file));
            y.text_if("scrape_failure_log_file", file.as_deref());
        }
        name_schemes(
            y,
            settings,
            spec.name_validation_scheme.as_deref(),
            spec.name_escaping_scheme.as_deref(),
        );
        if at_least(3, 4) {
            y.plain_if("convert_classic_histograms_to_nhcb", spec.convert_classic_histograms_to_nhcb);
        }
        if at_least(3, 5) {
            y.plain_if("always_scrape_classic_histograms", spec.scrape_classic_histograms);
        }
        if at_least(3, 8) {
            y.plain_if("scrape_native_histograms", spec.scrape_native_histograms);
        }
        if settings.role == Role::Server {
            y.text("evaluation_interval", &spec.evaluation_interval);
            if at_least(2, 53) {
                y.text_if("rule_query_offset", spec.rule_query_offset.as_deref());
            }
            if at_least(2, 16) && !spec.query_log_file.is_empty() {
                y.text("query_log_file", &log_file(settings, &spec.query_log_file));
            }
        }
        Ok::<(), Rejection>(())
    })?;
    match &spec.runtime {
        Some(runtime) if at_least(2, 53) => y.map("runtime", |y| {
            y.plain_if("gogc", runtime.go_gc);
            Ok(())
        }),
        _ => Ok(()),
    }
}

/// Labels of everything that leaves an engine. What tells engines and replicas apart is not for people to set.
fn external_labels(settings: &Settings) -> BTreeMap<&str, String> {
    let spec = &settings.spec;
    let engine = spec.prometheus_external_label_name.as_deref().unwrap_or("prometheus");
    let replica = spec.replica_external_label_name.as_deref().unwrap_or("prometheus_replica");
    let mut labels: BTreeMap<&str, String> =
        spec.external_labels.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    if !engine.is_empty() {
        labels.insert(engine, format!("{}/{}", settings.namespace, settings.name));
    }
    if !replica.is_empty() {
        labels.insert(replica, settings.places.pod_name.clone());
    }
    labels
}

/// From 2.45 on a limit here holds for jobs without their own.
pub(super) fn limits(y: &mut Yaml, settings: &Settings) {
    let spec = &settings.spec;
    if !settings.version.at_least(2, 45, 0) {
        return;
    }
    let body = spec.body_size_limit.as_deref().or_else(|| there(&spec.enforced_body_size_limit));
    y.text_if("body_size_limit", body);
    let own = &spec.limits;
    for (name, own, enforced) in [
        ("sample_limit", own.sample_limit, spec.enforced_sample_limit),
        ("target_limit", own.target_limit, spec.enforced_target_limit),
        ("label_limit", own.label_limit, spec.enforced_label_limit),
        ("label_name_length_limit", own.label_name_length_limit, spec.enforced_label_name_length_limit),
        ("label_value_length_limit", own.label_value_length_limit, spec.enforced_label_value_length_limit),
        ("keep_dropped_targets", own.keep_dropped_targets, spec.enforced_keep_dropped_targets),
    ] {
        if name == "keep_dropped_targets" && !settings.version.at_least(2, 47, 0) {
            continue;
        }
        let set = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
        y.plain_if(
            name,
            match (set(own), set(enforced)) {
                (Some(own), Some(enforced)) => Some(own.min(enforced)),
                (own, enforced) => own.or(enforced),
            },
        );
    }
}

/// A file of the log, in the folder of logs where it names none.
fn log_file(settings: &Settings, file: &str) -> String {
    let file = file.strip_prefix("./").unwrap_or(file);
    if file.contains('/') { file.to_owned() } else { format!("{}/{file}", settings.places.logs) }
}

/// Which names of metrics are taken, and how they are written for those who cannot read them.
pub(crate) fn name_schemes(
    y: &mut Yaml,
    settings: &Settings,
    validation: Option<&str>,
    escaping: Option<&str>,
) {
    if settings.version.at_least(3, 0, 0) {
        y.text_if("metric_name_validation_scheme", validation.map(str::to_ascii_lowercase).as_deref());
    }
    if settings.version.at_least(3, 4, 0) {
        let escaping = match escaping {
            Some("AllowUTF8") => Some("allow-utf-8"),
            Some("Underscores") => Some("underscores"),
            Some("Dots") => Some("dots"),
            Some("Values") => Some("values"),
            _ => None,
        };
        y.text_if("metric_name_escaping_scheme", escaping);
    }
}

/// Writes `storage`.
pub(super) fn storage(y: &mut Yaml, settings: &Settings) -> Result<(), Rejection> {
    let spec = &settings.spec;
    let at_least = |major, minor| settings.version.at_least(major, minor, 0);
    let (window_since, exemplars) = match settings.role {
        Role::Server => ((2, 39), spec.exemplars.as_ref().and_then(|exemplars| exemplars.max_size)),
        _ => ((2, 54), None),
    };
    let exemplars = exemplars.filter(|_| at_least(2, 29));
    let window = spec.tsdb.as_ref().and_then(|tsdb| tsdb.out_of_order_time_window.as_deref());
    let window = window.filter(|_| at_least(window_since.0, window_since.1));
    if exemplars.is_none() && window.is_none() {
        return Ok(());
    }
    y.map("storage", |y| {
        if let Some(most) = exemplars {
            y.map("exemplars", |y| {
                y.plain("max_exemplars", most);
                Ok::<(), Rejection>(())
            })?;
        }
        match window {
            Some(window) => y.map("tsdb", |y| {
                y.text("out_of_order_time_window", window);
                Ok(())
            }),
            None => Ok(()),
        }
    })
}

/// Judges what [`write`] and [`storage`] write.
pub(super) fn judge(settings: &Settings) -> Result<(), Rejection> {
    let spec = &settings.spec;
    for (path, text) in [
        ("scrapeInterval", there(&spec.scrape_interval)),
        ("scrapeTimeout", there(&spec.scrape_timeout)),
        ("evaluationInterval", there(&spec.evaluation_interval)),
        ("ruleQueryOffset", spec.rule_query_offset.as_deref()),
        ("tsdb.outOfOrderTimeWindow", spec.tsdb.as_ref().and_then(|t| t.out_of_order_time_window.as_deref())),
    ] {
        if let Some(text) = text {
            duration(path, text)?;
        }
    }
    judge_protocols("scrapeProtocols", &spec.scrape_protocols)?;
    judge_byte_size("bodySizeLimit", spec.body_size_limit.as_deref())?;
    judge_byte_size("enforcedBodySizeLimit", there(&spec.enforced_body_size_limit))?;
    word("nameValidationScheme", spec.name_validation_scheme.as_deref(), &["UTF8", "Legacy"], false)?;
    let schemes = ["AllowUTF8", "Underscores", "Dots", "Values"];
    word("nameEscapingScheme", spec.name_escaping_scheme.as_deref(), &schemes, false)?;
    let rules = settings.rules();
    let named = [
        ("enforcedNamespaceLabel", there(&spec.enforced_namespace_label)),
        ("prometheusExternalLabelName", spec.prometheus_external_label_name.as_deref().and_then(there)),
        ("replicaExternalLabelName", spec.replica_external_label_name.as_deref().and_then(there)),
    ];
    let labels = spec.external_labels.keys().map(|name| ("externalLabels", Some(name.as_str())));
    for (path, name) in labels.chain(named) {
        name.map_or(Ok(()), |name| key(path, name))?;
        if let Some(name) = name.filter(|name| !is_label_for(rules.version, rules.legacy_names, name)) {
            let found = format!("{name:?}, which is no name of a label");
            return Err(fault(path, found, "letters, digits and underscores"));
        }
    }
    Ok(())
}

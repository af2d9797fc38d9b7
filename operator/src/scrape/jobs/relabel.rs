//! Steps of relabelling, in the order in which they act.

use std::borrow::Cow;

use super::{Job, Yaml};
use crate::scrape::objects::{LabelSelector, Relabel};

/// Where a list of steps starts: the job's name as a label that later steps can read.
const FIRST: &str = "  - source_labels:\n    - job\n    target_label: __tmp_prometheus_job_name\n";

/// Drops pods that have ended: another one may have their address.
const RUNNING: &str = "  - action: drop\n    source_labels:\n    - __meta_kubernetes_pod_phase\n    regex: \"(Failed|Succeeded)\"\n";

/// What objects a selector is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Service,
    Pod,
    Ingress,
}

impl Of {
    fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Pod => "pod",
            Self::Ingress => "ingress",
        }
    }
}

pub(crate) fn first(y: &mut Yaml) {
    y.items_as_written(FIRST);
}

pub(crate) fn running(y: &mut Yaml) {
    y.items_as_written(RUNNING);
}

/// A step of an object.
pub(crate) fn written(y: &mut Yaml, step: &Relabel) {
    let _ = y.item(|y| {
        if !step.source_labels.is_empty() {
            y.texts("source_labels", &step.source_labels);
        }
        y.text_if("separator", step.separator.as_deref());
        y.text_if("target_label", super::there(&step.target_label));
        y.text_if("regex", super::there(&step.regex));
        if step.modulus != 0 {
            y.plain("modulus", step.modulus);
        }
        y.text_if("replacement", step.replacement.as_deref());
        if !step.action.is_empty() {
            y.text("action", &super::lowercase(&step.action));
        }
        Ok::<(), ()>(())
    });
}

/// Keeps or drops by labels.
pub(crate) fn filter(y: &mut Yaml, action: &str, labels: &[&str], regex: &str) {
    let _ = y.item(|y| {
        y.text("action", action);
        y.texts("source_labels", labels);
        y.text("regex", regex);
        Ok::<(), ()>(())
    });
}

/// Keeps by a number.
pub(crate) fn keep_number(y: &mut Yaml, label: &str, number: i64) {
    let _ = y.item(|y| {
        y.text("action", "keep");
        y.texts("source_labels", &[label]);
        y.plain("regex", number);
        Ok::<(), ()>(())
    });
}

/// Gives a label one value.
pub(crate) fn set(y: &mut Yaml, label: &str, value: &str) {
    let _ = y.item(|y| {
        y.text("target_label", label);
        y.text("replacement", value);
        Ok::<(), ()>(())
    });
}

/// Takes a label of a Kubernetes object over, where it has one.
pub(crate) fn take_over(y: &mut Yaml, of: Of, from: &str, to: &str) {
    let _ = y.item(|y| {
        y.all_joined("source_labels", &[&[META, of.as_str(), "_label_", &sanitized(from)]]);
        y.text("target_label", to);
        y.text("regex", "(.+)");
        y.text("replacement", "${1}");
        Ok::<(), ()>(())
    });
}

/// Keeps what a selector selects.
pub(crate) fn selected(y: &mut Yaml, of: Of, selector: &LabelSelector) {
    for (key, wanted) in &selector.match_labels {
        by_label(y, "keep", of, (key, true), &["(", wanted, ");true"]);
    }
    for expression in &selector.match_expressions {
        let key = expression.key.as_str();
        let values = || expression.values.join("|");
        match expression.operator.as_str() {
            "In" => by_label(y, "keep", of, (key, true), &["(", &values(), ");true"]),
            "NotIn" => by_label(y, "drop", of, (key, true), &["(", &values(), ");true"]),
            "Exists" => by_label(y, "keep", of, (key, false), &["true"]),
            "DoesNotExist" => by_label(y, "drop", of, (key, false), &["true"]),
            _ => {}
        }
    }
}

/// Keeps or drops by whether a Kubernetes object has a label, and where that counts by its value before.
fn by_label(y: &mut Yaml, action: &str, of: Of, (key, has_value): (&str, bool), regex: &[&str]) {
    let key = sanitized(key);
    let labels: [&[&str]; 2] =
        [&[META, of.as_str(), "_label_", &key], &[META, of.as_str(), "_labelpresent_", &key]];
    let _ = y.item(|y| {
        y.text("action", action);
        y.all_joined("source_labels", if has_value { &labels } else { &labels[1..] });
        y.joined("regex", regex);
        Ok::<(), ()>(())
    });
}

/// What the labels begin with that the engine has from Kubernetes.
const META: &str = "__meta_kubernetes_";

/// A key of a label as the engine's meta labels have it.
pub(crate) fn sanitized(key: &str) -> Cow<'_, str> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match key.chars().all(is_taken) {
        true => key.into(),
        false => key.chars().map(|c| if is_taken(c) { c } else { '_' }).collect(),
    }
}

/// Shares targets among engines by a label.
fn sharded(y: &mut Yaml, label: &str, shards: i64, shard: &str) {
    let ok = || Ok::<(), ()>(());
    let _ = y.item(|y| {
        y.texts("source_labels", &[label, "__tmp_hash"]);
        y.text("target_label", "__tmp_hash");
        y.text("regex", "(.+);");
        y.text("replacement", "$1");
        y.text("action", "replace");
        ok()
    });
    let _ = y.item(|y| {
        y.texts("source_labels", &["__tmp_hash"]);
        y.text("target_label", "__tmp_hash");
        y.plain("modulus", shards);
        y.text("action", "hashmod");
        ok()
    });
    let _ = y.item(|y| {
        y.texts("source_labels", &["__tmp_hash", "__tmp_disable_sharding"]);
        y.text("regex", &format!("{shard};|.+;.+"));
        y.text("action", "keep");
        ok()
    });
}

impl Job<'_> {
    /// Steps of the class, of the object, and the enforced label, which has the last word.
    pub(crate) fn own_steps(&self, y: &mut Yaml, steps: &[Relabel]) {
        steps.iter().for_each(|step| written(y, step));
        if let Some(label) = self.enforced_label() {
            set(y, label, &self.monitor.namespace);
        }
    }

    /// Shares targets among engines by a label, where there can be several.
    pub(crate) fn sharded(&self, y: &mut Yaml, label: &str) {
        if let Some(shard) = &self.settings().places.shard {
            sharded(y, label, self.settings().shards(), shard);
        }
    }

    pub(crate) fn metric_relabelings(&self, y: &mut Yaml, class: &[Relabel], own: &[Relabel]) {
        if class.is_empty() && own.is_empty() && self.enforced_label().is_none() {
            return;
        }
        let _ = y.list("metric_relabel_configs", |y| {
            class.iter().for_each(|step| written(y, step));
            self.own_steps(y, own);
            Ok::<(), ()>(())
        });
    }
}

//! The schema of the catalog's files.

use std::collections::BTreeMap;

use obstack_crds::Component;
use obstack_crds::record::{JudgedBy, Range};
use serde::Deserialize;

use crate::validate::Quality;

/// Who says a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Whoever makes the thing that the number speaks of.
    Vendor,
    /// Somebody who does not.
    Independent,
    /// This project: a judgement.
    Ours,
}

impl Who {
    /// In a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Independent => "independent",
            Self::Ours => "our judgement",
        }
    }
}

/// Where a number or a statement is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Source {
    /// Title by which it can be found.
    pub title: String,
    /// Year and month in which it was written or read: `2026-11`.
    pub date: String,
    /// Who says it.
    pub who: Who,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} ({})", self.title, self.date, self.who.as_str())
    }
}

/// A number as a range, with where it comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Figure {
    /// Lower end, in `unit`.
    pub low: f64,
    /// Upper end, in `unit`.
    pub high: f64,
    /// Unit.
    pub unit: String,
    /// Id of the source.
    pub source: String,
    /// The figure as the source has it, shortened.
    pub quote: String,
}

/// What a limit holds, or a term of a model grows with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Driver {
    /// Active series.
    Series,
    /// Samples per second: series over scrape interval.
    SamplesPerSecond,
    /// Samples in the whole retention.
    RetainedSample,
    /// Series created within the retention: the active ones, and those that came in their place. What an index
    /// grows with.
    CreatedSeries,
    /// Samples of the last two hours, kept in a log or a buffer.
    WalSample,
    /// Samples in a month of 30.4 days.
    SamplePerMonth,
    /// A constant for each copy.
    Replica,
}

/// One term of a linear model: a figure times its driver, times the copies unless `once`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Term {
    /// What it grows with.
    pub per: Driver,
    /// Whether it is there once, however many copies there are.
    #[serde(default)]
    pub once: bool,
    /// Lower end, in `unit` per driver.
    pub low: f64,
    /// Upper end, in `unit` per driver.
    pub high: f64,
    /// Unit: `bytes`, `cores`, `seconds` or `USD`.
    pub unit: String,
    /// Id of the source.
    pub source: String,
    /// The figure as the source has it, shortened.
    pub quote: String,
}

/// What an option needs, as sums of terms. An empty model is nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Models {
    /// Bytes of memory.
    pub memory: Vec<Term>,
    /// Bytes of disk.
    pub storage: Vec<Term>,
    /// Processor cores.
    pub cpu: Vec<Term>,
    /// Bills of others, in USD per month.
    pub monthly_cost: Vec<Term>,
    /// Seconds until a restarted engine answers. Copies do not count.
    pub recovery: Vec<Term>,
}

/// What a hard limit is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitOf {
    /// Active series.
    ActiveSeries,
    /// Bytes of disk of one copy.
    StoragePerReplica,
    /// Seconds that samples are kept.
    Retention,
}

/// A hard limit. What needs more than its upper end at the favourable end of its own range is eliminated.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Limit {
    /// What is limited.
    pub of: LimitOf,
    /// Path under `spec` of the requirement that asks for too much.
    pub requirement: String,
    /// What is limited, in words.
    pub text: String,
    /// Lower end, in `unit`.
    pub low: f64,
    /// Upper end, in `unit`.
    pub high: f64,
    /// Unit.
    pub unit: String,
    /// Id of the source.
    pub source: String,
    /// The figure as the source has it, shortened.
    pub quote: String,
}

/// How well an option does in a quality, 0 to 100.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Score {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether it is our judgement and no function of sourced facts.
    #[serde(default)]
    pub judgement: bool,
    /// Id of the source, where it is no judgement.
    #[serde(default)]
    pub source: Option<String>,
    /// What it rests on.
    pub basis: String,
}

impl Score {
    /// Both ends.
    pub fn range(&self) -> Range {
        Range { low: self.low, high: self.high }
    }
}

/// When a trade-off or a tripwire applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Where there is one copy.
    Single,
    /// Where there are several.
    Replicated,
}

/// What an option costs, accepted with it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TradeoffEntry {
    /// Id, unique in the option.
    pub id: String,
    /// The quality that suffers.
    pub quality: Quality,
    /// Id of the source.
    pub source: String,
    /// The cost, as a sentence.
    pub text: String,
    /// When it applies; always, where left out.
    #[serde(default)]
    pub when: Option<When>,
}

/// What says when a trade-off costs too much. Names in braces in `expr`, `bound` and `guard` stand for what the
/// decision knows: `{memoryLimit}` (bytes), `{activeSeries}`, and the durations `{retention}`, `{recoveryTime}`
/// and those that the wire names itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TripwireEntry {
    /// Id, unique in the option.
    pub id: String,
    /// The trade-off that it watches.
    pub tradeoff: String,
    /// Its durations by name, each a Prometheus duration. Texts write `{range}` for the duration itself and
    /// `{rangeSeconds}` for its seconds.
    #[serde(default)]
    pub durations: BTreeMap<String, String>,
    /// The value over the option's own metrics, one for each pod of its engine; a higher value is a higher
    /// pressure. `{engine}` stands for what selects the engine's own series.
    pub expr: String,
    /// The value's bound, a number.
    pub bound: String,
    /// Where a bound that no requirement gives comes from.
    #[serde(default)]
    pub basis: Option<Figure>,
    /// Who judges it. What the operator judges has its value in words, and no durations and no guard.
    #[serde(default)]
    pub judged_by: JudgedBy,
    /// How long the bound must be passed, a Prometheus duration.
    #[serde(rename = "for", default)]
    pub for_: String,
    /// How long it stays tripped after the bound is kept again, a Prometheus duration.
    #[serde(default)]
    pub keep_firing_for: String,
    /// Holds where there is enough data to judge.
    #[serde(default)]
    pub guard: String,
    /// The option to go to.
    #[serde(default)]
    pub next: Option<String>,
    /// What moving there costs.
    pub cost: String,
    /// When it applies; always, where left out.
    #[serde(default)]
    pub when: Option<When>,
    /// By what every duration of the wire is divided, those that requirements give included. Not in any file:
    /// trials set it, see [`crate::decide::scaled`].
    #[serde(skip, default = "undivided")]
    pub divisor: u32,
}

fn undivided() -> u32 {
    1
}

/// Something that a stack asks for, and an option needs or excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// `spec.exposure.host`.
    Host,
    /// `spec.exposure.className`.
    ClassName,
    /// `spec.exposure.gateway`.
    Gateway,
    /// Any receiver in `spec.alerting.receivers`.
    Receivers,
    /// A receiver with a Slack channel.
    SlackReceiver,
    /// A receiver with a webhook.
    WebhookReceiver,
    /// `spec.decisions.delivery`: only a person's word brings the option in.
    Delivery,
}

impl Ask {
    /// Path under `spec`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Host => "exposure.host",
            Self::ClassName => "exposure.className",
            Self::Gateway => "exposure.gateway",
            Self::Receivers => "alerting.receivers",
            Self::SlackReceiver => "alerting.receivers[].slack",
            Self::WebhookReceiver => "alerting.receivers[].webhook",
            Self::Delivery => "decisions.delivery",
        }
    }
}

/// An API that the cluster may or may not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Api {
    /// HTTPRoute of the Gateway API.
    HttpRoute,
    /// The resources of prometheus-operator.
    PrometheusOperator,
}

impl Api {
    /// In a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpRoute => "HTTPRoute of the Gateway API",
            Self::PrometheusOperator => "the resources of prometheus-operator",
        }
    }
}

/// What an option requires of the outcome of a component decided before.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Requires {
    /// The component.
    pub component: Component,
    /// Options that will do.
    pub any_of: Vec<String>,
    /// Why, in half a sentence.
    pub because: String,
}

/// An outcome that fills this option's component too, at no further cost.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FilledBy {
    /// The component decided before.
    pub component: Component,
    /// Its option.
    pub option: String,
}

/// Rules an option out where an earlier choice breaks a requirement.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NotAfter {
    /// The component decided before.
    pub component: Component,
    /// Path of the requirement under `spec`.
    pub requirement: String,
}

/// Copies by availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Copies {
    /// Where availability is `Single`.
    pub single: u32,
    /// Where availability is `Replicated`.
    pub replicated: u32,
}

/// One way to fill a component.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OptionEntry {
    /// Id, as it is written under `spec.decisions`.
    pub id: String,
    /// Name in a sentence.
    pub title: String,
    /// What it is, in half a sentence.
    pub summary: String,
    /// Whether this operator can deploy it.
    pub deployable: bool,
    /// SPDX identifier, or `none` where nothing is licensed.
    pub licence: String,
    /// Whether moving off it moves data: such a move is always proposed, never made.
    #[serde(default)]
    pub stateful: bool,
    /// Whether the component's `replicas` in the spec says how many copies there are.
    #[serde(default)]
    pub replicas_knob: bool,
    /// Copies by availability.
    pub copies: Copies,
    /// Kinds of process, buckets and contracts that a team has to look after. Settles ties.
    pub burden: u32,
    /// What was counted.
    pub burden_basis: String,
    /// What it can do, for the reader.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// What the stack must ask for.
    #[serde(default)]
    pub needs: Vec<Ask>,
    /// What the stack must not ask for.
    #[serde(default)]
    pub excludes: Vec<Ask>,
    /// The API that the cluster must serve.
    #[serde(default)]
    pub needs_api: Option<Api>,
    /// What it requires of earlier outcomes.
    #[serde(default)]
    pub requires: Vec<Requires>,
    /// Earlier outcomes that fill it too: it then costs nothing more.
    #[serde(default)]
    pub filled_by: Vec<FilledBy>,
    /// Earlier outcome that rules it out.
    #[serde(default)]
    pub not_after: Option<NotAfter>,
    /// Hard limits.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What it needs.
    #[serde(default)]
    pub models: Models,
    /// Scores of every quality but cost, which is computed from the models.
    pub scores: BTreeMap<Quality, Score>,
    /// What it costs.
    pub tradeoffs: Vec<TradeoffEntry>,
    /// What says when it costs too much.
    #[serde(default)]
    pub tripwires: Vec<TripwireEntry>,
}

/// What a month of one unit is taken to cost, in USD.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Prices {
    /// A GiB of memory.
    pub memory: Figure,
    /// A GiB of disk.
    pub storage: Figure,
    /// A core.
    pub cpu: Figure,
}

/// The cost score: `100 - pointsPerTenfold * log10(1 + cost / unitUsd)`, not below 0.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CostScore {
    /// Points that a tenfold cost takes.
    pub points_per_tenfold: f64,
    /// USD per month below which a tenfold matters little.
    pub unit_usd: f64,
}

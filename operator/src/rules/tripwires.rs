//! Pure: the tripwires of the records in force as rules, one file per component. The engine evaluates them, so
//! that they outlive the operator; the texts are those of the record, to the letter.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::record::{DecisionRecordSpec, Tripwire};
use obstack_crds::{Component, DecisionRecord};

use super::{Group, Rule, RuleFile, fragment};
use crate::decide::{Plan, engine_of, records};
use crate::names::{Role, StackId};
use crate::running::Fragment;
use crate::scrape::ConfigError;
use crate::validate::Valid;

/// Series that is recorded for each tripwire: its value, as the record's `expr` has it. Missing where the guard
/// does not hold or the value is no number.
pub const VALUE: &str = "obstack:tripwire:value";
/// Series that is recorded for each tripwire: its value over its bound; 1 is the bound.
pub const PRESSURE: &str = "obstack:tripwire:pressure";
/// Alert of a tripwire whose pressure has been 1 or more for as long as the wire says.
pub const TRIPPED: &str = "TradeoffTripped";
/// Alert of a tripwire whose pressure has been [`RISK`] or more for as long.
pub const AT_RISK: &str = "TradeoffAtRisk";
/// Alert of a tripwire that has had no value for as long.
pub const UNKNOWN: &str = "TradeoffUnknown";
/// The alerts, each of which says a part of a state. None can be left out: then the state would be wrong.
pub const ALERTS: [&str; 3] = [TRIPPED, AT_RISK, UNKNOWN];
/// Pressure from which a tripwire is at risk.
pub const RISK: &str = "0.8";

/// One file for each component whose record in force has tripwires that this stack's Prometheus can evaluate: the
/// choice is deployed, and so is the engine that the expressions ask.
///
/// # Errors
/// A file that cannot be written, which no input causes.
pub fn fragments(
    valid: &Valid,
    plan: &Plan,
    roles: &BTreeSet<Role>,
    written: &[DecisionRecord],
) -> Result<Vec<Fragment>, ConfigError> {
    let mut fragments = Vec::new();
    for record in records::all_in_force(&valid.id, written) {
        let (Some(name), spec) = (&record.metadata.name, &record.spec) else { continue };
        let asked = engine_of(spec.component).is_some_and(|role| roles.contains(&role));
        let runs = plan.deployed(spec.component).is_some_and(|runs| spec.chosen.as_deref() == Some(runs));
        let group = build_group(&valid.id, name, spec);
        if asked && runs && !group.rules.is_empty() {
            let file = RuleFile { groups: vec![group] };
            fragments.push(fragment(format!("tripwires.{}", spec.component), &file)?);
        }
    }
    Ok(fragments)
}

/// The rules of a record's tripwires that the engine judges. One whose bound is no number above 0 is left out:
/// nothing has a pressure against it, and a missing value is Unknown.
pub fn build_group(stack: &StackId, record: &str, spec: &DecisionRecordSpec) -> Group {
    let bounded = |wire: &&Tripwire| {
        wire.judged_by.is_engine() && wire.bound.parse::<f64>().is_ok_and(|b| b.is_finite() && b > 0.0)
    };
    let wires = spec.tripwires.iter().filter(bounded);
    Group {
        name: format!("obstack-tripwires-{}", spec.component),
        interval: None,
        query_offset: None,
        limit: None,
        labels: BTreeMap::new(),
        rules: wires.flat_map(|wire| build_rules(stack, record, spec.component, wire)).collect(),
    }
}

fn build_rules(stack: &StackId, record: &str, component: Component, wire: &Tripwire) -> [Rule; 5] {
    let labels = BTreeMap::from([
        ("namespace".to_owned(), stack.namespace.clone()),
        ("stack".to_owned(), stack.name.clone()),
        ("component".to_owned(), component.id().to_owned()),
        ("record".to_owned(), record.to_owned()),
        ("tripwire".to_owned(), wire.id.clone()),
    ]);
    let matchers: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    let matchers = matchers.join(",");
    let recorded = |series: &str, expr: String| Rule {
        record: Some(series.to_owned()),
        labels: labels.clone(),
        ..rule(expr)
    };
    let pressure = format!("{PRESSURE}{{{matchers}}}");
    let alert = |name: &str, severity: &str, expr: String, annotations: [String; 2]| {
        let [summary, description] = annotations;
        let mut labels = labels.clone();
        labels.insert("severity".to_owned(), severity.to_owned());
        let annotations =
            BTreeMap::from([("summary".to_owned(), summary), ("description".to_owned(), description)]);
        Rule {
            alert: Some(name.to_owned()),
            for_: Some(wire.for_.clone()),
            labels,
            annotations,
            ..rule(expr)
        }
    };
    let held = |rule: Rule| Rule {
        keep_firing_for: Some(wire.keep_firing_for.clone()).filter(|length| !length.is_empty()),
        ..rule
    };
    let words = Words { stack, record, component, wire };
    [
        recorded(VALUE, value(wire)),
        recorded(PRESSURE, format!("{VALUE}{{{matchers}}} / {}", wire.bound)),
        held(alert(TRIPPED, "warning", format!("{pressure} >= 1"), words.tripped(&matchers))),
        held(alert(AT_RISK, "none", format!("{pressure} >= {RISK}"), words.at_risk())),
        // A series that is missing raises no other alert, so it needs one of its own.
        alert(UNKNOWN, "none", format!("absent({pressure})"), words.unknown()),
    ]
}

fn rule(expr: String) -> Rule {
    Rule {
        alert: None,
        record: None,
        expr,
        for_: None,
        keep_firing_for: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

/// The worst pod that has enough data: every replica of Prometheus scrapes all pods of the stack, so each judges
/// for all, and one that is dead is judged by the others. No number is no value: NaN passes no bound, and would
/// look like holding.
fn value(wire: &Tripwire) -> String {
    if wire.guard.is_empty() {
        return format!("max(\n  {}\n) > -Inf", wire.expr);
    }
    format!("max(\n  ({})\n  and on (pod)\n  ({})\n) > -Inf", wire.expr, wire.guard)
}

/// A string as PromQL and templates write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as it stands, in a template: none of its braces is an action.
fn plain(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

/// What the alerts of a tripwire say.
struct Words<'a> {
    stack: &'a StackId,
    record: &'a str,
    component: Component,
    wire: &'a Tripwire,
}

impl Words<'_> {
    fn of(&self) -> String {
        let Self { stack, component, wire, .. } = self;
        plain(&format!("{} of the {} of stack {stack}", wire.id, component.title()))
    }

    fn look(&self) -> String {
        let Self { stack, record, .. } = self;
        plain(&format!(
            "The record {record} says why it was accepted: /decisions/{}/{}/{record} of the operator.",
            stack.namespace, stack.name
        ))
    }

    fn tripped(&self, matchers: &str) -> [String; 2] {
        let wire = self.wire;
        let asked = quoted(&format!("{VALUE}{{{matchers}}}"));
        let value = format!(
            "{{{{ with query {asked} }}}}Its value is {{{{ . | first | value | printf \"%.3g\" }}}}, the bound is \
             {}. {{{{ end }}}}",
            plain(&wire.bound)
        );
        let next = match &wire.next {
            Some(next) => format!("Next: {}. What it costs: {}. ", plain(next), plain(&wire.cost)),
            None => format!("No other option does better; what is left: {}. ", plain(&wire.cost)),
        };
        let tradeoff = plain(&wire.tradeoff);
        let description = format!(
            "The trade-off {tradeoff} was accepted, and tripwire {} has been past its bound for at least {}, at \
             {{{{ $value | humanizePercentage }}}} of it. {value}{next}{}",
            self.of(),
            wire.for_,
            self.look()
        );
        [format!("An accepted trade-off must be looked at again: {}", self.of()), description]
    }

    fn at_risk(&self) -> [String; 2] {
        let description = format!(
            "Tripwire {} is at {{{{ $value | humanizePercentage }}}} of its bound of {}. {}",
            self.of(),
            plain(&self.wire.bound),
            self.look()
        );
        [format!("A tripwire is close to its bound: {}", self.of()), description]
    }

    fn unknown(&self) -> [String; 2] {
        let description = format!(
            "Tripwire {} has had no value for at least {}: its series are missing, or there is too little data yet. {}",
            self.of(),
            self.wire.for_,
            self.look()
        );
        [format!("A tripwire cannot be judged: {}", self.of()), description]
    }
}

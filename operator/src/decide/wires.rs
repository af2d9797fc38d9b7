//! Tripwires of the catalog, written out for one stack: the texts that its engine evaluates.
//!
//! All of a wire's durations have a name, or come from a requirement: what is measured in time scales as a
//! whole, so that a trial can run a wire's very text in minutes.

use std::collections::BTreeMap;

use obstack_crds::Component;
use obstack_crds::record::Tripwire;

use super::catalog::{TripwireEntry, duration};
use crate::names::{Role, own_job};
use crate::units::{PromDuration, SeriesCount};

/// Stands for the matchers of the engine's own series: `up{engine}`, or `up{engine,pod="a"}`.
pub(super) const ENGINE: &str = "engine";
/// Ends the name of a duration that is meant in seconds.
pub(super) const SECONDS: &str = "Seconds";
/// What a stack gives beside the durations of a wire. No duration of a catalog has one of these names.
pub(super) const GIVEN: [&str; 5] = [ENGINE, "memoryLimit", "activeSeries", "retention", "recoveryTime"];

/// What a stack gives to the texts of its tripwires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// `{memoryLimit}`: bytes that one replica may take. The engine does not know it.
    pub(super) memory_limit: u64,
    /// `{activeSeries}`: series that the stack asks for.
    pub(super) active_series: SeriesCount,
    /// `{retention}`, `{retentionSeconds}`: for how long the stack asks samples to be kept.
    pub(super) retention: PromDuration,
    /// `{recoveryTime}`, `{recoveryTimeSeconds}`: within what time the stack is to answer after a restart.
    pub(super) recovery_time: PromDuration,
}

/// The role whose engine the tripwires of a component ask; none where no engine of a stack can be asked.
pub fn engine_of(component: Component) -> Option<Role> {
    match component {
        // The metrics store scrapes, stores, and sends on to long-term storage.
        Component::MetricsStore | Component::LongTermStorage | Component::Collection => Some(Role::Metrics),
        // What is delivered to it shows in the metrics store, whoever delivers.
        Component::Delivery => Some(Role::Metrics),
        Component::Alerting | Component::Notification => Some(Role::Alerting),
        Component::Dashboards | Component::Exposure => None,
    }
}

/// The matcher that selects the series of a component's own engine, of all its replicas.
pub(super) fn own_series(component: Component) -> Option<String> {
    engine_of(component).map(|role| format!("job=\"{}\"", own_job(role.as_str())))
}

/// The same wire with all its durations divided by `divisor`, at least 1: its ranges, steps and horizons, `for`
/// and `keepFiringFor`, and what `retention` and `recoveryTime` give to its texts, bounds included. Numbers that
/// are no time stay, so the same pressure comes of a load that moves as many times faster.
pub fn scaled(wire: &TripwireEntry, divisor: u32) -> TripwireEntry {
    TripwireEntry { divisor: divisor.max(1), ..wire.clone() }
}

/// A wire as a record holds it: `expr` and `guard` are the text that the engine evaluates.
pub(super) fn write(component: Component, wire: &TripwireEntry, given: &Given) -> Tripwire {
    let values = values(component, wire, given);
    let divided = |text: &str| divided(text, wire.divisor).unwrap_or_else(|| text.to_owned());
    Tripwire {
        id: wire.id.clone(),
        tradeoff: wire.tradeoff.clone(),
        expr: fill(&wire.expr, &values),
        bound: fill(&wire.bound, &values),
        for_: divided(&wire.for_),
        keep_firing_for: divided(&wire.keep_firing_for),
        guard: fill(&wire.guard, &values),
        next: wire.next.clone(),
        cost: wire.cost.clone(),
        judged_by: wire.judged_by,
    }
}

/// What each placeholder stands for.
fn values(component: Component, wire: &TripwireEntry, given: &Given) -> BTreeMap<String, String> {
    let mut values = BTreeMap::from([
        ("memoryLimit".to_owned(), given.memory_limit.to_string()),
        ("activeSeries".to_owned(), given.active_series.0.to_string()),
    ]);
    values.extend(own_series(component).map(|matcher| (ENGINE.to_owned(), matcher)));
    let named = wire.durations.iter().filter_map(|(name, text)| Some((name.as_str(), duration(text)?)));
    let given = [("retention", given.retention), ("recoveryTime", given.recovery_time)];
    for (name, length) in named.chain(given) {
        let length = divide(length, wire.divisor);
        values.insert(format!("{name}{SECONDS}"), length.as_secs_f64().to_string());
        values.insert(name.to_owned(), length.to_string());
    }
    values
}

fn divide(length: PromDuration, divisor: u32) -> PromDuration {
    PromDuration::from_millis(length.as_millis() / u64::from(divisor.max(1)))
}

fn divided(text: &str, divisor: u32) -> Option<String> {
    Some(divide(duration(text)?, divisor).to_string())
}

/// Puts values in the place of their names. A name without a value stays, and is found by [`placeholders`].
fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let name = after.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let tail = &after[name.len()..];
        match values.get(name) {
            // The braces of a selector stay, and other matchers can follow.
            Some(value) if name == ENGINE && tail.starts_with(['}', ',']) => {
                out.push('{');
                out.push_str(value);
                rest = tail;
            }
            Some(value) if tail.starts_with('}') => {
                out.push_str(value);
                rest = &tail[1..];
            }
            _ => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The names in braces in a text, those of [`ENGINE`] with further matchers included.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|after| {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric())?;
        let name = &after[..end];
        let closed = after[end..].starts_with('}') || (name == ENGINE && after[end..].starts_with(','));
        (closed && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::catalog;

    fn given() -> Given {
        Given {
            memory_limit: 1 << 30,
            active_series: "100k".parse().unwrap(),
            retention: "15d".parse().unwrap(),
            recovery_time: "10m".parse().unwrap(),
        }
    }

    /// Every wire of the catalog with its component.
    fn wires() -> Vec<(Component, TripwireEntry)> {
        let catalog = catalog();
        let of = |component| catalog.options(component).iter().flat_map(|o| &o.tripwires).cloned();
        Component::ALL.into_iter().flat_map(|c| of(c).map(move |wire| (c, wire))).collect()
    }

    #[test]
    fn names_are_filled_and_what_looks_like_one_stays() {
        let values = BTreeMap::from([
            (ENGINE.to_owned(), "job=\"j\"".to_owned()),
            ("range".to_owned(), "1h".to_owned()),
        ]);
        let text = r#"a{engine}[{range}] / b{engine,c="{d}"} + {other} + e{f="{engine"}"#;
        assert_eq!(fill(text, &values), r#"a{job="j"}[1h] / b{job="j",c="{d}"} + {other} + e{f="{engine"}"#);
        assert_eq!(placeholders(text).collect::<Vec<_>>(), ["engine", "range", "engine", "d", "other"]);
    }

    #[test]
    fn requirements_and_the_limit_are_written_in() {
        let catalog = catalog();
        let prometheus = catalog.option(Component::MetricsStore, "Prometheus").unwrap();
        let wire = |id: &str| {
            let entry = prometheus.tripwires.iter().find(|w| w.id == id).unwrap();
            write(Component::MetricsStore, entry, &given())
        };
        assert!(wire("memory").expr.ends_with("{job=\"obstack/metrics\"}))[1h:1m]) / 1073741824"));
        assert_eq!(wire("series").bound, "100000");
        assert_eq!(wire("replay").bound, "600");
        assert!(wire("retention").expr.starts_with("1296000 / (time() - "), "{}", wire("retention").expr);
    }

    /// Lengths in milliseconds of all durations in a text: of ranges, and of numbers that stand for seconds.
    fn lengths(text: &str, seconds: bool) -> Vec<u64> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|w| !w.is_empty());
        words
            .filter_map(|word| match word.parse::<f64>() {
                Ok(number) if seconds => Some((number * 1_000.0) as u64),
                Ok(_) => None,
                Err(_) => word.parse::<PromDuration>().ok().map(PromDuration::as_millis),
            })
            .collect()
    }

    #[test]
    fn every_duration_of_a_divided_wire_is_divided_and_nothing_else() {
        for (component, entry) in wires() {
            let (whole, tenth) =
                (write(component, &entry, &given()), write(component, &scaled(&entry, 10), &given()));
            let at = format!("{component} {}", entry.id);
            let pairs = [
                (&whole.expr, &tenth.expr, &entry.expr),
                (&whole.guard, &tenth.guard, &entry.guard),
                (&whole.bound, &tenth.bound, &entry.bound),
                (&whole.for_, &tenth.for_, &entry.for_),
                (&whole.keep_firing_for, &tenth.keep_firing_for, &entry.keep_firing_for),
            ];
            for (whole, tenth, template) in pairs {
                let expected: Vec<u64> = lengths(whole, false).iter().map(|l| l / 10).collect();
                assert_eq!(lengths(tenth, false), expected, "{at}: {whole} -> {tenth}");
                // Seconds are numbers among numbers: as many are divided as the template names.
                let named = placeholders(template).filter(|name| name.ends_with(SECONDS)).count();
                let (before, after) = (lengths(whole, true), lengths(tenth, true));
                let divided = before.iter().zip(&after).filter(|(a, b)| a != b);
                assert_eq!(divided.clone().count(), expected.len() + named, "{at}: {whole} -> {tenth}");
                assert!(divided.clone().all(|(a, b)| a / 10 == *b), "{at}: {whole} -> {tenth}");
            }
        }
        let (component, retention) = wires().into_iter().find(|(_, w)| w.id == "retention").unwrap();
        assert!(write(component, &scaled(&retention, 1_000), &given()).expr.starts_with("1296 / "));
    }

    #[test]
    fn a_duration_never_becomes_nothing() {
        let (component, wire) = wires().into_iter().find(|(_, w)| w.id == "replay").unwrap();
        let tiny = write(component, &scaled(&wire, u32::MAX), &given());
        assert_eq!((tiny.for_.as_str(), tiny.keep_firing_for.as_str()), ("1ms", "1ms"));
        assert_eq!(write(component, &scaled(&wire, 0), &given()), write(component, &wire, &given()));
    }
}

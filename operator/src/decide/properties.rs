//! What holds for every stack.

use std::collections::BTreeSet;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::stack::Availability;
use proptest::prelude::*;

use super::testing::{catalog, valid};
use super::*;
use crate::units::{Bytes, PromDuration, SeriesCount};
use crate::validate::{Quality, validate};

fn stacks() -> impl Strategy<Value = Valid> {
    let weights = proptest::collection::vec(0u8..=5, Quality::ALL.len());
    let numbers = (3.0f64..9.3, 1u64..600, 1u64..4_000, 1u64..20_000);
    let budgets = (
        proptest::option::of(27u32..45),
        proptest::option::of(28u32..52),
        proptest::option::of(0u64..100_000_000),
    );
    let denied = proptest::sample::subsequence(vec!["AGPL-3.0", "Apache-2.0"], 0..=2);
    (numbers, any::<bool>(), budgets, denied, weights, proptest::option::of(Just("obs.example.com")))
        .prop_map(
            |(
                (series, scrape, days, recovery),
                replicated,
                (memory, storage, cents),
                denied,
                weights,
                host,
            )| {
                let mut valid = valid();
                let r = &mut valid.requirements;
                r.active_series = SeriesCount(10f64.powf(series) as u64);
                r.scrape_interval = PromDuration::from_secs(scrape);
                r.retention = PromDuration::from_secs(days * 86_400);
                r.recovery_time = PromDuration::from_secs(recovery);
                r.availability = if replicated { Availability::Replicated } else { Availability::Single };
                r.budget_memory = memory.map(|p| Bytes(1 << p));
                r.budget_storage = storage.map(|p| Bytes(1 << p));
                r.budget_monthly_cents = cents;
                r.licences_deny = denied.into_iter().map(str::to_owned).collect();
                valid.priorities = Quality::ALL.into_iter().zip(weights).collect();
                // Validation refuses a stack to which nothing matters.
                if valid.priorities.values().all(|w| *w == 0) {
                    valid.priorities.insert(Quality::Cost, 1);
                }
                valid.spec.exposure.host = host.map(str::to_owned);
                valid
            },
        )
}

/// One requirement, made tighter.
fn tightened(valid: &Valid, which: usize) -> Valid {
    let mut valid = valid.clone();
    let r = &mut valid.requirements;
    let half = |b: Option<Bytes>| Some(Bytes(b.map_or(1 << 34, |b| (b.0 / 2).max(1))));
    match which {
        0 => r.active_series = SeriesCount(r.active_series.0 * 3),
        1 => r.scrape_interval = PromDuration::from_millis((r.scrape_interval.as_millis() / 3).max(1)),
        2 => r.retention = PromDuration::from_millis(r.retention.as_millis() * 3),
        3 => r.recovery_time = PromDuration::from_millis((r.recovery_time.as_millis() / 3).max(1)),
        4 => r.availability = Availability::Replicated,
        5 => r.budget_memory = half(r.budget_memory),
        6 => r.budget_storage = half(r.budget_storage),
        7 => r.budget_monthly_cents = Some(r.budget_monthly_cents.map_or(10_000, |c| c / 2)),
        _ => drop(r.licences_deny.insert("AGPL-3.0".to_owned())),
    }
    valid
}

fn once(valid: &Valid) -> Plan {
    decide_once(valid, &DecideFacts::offline(), &Previous::default(), &catalog())
}

fn eliminated(decision: &Decision) -> BTreeSet<&str> {
    decision.eliminated.iter().map(|e| e.option.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn tightening_never_brings_an_option_back(valid in stacks(), which in 0usize..9) {
        let (loose, tight) = (once(&valid), once(&tightened(&valid, which)));
        for (a, b) in loose.decisions.iter().zip(&tight.decisions) {
            prop_assert!(eliminated(a).is_subset(&eliminated(b)), "{}: {:?} {:?}", a.component, eliminated(a), eliminated(b));
            // A component after another outcome is decided in another context.
            if a.in_force != b.in_force {
                break;
            }
        }
    }

    #[test]
    fn no_option_that_breaks_a_requirement_is_chosen(valid in stacks()) {
        for d in &once(&valid).decisions {
            let out = eliminated(d);
            match &d.chosen {
                Some(chosen) => {
                    prop_assert!(!out.contains(chosen.as_str()));
                    prop_assert_eq!(&d.ranking[0].option, chosen);
                    prop_assert!(d.relaxations.is_empty());
                }
                None => prop_assert!(d.ranking.is_empty() && !d.relaxations.is_empty()),
            }
            prop_assert_eq!(out.len() + d.ranking.len(), catalog().options(d.component).len());
        }
    }

    #[test]
    fn scaling_all_weights_changes_nothing(mut valid in stacks()) {
        for weight in valid.priorities.values_mut() {
            *weight = (*weight).min(1);
        }
        prop_assume!(valid.priorities.values().any(|w| *w > 0));
        let plain = once(&valid);
        for factor in [2, 3, 5] {
            let mut scaled = valid.clone();
            scaled.priorities.values_mut().for_each(|w| *w *= factor);
            for (a, b) in plain.decisions.iter().zip(&once(&scaled).decisions) {
                prop_assert_eq!(&a.chosen, &b.chosen);
                let order = |d: &Decision| d.ranking.iter().map(|r| r.option.clone()).collect::<Vec<_>>();
                prop_assert_eq!(order(a), order(b));
            }
        }
    }

    #[test]
    fn an_option_that_loses_everywhere_changes_no_order(valid in stacks()) {
        let plain = once(&valid);
        let mut more = catalog();
        for component in Component::ALL {
            more.add_loser(component);
        }
        let with_losers = decide_once(&valid, &DecideFacts::offline(), &Previous::default(), &more);
        for (a, b) in plain.decisions.iter().zip(&with_losers.decisions) {
            if a.chosen.is_none() {
                break;
            }
            let order = |d: &Decision| {
                d.ranking.iter().map(|r| r.option.clone()).filter(|o| o != "Loser").collect::<Vec<_>>()
            };
            prop_assert_eq!(&a.chosen, &b.chosen);
            prop_assert_eq!(order(a), order(b));
        }
    }
}

/// A value of a flip point, written into the spec as a person would.
fn write_into(spec: &ObservabilityStackSpec, input: &str, value: &str) -> ObservabilityStackSpec {
    let mut json = serde_json::to_value(spec).unwrap();
    let mut slot = &mut json;
    for key in input.split('.') {
        if slot.is_null() {
            *slot = serde_json::json!({});
        }
        slot = slot.as_object_mut().unwrap().entry(key).or_insert(serde_json::Value::Null);
    }
    *slot = match serde_saphyr::from_str::<serde_json::Value>(value).unwrap() {
        serde_json::Value::Number(n) if !input.starts_with("priorities") => n.to_string().into(),
        other => other,
    };
    serde_json::from_value(json).unwrap()
}

/// The value one step short of the flip.
fn one_short(input: &str, from: &str, to: &str, step: &str) -> Option<String> {
    let back = |to: u64, step: u64, from: Option<u64>| match from {
        Some(from) if from < to => to - step,
        _ => to + step,
    };
    Some(match input {
        "requirements.activeSeries" => {
            let n = |t: &str| t.parse::<SeriesCount>().unwrap().0;
            SeriesCount(back(n(to), n(step), Some(n(from)))).to_string()
        }
        "requirements.budget.memory" | "requirements.budget.storage" => {
            let n = |t: &str| t.parse::<Bytes>().unwrap().0;
            Bytes(back(n(to), n(step), from.parse::<Bytes>().ok().map(|b| b.0))).to_string()
        }
        "requirements.budget.monthlyCost" => {
            let n = |t: &str| t.parse::<f64>().map(|d| (d * 100.0).round() as u64);
            super::model::dollars(back(n(to).unwrap(), n(step).unwrap(), n(from).ok()))
        }
        "requirements.scrapeInterval" | "requirements.retention" | "requirements.recoveryTime" => {
            let n = |t: &str| t.parse::<PromDuration>().unwrap().as_millis();
            PromDuration::from_millis(back(n(to), n(step), Some(n(from)))).to_string()
        }
        weight if weight.starts_with("priorities.") => {
            let n = |t: &str| t.parse::<u64>().unwrap();
            back(n(to), n(step), Some(n(from))).to_string()
        }
        _ => return None,
    })
}

#[test]
fn every_flip_point_holds_on_both_sides() {
    let specs = [
        "{}",
        "{ environment: prod }",
        "{ requirements: { activeSeries: 50M, retention: 90d } }",
        "{ requirements: { activeSeries: 3M, retention: 1y, budget: { memory: 64Gi, storage: 8Ti } } }",
        "{ requirements: { activeSeries: 300M, budget: { monthlyCost: '200000.50' } } }",
        "{ priorities: { cost: 0, reliability: 1, performanceEfficiency: 5, flexibility: 5 } }",
        "{ requirements: { licences: { deny: [AGPL-3.0] } }, priorities: { maintainability: 0, security: 5 } }",
        "{ metrics: { replicas: 2, storage: { size: 100Gi } }, requirements: { budget: { storage: 300Gi } } }",
        "{ exposure: { host: a.example.com }, decisions: { dashboards: { choose: None, because: no } } }",
    ];
    let mut held = 0;
    for text in specs {
        let spec: ObservabilityStackSpec = serde_saphyr::from_str(text).unwrap();
        let id = valid().id;
        let plan = |spec: &ObservabilityStackSpec| once(&validate(id.clone(), spec, None).unwrap());
        let decided = decide(
            &validate(id.clone(), &spec, None).unwrap(),
            &DecideFacts::offline(),
            &Previous::default(),
            &catalog(),
        );
        for decision in &decided.decisions {
            assert_eq!(decision.flip_points.len(), 16, "every requirement and every weight");
            for f in &decision.flip_points {
                let Some(to) = &f.to else { continue };
                let at = |value: &str| {
                    let written = write_into(&spec, &f.input, value);
                    plan(&written).get(decision.component).unwrap().chosen.clone()
                };
                assert_ne!(at(to), decision.chosen, "{text} {} {f:?}", decision.component);
                assert_eq!(at(to), f.choice, "{text} {} {f:?}", decision.component);
                if let Some(short) = one_short(&f.input, &f.from, to, &f.step) {
                    assert_eq!(at(&short), decision.chosen, "{text} {} {f:?} at {short}", decision.component);
                }
                held += 1;
            }
        }
    }
    assert!(held > 60, "{held}");
}

//! What holds for every stack: 500 generated ones, the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::stack::Availability;

use super::engine::{Context, pick};
use super::testing::{catalog, valid};
use super::*;
use crate::units::{Bytes, PromDuration, SeriesCount};
use crate::validate::validate;

#[path = "../../tests/generated/mod.rs"]
mod generated;

/// Stacks that are looked at.
const STACKS: usize = 500;

/// The generated stacks that are valid, each with its spec.
fn stacks() -> &'static [Valid] {
    static ALL: OnceLock<Vec<Valid>> = OnceLock::new();
    ALL.get_or_init(|| {
        let specs = generated::specs(2 * STACKS);
        let read = |json| {
            let spec: ObservabilityStackSpec = serde_json::from_value(json).unwrap();
            validate(valid().id, &spec, None).ok()
        };
        let stacks: Vec<Valid> = specs.into_iter().filter_map(read).take(STACKS).collect();
        assert_eq!(stacks.len(), STACKS, "most of what is generated is valid");
        stacks
    })
}

/// Those without a person's word, which would settle a choice whatever is asked for.
fn undecided() -> impl Iterator<Item = &'static Valid> {
    stacks().iter().filter(|v| v.overrides.is_empty())
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

fn order(decision: &Decision) -> Vec<&str> {
    decision.ranking.iter().map(|r| r.option.as_str()).filter(|o| *o != "Loser").collect()
}

#[test]
fn tightening_never_brings_an_option_back() {
    for (number, valid) in stacks().iter().enumerate() {
        let loose = once(valid);
        for which in (0..9).filter(|which| (which + number) % 3 == 0) {
            let tight = once(&tightened(valid, which));
            for (a, b) in loose.decisions.iter().zip(&tight.decisions) {
                let (before, after) = (eliminated(a), eliminated(b));
                assert!(before.is_subset(&after), "{number} {which} {}: {before:?} {after:?}", a.component);
                // A component after another outcome is decided in another context.
                if a.in_force != b.in_force {
                    break;
                }
            }
        }
    }
}

#[test]
fn nothing_that_breaks_a_requirement_is_chosen_unless_a_person_did_and_then_the_record_says_so() {
    let (mut engine, mut person, mut none) = (0, 0, 0);
    for valid in stacks() {
        let plan = once(valid);
        for d in &plan.decisions {
            let out = eliminated(d);
            assert_eq!(out.len() + d.ranking.len(), catalog().options(d.component).len());
            let record = records::spec(&plan, valid, d, 1, None);
            let Some(chosen) = &d.chosen else {
                none += 1;
                assert!(d.ranking.is_empty() && !d.relaxations.is_empty());
                continue;
            };
            let breaks: Vec<_> = record.eliminated.iter().filter(|e| e.option == *chosen).collect();
            assert_eq!(d.violates.len(), breaks.len());
            if d.chosen_by == ChosenBy::Engine {
                engine += 1;
                assert!(breaks.is_empty() && !out.contains(chosen.as_str()), "{d:#?}");
                assert_eq!(d.ranking[0].option, *chosen);
                assert!(d.relaxations.is_empty());
            } else if !breaks.is_empty() {
                person += 1;
                assert_eq!(record.because.as_deref(), Some("we know it"));
                assert!(record.statement.contains("a person chose"), "{}", record.statement);
                assert!(breaks.iter().all(|e| !e.reason.is_empty()));
                let markdown = madr::render("monitoring", &record, None);
                let bad = format!("* Bad, because `{}` is broken", breaks[0].requirement);
                assert!(markdown.contains(&bad), "{markdown}");
            }
        }
    }
    println!(
        "chosen by the engine {engine}, by a person against a requirement {person}, nothing left {none}"
    );
    assert!(engine > 1_000 && person > 20 && none > 20);
}

#[test]
fn scaling_all_weights_changes_nothing() {
    for valid in stacks() {
        let mut plain = valid.clone();
        plain.priorities.values_mut().for_each(|w| *w = (*w).min(1));
        if plain.priorities.values().all(|w| *w == 0) {
            continue;
        }
        let decided = once(&plain);
        for factor in [2, 3, 5] {
            let mut scaled = plain.clone();
            scaled.priorities.values_mut().for_each(|w| *w *= factor);
            for (a, b) in decided.decisions.iter().zip(&once(&scaled).decisions) {
                assert_eq!((&a.chosen, order(a)), (&b.chosen, order(b)));
            }
        }
    }
}

#[test]
fn an_option_that_loses_everywhere_changes_no_order() {
    let mut more = catalog();
    for component in Component::ALL {
        more.add_loser(component);
    }
    for valid in stacks() {
        let with_losers = decide_once(valid, &DecideFacts::offline(), &Previous::default(), &more);
        for (a, b) in once(valid).decisions.iter().zip(&with_losers.decisions) {
            // Where nothing was left, the loser is all there is, and what comes after it sees another outcome.
            if a.chosen.is_none() {
                break;
            }
            assert_eq!((&a.chosen, order(a)), (&b.chosen, order(b)));
        }
    }
}

#[test]
fn the_winner_varies_with_the_inputs() {
    let mut winners: BTreeMap<Component, BTreeMap<String, usize>> = BTreeMap::new();
    for valid in undecided() {
        for d in once(valid).decisions {
            let winner = d.chosen.unwrap_or_else(|| "nothing left".to_owned());
            *winners.entry(d.component).or_default().entry(winner).or_default() += 1;
        }
    }
    for (component, counts) in &winners {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let line: Vec<_> = counts.iter().map(|(option, count)| format!("{option} {count}")).collect();
        println!("{:<16} {}", component.id(), line.join(", "));
    }
    let stacks = undecided().count();
    for (component, counts) in &winners {
        // Delivery turns on a person's word alone. A second store is seldom worth it where the first one keeps all
        // that is asked for.
        let least = match component {
            Component::MetricsStore => 5,
            Component::Delivery => 1,
            _ => 2,
        };
        assert!(counts.len() >= least, "{component}: {counts:?}");
        let most = counts.values().max().copied().unwrap_or(0);
        let seldom = matches!(component, Component::LongTermStorage | Component::Delivery);
        assert!(seldom || most * 20 < stacks * 19, "{component}: nearly always the same: {counts:?}");
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

/// What each component chooses of a stack as it is written.
fn chosen(valid: &Valid, previous: &Previous, catalog: &Catalog) -> Vec<Option<String>> {
    let facts = DecideFacts::offline();
    let mut context = Context::new(valid, &facts, previous, catalog);
    let choose = |component| {
        let pick = pick(component, &context);
        context.settle(component, pick.in_force);
        pick.chosen.map(str::to_owned)
    };
    Component::ALL.into_iter().map(choose).collect()
}

/// Checks every flip point of a stack on both sides; how many there were that can be written.
fn both_sides(valid: &Valid, previous: &Previous, catalog: &Catalog, fully: bool) -> usize {
    let facts = DecideFacts::offline();
    let plan = decide(valid, &facts, previous, catalog);
    let next = previous.after(&plan, catalog);
    let base = chosen(valid, &next, catalog);
    let mut known: BTreeMap<(String, String), Vec<Option<String>>> = BTreeMap::new();
    let mut held = 0;
    for (index, decision) in plan.decisions.iter().enumerate() {
        assert_eq!(decision.flip_points.len(), 16, "every requirement and every weight");
        assert_eq!(decision.chosen, base[index], "the two paths agree on {}", decision.component);
        for f in &decision.flip_points {
            let Some(to) = &f.to else { continue };
            let mut at = |value: &str| {
                let key = (f.input.clone(), value.to_owned());
                let choices = known.entry(key).or_insert_with(|| {
                    let written = write_into(&valid.spec, &f.input, value);
                    let written = validate(valid.id.clone(), &written, None);
                    let written = written.unwrap_or_else(|e| panic!("{f:?} at {value}: {e:?}"));
                    let choices = chosen(&written, &next, catalog);
                    if fully {
                        let plan = decide_once(&written, &facts, &next, catalog);
                        let full: Vec<_> = plan.decisions.into_iter().map(|d| d.chosen).collect();
                        assert_eq!(choices, full, "the two paths agree: {f:?} at {value}");
                    }
                    choices
                });
                choices[index].clone()
            };
            let about = || format!("{} {f:?} of {:?}", decision.component, valid.spec.requirements);
            assert_ne!(at(to), decision.chosen, "{}", about());
            assert_eq!(at(to), f.choice, "{}", about());
            if let Some(short) = one_short(&f.input, &f.from, to, &f.step) {
                assert_eq!(at(&short), decision.chosen, "{} at {short}", about());
            }
            held += 1;
        }
    }
    held
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
    let written = specs.map(|text| {
        let spec: ObservabilityStackSpec = serde_saphyr::from_str(text).unwrap();
        validate(valid().id, &spec, None).unwrap()
    });
    let catalog = catalog();
    let held: usize = written.iter().map(|v| both_sides(v, &Previous::default(), &catalog, true)).sum();
    assert!(held > 60, "{held}");

    // Where records are kept, the choice in force counts as the previous one, and so does one that would not
    // be made any more.
    let kept = |number: usize| {
        let previous = Previous::of_records(&[]);
        match number % 4 {
            0 | 1 => Previous::default(),
            2 => previous,
            _ => previous.with(Component::MetricsStore, "VictoriaMetricsSingle", &catalog.version),
        }
    };
    let check = |numbers: &mut dyn Iterator<Item = usize>| -> usize {
        numbers.map(|n| both_sides(&stacks()[n], &kept(n), &catalog, n % 25 == 0)).sum()
    };
    let held = std::thread::scope(|scope| {
        let odd = scope.spawn(|| check(&mut (1..STACKS).step_by(2)));
        check(&mut (0..STACKS).step_by(2)) + odd.join().unwrap()
    });
    println!("{held} flip points of {STACKS} stacks hold on both sides");
    assert!(held > 4_000, "{held}");
}

use obstack_crds::Component;

use super::testing::{catalog, valid, with};
use super::*;

fn plan(valid: &Valid) -> Plan {
    decide(valid, &DecideFacts::offline(), &Previous::default(), &catalog())
}

fn choice(plan: &Plan, component: Component) -> Option<&str> {
    plan.get(component).unwrap().chosen.as_deref()
}

#[test]
fn a_small_stack_is_prometheus_and_deploys() {
    let plan = plan(&valid());
    let choices: Vec<_> = Component::ALL.into_iter().map(|c| choice(&plan, c).unwrap()).collect();
    assert_eq!(
        choices,
        ["Prometheus", "None", "BuiltInScrape", "Alertmanager", "Grafana", "None", "None", "Native"]
    );
    assert!(plan.decisions.iter().all(|d| d.deployable));
}

#[test]
fn fifty_million_series_choose_something_else_and_say_why() {
    let plan = plan(&with(|r| r.active_series = "50M".parse().unwrap()));
    let store = plan.get(Component::MetricsStore).unwrap();
    assert_ne!(store.chosen.as_deref(), Some("Prometheus"));
    assert!(!store.deployable);
    let out: Vec<_> = store.eliminated.iter().filter(|e| e.option == "Prometheus").collect();
    assert!(out.iter().any(|e| e.requirement == "requirements.activeSeries" && e.reason.contains("50M")));
}

//! Every dashboard that is shipped can be loaded and asks what can be asked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::grafana::LIBRARY;
use crate::names::Role;

fn dashboards() -> Vec<(&'static str, Value)> {
    LIBRARY.iter().map(|(name, text)| (*name, serde_json::from_str(text).unwrap())).collect()
}

#[test]
fn every_file_is_shipped() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards");
    let files: BTreeSet<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    let shipped: BTreeSet<String> = LIBRARY.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, shipped);
}

#[test]
fn ids_are_unique_and_links_lead_somewhere() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().map(|(_, d)| d["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), all.len());
    for (name, dashboard) in &all {
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<i64> = panels.iter().map(|p| p["id"].as_i64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
        for link in dashboard["links"].as_array().unwrap() {
            let uid = link["url"].as_str().unwrap().strip_prefix("d/").unwrap();
            assert!(uids.contains(uid), "{name} links to {uid}");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let at = |key: &str| panel["gridPos"][key].as_i64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {} is too wide", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {} covers another panel", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_question_is_promql_to_the_metrics_store() {
    let mut asked = 0;
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|p| p["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{name}: {title}");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], Role::Metrics.as_str(), "{name}: {title}");
                let expr = target["expr"].as_str().unwrap();
                promql_parser::parser::parse(expr).unwrap_or_else(|e| panic!("{name}: {title}: {e}: {expr}"));
                asked += 1;
            }
        }
    }
    assert!(asked > 20);
}

/// A metric of ours that a dashboard asks for is one that the operator serves or that a rule of a record writes.
#[test]
fn every_metric_of_ours_exists() {
    const RECORDED: [&str; 2] = ["obstack:tripwire:value", "obstack:tripwire:pressure"];
    // A family without samples is not in the text that is served.
    let registered = include_str!("../metrics.rs");
    let words = regex::Regex::new("obstack[_:][a-z_:]+").unwrap();
    let mut asked = BTreeSet::new();
    for (_, dashboard) in dashboards() {
        for target in
            dashboard["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array()).flatten()
        {
            let expr = target["expr"].as_str().unwrap();
            asked.extend(words.find_iter(expr).map(|found| found.as_str().to_owned()));
        }
    }
    for name in &asked {
        let own = name.strip_prefix("obstack_").map(|name| format!("\"{name}\","));
        let known = RECORDED.contains(&name.as_str()) || own.is_some_and(|own| registered.contains(&own));
        assert!(known, "{name} is asked for and does not exist");
    }
    assert!(RECORDED.iter().all(|name| asked.contains(*name)), "{asked:?}");
}

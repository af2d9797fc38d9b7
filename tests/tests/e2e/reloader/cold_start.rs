//! What is laid down before the engine starts.

use std::time::Duration;

use obstack::reloader::run_once;
use obstack::running::{Engine, POINTER_KEY};

use super::rig::{BOUND, Check, Rig, both, pointer};

const GOOD: (&str, &str) = ("rules/a.yaml", "groups: [{name: a, rules: [{record: one, expr: vector(1)}]}]");
const NEWER: (&str, &str) = ("rules/b.yaml", "groups: [{name: b, rules: [{record: two, expr: vector(2)}]}]");
const BROKEN: (&str, &str) = ("rules/b.yaml", "groups: [{name: b, rules: [{record: two, expr: 'sum('}]}]");

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn the_candidate_is_laid_down_with_its_digest_in_place() {
    let rig = Rig::new(Engine::Prometheus, Check::Tool);
    let generation = rig.generation(&[GOOD]);
    rig.deliver(&generation);
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), generation.digest);
    let main = std::fs::read_to_string(rig.target().join("current/prometheus.yaml")).unwrap();
    assert!(main.contains(&format!("/obstack-generation/{}/*", generation.digest)), "{main}");
    assert!(rig.target().join("current/rules/a.yaml").is_file());
}

#[tokio::test]
async fn the_proven_one_goes_first_where_it_is_complete() {
    let rig = Rig::new(Engine::Prometheus, Check::Tool);
    let (proven, candidate) = (rig.generation(&[GOOD]), rig.generation(&[GOOD, NEWER]));
    rig.sync(&both(&candidate, &proven), &proven);
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), proven.digest);
    // What was laid down once is not asked for again.
    rig.sync(&both(&candidate, &proven), &candidate);
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), proven.digest);
    // Its parts were overwritten by the candidate's: then that one is taken.
    rig.empty();
    rig.sync(&both(&candidate, &proven), &candidate);
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), candidate.digest);
}

#[tokio::test]
async fn nothing_that_is_incomplete_or_refused_is_laid_down() {
    let rig = Rig::new(Engine::Prometheus, Check::Tool);
    let error = run_once(&rig.settings(), SHORT).await.unwrap_err().to_string();
    assert!(error.contains("no pointer"), "{error}");

    let (good, bad) = (rig.generation(&[GOOD]), rig.generation(&[GOOD, BROKEN]));
    rig.sync(&[(POINTER_KEY, pointer(&good))], &bad);
    let error = run_once(&rig.settings(), SHORT).await.unwrap_err().to_string();
    assert!(error.contains("digest"), "{error}");

    rig.deliver(&bad);
    let error = run_once(&rig.settings(), SHORT).await.unwrap_err().to_string();
    assert!(error.contains("rules/b.yaml"), "{error}");
    assert!(!rig.target().join("current").exists());
}

#[tokio::test]
async fn a_set_that_arrives_late_is_waited_for() {
    let rig = Rig::new(Engine::Prometheus, Check::Tool);
    let generation = rig.generation(&[GOOD]);
    let settings = rig.settings();
    let loading = tokio::spawn(async move { run_once(&settings, BOUND).await });
    tokio::task::yield_now().await;
    rig.deliver(&generation);
    assert_eq!(loading.await.unwrap().unwrap(), generation.digest);
}

#[tokio::test]
async fn a_refused_first_generation_is_told_and_the_next_one_taken() {
    let rig = Rig::new(Engine::Prometheus, Check::Tool);
    let (good, bad) = (rig.generation(&[GOOD]), rig.generation(&[GOOD, BROKEN]));
    rig.deliver(&bad);
    let settings = rig.settings();
    let loading = tokio::spawn(async move { run_once(&settings, BOUND).await });
    let state =
        rig.state("the refusal to be told", |s| s["refused"]["generation"] == bad.digest.as_str()).await;
    assert!(state["refused"]["reason"].as_str().unwrap().contains("rules/b.yaml"), "{state}");
    assert!(!rig.ready().await);
    rig.deliver(&good);
    assert_eq!(loading.await.unwrap().unwrap(), good.digest);
}

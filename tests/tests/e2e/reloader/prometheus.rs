//! Prometheus behind a reloader.

use std::time::Duration;

use obstack::running::{Engine, POINTER_KEY, part_file};
use obstack_tests::ask;
use obstack_tests::wait::{throughout, until};
use serde_json::Value;

use super::rig::{BOUND, Check, Rig, both, pointer, write_plain};

const PENDING: (&str, &str) =
    ("rules/a.yaml", "groups: [{name: a, rules: [{alert: Pending, expr: vector(1), for: 1h}]}]");
const FIRING: (&str, &str) =
    ("rules/b.yaml", "groups: [{name: b, rules: [{alert: Firing, expr: vector(1)}]}]");
const OTHER: (&str, &str) = ("rules/c.yaml", "groups: [{name: c, rules: [{record: one, expr: vector(1)}]}]");
const BROKEN: (&str, &str) = ("rules/c.yaml", "groups: [{name: c, rules: [{record: one, expr: 'sum('}]}]");

const GOOD_JOB: (&str, &str) = (
    "scrape/good.yaml",
    "scrape_configs: [{job_name: good, static_configs: [{targets: ['127.0.0.1:1']}]}]\n",
);

async fn live(check: Check) -> Rig {
    Rig::live(Engine::Prometheus, check, &[PENDING, FIRING]).await
}

/// The names of the rule groups that the engine has loaded.
async fn groups(rig: &Rig) -> Vec<String> {
    let answer = ask::json(&format!("{}/api/v1/rules", rig.url())).await.unwrap();
    let groups = answer["data"]["groups"].as_array().unwrap();
    let mut names: Vec<String> = groups.iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn alert(rig: &Rig, name: &str, state: &str) -> Value {
    until(&format!("{name} to be {state}"), BOUND, || async {
        let alerts = ask::alerts(&rig.url(), name).await?;
        alerts.into_iter().find(|alert| alert["state"] == state).ok_or_else(|| "not there".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unrelated_change_becomes_live_and_moves_no_alert() {
    let rig = live(Check::Tool).await;
    let before = (alert(&rig, "Pending", "pending").await, alert(&rig, "Firing", "firing").await);

    let next = rig.generation(&[PENDING, FIRING, OTHER]);
    rig.deliver(&next);
    rig.confirmed(&next).await;
    assert_eq!(groups(&rig).await, ["a", "b", "c"]);

    throughout("the alerts at their places", Duration::from_secs(3), || async {
        let after = (
            ask::alerts(&rig.url(), "Pending").await?.pop().unwrap_or_default(),
            ask::alerts(&rig.url(), "Firing").await?.pop().unwrap_or_default(),
        );
        let same = |a: &Value, b: &Value| a["state"] == b["state"] && a["activeAt"] == b["activeAt"];
        if same(&before.0, &after.0) && same(&before.1, &after.1) {
            Ok(())
        } else {
            Err(format!("{after:?}"))
        }
    })
    .await;
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"success\"} 1"), "{metrics}");
    assert!(metrics.contains("obstack_reloader_checks_total{result=\"passed\"} 1"), "{metrics}");
    assert!(metrics.contains(&next.digest[..12]), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_promtool_refuses_never_reaches_the_engine() {
    let rig = live(Check::Tool).await;
    let first = rig.generation(&[PENDING, FIRING]);
    let bad = rig.generation(&[PENDING, FIRING, BROKEN]);
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &first).await;
    assert!(reason.contains("rules/c.yaml"), "{reason}");
    assert_eq!(rig.status().await.unwrap()["refused"]["path"], "rules/c.yaml");
    assert_eq!(groups(&rig).await, ["a", "b"]);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_refused 1"), "{metrics}");
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"refused\"} 0"), "{metrics}");

    // The next good one goes in, and only two generations are kept.
    let good = rig.generation(&[PENDING, FIRING, OTHER]);
    rig.deliver(&good);
    rig.confirmed(&good).await;
    assert_eq!(rig.status().await.unwrap()["refused"], Value::Null);
    let mut kept = vec![first.digest, good.digest];
    kept.sort();
    assert_eq!(rig.generations(), kept);
}

/// promtool names the certificate that it misses and not the file that asks for it: that file is found by having it
/// check parts of the change, and the engine hears nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_promtool_refuses_without_a_name_is_found_among_many_changes() {
    let rig = live(Check::Tool).await;
    let main = format!("scrape_config_files: ['{}/scrape/*.yaml']\n", rig.target().join("current").display());
    let main = ("prometheus.yaml", main.as_str());
    let first = rig.generation(&[main, GOOD_JOB]);
    rig.deliver(&first);
    rig.confirmed(&first).await;
    let job = |number: usize| {
        let tls =
            if number == 5 { "tls_config: {cert_file: /nowhere/cert, key_file: /nowhere/key}, " } else { "" };
        let targets = "static_configs: [{targets: ['127.0.0.1:1']}]";
        let text = format!("scrape_configs: [{{job_name: new-{number}, {tls}{targets}}}]\n");
        (format!("scrape/new-{number}.yaml"), text)
    };
    let jobs: Vec<(String, String)> = (0..8).map(job).collect();
    let changed = jobs.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let bad = rig.generation(&[main, GOOD_JOB].into_iter().chain(changed).collect::<Vec<_>>());
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &first).await;
    assert!(reason.contains("/nowhere/cert") && !reason.contains("new-"), "{reason}");
    assert_eq!(rig.status().await.unwrap()["refused"]["path"], "scrape/new-5.yaml");
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"refused\"} 0"), "{metrics}");
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"trial\"} 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_refuses_is_taken_back() {
    let rig = live(Check::None).await;
    let first = rig.generation(&[PENDING, FIRING]);
    let before = alert(&rig, "Pending", "pending").await;
    let bad = rig.generation(&[PENDING, FIRING, BROKEN]);
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &first).await;
    assert!(reason.contains("refused the reload"), "{reason}");
    let state = rig.status().await.unwrap();
    assert_eq!(state["refused"]["path"], "rules/c.yaml", "it is all that differs: {state}");
    assert_eq!(groups(&rig).await, ["a", "b"]);
    assert_eq!(alert(&rig, "Pending", "pending").await["activeAt"], before["activeAt"]);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"rolled_back\"} 1"), "{metrics}");
    assert!(metrics.contains("obstack_reloader_checks_total{result=\"skipped\"} 1"), "{metrics}");
}

/// Ten files change at once, two of them are at fault, and the engine's answer names none: each is found by trying
/// parts of the change, one after the other, and the others go in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_refuses_of_many_changes_is_found_one_by_one() {
    let rig = live(Check::None).await;
    let mut running = rig.generation(&[PENDING, FIRING]);
    let before = alert(&rig, "Pending", "pending").await;
    let rule = |number: usize| {
        let expr = if [3, 7].contains(&number) { "sum(" } else { "vector(1)" };
        let text =
            format!("groups: [{{name: new-{number}, rules: [{{record: r{number}, expr: '{expr}'}}]}}]");
        (format!("rules/new-{number}.yaml"), text)
    };
    let mut changed: Vec<(String, String)> = (0..10).map(rule).collect();
    let all = |changed: &[(String, String)]| {
        let changed = changed.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        rig.generation(&[PENDING, FIRING].into_iter().chain(changed).collect::<Vec<_>>())
    };
    for wanted in ["rules/new-3.yaml", "rules/new-7.yaml"] {
        let bad = all(&changed);
        rig.deliver(&bad);
        rig.state("the file at fault to be found", |s| s["refused"]["path"] == wanted).await;
        let reason = rig.refused(&bad, &running).await;
        assert!(reason.contains("refused the reload") && reason.contains(wanted), "{reason}");
        // What the operator does with it: all but this go in.
        changed.retain(|(path, _)| path != wanted);
    }
    running = all(&changed);
    rig.deliver(&running);
    rig.confirmed(&running).await;
    let new = groups(&rig).await.into_iter().filter(|name| name.starts_with("new-")).count();
    assert_eq!(new, 8);
    assert_eq!(alert(&rig, "Pending", "pending").await["activeAt"], before["activeAt"], "it was never lost");
    let metrics = rig.metrics().await;
    let trials = metrics.lines().find_map(|line| {
        line.strip_prefix("obstack_reloader_reloads_total{result=\"trial\"} ")?.parse::<u32>().ok()
    });
    assert!(trials.is_some_and(|trials| (6..=10).contains(&trials)), "{trials:?}: at most five for each");
    assert!(rig.generations().len() <= 2, "{:?}", rig.generations());
}

/// promtool reads the settings of tracing and does not look for its certificate; Prometheus applies everything
/// else, shows the new configuration, and fails there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_promtool_takes_and_the_engine_loads_in_part_is_taken_back_whole() {
    let rig = live(Check::Tool).await;
    let first = rig.generation(&[PENDING, FIRING]);
    let tracing =
        "tracing: {endpoint: '127.0.0.1:1', client_type: grpc, tls_config: {ca_file: /nonexistent/ca}}\n";
    let bad = rig.generation(&[PENDING, FIRING, OTHER, ("prometheus.yaml", tracing)]);
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &first).await;
    assert!(reason.contains("refused the reload"), "{reason}");
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_checks_total{result=\"passed\"} 1"), "{metrics}");
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"rolled_back\"} 1"), "{metrics}");
    assert_eq!(groups(&rig).await, ["a", "b"]);
    let state = rig.status().await.unwrap();
    assert_eq!(
        state["refused"]["path"],
        Value::Null,
        "the main file is at fault, and not the other: {state}"
    );
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"trial\"} 1"), "{metrics}");
}

/// A job whose certificate is none. promtool looks whether it is there; Prometheus takes the reload, and cannot make
/// the job's scrape pool when it has discovered its targets, which no answer of it tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_a_scrape_pool_is_noticed_and_named() {
    let rig = Rig::live(Engine::Prometheus, Check::Tool, &[FIRING]).await;
    let main = format!("scrape_config_files: ['{}/scrape/*.yaml']\n", rig.target().join("current").display());
    let main = ("prometheus.yaml", main.as_str());
    let first = rig.generation(&[main, GOOD_JOB]);
    rig.deliver(&first);
    rig.confirmed(&first).await;
    let ca = rig.target().join("current/assets/ca");
    let job = format!(
        "scrape_configs: [{{job_name: bad, scheme: https, tls_config: {{ca_file: {}}}, \
         static_configs: [{{targets: ['127.0.0.1:1']}}]}}]\n",
        ca.display()
    );
    let no_ca = ("assets/ca", "-----BEGIN CERTIFICATE-----\nTUlJQw==\n-----END CERTIFICATE-----\n");
    let bad = rig.generation(&[main, GOOD_JOB, no_ca, ("scrape/bad.yaml", &job), FIRING]);
    rig.deliver(&bad);
    rig.confirmed(&bad).await;
    let reason = rig.refused(&bad, &first).await;
    assert!(reason.contains("scrape pool of job bad"), "{reason}");
    assert_eq!(rig.status().await.unwrap()["refused"]["path"], "scrape/bad.yaml");
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"in_part\"} 1"), "{metrics}");
}

/// The pod's disk is lost while the sidecar goes on: the mounts have what is proven, and not the candidate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_disk_was_lost_is_given_what_is_proven() {
    let mut rig = Rig::new(Engine::Prometheus, Check::Tool);
    let (proven, candidate) = (rig.generation(&[PENDING]), rig.generation(&[PENDING, OTHER]));
    rig.sync(&both(&candidate, &proven), &proven);
    obstack::reloader::run_once(&rig.settings(), BOUND).await.unwrap();
    rig.start_engine();
    rig.start_reloader();
    rig.confirmed(&proven).await;
    rig.stop_reloader().await;
    rig.stop_engine();
    rig.empty();
    rig.start_reloader();
    rig.state("what is proven to be laid down", |s| s["current"] == proven.digest.as_str()).await;
    rig.start_engine();
    rig.confirmed(&proven).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_set_of_parts_waits() {
    let rig = live(Check::Tool).await;
    let first = rig.generation(&[PENDING, FIRING]);
    let next = rig.generation(&[PENDING, FIRING, OTHER]);
    // The new pointer with the old parts.
    rig.sync(&[(POINTER_KEY, pointer(&next))], &first);
    let wanted = next.digest.as_str();
    let state =
        rig.state("the mixed set to be seen", |s| s["wanted"] == wanted && s["waiting"].is_string()).await;
    assert!(state["waiting"].as_str().unwrap().contains("digest"), "{state}");
    assert_eq!(state["current"], first.digest.as_str());
    assert_eq!(state["refused"], Value::Null);
    assert!(rig.ready().await);
    // The old pointer with the new parts is no set either.
    rig.sync(&[(POINTER_KEY, pointer(&first))], &next);
    rig.state("the first to be wanted again", |s| s["wanted"] == first.digest.as_str()).await;
    assert_eq!(rig.engine_says().await, Some(first.digest.clone()));
    // The whole set goes in.
    rig.deliver(&next);
    rig.confirmed(&next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_arrive_one_by_one_wait_for_the_last() {
    let mut rig = Rig::new(Engine::Prometheus, Check::Tool);
    // Enough of text that no compressor gets into one part.
    let mut noise = String::new();
    let mut word = 1u64;
    while noise.len() < 2_000_000 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push_str(&format!("# {word:016x}{:016x}\n", word.rotate_left(17)));
    }
    let (one, two) = noise.split_at(noise.len() / 2);
    let (one, two) = (format!("groups: []\n#{one}"), format!("groups: []\n#{two}"));
    let next = rig.generation(&[PENDING, FIRING, ("rules/one.yaml", &one), ("rules/two.yaml", &two)]);
    assert!(next.parts.len() > 1, "{} parts", next.parts.len());

    let first = rig.generation(&[FIRING]);
    let slot = rig.slot();
    for part in &first.parts {
        write_plain(&slot, &part_file(part.index), &part.gzip);
    }
    write_plain(&slot, POINTER_KEY, &pointer(&first));
    obstack::reloader::run_once(&rig.settings(), BOUND).await.unwrap();
    rig.start_engine();
    rig.start_reloader();
    rig.confirmed(&first).await;

    write_plain(&slot, POINTER_KEY, &pointer(&next));
    for part in next.parts.iter().rev() {
        let state = rig.state("the set to be incomplete", |s| s["wanted"] == next.digest.as_str()).await;
        assert_eq!(state["current"], first.digest.as_str());
        write_plain(&slot, &part_file(part.index), &part.gzip);
    }
    rig.confirmed(&next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_away_is_waited_for() {
    let mut rig = live(Check::Tool).await;
    let first = rig.generation(&[PENDING, FIRING]);
    rig.stop_engine();
    let next = rig.generation(&[PENDING, FIRING, OTHER]);
    rig.deliver(&next);
    let state = rig.state("the engine to be missed", |s| s["waiting"].is_string()).await;
    assert_eq!(state["refused"], Value::Null);
    assert_eq!(state["current"], first.digest.as_str(), "what ran stays for the engine's return");
    rig.start_engine();
    rig.confirmed(&next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reloader_that_was_restarted_finds_its_place() {
    let mut rig = live(Check::None).await;
    let first = rig.generation(&[PENDING, FIRING]);
    rig.stop_reloader().await;
    // It takes a bad one back although it has never seen the good one confirmed.
    let bad = rig.generation(&[PENDING, FIRING, BROKEN]);
    rig.deliver(&bad);
    rig.start_reloader();
    rig.refused(&bad, &first).await;
    rig.stop_reloader().await;
    // And a good one needs no reload where the engine runs it already.
    rig.deliver(&first);
    rig.start_reloader();
    rig.confirmed(&first).await;
    assert!(rig.metrics().await.contains("obstack_reloader_reloads_total{result=\"success\"} 0"));
}

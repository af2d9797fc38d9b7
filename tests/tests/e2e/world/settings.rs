//! What a stack's author says of objects, of limits, and of where samples go besides, on real engines: what a second
//! Prometheus was sent is the proof.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use obstack_crds::status::Rejected;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use obstack_tests::{ask, coreos, parts, ports};
use serde_json::{Value, json};
use tempfile::TempDir;

/// For one step; most take some seconds.
const BOUND: Duration = Duration::from_secs(120);
/// What the second Prometheus is asked with; it knows the word by its bcrypt alone.
const USER: (&str, &str) = ("me", "not-a-real-one");
const USERS: &str =
    "basic_auth_users: { me: '$2b$04$abcdefghijklmnopqrstuulECMeK68HzbdCjqklh2JebcLBEG0m4e' }\n";
/// More samples than the example application has, and fewer than Prometheus has of itself.
const LIMIT: u64 = 300;

/// A second Prometheus, which takes samples from who knows the word.
struct Store {
    process: Child,
    /// Where it is, without the word.
    address: String,
    _folder: TempDir,
}

impl Store {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (config, web) = (file("prometheus.yaml", "{}\n"), file("web.yaml", USERS));
        let address = format!("127.0.0.1:{}", ports::loopback().unwrap());
        let process = Command::new(parts::find("prometheus").unwrap())
            .arg(format!("--config.file={config}"))
            .arg(format!("--web.config.file={web}"))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.enable-remote-write-receiver")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address, _folder: folder }
    }

    /// What it knows of an expression.
    async fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        ask::query(&format!("http://{}:{}@{}", USER.0, USER.1, self.address), expr).await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spec(store: &Store) -> Value {
    let key = |key: &str| json!({ "name": "login", "key": key });
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "1s" },
        "collection": {
            "services": false, "pods": false,
            "scrapeClasses": [
                { "name": "gold", "relabelings": [{ "targetLabel": "class", "replacement": "gold" }] }
            ]
        },
        "tenancy": { "enforcedNamespaceLabel": "tenant", "enforcedSampleLimit": LIMIT },
        "metrics": {
            "remoteWrite": [{
                "url": format!("http://{}/api/v1/write", store.address),
                "basicAuth": { "username": key("user"), "password": key("word") },
                "writeRelabelConfigs": [{ "action": "keep", "sourceLabels": ["tenant"], "regex": ".+" }],
                "queueConfig": { "batchSendDeadline": "1s" }
            }]
        }
    })
}

fn objects() -> [Value; 3] {
    let monitor = |name: &str, spec: Value| coreos::object("ServiceMonitor", NAMESPACE, name, spec);
    let engine = json!({ "obstack.io/stack": "main", "obstack.io/role": "metrics" });
    let rule = json!({ "record": "seen", "expr": "count by (tenant) (up)" });
    [
        monitor(
            "web",
            json!({
                "selector": {}, "scrapeClass": "gold",
                "endpoints": [{
                    "port": "http", "honorLabels": true,
                    // Another namespace is told in vain.
                    "relabelings": [
                        { "sourceLabels": ["__meta_kubernetes_service_name"], "regex": "example-app", "action": "keep" },
                        { "targetLabel": "tenant", "replacement": "another" }
                    ]
                }]
            }),
        ),
        monitor(
            "greedy",
            json!({
                "selector": { "matchLabels": engine },
                "endpoints": [{ "port": "http", "path": "/prometheus/metrics" }]
            }),
        ),
        coreos::object(
            "PrometheusRule",
            NAMESPACE,
            "rules",
            json!({ "groups": [{ "name": "own", "interval": "1s", "rules": [rule] }] }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_author_sets_holds_for_objects_and_samples_reach_a_second_store() {
    parts::require();
    let store = Store::start();
    let world = World::start().await;
    for definition in coreos::definitions() {
        world.apply(&definition).await;
    }
    world.create_stack("main", spec(&store)).await;
    world.apply_example("quickstart.yaml").await;
    world.patch_stack("main", json!({ "spec": spec(&store) })).await;
    for object in objects() {
        world.apply(&object).await;
    }

    // A Secret that is not there costs what refers to it, and nothing else.
    let path = "spec.metrics.remoteWrite[0].basicAuth.username";
    let missing = rejected(&world, path).await;
    assert!(missing.reason.contains("Secret monitoring/login, which does not exist"), "{missing:?}");
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;
    sent(&prometheus, false).await;

    world.secret("login", &[("user", USER.0), ("word", USER.1)]).await;
    sent(&prometheus, true).await;
    until("samples of the object at the second store", BOUND, || async {
        let found =
            store.query("up{class=\"gold\",service=\"example-app\",tenant=\"monitoring\"} == 1").await?;
        if found.len() == 2 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    // What the object says of its tenant does not count, and nothing without one was sent.
    for expr in ["{tenant=\"another\"}", "{__name__=~\".+\",tenant=\"\"}"] {
        assert_eq!(store.query(expr).await, Ok(Vec::new()), "{expr}");
    }
    until("the rule of an object to be held to its namespace", BOUND, || async {
        let found = store.query("seen").await?;
        let tenants: Vec<&Value> = found.iter().map(|sample| &sample["metric"]["tenant"]).collect();
        if tenants == ["monitoring"] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    a_limit_drops_what_is_over_it_and_is_counted(&prometheus).await;
    jobs_of_an_author_are_taken_one_by_one(&world, &prometheus, &store).await;

    // When the Secret goes, so does what refers to it; the engine goes on.
    let secrets: Api<Secret> = Api::namespaced(world.client(), NAMESPACE);
    secrets.delete("login", &DeleteParams::default()).await.unwrap();
    rejected(&world, path).await;
    sent(&prometheus, false).await;
    world.live("main", BOUND).await;
    world.stop().await;
}

/// What a stack's status says to be kept out at a path.
async fn rejected(world: &World, path: &str) -> Rejected {
    until(&format!("{path} to be kept out"), BOUND, || async {
        let rejected = world.stack("main").await.status.unwrap_or_default().rejected;
        rejected.iter().find(|one| one.object == path).cloned().ok_or_else(|| format!("{rejected:?}"))
    })
    .await
}

/// Whether the engine's own configuration, as it says it, sends samples.
async fn sent(prometheus: &str, wanted: bool) {
    until("the engine's configuration", BOUND, || async {
        let answer = ask::json(&format!("{prometheus}/api/v1/status/config")).await?;
        let yaml = answer["data"]["yaml"].as_str().unwrap_or_default();
        if yaml.contains("remote_write:") == wanted { Ok(()) } else { Err(yaml.to_owned()) }
    })
    .await;
}

/// A target over the limit is dropped whole; the stack's own jobs, which have more samples, are not: what the
/// tripwire `sample-limit` reads is there, and counts.
async fn a_limit_drops_what_is_over_it_and_is_counted(prometheus: &str) {
    let pool = "serviceMonitor/monitoring/greedy/0";
    until("the greedy target to be dropped", BOUND, || async {
        let answer = ask::json(&format!("{prometheus}/api/v1/targets?scrapePool={pool}")).await?;
        let target = &answer["data"]["activeTargets"][0];
        let is_over = target["lastError"].as_str().unwrap_or_default().contains("sample limit exceeded");
        if target["health"] == "down" && is_over { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    until("the tripwire's counter to move", BOUND, || async {
        let counter = "prometheus_target_scrapes_exceeded_sample_limit_total{job=\"obstack/metrics\"}";
        let found = ask::query(prometheus, &format!("increase({counter}[30s]) > 0")).await?;
        if found.len() == 1 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let own = "scrape_samples_scraped{job=\"obstack/metrics\"}";
    let found = ask::query(prometheus, &format!("{own} > {LIMIT} and up == 1")).await.unwrap();
    assert_eq!(found.len(), 1, "the stack's own job is over the limit of others, and up: {found:?}");
}

/// Jobs that an author wrote run beside the others; one that only the engine can refuse is left out by itself.
async fn jobs_of_an_author_are_taken_one_by_one(world: &World, prometheus: &str, store: &Store) {
    let jobs = format!(
        "- job_name: second-store
  basic_auth: {{ username: {}, password: {} }}
  static_configs: [{{ targets: ['{}'] }}]
- job_name: refused
  no_such_field: 1
- job_name: obstack/metrics
",
        USER.0, USER.1, store.address
    );
    world.secret("more", &[("jobs", &jobs)]).await;
    let key = json!({ "name": "more", "key": "jobs" });
    world.patch_stack("main", json!({ "spec": { "collection": { "additionalScrapeConfigs": key } } })).await;
    let taken = rejected(world, "spec.collection.additionalScrapeConfigs[2].job_name").await;
    assert!(taken.reason.contains("\"obstack/metrics\""), "{taken:?}");
    let refused = rejected(world, "spec.collection.additionalScrapeConfigs").await;
    assert!(refused.reason.contains("no_such_field"), "{refused:?}");
    until("the author's job to be up", BOUND, || async {
        // It has more samples than objects may bring, and a limit of the engine holds for it too.
        let answer = ask::json(&format!("{prometheus}/api/v1/targets?scrapePool=second-store")).await?;
        let found = answer["data"]["activeTargets"].as_array().map_or(0, Vec::len);
        if found == 1 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

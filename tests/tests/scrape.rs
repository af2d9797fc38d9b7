//! Objects of the ecosystem among spoilt ones: each is judged by itself, and what is left is a configuration that
//! the engine's own tool accepts.

#[path = "scrape/stack.rs"]
mod stack;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use obstack::scrape::assets::HeldAssets;
use obstack::scrape::collect::{Collected, build_all};
use obstack::scrape::engine::{Additional, build_engine};
use obstack::scrape::jobs::{Built, MAX_OBJECT_BYTES};
use obstack::scrape::objects::Kind;
use obstack::scrape::settings::Settings;
use obstack_tests::mutate::{Random, mutate};
use obstack_tests::parts;
use serde_json::{Value, json};

/// Good objects of every kind, each with fields of every sort.
const GOOD: [(Kind, &str); 4] = [
    (
        Kind::ServiceMonitor,
        "
jobLabel: app
targetLabels: [team, app.kubernetes.io/part-of]
podTargetLabels: [version]
sampleLimit: 5000
labelLimit: 40
bodySizeLimit: 10MB
scrapeProtocols: [OpenMetricsText1.0.0, PrometheusText0.0.4]
attachMetadata: { node: true }
namespaceSelector: { matchNames: [a, b] }
selector:
  matchLabels: { app: web, app.kubernetes.io/name: 'x' }
  matchExpressions:
    - { key: tier, operator: In, values: [front, back] }
    - { key: old, operator: DoesNotExist }
endpoints:
  - port: metrics
    interval: 30s
    scrapeTimeout: 10s
    path: /metrics
    scheme: https
    honorLabels: true
    honorTimestamps: false
    params: { 'match[]': ['{job=~\".+\"}'], x: [a, b] }
    basicAuth: { username: { name: s, key: user }, password: { name: s, key: password } }
    tlsConfig: { ca: { configMap: { name: c, key: ca } }, serverName: x, insecureSkipVerify: false, minVersion: TLS12 }
    relabelings:
      - { sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node, action: replace }
      - { sourceLabels: [a], regex: '(.+);x', action: keep }
    metricRelabelings:
      - { sourceLabels: [__name__], regex: 'go_.*', action: drop }
      - { regex: 'tmp_(.+)', action: labeldrop }
  - targetPort: 9090
    authorization: { type: Bearer, credentials: { name: s, key: token } }
    proxyUrl: http://proxy.example:3128
    noProxy: 10.0.0.0/8
    followRedirects: false
    enableHttp2: false
  - targetPort: web
    oauth2:
      clientId: { secret: { name: s, key: user } }
      clientSecret: { name: s, key: password }
      tokenUrl: https://login.example/token
      scopes: [a]
      endpointParams: { k: v }
",
    ),
    (
        Kind::PodMonitor,
        "
jobLabel: app
selector: { matchLabels: { app: web } }
selectorMechanism: RoleSelector
namespaceSelector: { any: true }
podTargetLabels: [version, team]
keepDroppedTargets: 10
nativeHistogramBucketLimit: 100
nativeHistogramMinBucketFactor: '1.1'
podMetricsEndpoints:
  - port: metrics
    interval: 1m
    filterRunning: false
    trackTimestampsStaleness: true
    bearerTokenSecret: { name: s, key: token }
    relabelings: [{ targetLabel: cluster, replacement: 'c 1' }]
  - portNumber: 8080
    path: /x
    proxyUrl: http://proxy.example:3128
    proxyConnectHeader: { X-Auth: [{ name: s, key: token }] }
",
    ),
    (
        Kind::Probe,
        "
jobName: blackbox
module: http_2xx
params: [{ name: hostname, values: [a] }]
prober: { url: 'blackbox.monitoring.svc:9115', scheme: http, path: /probe }
interval: 60s
scrapeTimeout: 30s
targets:
  staticConfig:
    static: ['https://example.com', example.org]
    labels: { env: prod }
    relabelingConfigs: [{ sourceLabels: [__param_target], targetLabel: target }]
metricRelabelings: [{ sourceLabels: [__name__], regex: 'probe_ssl_.*', action: keep }]
tlsConfig: { ca: { secret: { name: s, key: ca } } }
",
    ),
    (
        Kind::ScrapeConfig,
        "
jobName: outside
metricsPath: /metrics
scrapeInterval: 30s
scheme: HTTPS
honorLabels: true
params: { a: [b] }
staticConfigs: [{ targets: ['a:1', 'b:2'], labels: { owner: x } }]
fileSDConfigs: [{ files: [/etc/targets/*.json], refreshInterval: 1m }]
httpSDConfigs: [{ url: 'https://sd.example/targets', basicAuth: { username: { name: s, key: user }, password: { name: s, key: password } } }]
kubernetesSDConfigs: [{ role: Pod, namespaces: { names: [a] }, selectors: [{ role: Pod, label: 'app=x,tier in (a,b)', field: 'spec.nodeName=n' }] }]
puppetDBSDConfigs: [{ url: 'https://puppet.example', query: 'resources { }', authorization: { credentials: { name: s, key: token } }, tlsConfig: { insecureSkipVerify: true } }]
dnsSDConfigs: [{ names: [a.example], type: A, port: 9100 }]
ec2SDConfigs: [{ region: eu-west-1, accessKey: { name: s, key: user }, secretKey: { name: s, key: password }, port: 9100, filters: [{ name: 'tag:a', values: [b] }] }]
dockerSDConfigs: [{ host: 'unix:///var/run/docker.sock', filters: [{ name: status, values: [running] }] }]
relabelings: [{ sourceLabels: [__address__], targetLabel: instance }]
metricRelabelings: [{ action: labelkeep, regex: '(__name__|job|instance|le)' }]
authorization: { credentials: { name: s, key: token } }
",
    ),
];

const ENGINE: &str = "
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: { name: main, namespace: monitoring }
spec:
  scrapeInterval: 30s
  evaluationInterval: 30s
  enforcedNamespaceLabel: tenant
  enforcedSampleLimit: 10000
  enforcedBodySizeLimit: 50MB
  scrapeClasses: [{ name: main, default: true, tlsConfig: { caFile: /etc/ca.pem } }]
";

/// A certificate in form only: what is in it is for the engine to judge when it connects.
const CA: &str = "-----BEGIN CERTIFICATE-----\nTUlJQw==\n-----END CERTIFICATE-----\n";

fn assets() -> HeldAssets {
    let code = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut held = HeldAssets::default();
    for namespace in ["team-a", "team-b"] {
        let about = |name: &str| json!({ "name": name, "namespace": namespace });
        held.add(&json!({
            "kind": "Secret", "metadata": about("s"),
            "data": { "user": code("u"), "password": code("p: \"x\"\n"), "token": code("t"), "ca": code(CA) },
        }));
        held.add(&json!({ "kind": "ConfigMap", "metadata": about("c"), "data": { "ca": CA } }));
    }
    held
}

fn engine(version: &str) -> Settings {
    let object: Value = serde_saphyr::from_str(ENGINE).unwrap();
    Settings::read(&object, Some(version.parse().unwrap())).unwrap()
}

fn object(index: usize, prefix: &str) -> (Kind, Value) {
    let (kind, spec) = GOOD[index % GOOD.len()];
    let spec: Value = serde_saphyr::from_str(spec).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    let namespace = if index.is_multiple_of(2) { "team-a" } else { "team-b" };
    (
        kind,
        json!({ "metadata": { "name": format!("{prefix}-{index}"), "namespace": namespace }, "spec": spec }),
    )
}

type Object = (Kind, Value);

/// 200 good objects with 1,000 spoilt ones between them.
fn mixed(seed: u64) -> (Vec<Object>, Vec<Object>) {
    let mut random = Random::new(seed);
    let good: Vec<(Kind, Value)> = (0..200).map(|i| object(i, "good")).collect();
    let mut all = good.clone();
    for i in 0..1_000 {
        let (kind, mut spoilt) = object(random.below(GOOD.len()) + GOOD.len() * i, "spoilt");
        for _ in 0..=random.below(3) {
            mutate(&mut spoilt, &mut random);
        }
        // Without a region an engine asks the cloud that it runs in.
        if let Some(block) = spoilt.pointer_mut("/spec/ec2SDConfigs/0").and_then(Value::as_object_mut) {
            block.insert("region".to_owned(), json!("eu-west-1"));
        }
        let place = random.below(all.len() + 1);
        all.insert(place, (kind, spoilt));
    }
    (good, all)
}

fn build(settings: &Settings, objects: &[(Kind, Value)], held: &HeldAssets) -> Collected {
    build_all(settings, objects.iter().map(|(kind, object)| (*kind, object)), held)
}

#[test]
fn spoilt_objects_leave_the_good_ones_as_they_are_byte_for_byte() {
    let held = assets();
    for seed in 0..5 {
        let settings = engine(if seed % 2 == 0 { "3.5.0" } else { "2.53.0" });
        let (good, all) = mixed(seed);
        let alone = build(&settings, &good, &held);
        assert_eq!(alone.rejected, [], "the good ones are good");
        assert_eq!(alone.built.len(), good.len());
        let together = build(&settings, &all, &held);
        for (key, built) in &alone.built {
            assert_eq!(together.built.get(key), Some(built), "seed {seed}: {key:?}");
        }
        let (built, rejected) = (together.built.len(), together.rejected.len());
        assert_eq!(built + rejected, all.len(), "each object is built or rejected");
        assert!(rejected > 300, "seed {seed}: what is spoilt is seen: {rejected}");
        for rejection in &together.rejected {
            assert!(rejection.name.starts_with("spoilt-"), "{rejection}");
            assert!(!rejection.found.is_empty() && !rejection.write.is_empty());
            assert!(rejection.to_string().len() < 4_000, "{rejection}");
        }
        for ((kind, namespace, name), built) in &together.built {
            assert!(built.jobs().len() <= MAX_OBJECT_BYTES);
            let jobs: Vec<Value> =
                serde_saphyr::from_str(built.jobs()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(jobs.len(), built.count, "{kind:?} {namespace}/{name}: nothing was smuggled in");
        }
    }
}

#[test]
fn what_is_left_among_spoilt_objects_is_accepted_by_promtool() {
    let promtools = parts::promtools();
    assert!(!promtools.is_empty(), "promtool is missing: run `eval \"$(scripts/parts --env)\"`");
    let held = assets();
    for (promtool, seed) in promtools.iter().flat_map(|tool| (100..104).map(move |seed| (tool, seed))) {
        let settings = engine(&parts::promtool_version(promtool));
        let (_, all) = mixed(seed);
        let collected = build(&settings, &all, &held);
        if let Some(told) = told(promtool, &settings, &collected.jobs()) {
            let culprit = culprit(promtool, &settings, &collected);
            let tool = promtool.display();
            panic!("{tool}: seed {seed}: {culprit:?}: {told}\n{}", collected.built[&culprit].jobs());
        }
    }
}

/// The same one by one, with every refusal told: slow, for finding what is taken and should not be.
#[test]
#[ignore = "runs promtool a thousand times"]
fn each_object_that_is_left_is_accepted_by_promtool() {
    let promtool = parts::find("promtool").expect("promtool is missing");
    let settings = engine(&parts::promtool_version(&promtool));
    let seed = std::env::var("OBSTACK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(100);
    let collected = build(&settings, &mixed(seed).1, &assets());
    let mut refused = Vec::new();
    for (key, built) in collected.built.iter().filter(|((_, _, name), _)| name.starts_with("spoilt")) {
        if let Some(told) = told(&promtool, &settings, &[(key.0, built)]) {
            refused.push(format!("{key:?}: {told}"));
        }
    }
    assert!(refused.is_empty(), "{} are refused:\n{}", refused.len(), refused.join("\n"));
}

/// What promtool says against jobs, if anything.
fn told(promtool: &Path, settings: &Settings, jobs: &[(Kind, &Built)]) -> Option<String> {
    let file = build_engine(settings, jobs, &Additional::default(), &HeldAssets::default()).unwrap();
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.text.as_bytes()).unwrap();
    let told = Command::new(promtool).args(["check", "config", "--syntax-only"]).arg(on_disk.path()).output();
    let told = told.unwrap();
    (!told.status.success()).then(|| String::from_utf8_lossy(&told.stderr).trim().chars().take(400).collect())
}

/// The first object whose jobs are refused.
fn culprit(promtool: &Path, settings: &Settings, collected: &Collected) -> (Kind, String, String) {
    let jobs = collected.jobs();
    let (mut fine, mut refused) = (0, jobs.len());
    while refused - fine > 1 {
        let middle = fine.midpoint(refused);
        if told(promtool, settings, &jobs[..middle]).is_some() { refused = middle } else { fine = middle }
    }
    collected.built.keys().nth(fine).expect("it is there").clone()
}

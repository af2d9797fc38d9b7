use serde_json::json;

use super::*;
use crate::desired::fixtures::{configs_of, plan, valid};

fn build(spec: &str, secrets: &[(&str, &str)], operator: Option<&str>) -> Configs {
    let secrets = secrets
        .iter()
        .map(|(name, url)| (SecretKey { name: (*name).into(), key: "url".into() }, url.as_bytes().to_vec()))
        .collect();
    configs_of(&valid(spec), &plan(&Role::ALL), &secrets, operator)
}

fn yaml(configs: &Configs, role: Role, path: &str) -> Value {
    let text = configs.generations[&role].file(path).unwrap_or_else(|| panic!("no {path}"));
    serde_saphyr::from_str(&text).unwrap()
}

fn jobs(configs: &Configs) -> BTreeMap<String, Value> {
    let generation = &configs.generations[&Role::Metrics];
    generation
        .paths()
        .into_iter()
        .filter(|path| path.starts_with("scrape/"))
        .map(|path| yaml(configs, Role::Metrics, path)["scrape_configs"][0].clone())
        .map(|job| (job["job_name"].as_str().unwrap().to_owned(), job))
        .collect()
}

#[test]
fn both_engines_repeat_their_generation() {
    let configs = build("{}", &[], None);
    for (role, path, list) in
        [(Role::Metrics, "prometheus.yaml", "rule_files"), (Role::Alerting, "alertmanager.yaml", "templates")]
    {
        let generation = &configs.generations[&role];
        let globs = yaml(&configs, role, path)[list].to_string();
        assert_eq!(crate::running::generation_in(&globs), Some(generation.digest.as_str()));
    }
}

#[test]
fn an_empty_stack_scrapes_its_own_parts_under_their_prefix() {
    let jobs = jobs(&build("{}", &[], Some("obstack-system")));
    let names: Vec<&str> = jobs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "annotated-pods",
            "annotated-services",
            "obstack/alerting",
            "obstack/dashboards",
            "obstack/metrics",
            "obstack/operator",
            "obstack/reloader"
        ]
    );
    assert_eq!(jobs["obstack/metrics"]["metrics_path"], "/prometheus/metrics");
    assert_eq!(jobs["obstack/alerting"]["metrics_path"], "/alertmanager/metrics");
    // One discovery serves all jobs of the stack's own namespace.
    let own = json!([{ "role": "endpointslice", "namespaces": { "names": ["monitoring"] } }]);
    for name in ["annotated-services", "obstack/alerting", "obstack/metrics", "obstack/reloader"] {
        assert_eq!(jobs[name]["kubernetes_sd_configs"], own, "{name}");
    }
}

#[test]
fn discovery_can_be_widened_and_turned_off() {
    let jobs = jobs(&build("collection: { namespaces: ['*'], services: false }", &[], None));
    assert!(!jobs.contains_key("annotated-services") && !jobs.contains_key("obstack/operator"));
    assert_eq!(jobs["annotated-pods"]["kubernetes_sd_configs"], json!([{ "role": "pod" }]));
    let some = super::tests::jobs(&build("collection: { namespaces: [shop, pay], pods: false }", &[], None));
    let namespaces = &some["annotated-services"]["kubernetes_sd_configs"][0]["namespaces"]["names"];
    assert_eq!(*namespaces, json!(["pay", "shop"]));
    // Nobody else scrapes an annotated pod behind an annotated Service then.
    assert!(!some["annotated-services"].to_string().contains("__meta_kubernetes_pod_annotation"));
}

#[test]
fn external_labels_tell_replicas_apart_but_not_to_alertmanager() {
    let main = yaml(
        &build("environment: stage\nmetrics: { externalLabels: { price: 5$x } }", &[], None),
        Role::Metrics,
        "prometheus.yaml",
    );
    assert_eq!(
        main["global"]["external_labels"],
        json!({ "environment": "stage", "price": "5$$x", "replica": "${POD_NAME}" })
    );
    assert_eq!(
        main["alerting"]["alert_relabel_configs"][0],
        json!({ "action": "labeldrop", "regex": "replica" })
    );
}

#[test]
fn a_short_interval_shortens_the_time_a_scrape_may_take() {
    let main = |spec| yaml(&build(spec, &[], None), Role::Metrics, "prometheus.yaml")["global"].clone();
    let fast = main("requirements: { scrapeInterval: 2s }");
    assert_eq!((&fast["scrape_timeout"], &fast["evaluation_interval"]), (&json!("2s"), &json!("2s")));
    assert_eq!(main("{}")["scrape_timeout"], "10s");
}

#[test]
fn what_is_not_deployed_has_no_configuration_and_gets_no_alerts() {
    let none = configs_of(&valid("{}"), &plan(&[Role::Metrics]), &BTreeMap::new(), None);
    assert!(!none.generations.contains_key(&Role::Alerting));
    assert_eq!(yaml(&none, Role::Metrics, "prometheus.yaml")["alerting"].get("alertmanagers"), None);
    let only = configs_of(&valid("{}"), &plan(&[Role::Alerting]), &BTreeMap::new(), None);
    assert_eq!(only.generations.keys().collect::<Vec<_>>(), [&Role::Alerting]);
}

fn receiver<'a>(config: &'a Value, name: &str) -> &'a Value {
    config["receivers"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap()
}

const ROUTES: &str = "alerting:
  route:
    receiver: team
    groupBy: [job]
    groupWait: 1s
    routes:
      - { receiver: pager, matchers: ['severity=\"critical\"'], continue: true, repeatInterval: 1h }
  receivers:
    - { name: team, slack: [{ apiUrl: { name: slack, key: url }, channel: '#alerts' }] }
    - { name: pager, webhook: [{ urlSecret: { name: pager, key: url }, sendResolved: false }, { url: 'http://hook/x' }] }";

#[test]
fn secrets_reach_alertmanager_as_files_and_never_in_its_text() {
    let configs = build(
        ROUTES,
        &[("slack", "https://hooks.example/T0KEN\n"), ("pager", "https://p.example/K3Y")],
        None,
    );
    assert!(configs.rejected.is_empty());
    let generation = &configs.generations[&Role::Alerting];
    assert_eq!(generation.file("secrets/slack/key.url").unwrap(), "https://hooks.example/T0KEN");
    let text = generation.file("alertmanager.yaml").unwrap();
    assert!(!text.contains("T0KEN") && !text.contains("K3Y"));
    let config = yaml(&configs, Role::Alerting, "alertmanager.yaml");
    let slack = &receiver(&config, "team")["slack_configs"][0];
    assert_eq!(slack["api_url_file"], "/var/lib/obstack/config/current/secrets/slack/key.url");
    assert_eq!((&slack["channel"], &slack["send_resolved"]), (&json!("#alerts"), &json!(true)));
    let hooks = &receiver(&config, "pager")["webhook_configs"];
    assert_eq!(hooks[0]["send_resolved"], false);
    assert_eq!(hooks[1]["url"], "http://hook/x");
    let route = &config["route"];
    assert_eq!(
        (&route["receiver"], &route["group_by"], &route["group_wait"]),
        (&json!("team"), &json!(["job"]), &json!("1s"))
    );
    assert_eq!(
        route["routes"][2],
        json!({ "receiver": "pager", "matchers": ["severity=\"critical\""], "continue": true, "repeat_interval": "1h" })
    );
    assert_eq!(route["routes"][3], json!({ "receiver": "null", "matchers": ["alertname=\"Watchdog\""] }));
}

/// Before a person's routes, which could take them.
#[test]
fn a_trade_off_is_told_once_when_it_trips_and_to_nobody_before() {
    let configs = build(ROUTES, &[], None);
    let routes = yaml(&configs, Role::Alerting, "alertmanager.yaml")["route"]["routes"].clone();
    let quiet = json!({ "receiver": "null", "matchers": ["alertname=~\"TradeoffAtRisk|TradeoffUnknown\""] });
    assert_eq!(routes[0], quiet);
    let told = json!({
        "receiver": "team",
        "matchers": ["alertname=\"TradeoffTripped\""],
        "group_by": ["component", "namespace", "record", "stack"],
        "repeat_interval": "120h",
    });
    assert_eq!(routes[1], told);
    let nobody = yaml(&build("{}", &[], None), Role::Alerting, "alertmanager.yaml");
    assert_eq!(nobody["route"]["routes"][1]["receiver"], "null");
}

#[test]
fn a_missing_or_wrong_secret_costs_one_integration_and_says_what_to_create() {
    let configs = build(ROUTES, &[("pager", "no url, but K3Y")], None);
    let reasons: Vec<(&str, &str)> =
        configs.rejected.iter().map(|r| (r.object.as_str(), r.reason.as_str())).collect();
    assert_eq!(reasons[0].0, "spec.alerting.receivers[0].slack[0].apiUrl");
    assert!(
        reasons[0].1.contains("kubectl create secret generic slack --from-literal=url=URL"),
        "{}",
        reasons[0].1
    );
    assert_eq!(reasons[1].0, "spec.alerting.receivers[1].webhook[0].urlSecret");
    assert!(reasons[1].1.contains("holds no URL") && !reasons[1].1.contains("K3Y"));
    let config = yaml(&configs, Role::Alerting, "alertmanager.yaml");
    assert_eq!(*receiver(&config, "team"), json!({ "name": "team" }));
    assert_eq!(receiver(&config, "pager")["webhook_configs"].as_array().unwrap().len(), 1);
}

#[test]
fn without_routes_nobody_is_told() {
    let config = yaml(&build("{}", &[], None), Role::Alerting, "alertmanager.yaml");
    assert_eq!(config["route"]["receiver"], "null");
    let taken = build("alerting: { route: { receiver: 'null' }, receivers: [{ name: 'null' }] }", &[], None);
    let config = yaml(&taken, Role::Alerting, "alertmanager.yaml");
    assert_eq!(config["route"]["routes"][0]["receiver"], "obstack-null");
}

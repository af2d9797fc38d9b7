use serde_json::json;

use super::fixtures::{configs_of, context, plan, valid};
use super::*;
use crate::running::MAX_PARTS;

fn build(spec: &str, roles: &[Role]) -> Wanted {
    build_with(spec, roles, &context()).unwrap()
}

fn build_with(spec: &str, roles: &[Role], context: &Context) -> Result<Wanted, DesiredError> {
    let (valid, plan) = (valid(spec), plan(roles));
    let configs = configs_of(&valid, &plan, &BTreeMap::new(), context.operator_namespace.as_deref());
    desired(&valid, &plan, context, &configs)
}

fn get<'a>(wanted: &'a Wanted, kind: &str, name: &str) -> &'a Value {
    let is = |o: &&WantedObject| o.body["kind"] == kind && o.body["metadata"]["name"] == name;
    let found = wanted.objects.iter().find(is);
    &found.unwrap_or_else(|| panic!("no {kind} {name} in {:?}", names(wanted))).body
}

fn names(wanted: &Wanted) -> Vec<String> {
    let name = |o: &WantedObject| {
        let meta = &o.body["metadata"];
        format!("{}/{}/{}", o.body["kind"], meta["namespace"], meta["name"]).replace('"', "")
    };
    wanted.objects.iter().map(name).collect()
}

fn pods(wanted: &Wanted) -> impl Iterator<Item = &Value> {
    wanted.objects.iter().map(|o| &o.body["spec"]["template"]["spec"]).filter(|spec| !spec.is_null())
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().filter_map(|list| spec[list].as_array()).flatten()
}

#[test]
fn every_kind_is_owned_and_comes_before_what_needs_it() {
    let wanted = build("collection: { namespaces: ['*'] }", &Role::ALL);
    let place = |object: &WantedObject| {
        let kind = (object.body["apiVersion"].as_str().unwrap(), object.body["kind"].as_str().unwrap());
        OWNED_KINDS.iter().position(|owned| *owned == kind).unwrap_or_else(|| panic!("{kind:?}"))
    };
    let places: Vec<usize> = wanted.objects.iter().map(place).collect();
    assert!(places.is_sorted());
    let names = names(&wanted);
    let at =
        |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name} in {names:?}"));
    assert!(at("Secret/monitoring/main-metrics-a-0") < at("Secret/monitoring/main-metrics-candidate"));
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn nothing_is_built_for_what_is_not_deployed() {
    assert!(build("{}", &[]).objects.is_empty());
    let alerting = build("{}", &[Role::Alerting]);
    assert!(alerting.objects.iter().all(|o| o.component == Component::Alerting));
    get(&alerting, "StatefulSet", "main-alerting");
}

#[test]
fn the_same_input_gives_the_same_objects() {
    assert_eq!(build("{}", &Role::ALL), build("{}", &Role::ALL));
}

/// The restricted Pod Security standard, and no writable root.
#[test]
fn every_pod_is_restricted() {
    let wanted = build("{}", &Role::ALL);
    assert_eq!(pods(&wanted).count(), 3);
    for spec in pods(&wanted) {
        let security = &spec["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_ne!(security["runAsUser"], 0);
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec.get(field).is_none());
        }
        for container in containers(spec) {
            assert_eq!(
                container["securityContext"],
                json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } })
            );
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
        let allowed = ["configMap", "emptyDir", "projected", "secret"];
        for volume in spec["volumes"].as_array().unwrap() {
            assert!(allowed.iter().any(|kind| volume.get(kind).is_some()), "{volume}");
        }
    }
}

#[test]
fn accounts_have_a_token_only_where_it_is_used() {
    let wanted = build("{}", &Role::ALL);
    let token = |kind: &str, name: &str| {
        get(&wanted, kind, name)["spec"]["template"]["spec"]["automountServiceAccountToken"].clone()
    };
    assert_eq!(token("StatefulSet", "main-metrics"), true);
    assert_eq!(token("Deployment", "main-dashboards"), false);
    assert_eq!(get(&wanted, "ServiceAccount", "main-metrics")["automountServiceAccountToken"], false);
}

#[test]
fn every_mount_has_its_volume_and_every_variable_its_value() {
    for spec in pods(&build("alerting: { replicas: 3 }", &Role::ALL)) {
        let volumes: Vec<&Value> = spec["volumes"].as_array().unwrap().iter().map(|v| &v["name"]).collect();
        for container in containers(spec) {
            for mount in container["volumeMounts"].as_array().unwrap() {
                assert!(mount["name"] == "data" || volumes.contains(&&mount["name"]), "{mount}");
            }
            let used = container["args"].to_string();
            for name in used.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                let env = container["env"].as_array().unwrap();
                assert!(env.iter().any(|e| e["name"] == name), "{name}");
            }
        }
    }
}

#[test]
fn services_find_their_pods_and_ports() {
    let wanted = build("alerting: { replicas: 2 }", &Role::ALL);
    for service in wanted.objects.iter().map(|o| &o.body).filter(|o| o["kind"] == "Service") {
        let selector = service["spec"]["selector"].as_object().unwrap();
        let template = wanted
            .objects
            .iter()
            .map(|o| &o.body["spec"]["template"])
            .find(|t| selector.iter().all(|(k, v)| &t["metadata"]["labels"][k] == v))
            .unwrap_or_else(|| panic!("no pods for {}", service["metadata"]["name"]));
        let ports: Vec<&Value> = containers(&template["spec"])
            .filter_map(|c| c["ports"].as_array())
            .flatten()
            .map(|p| &p["name"])
            .collect();
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(ports.contains(&&port["targetPort"]), "{port}");
        }
    }
}

#[test]
fn a_pod_declares_every_part_of_both_slots_from_the_start() {
    let wanted = build("{}", &[Role::Metrics]);
    let spec = &get(&wanted, "StatefulSet", "main-metrics")["spec"]["template"]["spec"];
    for slot in ["a", "b"] {
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|v| v["name"] == format!("slot-{slot}")).unwrap();
        let sources = volume["projected"]["sources"].as_array().unwrap();
        assert_eq!(sources.len(), MAX_PARTS + 2);
        assert!(sources.iter().all(|s| s["secret"]["optional"] == true));
        let last = MAX_PARTS - 1;
        assert_eq!(sources[last + 2]["secret"]["name"], format!("main-metrics-{slot}-{last}"));
    }
}

#[test]
fn the_account_of_an_engine_reads_what_carries_its_configuration_and_no_other_secret() {
    let wanted = build("{}", &[Role::Metrics, Role::Alerting]);
    for role in ["metrics", "alerting"] {
        let rules = get(&wanted, "Role", &format!("main-{role}-configuration"))["rules"].clone();
        let mut names = Vec::new();
        for rule in rules.as_array().unwrap() {
            assert_eq!(rule["resources"], json!(["secrets"]));
            let of_rule = rule["resourceNames"].as_array().unwrap();
            assert!(!of_rule.is_empty(), "no names are all names");
            names.extend(of_rule.iter().map(|name| name.as_str().unwrap().to_owned()));
        }
        assert_eq!(names.len(), 4 * MAX_PARTS + 2);
        assert!(names.iter().all(|name| name.starts_with(&format!("main-{role}-"))), "{names:?}");
        let binding = get(&wanted, "RoleBinding", &format!("main-{role}-configuration"));
        assert_eq!(binding["subjects"][0]["name"], format!("main-{role}"));
    }
}

#[test]
fn an_operator_that_runs_delivers_the_configuration_by_itself() {
    let running = Context { configuration: false, ..context() };
    let wanted = build_with("{}", &[Role::Metrics], &running).unwrap();
    assert!(wanted.objects.iter().all(|object| object.body["kind"] != "Secret"));
}

#[test]
fn discovery_has_rights_where_targets_are_and_nowhere_else() {
    let narrow = names(&build("{}", &[Role::Metrics]));
    assert!(narrow.contains(&"Role/monitoring/main-metrics-discovery".into()));
    assert!(narrow.contains(&"RoleBinding/obstack-system/obstack:monitoring:main:metrics".into()));
    assert!(!narrow.iter().any(|n| n.starts_with("Cluster")));
    let some = names(&build("collection: { namespaces: [shop, monitoring] }", &[Role::Metrics]));
    assert!(some.contains(&"Role/shop/obstack:monitoring:main:metrics".into()));
    let all = names(&build("collection: { namespaces: ['*'] }", &[Role::Metrics]));
    assert!(all.contains(&"ClusterRoleBinding/null/obstack:monitoring:main:metrics".into()));
    assert!(!all.iter().any(|n| n.contains("obstack-system")), "{all:?}");
    let alone = Context { operator_namespace: None, ..context() };
    let alone = names(&build_with("{}", &[Role::Metrics], &alone).unwrap());
    assert!(!alone.iter().any(|n| n.contains("obstack-system")), "{alone:?}");
}

#[test]
fn what_lies_outside_of_the_stacks_namespace_says_whose_it_is() {
    let wanted = build("collection: { namespaces: ['*'] }", &[Role::Metrics]);
    for object in wanted.objects.iter().map(|o| &o.body["metadata"]) {
        if object["namespace"] != "monitoring" {
            assert_eq!(object["labels"]["obstack.io/stack-namespace"], "monitoring", "{object}");
            assert_eq!(object["labels"]["obstack.io/stack"], "main");
        }
    }
}

#[test]
fn replicas_are_spread_softly_and_one_may_always_go() {
    let wanted = build("environment: prod", &Role::ALL);
    assert_eq!(get(&wanted, "PodDisruptionBudget", "main-metrics")["spec"]["maxUnavailable"], 1);
    let set = get(&wanted, "StatefulSet", "main-metrics");
    assert_eq!(
        (&set["spec"]["replicas"], &set["spec"]["podManagementPolicy"]),
        (&json!(2), &json!("Parallel"))
    );
    let spec = &set["spec"]["template"]["spec"];
    assert!(
        spec["affinity"]["podAntiAffinity"].get("requiredDuringSchedulingIgnoredDuringExecution").is_none()
    );
    for spread in spec["topologySpreadConstraints"].as_array().unwrap() {
        assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway");
    }
    assert_eq!(get(&wanted, "Service", "main-metrics")["spec"]["sessionAffinity"], "ClientIP");
}

#[test]
fn alertmanagers_of_a_cluster_know_each_other_by_name() {
    let args = |spec: &str| {
        let wanted = build(spec, &[Role::Alerting]);
        get(&wanted, "StatefulSet", "main-alerting")["spec"]["template"]["spec"]["containers"][0]["args"]
            .to_string()
    };
    let pair = args("alerting: { replicas: 2 }");
    assert!(pair.contains("--cluster.peer=main-alerting-1.main-alerting-headless.monitoring.svc:9094"));
    assert!(pair.contains("--cluster.listen-address=[$(POD_IP)]:9094"));
    assert!(args("{}").contains("--cluster.listen-address=\""));
}

#[test]
fn volumes_go_or_stay_as_the_stack_says() {
    let policy = |spec: &str| {
        let wanted = build(spec, &[Role::Metrics]);
        get(&wanted, "StatefulSet", "main-metrics")["spec"]["persistentVolumeClaimRetentionPolicy"].clone()
    };
    assert_eq!(policy("{}"), json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }));
    assert_eq!(policy("deletion: { volumes: Delete }")["whenDeleted"], "Delete");
}

#[test]
fn retention_leaves_room_on_the_volume() {
    let valid = valid("requirements: { retention: 14d }");
    let flags = wanted_flags(&valid, &plan(&Role::ALL), &context(), Role::Metrics).unwrap();
    assert_eq!(flags["storage.tsdb.retention.size"], "40GiB");
    assert_eq!(flags["storage.tsdb.retention.time"], "2w");
    assert_eq!(flags["web.enable-lifecycle"], "true");
    assert!(!flags.contains_key("web.listen-address"));
    assert!(wanted_flags(&valid, &plan(&Role::ALL), &context(), Role::Alerting).unwrap().is_empty());
}

#[test]
fn every_knob_reaches_the_pod() {
    let wanted = build(
        "metrics:
  image: { repository: mirror.example/prom/prometheus, tag: v3.4.1, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000' }
  pullSecrets: [mirror]
  resources: { requests: { cpu: '2' }, limits: { memory: 9Gi } }
  nodeSelector: { disk: ssd }
  tolerations: [{ key: dedicated, operator: Exists }]
  affinity: { nodeAffinity: {} }
  topologySpread: [{ maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule }]
  priorityClass: high
  annotations: { team: a }
  labels: { team: a }
  podTemplate: { spec: { dnsPolicy: Default, containers: [{ name: prometheus, env: [{ name: X, value: '1' }] }, { name: side, image: s }] } }",
        &[Role::Metrics],
    );
    let template = &get(&wanted, "StatefulSet", "main-metrics")["spec"]["template"];
    let spec = &template["spec"];
    let image = &spec["containers"][0]["image"];
    assert!(image.as_str().unwrap().starts_with("mirror.example/prom/prometheus:v3.4.1@sha256:"), "{image}");
    assert_eq!(spec["containers"][1]["image"], *image);
    assert_eq!(spec["imagePullSecrets"][0]["name"], "mirror");
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({ "requests": { "cpu": "2" }, "limits": { "memory": "9Gi" } })
    );
    assert_eq!((&spec["nodeSelector"]["disk"], &spec["priorityClassName"]), (&json!("ssd"), &json!("high")));
    assert_eq!(spec["tolerations"][0]["key"], "dedicated");
    assert_eq!(spec["affinity"], json!({ "nodeAffinity": {} }));
    assert_eq!(spec["topologySpreadConstraints"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&template["metadata"]["annotations"]["team"], &template["metadata"]["labels"]["team"]),
        (&json!("a"), &json!("a"))
    );
    assert_eq!(spec["dnsPolicy"], "Default");
    assert_eq!(spec["containers"].as_array().unwrap().len(), 3);
    assert!(spec["containers"][0]["env"].as_array().unwrap().iter().any(|e| e["name"] == "POD_NAME"));
    assert!(spec["containers"][0]["env"].as_array().unwrap().iter().any(|e| e["name"] == "X"));
}

#[test]
fn a_patch_cannot_break_the_selector_and_a_broken_one_says_where() {
    let spec = "metrics: { podTemplate: { metadata: { labels: { obstack.io/stack: other } } } }";
    let wanted = build(spec, &[Role::Metrics]);
    let labels = &get(&wanted, "StatefulSet", "main-metrics")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["obstack.io/stack"], "main");
    let broken = "alerting: { podTemplate: { spec: { containers: [{ image: x }] } } }";
    // Validation may refuse it before.
    let Ok(valid) = std::panic::catch_unwind(|| valid(broken)) else { return };
    let configs = configs_of(&valid, &plan(&Role::ALL), &BTreeMap::new(), None);
    let error = desired(&valid, &plan(&Role::ALL), &context(), &configs).unwrap_err();
    assert!(matches!(&error, DesiredError::PodTemplate { path, .. } if path == "spec.alerting.podTemplate"));
    assert_eq!(error.class(), Class::Invalid);
}

#[test]
fn versions_are_known_where_a_tag_says_them() {
    let version = |spec: &str| wanted_version(&valid(spec), Role::Metrics);
    assert_eq!(version("{}").as_deref(), Some("3.5.0"));
    assert_eq!(version("metrics: { image: { tag: v2.53.3 } }").as_deref(), Some("2.53.3"));
    assert_eq!(version("metrics: { image: { tag: latest } }"), None);
    let digest = format!("metrics: {{ image: {{ digest: 'sha256:{}' }} }}", "0".repeat(64));
    assert_eq!(version(&digest), None);
}

#[test]
fn grafana_restarts_for_its_datasources_and_keeps_its_password() {
    let hash = |spec: &str| {
        let wanted = build(spec, &Role::ALL);
        let admin = wanted.objects.iter().find(|o| o.policy == Policy::CreateOnce).unwrap();
        assert_eq!(admin.body["metadata"]["annotations"][ANNOTATION_GENERATE], "admin-password");
        get(&wanted, "Deployment", "main-dashboards")["spec"]["template"]["metadata"]["annotations"]
            .to_string()
    };
    assert_eq!(hash("{}"), hash("rules: { disabled: [Watchdog] }"));
    assert_ne!(hash("{}"), hash("requirements: { scrapeInterval: 15s }"));
}

/// A name at the length limit still gives names that the API server takes.
#[test]
fn every_name_fits() {
    let mut valid = valid("{}");
    valid.id.name = "a".repeat(obstack_crds::MAX_STACK_NAME);
    valid.id.namespace = "n".repeat(63);
    let configs = configs_of(&valid, &plan(&Role::ALL), &BTreeMap::new(), None);
    for object in desired(&valid, &plan(&Role::ALL), &context(), &configs).unwrap().objects {
        let (kind, name) =
            (object.body["kind"].as_str().unwrap(), object.body["metadata"]["name"].as_str().unwrap());
        let limit = match kind {
            "Service" => 63,
            // The hash of the revision, with its dash, becomes a label value with the name.
            "StatefulSet" | "Deployment" => 52,
            _ => 253,
        };
        assert!(name.len() <= limit, "{kind} {name}");
        for value in object.body["metadata"]["labels"].as_object().unwrap().values() {
            assert!(value.as_str().unwrap().len() <= 63);
        }
    }
}

/// An object as the API server returns it.
fn served(body: &Value) -> kube::api::DynamicObject {
    serde_json::from_value(body.clone()).unwrap()
}

/// What is there already decides what cannot change: an upgrade of the operator restarts no engine, and a
/// new size does not make the API server refuse everything else.
#[test]
fn a_running_workload_keeps_its_claim_and_its_reloader() {
    let first = build("{}", &[Role::Metrics]);
    let mut running = get(&first, "StatefulSet", "main-metrics").clone();
    // As the API server returns it.
    running["spec"]["volumeClaimTemplates"][0]["spec"]["volumeMode"] = json!("Filesystem");
    running["spec"]["volumeClaimTemplates"][0]["status"] = json!({ "phase": "Pending" });
    running["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = json!("10Gi");
    let pinned = first.objects.iter().filter_map(|o| Pinned::of(&served(&o.body))).count();
    assert_eq!((pinned, first.rejected.len()), (1, 0));
    let (role, pinned) = Pinned::of(&served(&running)).unwrap();
    let newer = Context {
        operator_image: "ghcr.io/obstack/obstack:9.9.9".into(),
        pinned: BTreeMap::from([(role, pinned)]),
        ..context()
    };
    let second = build_with("environment: prod", &[Role::Metrics], &newer).unwrap();
    let set = get(&second, "StatefulSet", "main-metrics");
    let claim = &set["spec"]["volumeClaimTemplates"][0];
    assert_eq!(claim["spec"], running["spec"]["volumeClaimTemplates"][0]["spec"]);
    assert_eq!(claim.get("status"), None);
    assert_eq!(
        set["spec"]["template"]["spec"]["initContainers"][0]["image"],
        "ghcr.io/obstack/obstack:0.1.0"
    );
    assert!(
        set["spec"]["template"]["spec"]["containers"][0]["args"].to_string().contains("retention.size=8GiB")
    );
    assert_eq!(second.rejected.len(), 1);
    assert!(second.rejected[0].reason.contains("have 10Gi") && second.rejected[0].reason.contains("50Gi"));
}

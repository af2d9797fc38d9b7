//! Create, read, update, patch, delete; dry runs; no-op writes; error bodies; selectors.

use crate::harness::{config_map, deployment, pod, start, version};
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn writes_that_change_nothing_change_nothing() {
    let api = start().await;
    let created = api.post(MAPS, config_map("a", json!({"k": "v"}))).await.ok();
    let before = api.handle.resource_version();
    let path = format!("{MAPS}/a");
    let same = api.put(&path, created.clone()).await.ok();
    assert_eq!(same, created);
    assert_eq!(api.merge(&path, json!({"data": {"k": "v"}})).await.ok(), created);
    assert_eq!(api.strategic(&path, json!({"metadata": {"labels": null}})).await.ok(), created);
    let replaced = api.json(&path, json!([{"op": "replace", "path": "/data/k", "value": "v"}])).await.ok();
    assert_eq!(replaced, created);
    assert_eq!(api.handle.resource_version(), before);
    let changed = api.merge(&path, json!({"data": {"k": "w"}})).await.ok();
    assert!(version(&changed) > before);
    let audit = api.handle.audit_since(0);
    let of_a: Vec<(String, u16, bool)> = audit
        .iter()
        .filter(|e| e.request.resource == "configmaps" && e.request.is_mutating())
        .map(|e| (e.request.verb.clone(), e.code, e.changed))
        .collect();
    let wanted = [
        ("create", 201, true),
        ("update", 200, false),
        ("patch", 200, false),
        ("patch", 200, false),
        ("patch", 200, false),
        ("patch", 200, true),
    ];
    assert_eq!(of_a, wanted.map(|(verb, code, changed)| (verb.to_owned(), code, changed)));
}

#[tokio::test]
async fn a_dry_run_answers_like_the_write_and_keeps_nothing() {
    let api = start().await;
    let before = api.handle.resource_version();
    let answer = api.post(&format!("{MAPS}?dryRun=All"), config_map("a", json!({"k": "v"}))).await;
    assert_eq!(answer.code, 201);
    assert!(!answer.body["metadata"]["uid"].as_str().unwrap().is_empty());
    assert!(answer.body["metadata"].get("resourceVersion").is_none());
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 404);
    let created = api.post(MAPS, config_map("a", json!({"k": "v"}))).await.ok();
    let changed = api.merge(&format!("{MAPS}/a?dryRun=All"), json!({"data": {"k": "w"}})).await.ok();
    assert_eq!(changed["data"]["k"], "w");
    api.delete(&format!("{MAPS}/a?dryRun=All")).await.ok();
    assert_eq!(api.get(&format!("{MAPS}/a")).await.ok(), created);
    assert_eq!(api.handle.resource_version(), before + 1);
    let message = api.post(&format!("{MAPS}?dryRun=Some"), config_map("b", json!({}))).await.error(400);
    assert!(message.contains("dryRun"), "{message}");
}

#[tokio::test]
async fn errors_carry_the_status_of_a_real_server() {
    let api = start().await;
    let path = format!("{MAPS}/a");
    let missing = api.get(&path).await;
    assert_eq!(missing.body["reason"], "NotFound");
    assert_eq!(missing.body["details"], json!({"name": "a", "kind": "configmaps"}));
    assert_eq!(missing.error(404), "configmaps \"a\" not found");

    let created = api.post(MAPS, config_map("a", json!({"k": "v"}))).await.ok();
    let again = api.post(MAPS, config_map("a", json!({}))).await;
    assert_eq!(again.body["reason"], "AlreadyExists");
    assert_eq!(again.error(409), "configmaps \"a\" already exists");

    let mut stale = created.clone();
    api.merge(&path, json!({"data": {"k": "w"}})).await.ok();
    stale["data"]["k"] = "x".into();
    let conflict = api.put(&path, stale).await;
    assert_eq!(conflict.body["reason"], "Conflict");
    assert_eq!(
        conflict.error(409),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your \
         changes to the latest version and try again"
    );

    let message =
        api.post("/api/v1/namespaces/nowhere/configmaps", config_map("a", json!({}))).await.error(404);
    assert_eq!(message, "namespaces \"nowhere\" not found");
    let message = api.get("/apis/example.com/v1/things").await.error(404);
    assert_eq!(message, "the server could not find the requested resource");

    let invalid = api.post(MAPS, config_map("Not_A_Name", json!({}))).await;
    assert_eq!(invalid.body["details"]["causes"][0]["reason"], "FieldValueInvalid");
    assert_eq!(invalid.body["details"]["causes"][0]["field"], "metadata.name");
    let message = invalid.error(422);
    assert!(
        message.starts_with("ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value:"),
        "{message}"
    );

    let message = api.post("/api/v1/namespaces/default/pods/x/exec", json!({})).await.error(501);
    assert_eq!(message, "the sandbox does not serve pods/exec");
}

#[tokio::test]
async fn unknown_fields_warn_or_fail_as_asked() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let mut body = deployment("a");
    body["spec"]["nonsense"] = 1.into();
    body["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    let message = api.post(&format!("{path}?fieldValidation=Strict"), body.clone()).await.error(400);
    assert_eq!(
        message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \
         \"spec.nonsense\", unknown field \"spec.template.spec.containers[0].imag\""
    );
    let answer = api.post(&format!("{path}?fieldValidation=Warn"), body).await;
    assert_eq!(answer.code, 201);
    assert_eq!(
        answer.warnings,
        [
            "299 - \"unknown field \\\"spec.nonsense\\\"\"",
            "299 - \"unknown field \\\"spec.template.spec.containers[0].imag\\\"\"",
        ]
    );
    assert!(answer.body["spec"].get("nonsense").is_none());
    let mut wrong = deployment("b");
    wrong["spec"]["replicas"] = "many".into();
    let message = api.post(path, wrong).await.error(400);
    assert!(message.contains("cannot unmarshal string into Go struct field spec.replicas"), "{message}");
}

#[tokio::test]
async fn generate_name_status_scale_and_generation() {
    let api = start().await;
    let mut body = config_map("", json!({}));
    body["metadata"] = json!({"generateName": "part-"});
    let name = api.post(MAPS, body).await.ok()["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("part-") && name.len() == 10, "{name}");

    let path = "/apis/apps/v1/namespaces/default/deployments";
    let mut body = deployment("a");
    body["status"] = json!({"replicas": 7});
    let created = api.post(path, body).await.ok();
    assert_eq!(created["status"], json!({}), "a create cannot set a status");
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["spec"]["replicas"], 1);
    let path = format!("{path}/a");
    let labelled = api.merge(&path, json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let status = json!({"status": {"replicas": 1, "observedGeneration": 1}, "spec": {"replicas": 5}});
    let with_status = api.merge(&format!("{path}/status"), status).await.ok();
    assert_eq!(with_status["status"]["replicas"], 1);
    assert_eq!(with_status["spec"]["replicas"], 1, "a status write cannot change the spec");
    assert_eq!(with_status["metadata"]["generation"], 1);
    let scaled = api.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!(scaled["kind"], "Scale");
    assert_eq!(scaled["spec"]["replicas"], 3);
    assert_eq!(scaled["status"], json!({"replicas": 1, "selector": "app=a"}));
    let after = api.get(&path).await.ok();
    assert_eq!(after["metadata"]["generation"], 2);
    assert_eq!(after["status"]["replicas"], 1);
    let ignored = api.merge(&path, json!({"status": {"replicas": 9}})).await.ok();
    assert_eq!(ignored, after);
}

#[tokio::test]
async fn stateful_sets_refuse_what_may_not_change() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/statefulsets";
    let mut body = deployment("a");
    body["kind"] = "StatefulSet".into();
    body["spec"]["serviceName"] = "a".into();
    api.post(path, body).await.ok();
    let path = format!("{path}/a");
    let refused = api.merge(&path, json!({"spec": {"serviceName": "b"}})).await;
    assert_eq!(refused.body["reason"], "Invalid");
    assert_eq!(
        refused.error(422),
        "StatefulSet.apps \"a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
         'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', \
         'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    );
    api.merge(&path, json!({"spec": {"replicas": 2}})).await.ok();
}

#[tokio::test]
async fn services_get_an_address_and_keep_it() {
    let api = start().await;
    let path = "/api/v1/namespaces/default/services";
    let service = |name: &str, ip: Option<&str>| {
        let mut body = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
        });
        if let Some(ip) = ip {
            body["spec"]["clusterIP"] = ip.into();
        }
        body
    };
    let first = api.post(path, service("a", None)).await.ok();
    let address = first["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127.43."), "{address}");
    assert_eq!(first["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
    let second = api.post(path, service("b", None)).await.ok();
    assert_ne!(second["spec"]["clusterIP"], first["spec"]["clusterIP"]);
    let headless = api.post(path, service("c", Some("None"))).await.ok();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    api.post(path, service("d", Some(&address))).await.error(422);
    let kept = api.put(&format!("{path}/a"), service("a", None)).await.ok();
    assert_eq!(kept, first, "an update without the address keeps it and changes nothing");
    api.merge(&format!("{path}/a"), json!({"spec": {"clusterIP": "127.43.9.9"}})).await.error(422);
}

#[tokio::test]
async fn strategic_patches_know_the_keys_of_lists() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    api.post(path, deployment("a")).await.ok();
    let path = format!("{path}/a");
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "registry/side:1"},
        {"name": "main", "env": [{"name": "A", "value": "1"}]},
    ]}}}});
    let patched = api.strategic(&path, patch).await.ok();
    let containers = patched["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let names: Vec<&str> = containers.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["main", "side"]);
    assert_eq!(containers[0]["image"], "registry/app:1");
    assert_eq!(containers[0]["env"][0]["value"], "1");
    let patch =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    let patched = api.strategic(&path, patch).await.ok();
    assert_eq!(patched["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_select_limit_and_continue() {
    let api = start().await;
    for (name, labels) in [
        ("a", json!({"tier": "web", "env": "prod"})),
        ("b", json!({"tier": "db"})),
        ("c", json!({"tier": "web", "env": "dev"})),
        ("d", json!({})),
    ] {
        let mut body = config_map(name, json!({}));
        body["metadata"]["labels"] = labels;
        api.post(MAPS, body).await.ok();
    }
    let names = async |query: &str| {
        let list = api.get(&format!("{MAPS}?{query}")).await.ok();
        let items = list["items"].as_array().unwrap().clone();
        let names: Vec<String> =
            items.iter().map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.into_iter().filter(|n| n != "kube-root-ca.crt").collect::<Vec<_>>().join(",")
    };
    for (query, wanted) in [
        ("labelSelector=tier%3Dweb", "a,c"),
        ("labelSelector=tier!%3Dweb", "b,d"),
        ("labelSelector=tier%20in%20(web,db)", "a,b,c"),
        ("labelSelector=tier%20notin%20(web),tier", "b"),
        ("labelSelector=!tier", "d"),
        ("labelSelector=env", "a,c"),
        ("labelSelector=tier%3Dweb,env%3Ddev", "c"),
        ("fieldSelector=metadata.name%3Db", "b"),
        ("fieldSelector=metadata.name!%3Db", "a,c,d"),
        ("fieldSelector=metadata.namespace%3Dother", ""),
    ] {
        assert_eq!(names(query).await, wanted, "{query}");
    }
    let message = api.get(&format!("{MAPS}?fieldSelector=spec.foo%3Db")).await.error(400);
    assert_eq!(message, "field label not supported: spec.foo");

    let first = api.get(&format!("{MAPS}?limit=2")).await.ok();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let second = api.get(&format!("{MAPS}?limit=9&continue={token}")).await.ok();
    assert_eq!(second["items"].as_array().unwrap().len(), 3);
    assert!(second["metadata"].get("continue").is_none());
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    api.post(MAPS, config_map("e", json!({}))).await.ok();
    api.handle.compact();
    let gone = api.get(&format!("{MAPS}?limit=9&continue={token}")).await;
    assert_eq!(gone.body["reason"], "Expired");
    gone.error(410);
}

#[tokio::test]
async fn pods_are_admitted_and_go_gracefully() {
    let api = start().await;
    let path = "/api/v1/namespaces/default/pods";
    let created = api.post(path, pod("a")).await.ok();
    let spec = &created["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(created["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(spec["volumes"][0]["name"], mount["name"]);
    let path = format!("{path}/a");
    let bound = json!({"target": {"kind": "Node", "name": "n"}});
    api.post(&format!("{path}/binding"), bound).await.ok();
    let going = api.delete(&path).await.ok();
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(api.get(&path).await.code, 200);
    api.send("DELETE", &path, "application/json", Some(&json!({"gracePeriodSeconds": 0}))).await.ok();
    assert_eq!(api.get(&path).await.code, 404);

    let mut other = pod("b");
    other["spec"]["serviceAccountName"] = "nobody".into();
    let message = api.post("/api/v1/namespaces/default/pods", other).await.error(403);
    assert_eq!(
        message,
        "pods \"b\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not \
         found"
    );
}

#[tokio::test]
async fn finalizers_and_preconditions_hold_back_a_deletion() {
    let api = start().await;
    let mut body = config_map("a", json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let created = api.post(MAPS, body).await.ok();
    let path = format!("{MAPS}/a");
    let options = json!({"preconditions": {"uid": "another"}});
    let message = api.send("DELETE", &path, "application/json", Some(&options)).await.error(409);
    assert!(message.contains("Precondition failed: UID in precondition: another"), "{message}");
    let marked = api.delete(&path).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["uid"], created["metadata"]["uid"]);
    let before = api.handle.resource_version();
    assert_eq!(api.delete(&path).await.ok()["metadata"], marked["metadata"]);
    assert_eq!(api.handle.resource_version(), before, "a second deletion changes nothing");
    let message =
        api.merge(&path, json!({"metadata": {"finalizers": ["example.com/other"]}})).await.error(422);
    assert!(message.contains("no new finalizers can be added"), "{message}");
    api.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(api.get(&path).await.code, 404);
}

#[tokio::test]
async fn tokens_of_accounts_work_and_end_with_the_account() {
    let api = start().await;
    let path = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    api.post(path, account).await.ok();
    let request = json!({"spec": {"expirationSeconds": 3600}});
    let answer = api.post(&format!("{path}/a/token"), request).await.ok();
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let review = json!({"spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let status = api.post(reviews, review).await.ok()["status"].clone();
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:a");

    let kubeconfig = api.handle.kubeconfig_for_account("default", "a");
    let client = crate::harness::client(&kubeconfig).await;
    client.apiserver_version().await.unwrap();
    assert_eq!(api.handle.audit_since(0).last().unwrap().request.user, "system:serviceaccount:default:a");
    api.delete(&format!("{path}/a")).await.ok();
    let error = client.apiserver_version().await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 401), "{error}");
}

#[tokio::test]
async fn quantities_and_times_are_kept_in_canonical_form() {
    let api = start().await;
    let mut body = deployment("a");
    let limits = json!({"cpu": 0.5, "memory": "1024Mi"});
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": limits});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let created = api.post(path, body.clone()).await.ok();
    let resources = &created["spec"]["template"]["spec"]["containers"][0]["resources"];
    assert_eq!(resources["limits"], json!({"cpu": "500m", "memory": "1Gi"}));
    assert_eq!(resources["requests"], resources["limits"]);
    let before = api.handle.resource_version();
    api.merge(
        &format!("{path}/a"),
        json!({"spec": {"template": {"spec": body["spec"]["template"]["spec"]}}}),
    )
    .await
    .ok();
    assert_eq!(api.handle.resource_version(), before, "the same amount in other words is no change");
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "much".into();
    let message = api.put(&format!("{path}/a"), body).await.error(400);
    assert!(message.contains("quantities must match"), "{message}");

    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"renewTime": "2026-01-02T03:04:05.123456789+01:00"},
    });
    let created = api.post("/apis/coordination.k8s.io/v1/namespaces/default/leases", lease).await.ok();
    assert_eq!(created["spec"]["renewTime"], "2026-01-02T02:04:05.123456Z");
}

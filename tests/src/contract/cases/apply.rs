//! Server-side apply: what it sets, what it removes, lists, refusals.

use super::prelude::*;
use obstack_sandbox::raw::APPLY;

cases! { "apply":
    an_apply_creates_what_is_missing,
    an_apply_owns_what_it_sets_and_nothing_else,
    the_same_apply_again_changes_nothing,
    what_a_manager_no_longer_sets_goes_unless_others_own_it,
    items_of_lists_are_told_apart_by_their_keys,
    a_default_is_part_of_a_key,
    an_injected_container_stays,
    an_item_that_is_no_longer_set_goes_with_its_defaults,
    sets_are_shared_item_by_item,
    an_atomic_list_has_one_owner,
    an_atomic_map_has_one_owner,
    a_field_released_by_its_last_owner_falls_back_to_its_default,
    bad_applies_are_refused,
    an_apply_of_fields_that_nobody_knows_is_refused,
    a_dry_run_of_an_apply_keeps_nothing,
    an_apply_can_name_a_version_and_a_uid,
    an_apply_to_a_custom_resource,
    values_in_other_words_are_no_change,
}

fn map(data: Value) -> Value {
    config_map("a", data)
}

fn with_containers(containers: Value) -> Value {
    let mut body = deployment("a");
    // Nothing is started for it, so that no controller writes in between.
    body["spec"]["replicas"] = 0.into();
    body["spec"]["paused"] = true.into();
    body["spec"]["template"]["spec"]["containers"] = containers;
    body
}

fn names_of(object: &Value) -> Vec<String> {
    let list = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    list.map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn an_apply_creates_what_is_missing(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let created = s.apply(&path, "one", map(json!({"k": "v"}))).await?.code(201)?;
    let entry = json!({
        "manager": "one", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}}, "time": created["metadata"]["managedFields"][0]["time"],
    });
    is(&created["metadata"]["managedFields"], &json!([entry]))?;
    s.apply(&path, "one", map(json!({"k": "w"}))).await?.code(200)?;
    Ok(())
}

async fn an_apply_owns_what_it_sets_and_nothing_else(s: &Scope) -> Outcome {
    let mut body = deployment("a");
    body["kind"] = "StatefulSet".into();
    body["spec"]["serviceName"] = "a".into();
    body["spec"]["replicas"] = 0.into();
    let created = s.apply(&s.at("apps/v1", "statefulsets/a"), "one", body).await?.code(201)?;
    is(
        fields(&created, "one", "Apply"),
        &json!({"f:spec": {
            "f:replicas": {}, "f:selector": {}, "f:serviceName": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}, "f:name": {}}}},
            },
        }}),
    )?;
    is(&created["spec"]["podManagementPolicy"], "OrderedReady")?;
    is(created["metadata"]["managedFields"].as_array().map(Vec::len), Some(1))
}

async fn the_same_apply_again_changes_nothing(s: &Scope) -> Outcome {
    let path = s.at("v1", "services/a");
    let created = s.apply(&path, "one", service("a")).await?.ok()?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    is(s.apply(&path, "one", service("a")).await?.ok()?, created.clone())?;
    is(s.force(&path, "one", service("a")).await?.ok()?, created.clone())?;
    is(s.get(&path).await?.ok()?, created)
}

async fn what_a_manager_no_longer_sets_goes_unless_others_own_it(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1", "c": "1"}))).await?.ok()?;
    s.apply(&path, "two", map(json!({"b": "1", "d": "2"}))).await?.ok()?;
    s.merge(&format!("{path}?fieldManager=three"), json!({"data": {"e": "3"}})).await?.ok()?;
    let after = s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    is(&after["data"], &json!({"a": "1", "b": "1", "d": "2", "e": "3"}))?;
    is(fields(&after, "one", "Apply"), &json!({"f:data": {"f:a": {}}}))?;
    is(fields(&after, "two", "Apply"), &json!({"f:data": {"f:b": {}, "f:d": {}}}))?;
    is(fields(&after, "three", "Update"), &json!({"f:data": {"f:e": {}}}))?;
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let after = s.apply(&path, "two", bare).await?.ok()?;
    is(&after["data"], &json!({"a": "1", "e": "3"}))?;
    is(fields(&after, "two", "Apply"), &Value::Null)
}

async fn items_of_lists_are_told_apart_by_their_keys(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let main = json!({"name": "main", "image": "registry/app:1"});
    let extra = json!({"name": "extra", "image": "registry/extra:1"});
    s.apply(&path, "one", with_containers(json!([main]))).await?.ok()?;
    let ordered = s.apply(&path, "one", with_containers(json!([extra, main]))).await?.ok()?;
    is(names_of(&ordered), ["extra", "main"])?;
    let without = s.apply(&path, "one", with_containers(json!([main]))).await?.ok()?;
    is(names_of(&without), ["main"])
}

async fn a_default_is_part_of_a_key(s: &Scope) -> Outcome {
    let main = json!({"name": "main", "image": "registry/app:1", "ports": [{"containerPort": 80}]});
    let created =
        s.apply(&s.at("apps/v1", "deployments/a"), "one", with_containers(json!([main]))).await?.ok()?;
    let owned = &fields(&created, "one", "Apply")["f:spec"]["f:template"]["f:spec"]["f:containers"];
    is(
        &owned["k:{\"name\":\"main\"}"]["f:ports"],
        &json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}),
    )
}

async fn an_injected_container_stays(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let main = json!({"name": "main", "image": "registry/app:1"});
    let side = json!({"name": "side", "image": "registry/side:1"});
    s.apply(&path, "one", with_containers(json!([main]))).await?.ok()?;
    let mesh = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [side]}}},
    });
    is(names_of(&s.apply(&path, "mesh", mesh).await?.ok()?), ["main", "side"])?;
    is(names_of(&s.apply(&path, "one", with_containers(json!([main]))).await?.ok()?), ["main", "side"])
}

async fn an_item_that_is_no_longer_set_goes_with_its_defaults(s: &Scope) -> Outcome {
    let path = s.at("v1", "services/a");
    let with = |ports: Value| {
        let mut body = service("a");
        body["spec"]["ports"] = ports;
        body
    };
    let (http, https) = (json!({"name": "http", "port": 80}), json!({"name": "https", "port": 443}));
    s.apply(&path, "one", with(json!([http, https]))).await?.ok()?;
    let after = s.apply(&path, "one", with(json!([https]))).await?.ok()?;
    is(
        &after["spec"]["ports"],
        &json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 443}]),
    )
}

async fn sets_are_shared_item_by_item(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let with = |finalizers: Value| {
        let metadata = json!({"name": "a", "finalizers": finalizers});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    };
    s.apply(&path, "one", with(json!(["x/a", "x/b"]))).await?.ok()?;
    let both = s.apply(&path, "two", with(json!(["x/c"]))).await?.ok()?;
    is(&both["metadata"]["finalizers"], &json!(["x/a", "x/b", "x/c"]))?;
    is(
        fields(&both, "one", "Apply"),
        &json!({"f:metadata": {"f:finalizers": {"v:\"x/a\"": {}, "v:\"x/b\"": {}}}}),
    )?;
    let less = s.apply(&path, "one", with(json!(["x/b"]))).await?.ok()?;
    is(&less["metadata"]["finalizers"], &json!(["x/b", "x/c"]))?;
    s.merge(&path, json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn an_atomic_list_has_one_owner(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let with =
        |args: Value| with_containers(json!([{"name": "main", "image": "registry/app:1", "args": args}]));
    s.apply(&path, "one", with(json!(["a"]))).await?.ok()?;
    let refused = s.apply(&path, "two", with(json!(["a", "b"]))).await?.error(409)?;
    is(
        refused,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"main\"].args",
    )
}

async fn an_atomic_map_has_one_owner(s: &Scope) -> Outcome {
    let path = s.at("v1", "services/a");
    let with = |selector: Value| {
        let mut body = service("a");
        body["spec"]["selector"] = selector;
        body
    };
    s.apply(&path, "one", with(json!({"a": "b"}))).await?.ok()?;
    let refused = s.apply(&path, "two", with(json!({"c": "d"}))).await?.error(409)?;
    is(refused, "Apply failed with 1 conflict: conflict with \"one\": .spec.selector")?;
    let taken = s.force(&path, "two", with(json!({"c": "d"}))).await?.ok()?;
    is(&taken["spec"]["selector"], &json!({"c": "d"}))
}

async fn a_field_released_by_its_last_owner_falls_back_to_its_default(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let main = json!([{"name": "main", "image": "registry/app:1"}]);
    let mut body = with_containers(main.clone());
    body["spec"]["revisionHistoryLimit"] = 4.into();
    body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5.into();
    let first = s.apply(&path, "one", body).await?.ok()?;
    is(&first["metadata"]["generation"], 1)?;
    let second = s.apply(&path, "one", with_containers(main)).await?.ok()?;
    is(&second["spec"]["revisionHistoryLimit"], 10)?;
    is(&second["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30)?;
    is(&second["metadata"]["generation"], 2)
}

async fn bad_applies_are_refused(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let mut other = map(json!({}));
    other["metadata"]["name"] = "b".into();
    let mut managed = map(json!({}));
    managed["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]);
    let nothing = json!({"metadata": {"name": "a"}});
    let long = "m".repeat(129);
    let answers = json!({
        "no manager": brief(&s.send("PATCH", &path, APPLY, Some(&map(json!({})))).await?),
        "long manager": brief(&s.apply(&path, &long, map(json!({}))).await?),
        "another name": brief(&s.apply(&path, "one", other).await?),
        "managed fields": brief(&s.apply(&path, "one", managed).await?),
        "no type": brief(&s.apply(&path, "one", nothing).await?),
        "forced merge": brief(&s.merge(&format!("{path}?force=true"), json!({})).await?),
    });
    s.expect("bad-applies", &answers)
}

async fn an_apply_of_fields_that_nobody_knows_is_refused(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let mut unknown = deployment("a");
    unknown["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    let mut wrong = deployment("a");
    wrong["spec"]["replicas"] = "3".into();
    let mut twice = deployment("a");
    let main = twice["spec"]["template"]["spec"]["containers"][0].clone();
    twice["spec"]["template"]["spec"]["containers"] = json!([main, main]);
    let mut keyless = deployment("a");
    keyless["spec"]["template"]["spec"]["containers"] = json!([{"image": "x"}]);
    let answers = json!({
        "unknown": brief(&s.apply(&path, "one", unknown).await?),
        "wrong type": brief(&s.apply(&path, "one", wrong).await?),
        "twice": brief(&s.apply(&path, "one", twice).await?),
        "no key": brief(&s.apply(&path, "one", keyless).await?),
    });
    s.expect("untyped-applies", &answers)
}

async fn a_dry_run_of_an_apply_keeps_nothing(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let dry = format!("{path}?fieldManager=one&dryRun=All");
    s.send("PATCH", &dry, APPLY, Some(&map(json!({"a": "1"})))).await?.code(201)?;
    s.get(&path).await?.error(404)?;
    let created = s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    let answer = s.send("PATCH", &dry, APPLY, Some(&map(json!({"a": "2"})))).await?.code(200)?;
    is(&answer["data"]["a"], "2")?;
    is(s.get(&path).await?.ok()?, created)
}

async fn an_apply_can_name_a_version_and_a_uid(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let mut absent = map(json!({"a": "1"}));
    absent["metadata"]["uid"] = "11111111-2222-4333-8444-555555555555".into();
    let missing = brief(&s.apply(&path, "one", absent.clone()).await?);
    let created = s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    let mut current = map(json!({"a": "2"}));
    current["metadata"]["resourceVersion"] = version(&created).into();
    s.apply(&path, "one", current.clone()).await?.ok()?;
    current["data"]["a"] = "3".into();
    let stale = brief(&s.apply(&path, "one", current).await?);
    s.expect("apply-preconditions", &json!({"missing": missing, "stale": stale}))?;
    let other = s.apply(&path, "one", absent).await?;
    is(&other.body["details"]["causes"][0]["field"], "metadata.uid")?;
    has(&other.error(422)?, "field is immutable")
}

async fn an_apply_to_a_custom_resource(s: &Scope) -> Outcome {
    let things = super::definitions::install(s, super::definitions::rich(s)).await?;
    let path = format!("{things}/a");
    let body = |ports: Value| super::definitions::thing(s, "a", json!({"size": "small", "ports": ports}));
    let created = s.apply(&path, "one", body(json!([{"port": 1}, {"port": 2}]))).await?.code(201)?;
    let keyed = |port: u16| format!("k:{{\"port\":{port}}}");
    is(
        fields(&created, "one", "Apply"),
        &json!({"f:spec": {"f:size": {}, "f:ports": {
            keyed(1): {".": {}, "f:port": {}}, keyed(2): {".": {}, "f:port": {}},
        }}}),
    )?;
    let less = s.apply(&path, "one", body(json!([{"port": 2}]))).await?.ok()?;
    is(&less["spec"]["ports"], &json!([{"port": 2, "protocol": "TCP"}]))?;
    let same = s.apply(&path, "one", body(json!([{"port": 2}]))).await?.ok()?;
    is(version(&same), version(&less))?;
    let mut unknown = body(json!([]));
    unknown["spec"]["nonsense"] = 1.into();
    s.expect("apply-custom-unknown", &brief(&s.apply(&path, "one", unknown).await?))
}

async fn values_in_other_words_are_no_change(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments/a");
    let with = |cpu: Value, memory: &str| {
        let limits = json!({"cpu": cpu, "memory": memory});
        with_containers(json!([{"name": "main", "image": "registry/app:1", "resources": {"limits": limits}}]))
    };
    let first = s.apply(&path, "one", with(json!("500m"), "1Gi")).await?.ok()?;
    let second = s.apply(&path, "one", with(json!(0.5), "1024Mi")).await?.ok()?;
    is(&second["metadata"]["generation"], &first["metadata"]["generation"])?;
    is(&second["spec"], &first["spec"])
}

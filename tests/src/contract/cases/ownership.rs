//! Who owns which fields: conflicts, force, updates beside applies, subresources, resets.

use super::prelude::*;
use obstack_sandbox::raw::APPLY;

cases! { "ownership":
    conflicts_name_every_field_and_its_owner,
    equal_values_are_shared,
    force_takes_over,
    an_update_takes_what_it_changes,
    an_update_conflicts_with_a_later_apply,
    client_side_writes_own_what_they_change,
    an_apply_after_an_update_of_the_same_manager_has_two_entries,
    status_has_owners_of_its_own,
    a_status_in_an_applied_object_belongs_to_nobody,
    scale_has_an_owner_of_its_own,
    owned_fields_can_be_reset,
    owned_fields_survive_a_put_without_them,
    the_manager_comes_from_the_client_where_none_is_named,
    a_manager_of_the_past_is_migrated_by_a_patch,
    an_owner_that_gives_a_field_up_leaves_it_to_others,
}

fn map(data: Value) -> Value {
    config_map("a", data)
}

async fn conflicts_name_every_field_and_its_owner(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    let refused = s.apply(&path, "two", map(json!({"a": "2"}))).await?;
    is(&refused.body["reason"], "Conflict")?;
    is(
        &refused.body["details"]["causes"],
        &json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}]),
    )?;
    is(refused.error(409)?, "Apply failed with 1 conflict: conflict with \"one\": .data.a")?;
    s.apply(&path, "three", map(json!({"c": "1"}))).await?.ok()?;
    let refused = s.apply(&path, "two", map(json!({"a": "2", "b": "2", "c": "2"}))).await?;
    let mut causes = refused.body["details"]["causes"].as_array().cloned().unwrap_or_default();
    causes.sort_by_key(|cause| cause["field"].to_string());
    s.expect("apply-conflicts", &json!(causes))?;
    let message = refused.error(409)?;
    has(&message, "Apply failed with 3 conflicts: ")?;
    has(&message, "conflicts with \"one\":\n- .data.a\n- .data.b")?;
    has(&message, "conflicts with \"three\":\n- .data.c")
}

async fn equal_values_are_shared(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    let shared = s.apply(&path, "two", map(json!({"a": "1"}))).await?.ok()?;
    is(fields(&shared, "two", "Apply"), &json!({"f:data": {"f:a": {}}}))?;
    is(fields(&shared, "one", "Apply"), &json!({"f:data": {"f:a": {}, "f:b": {}}}))?;
    let refused = s.apply(&path, "one", map(json!({"a": "2", "b": "1"}))).await?.error(409)?;
    is(refused, "Apply failed with 1 conflict: conflict with \"two\": .data.a")
}

async fn force_takes_over(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    let taken = s.force(&path, "two", map(json!({"a": "2"}))).await?.ok()?;
    is(&taken["data"]["a"], "2")?;
    is(fields(&taken, "one", "Apply"), &json!({"f:data": {"f:b": {}}}))?;
    is(fields(&taken, "two", "Apply"), &json!({"f:data": {"f:a": {}}}))
}

async fn an_update_takes_what_it_changes(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    let after = s.merge(&format!("{path}?fieldManager=two"), json!({"data": {"a": "2"}})).await?.ok()?;
    is(fields(&after, "one", "Apply"), &json!({"f:data": {"f:b": {}}}))?;
    is(fields(&after, "two", "Update"), &json!({"f:data": {"f:a": {}}}))?;
    let mut whole = after;
    whole["data"] = json!({"b": "1"});
    let after = s.put(&format!("{path}?fieldManager=three"), whole).await?.ok()?;
    is(fields(&after, "two", "Update"), &Value::Null)
}

async fn an_update_conflicts_with_a_later_apply(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    s.merge(&format!("{path}?fieldManager=two"), json!({"data": {"a": "3"}})).await?.ok()?;
    let refused = s.apply(&path, "one", map(json!({"a": "1"}))).await?;
    let message = refused.error(409)?;
    has(&message, "Apply failed with 1 conflict: conflict with \"two\" using v1")?;
    has(&message, ".data.a")
}

async fn client_side_writes_own_what_they_change(s: &Scope) -> Outcome {
    let created =
        s.post(&format!("{}?fieldManager=maker", s.maps()), map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    is(fields(&created, "maker", "Update"), &json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}))?;
    let path = format!("{}/a?fieldManager=editor", s.maps());
    let after = s.merge(&path, json!({"data": {"a": "2", "b": null}})).await?.ok()?;
    is(fields(&after, "editor", "Update"), &json!({"f:data": {"f:a": {}}}))?;
    is(fields(&after, "maker", "Update"), &json!({"f:data": {}}))
}

async fn an_apply_after_an_update_of_the_same_manager_has_two_entries(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.post(&format!("{}?fieldManager=one", s.maps()), map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    let after = s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    is(fields(&after, "one", "Apply"), &json!({"f:data": {"f:a": {}}}))?;
    is(fields(&after, "one", "Update"), &json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}))?;
    // What the update still owns is not removed, nor can the apply change it.
    let after = s.apply(&path, "one", map(json!({}))).await?.ok()?;
    is(&after["data"], &json!({"a": "1", "b": "1"}))?;
    let refused = s.apply(&path, "one", map(json!({"a": "2"}))).await?;
    is(&refused.body["details"]["causes"][0]["field"], ".data.a")
}

async fn status_has_owners_of_its_own(s: &Scope) -> Outcome {
    let path = s.at("v1", "services/a");
    s.apply(&path, "one", balanced("a")).await?.ok()?;
    let status = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    });
    let after = s.apply(&format!("{path}/status"), "balancer", status).await?.ok()?;
    let entries = after["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["manager"] == "balancer").cloned().unwrap_or_default();
    is(&entry["subresource"], "status")?;
    holds(!entry["fieldsV1"]["f:status"].is_null(), "it owns the status")?;
    holds(entry["fieldsV1"].get("f:spec").is_none(), "and nothing of the spec")?;
    let again = s.apply(&path, "one", balanced("a")).await?.ok()?;
    is(&again["status"]["loadBalancer"]["ingress"][0]["ip"], "192.0.2.1")
}

async fn a_status_in_an_applied_object_belongs_to_nobody(s: &Scope) -> Outcome {
    let path = s.at("v1", "services/a");
    let mut body = service("a");
    body["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
    let applied = s.apply(&path, "one", body).await?.ok()?;
    is(&applied["status"]["loadBalancer"], &json!({}))?;
    holds(fields(&applied, "one", "Apply").get("f:status").is_none(), "its status is not owned")
}

async fn scale_has_an_owner_of_its_own(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "replicasets/a");
    let mut body = deployment("a");
    body["kind"] = "ReplicaSet".into();
    body["spec"]["replicas"] = 0.into();
    s.apply(&path, "one", body.clone()).await?.ok()?;
    s.merge(&format!("{path}/scale?fieldManager=scaler"), json!({"spec": {"replicas": 1}})).await?.ok()?;
    let after = s.get(&path).await?.ok()?;
    let entries = after["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["manager"] == "scaler").cloned().unwrap_or_default();
    is(&entry["subresource"], "scale")?;
    is(&entry["fieldsV1"], &json!({"f:spec": {"f:replicas": {}}}))?;
    let refused = s.apply(&path, "one", body).await?;
    is(&refused.body["details"]["causes"][0]["field"], ".spec.replicas")?;
    has(&refused.error(409)?, "conflict with \"scaler\"")
}

async fn owned_fields_can_be_reset(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    let reset = s.merge(&path, json!({"metadata": {"managedFields": [{}]}})).await?.ok()?;
    holds(reset["metadata"].get("managedFields").is_none(), "nobody owns anything")?;
    let after = s.apply(&path, "two", map(json!({"a": "2"}))).await?.error(409);
    has(&after?, "before-first-apply")
}

async fn owned_fields_survive_a_put_without_them(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    let created = s.apply(&path, "one", map(json!({"a": "1"}))).await?.ok()?;
    let mut whole = created.clone();
    if let Some(metadata) = whole["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    is(s.put(&path, whole).await?.ok()?, created)
}

async fn the_manager_comes_from_the_client_where_none_is_named(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), map(json!({"a": "1"}))).await?.ok()?;
    is(&created["metadata"]["managedFields"][0]["manager"], obstack_sandbox::raw::AGENT)
}

async fn a_manager_of_the_past_is_migrated_by_a_patch(s: &Scope) -> Outcome {
    // What clients do to move from updates to applies: they rewrite the entries, guarded by the version.
    let path = format!("{}/a", s.maps());
    let created = s.post(&format!("{}?fieldManager=old", s.maps()), map(json!({"a": "1"}))).await?.ok()?;
    let mut entries = created["metadata"]["managedFields"].clone();
    entries[0]["manager"] = "new".into();
    entries[0]["operation"] = "Apply".into();
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version(&created)},
    ]);
    let migrated = s.json(&path, patch).await?.ok()?;
    is(fields(&migrated, "new", "Apply"), &json!({"f:data": {".": {}, "f:a": {}}}))?;
    is(fields(&migrated, "old", "Update"), &Value::Null)?;
    let after = s.apply(&path, "new", map(json!({"b": "1"}))).await?.ok()?;
    is(&after["data"], &json!({"b": "1"}))
}

async fn an_owner_that_gives_a_field_up_leaves_it_to_others(s: &Scope) -> Outcome {
    let path = format!("{}/a", s.maps());
    s.apply(&path, "one", map(json!({"a": "1", "b": "1"}))).await?.ok()?;
    s.apply(&path, "two", map(json!({"a": "1"}))).await?.ok()?;
    let after = s.apply(&path, "one", map(json!({"b": "1"}))).await?.ok()?;
    is(&after["data"], &json!({"a": "1", "b": "1"}))?;
    let dry = format!("{path}?fieldManager=two&dryRun=All");
    let changed = s.send("PATCH", &dry, APPLY, Some(&map(json!({"a": "2"})))).await?.ok()?;
    is(&changed["data"]["a"], "2")
}

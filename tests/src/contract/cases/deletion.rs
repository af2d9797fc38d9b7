//! Deletion: answers, preconditions, finalizers, grace, namespaces.

use super::prelude::*;

cases! { "deletion":
    a_deletion_answers_with_what_was_deleted,
    a_deletion_of_some_kinds_answers_with_the_object,
    a_deletion_holds_to_its_preconditions,
    a_finalizer_holds_back_a_deletion,
    a_second_deletion_changes_nothing,
    no_finalizer_is_added_to_what_is_being_deleted,
    a_deletion_mark_cannot_be_taken_away,
    options_that_cannot_be_are_refused,
    options_come_in_the_query_too,
    a_pod_that_runs_nowhere_goes_at_once,
    a_pod_with_a_node_goes_gracefully,
    some_namespaces_stay,
    a_namespace_ends_with_all_that_it_holds,
    nothing_is_created_in_a_namespace_that_ends,
    a_name_is_free_again_after_its_deletion,
}

async fn a_deletion_answers_with_what_was_deleted(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let core = s.delete(&format!("{}/a", s.maps())).await?.code(200)?;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}});
    let leases = s.at("coordination.k8s.io/v1", "leases");
    s.post(&leases, lease).await?.ok()?;
    let grouped = s.delete(&format!("{leases}/l")).await?.code(200)?;
    s.expect("deletion-status", &json!({"core": core, "grouped": grouped}))
}

async fn a_deletion_of_some_kinds_answers_with_the_object(s: &Scope) -> Outcome {
    s.post(&s.at("v1", "services"), service("a")).await?.ok()?;
    let service = s.delete(&s.at("v1", "services/a")).await?.ok()?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    s.post(&s.at("v1", "serviceaccounts"), account).await?.ok()?;
    let account = s.delete(&s.at("v1", "serviceaccounts/a")).await?.ok()?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": ""},
    });
    s.post(&s.at("v1", "persistentvolumeclaims?dryRun=All"), claim).await?.ok()?;
    is((&service["kind"], &account["kind"]), (&json!("Service"), &json!("ServiceAccount")))
}

async fn a_deletion_holds_to_its_preconditions(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let refused = s.delete_with(&path, json!({"preconditions": {"uid": "another"}})).await?;
    is(&refused.body["reason"], "Conflict")?;
    let uid = created["metadata"]["uid"].as_str().unwrap_or_default();
    let message = refused.error(409)?;
    has(
        &message,
        &format!("the UID in the precondition (another) does not match the UID in record ({uid})"),
    )?;
    let refused = s.delete_with(&path, json!({"preconditions": {"resourceVersion": "1"}})).await?;
    has(
        &refused.error(409)?,
        "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record",
    )?;
    let right = json!({"preconditions": {"uid": uid, "resourceVersion": version(&created)}});
    s.delete_with(&path, right).await?.code(200)?;
    Ok(())
}

async fn held(s: &Scope, name: &str) -> Result<String, Failure> {
    let mut body = config_map(name, json!({}));
    body["metadata"]["finalizers"] = json!(["contract.obstack.test/hold"]);
    s.post(&s.maps(), body).await?.ok()?;
    Ok(format!("{}/{name}", s.maps()))
}

async fn release(s: &Scope, path: &str) -> Outcome {
    s.merge(path, json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(path).await
}

async fn a_finalizer_holds_back_a_deletion(s: &Scope) -> Outcome {
    let path = held(s, "a").await?;
    let marked = s.delete(&path).await?.code(200)?;
    is(&marked["kind"], "ConfigMap")?;
    holds(marked["metadata"]["deletionTimestamp"].is_string(), "it is marked")?;
    is(&marked["metadata"]["deletionGracePeriodSeconds"], 0)?;
    s.merge(&path, json!({"data": {"k": "v"}})).await?.ok()?;
    release(s, &path).await
}

async fn a_second_deletion_changes_nothing(s: &Scope) -> Outcome {
    let path = held(s, "a").await?;
    let marked = s.delete(&path).await?.ok()?;
    is(&s.delete(&path).await?.ok()?["metadata"], &marked["metadata"])?;
    is(s.get(&path).await?.ok()?, marked)?;
    release(s, &path).await
}

async fn no_finalizer_is_added_to_what_is_being_deleted(s: &Scope) -> Outcome {
    let path = held(s, "a").await?;
    s.delete(&path).await?.ok()?;
    let more =
        json!({"metadata": {"finalizers": ["contract.obstack.test/hold", "contract.obstack.test/more"]}});
    let refused = s.merge(&path, more).await?;
    s.expect("new-finalizers", &brief(&refused))?;
    release(s, &path).await
}

async fn a_deletion_mark_cannot_be_taken_away(s: &Scope) -> Outcome {
    let path = held(s, "a").await?;
    let marked = s.delete(&path).await?.ok()?;
    let patched = s.merge(&path, json!({"metadata": {"deletionTimestamp": null}})).await?;
    let after = s.get(&path).await?.ok()?;
    is(&after["metadata"]["deletionTimestamp"], &marked["metadata"]["deletionTimestamp"])?;
    patched.ok()?;
    release(s, &path).await
}

async fn options_that_cannot_be_are_refused(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let answers = json!({
        "policy": brief(&s.delete_with(&path, json!({"propagationPolicy": "Sideways"})).await?),
        "both": brief(
            &s.delete_with(&path, json!({"propagationPolicy": "Orphan", "orphanDependents": true})).await?
        ),
        "dry run": brief(&s.delete_with(&path, json!({"dryRun": ["Some"]})).await?),
    });
    s.expect("delete-options", &answers)
}

async fn options_come_in_the_query_too(s: &Scope) -> Outcome {
    let path = held(s, "a").await?;
    let going = s.delete(&format!("{path}?propagationPolicy=Foreground&gracePeriodSeconds=5")).await?.ok()?;
    let finalizers = going["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    holds(finalizers.contains(&json!("foregroundDeletion")), "it waits for its dependents")?;
    release(s, &path).await
}

async fn a_pod_that_runs_nowhere_goes_at_once(s: &Scope) -> Outcome {
    s.equipped().await?;
    let pods = s.at("v1", "pods");
    let mut body = pod("a");
    body["spec"]["schedulerName"] = "nobody".into();
    s.post(&pods, body).await?.ok()?;
    let gone = s.delete(&format!("{pods}/a")).await?.code(200)?;
    is(&gone["kind"], "Pod")?;
    s.get(&format!("{pods}/a")).await?.error(404)?;
    Ok(())
}

async fn a_pod_with_a_node_goes_gracefully(s: &Scope) -> Outcome {
    s.equipped().await?;
    let pods = s.at("v1", "pods");
    let node = format!("node-{}", s.tag);
    s.delete_later(format!("/api/v1/nodes/{node}"));
    let body = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
    s.post("/api/v1/nodes", body).await?.ok()?;
    let mut body = pod("a");
    body["spec"]["schedulerName"] = "nobody".into();
    body["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    s.post(&pods, body).await?.ok()?;
    let path = format!("{pods}/a");
    let bound = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    s.post(&format!("{path}/binding"), bound.clone()).await?.code(201)?;
    is(&s.get(&path).await?.ok()?["spec"]["nodeName"], &json!(node))?;
    let again = s.post(&format!("{path}/binding"), bound).await?;
    s.expect("bound-twice", &brief(&again))?;
    let going = s.delete(&path).await?.ok()?;
    is(&going["metadata"]["deletionGracePeriodSeconds"], 30)?;
    let sooner = s.delete_with(&path, json!({"gracePeriodSeconds": 5})).await?.ok()?;
    is(&sooner["metadata"]["deletionGracePeriodSeconds"], 5)?;
    s.delete_with(&path, json!({"gracePeriodSeconds": 0})).await?.ok()?;
    s.get(&path).await?.error(404)?;
    Ok(())
}

async fn some_namespaces_stay(s: &Scope) -> Outcome {
    let answers = json!({
        "default": brief(&s.delete("/api/v1/namespaces/default?dryRun=All").await?),
        "kube-system": brief(&s.delete("/api/v1/namespaces/kube-system?dryRun=All").await?),
    });
    s.expect("namespaces-that-stay", &answers)
}

async fn own_namespace(s: &Scope) -> Result<(String, String), Failure> {
    let name = format!("{}-own", s.tag);
    let path = format!("/api/v1/namespaces/{name}");
    s.delete_later(path.clone());
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let created = s.post("/api/v1/namespaces", body).await?.code(201)?;
    s.expect("namespace", &created)?;
    s.becomes(&format!("{path}/configmaps/kube-root-ca.crt"), "the authority's certificate", |_| true)
        .await?;
    s.becomes(&format!("{path}/serviceaccounts/default"), "the default account", |_| true).await?;
    Ok((name, path))
}

async fn a_namespace_ends_with_all_that_it_holds(s: &Scope) -> Outcome {
    let (_, path) = own_namespace(s).await?;
    let maps = format!("{path}/configmaps");
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["contract.obstack.test/hold"]);
    s.post(&maps, held).await?.ok()?;
    s.post(&maps, config_map("free", json!({}))).await?.ok()?;
    let going = s.delete(&path).await?.ok()?;
    is(&going["status"]["phase"], "Terminating")?;
    s.gone(&format!("{maps}/free")).await?;
    is(&s.get(&path).await?.ok()?["status"]["phase"], "Terminating")?;
    let waiting = |found: &Value| found["metadata"]["deletionTimestamp"].is_string();
    s.becomes(&format!("{maps}/held"), "the end of what is held", waiting).await?;
    s.merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(&path).await
}

async fn nothing_is_created_in_a_namespace_that_ends(s: &Scope) -> Outcome {
    let (name, path) = own_namespace(s).await?;
    let maps = format!("{path}/configmaps");
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["contract.obstack.test/hold"]);
    s.post(&maps, held).await?.ok()?;
    s.delete(&path).await?.ok()?;
    // The plugin that refuses learns of it by a watch.
    let refused = s
        .until("a refusal", async || {
            let answer = s.post(&format!("{maps}?dryRun=All"), config_map("late", json!({}))).await?;
            Ok((answer.code != 201).then_some(answer))
        })
        .await?;
    is(&refused.body["reason"], "Forbidden")?;
    s.expect("namespace-terminating", &brief(&refused))?;
    has(&refused.error(403)?, &name)?;
    s.merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(&path).await
}

async fn a_name_is_free_again_after_its_deletion(s: &Scope) -> Outcome {
    let first = s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    s.delete(&format!("{}/a", s.maps())).await?.ok()?;
    let second = s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    holds(first["metadata"]["uid"] != second["metadata"]["uid"], "it is another object")?;
    let mut stale = first;
    stale["metadata"]["resourceVersion"] = Value::Null;
    let refused = s.put(&format!("{}/a", s.maps()), stale).await?;
    is(&refused.body["reason"], "Conflict")?;
    has(&refused.error(409)?, "Precondition failed: UID in precondition: ")
}

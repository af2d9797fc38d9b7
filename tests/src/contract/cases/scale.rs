//! The status and scale subresources, and the generation.

use super::prelude::*;

cases! { "subresources":
    a_status_has_an_endpoint_of_its_own,
    a_change_of_the_spec_is_a_new_generation,
    scale_shows_and_sets_replicas,
    scale_refuses_what_cannot_be,
    scale_needs_its_version_where_it_names_one,
    a_custom_resource_can_be_scaled,
    subresources_that_a_kind_has_not_are_404,
}

async fn a_status_has_an_endpoint_of_its_own(s: &Scope) -> Outcome {
    let budgets = s.at("policy/v1", "poddisruptionbudgets");
    let mut body = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    body["status"] =
        json!({"expectedPods": 7, "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0});
    let created = s.post(&budgets, body).await?.ok()?;
    is(&created["status"]["expectedPods"], 0)?;
    let path = s.at("v1", "services/a");
    s.post(&s.at("v1", "services"), balanced("a")).await?.ok()?;
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let change = json!({"status": ingress, "spec": {"sessionAffinity": "ClientIP"}});
    let written = s.merge(&format!("{path}/status"), change).await?.ok()?;
    is(&written["status"]["loadBalancer"]["ingress"][0]["ip"], "192.0.2.1")?;
    is(&written["spec"]["sessionAffinity"], "None")?;
    let ignored = s.merge(&path, json!({"status": {"loadBalancer": null}})).await?.ok()?;
    is(&ignored["status"], &written["status"])?;
    is(&s.get(&format!("{path}/status")).await?.ok()?["kind"], "Service")
}

async fn a_change_of_the_spec_is_a_new_generation(s: &Scope) -> Outcome {
    let path = s.at("networking.k8s.io/v1", "networkpolicies");
    let body = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"},
        "spec": {"podSelector": {}},
    });
    is(&s.post(&path, body).await?.ok()?["metadata"]["generation"], 1)?;
    let path = format!("{path}/a");
    let labelled = s.merge(&path, json!({"metadata": {"labels": {"x": "y"}}})).await?.ok()?;
    is(&labelled["metadata"]["generation"], 1)?;
    let changed =
        s.merge(&path, json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}})).await?.ok()?;
    is(&changed["metadata"]["generation"], 2)?;
    holds(
        s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?["metadata"]["generation"].is_null(),
        "no spec",
    )
}

/// A Deployment that no controller works on in the meantime.
async fn paused(s: &Scope) -> Result<String, Failure> {
    let path = s.at("apps/v1", "replicasets");
    let mut body = deployment("a");
    body["kind"] = "ReplicaSet".into();
    body["spec"]["replicas"] = 0.into();
    s.post(&path, body).await?.ok()?;
    Ok(format!("{path}/a"))
}

async fn scale_shows_and_sets_replicas(s: &Scope) -> Outcome {
    let path = paused(s).await?;
    let scale = s.get(&format!("{path}/scale")).await?.ok()?;
    s.expect("scale", &scale)?;
    let scaled = s.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 3}})).await?.ok()?;
    is((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(3)))?;
    is(&s.get(&path).await?.ok()?["spec"]["replicas"], 3)?;
    let mut whole = scaled;
    whole["metadata"]["resourceVersion"] = Value::Null;
    whole["spec"]["replicas"] = 0.into();
    // A zero is left out.
    is(&s.put(&format!("{path}/scale"), whole).await?.ok()?["spec"], &json!({}))?;
    let patch = json!([{"op": "add", "path": "/spec/replicas", "value": 2}]);
    is(&s.json(&format!("{path}/scale"), patch).await?.ok()?["spec"]["replicas"], 2)?;
    is(&s.strategic(&format!("{path}/scale"), json!({"spec": {"replicas": 0}})).await?.ok()?["kind"], "Scale")
}

async fn scale_refuses_what_cannot_be(s: &Scope) -> Outcome {
    let path = format!("{}/scale", paused(s).await?);
    let answers = json!({
        "negative": brief(&s.merge(&path, json!({"spec": {"replicas": -1}})).await?),
        "of nothing": brief(&s.get(&s.at("apps/v1", "deployments/none/scale")).await?),
    });
    s.expect("scale-refusals", &answers)?;
    let message = s.merge(&path, json!({"spec": {"replicas": "many"}})).await?.error(422)?;
    has(&message, "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32")
}

async fn scale_needs_its_version_where_it_names_one(s: &Scope) -> Outcome {
    let path = format!("{}/scale", paused(s).await?);
    let mut scale = s.get(&path).await?.ok()?;
    scale["metadata"]["resourceVersion"] = "1".into();
    scale["spec"]["replicas"] = 1.into();
    let refused = s.put(&path, scale).await?;
    is(&refused.body["reason"], "Conflict")?;
    refused.error(409)?;
    Ok(())
}

async fn a_custom_resource_can_be_scaled(s: &Scope) -> Outcome {
    let things = super::definitions::install(s, super::definitions::rich(s)).await?;
    s.post(&things, super::definitions::thing(s, "a", json!({"size": "small"}))).await?.ok()?;
    let scaled = s.merge(&format!("{things}/a/scale"), json!({"spec": {"replicas": 3}})).await?.ok()?;
    s.expect("scale-custom", &scaled)?;
    is(&s.get(&format!("{things}/a")).await?.ok()?["spec"]["replicas"], 3)
}

async fn subresources_that_a_kind_has_not_are_404(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    s.get(&format!("{}/a/status", s.maps())).await?.error(404)?;
    s.get(&format!("{}/a/scale", s.maps())).await?.error(404)?;
    s.get(&s.at("apps/v1", "daemonsets/a/scale")).await?.error(404)?;
    Ok(())
}

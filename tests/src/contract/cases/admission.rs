//! What admission adds to objects and refuses.

use super::prelude::*;

cases! { "admission":
    pods_get_what_their_account_gives,
    pods_need_their_account,
    a_pod_can_do_without_a_token,
    the_priority_of_a_pod_comes_from_its_class,
    a_claim_gets_no_class_where_it_asks_for_none,
    claims_are_protected_while_they_are_used differs "nothing protects a claim that a pod uses",
    an_eviction_removes_a_pod,
    a_budget_holds_back_an_eviction,
}

fn waiting(name: &str) -> Value {
    let mut body = pod(name);
    body["metadata"]["labels"] = json!({"app": name});
    body["spec"]["schedulerName"] = "nobody".into();
    body
}

async fn pods_get_what_their_account_gives(s: &Scope) -> Outcome {
    s.equipped().await?;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"},
        "imagePullSecrets": [{"name": "pull"}],
    });
    s.post(&s.at("v1", "serviceaccounts"), account).await?.ok()?;
    let mut body = waiting("a");
    body["spec"]["serviceAccountName"] = "a".into();
    let created = s
        .until("the account to be known", async || {
            let answer = s.post(&s.at("v1", "pods"), body.clone()).await?;
            if answer.code == 403 { Ok(None) } else { answer.ok().map(Some) }
        })
        .await?;
    s.expect("pod-admitted", &created)
}

async fn pods_need_their_account(s: &Scope) -> Outcome {
    s.equipped().await?;
    let mut body = waiting("b");
    body["spec"]["serviceAccountName"] = "nobody".into();
    s.expect("pod-without-account", &brief(&s.post(&s.at("v1", "pods"), body).await?))
}

async fn a_pod_can_do_without_a_token(s: &Scope) -> Outcome {
    s.equipped().await?;
    let mut body = waiting("a");
    body["spec"]["automountServiceAccountToken"] = false.into();
    let created = s.post(&s.at("v1", "pods"), body).await?.ok()?;
    is(created["spec"].get("volumes"), None::<&Value>)?;
    is(created["spec"]["containers"][0].get("volumeMounts"), None::<&Value>)
}

async fn the_priority_of_a_pod_comes_from_its_class(s: &Scope) -> Outcome {
    s.equipped().await?;
    let name = format!("priority-{}", s.tag);
    s.delete_later(format!("/apis/scheduling.k8s.io/v1/priorityclasses/{name}"));
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7,
    });
    s.post("/apis/scheduling.k8s.io/v1/priorityclasses", class).await?.ok()?;
    let mut body = waiting("a");
    body["spec"]["priorityClassName"] = name.into();
    let created = s
        .until("the class to be known", async || {
            let answer = s.post(&s.at("v1", "pods"), body.clone()).await?;
            if answer.code == 403 { Ok(None) } else { answer.ok().map(Some) }
        })
        .await?;
    is(&created["spec"]["priority"], 7)?;
    let mut other = waiting("b");
    other["spec"]["priorityClassName"] = "nothing".into();
    s.expect("pod-without-priority-class", &brief(&s.post(&s.at("v1", "pods"), other).await?))
}

async fn a_claim_gets_no_class_where_it_asks_for_none(s: &Scope) -> Outcome {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": ""},
    });
    let created = s.post(&s.at("v1", "persistentvolumeclaims"), claim).await?.ok()?;
    s.expect("claim", &without_finalizers(created))
}

fn without_finalizers(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("finalizers");
    }
    object
}

async fn claims_are_protected_while_they_are_used(s: &Scope) -> Outcome {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": ""},
    });
    let created = s.post(&s.at("v1", "persistentvolumeclaims"), claim).await?.ok()?;
    is(&created["metadata"]["finalizers"], &json!(["kubernetes.io/pvc-protection"]))
}

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
}

async fn an_eviction_removes_a_pod(s: &Scope) -> Outcome {
    s.equipped().await?;
    let pods = s.at("v1", "pods");
    s.post(&pods, waiting("a")).await?.ok()?;
    let answer = s.post(&format!("{pods}/a/eviction"), eviction("a")).await?.code(201)?;
    s.expect("eviction", &answer)?;
    s.gone(&format!("{pods}/a")).await?;
    let missing = s.post(&format!("{pods}/a/eviction"), eviction("a")).await?;
    s.expect("eviction-of-nothing", &brief(&missing))
}

async fn a_budget_holds_back_an_eviction(s: &Scope) -> Outcome {
    s.equipped().await?;
    let pods = s.at("v1", "pods");
    let budgets = s.at("policy/v1", "poddisruptionbudgets");
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "minAvailable": 1},
    });
    s.post(&budgets, budget).await?.ok()?;
    s.post(&pods, waiting("a")).await?.ok()?;
    // It runs, as far as its status says: pending pods are never protected.
    let running =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    s.strategic(&format!("{pods}/a/status"), running).await?.ok()?;
    let refused = s
        .until("a refusal", async || {
            let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1,
                "desiredHealthy": 1, "expectedPods": 1}});
            s.merge(&format!("{budgets}/a/status"), status).await?;
            let answer = s.post(&format!("{pods}/a/eviction?dryRun=All"), eviction("a")).await?;
            Ok((answer.code == 429).then_some(answer))
        })
        .await?;
    is(&refused.body["details"]["causes"][0]["reason"], "DisruptionBudget")?;
    is(refused.error(429)?, "Cannot evict pod as it would violate the pod's disruption budget.")
}

//! Workloads and Services: what may not change, what must fit together.

use super::prelude::*;
use obstack_sandbox::raw::Answer;

cases! { "built-in kinds":
    stateful_sets_refuse_what_may_not_change,
    selectors_of_workloads_may_not_change,
    workloads_are_validated,
    jobs_are_validated_and_keep_their_template,
    pods_are_validated_and_keep_their_spec,
    services_get_an_address_and_keep_it,
    services_are_validated,
    an_external_name_has_no_address,
    quantities_are_kept_in_canonical_form,
    validation_goes_into_every_corner
        differs "values that depend on others, and some forms of texts and quantities, are not checked",
}

fn stateful_set(name: &str) -> Value {
    let mut body = deployment(name);
    body["kind"] = "StatefulSet".into();
    body["spec"]["serviceName"] = name.into();
    body["spec"]["replicas"] = 0.into();
    body
}

/// The object with a value at a pointer.
pub(super) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    let mut at = &mut object;
    for part in parent.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    at[name] = value;
    object
}

/// What creating each variant of an object is answered, as a dry run; by what was changed in it.
pub(super) async fn judged(
    s: &Scope,
    path: &str,
    base: &Value,
    changes: &[(&str, Value)],
) -> Result<Value, Failure> {
    let mut found = serde_json::Map::new();
    for (pointer, value) in changes {
        let answer =
            s.post(&format!("{path}?dryRun=All"), with(base.clone(), pointer, value.clone())).await?;
        found.insert(format!("{pointer} {value}"), causes(&answer));
    }
    Ok(Value::Object(found))
}

/// Code and causes. Where a message shows a whole value as the server's structs are printed, that is left out.
pub(super) fn causes(answer: &Answer) -> Value {
    let mut causes = answer.body["details"]["causes"].clone();
    for cause in causes.as_array_mut().into_iter().flatten() {
        let text = cause["message"].as_str().unwrap_or_default();
        if let (Some((kind, rest)), true) = (text.split_once(" value: "), text.contains(" value: {")) {
            let why = rest.rsplit_once("}").map_or("", |(_, why)| why);
            cause["message"] = format!("{kind} value{why}").into();
        }
    }
    json!({"code": answer.code, "causes": causes})
}

async fn stateful_sets_refuse_what_may_not_change(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "statefulsets");
    s.post(&path, stateful_set("a")).await?.ok()?;
    let path = format!("{path}/a");
    let refused = s.merge(&path, json!({"spec": {"serviceName": "b"}})).await?;
    s.expect("stateful-set-immutable", &brief(&refused))?;
    s.merge(&path, json!({"spec": {"minReadySeconds": 2}})).await?.ok()?;
    Ok(())
}

async fn selectors_of_workloads_may_not_change(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for (kind, plural) in
        [("Deployment", "deployments"), ("DaemonSet", "daemonsets"), ("ReplicaSet", "replicasets")]
    {
        let mut body = deployment("a");
        body["kind"] = kind.into();
        if kind != "DaemonSet" {
            body["spec"]["replicas"] = 0.into();
        }
        let path = s.at("apps/v1", plural);
        s.post(&path, body).await?.ok()?;
        let labels = json!({"app": "b"});
        let change = json!({"spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}},
        }});
        found.insert(kind.to_owned(), brief(&s.merge(&format!("{path}/a"), change).await?));
    }
    s.expect("selectors-immutable", &Value::Object(found))
}

async fn workloads_are_validated(s: &Scope) -> Outcome {
    let container = "/spec/template/spec/containers/0";
    let at = |field: &str| format!("{container}/{field}");
    let (name, image, mounts, ports, pull) =
        (at("name"), at("image"), at("volumeMounts"), at("ports"), at("imagePullPolicy"));
    let changes = [
        ("/spec/selector", Value::Null),
        ("/spec/selector", json!({})),
        ("/spec/selector", json!({"matchLabels": {"app": "other"}})),
        ("/spec/replicas", json!(-1)),
        ("/spec/template/spec/containers", json!([])),
        ("/spec/template/spec/restartPolicy", json!("Never")),
        (name.as_str(), json!("Main")),
        (image.as_str(), json!("")),
        (mounts.as_str(), json!([{"name": "none", "mountPath": "/x"}])),
        (ports.as_str(), json!([{"containerPort": 0}])),
        (ports.as_str(), json!([{"containerPort": 70000}])),
        (pull.as_str(), json!("Sometimes")),
    ];
    let found = judged(s, &s.at("apps/v1", "deployments"), &deployment("a"), &changes).await?;
    s.expect("deployment-validation", &found)?;
    let changes = [
        ("/spec/selector", Value::Null),
        ("/spec/replicas", json!(-1)),
        ("/spec/podManagementPolicy", json!("Random")),
    ];
    let found = judged(s, &s.at("apps/v1", "statefulsets"), &stateful_set("a"), &changes).await?;
    s.expect("stateful-set-validation", &found)
}

fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "registry/app:1"}],
        }}},
    })
}

async fn jobs_are_validated_and_keep_their_template(s: &Scope) -> Outcome {
    let path = s.at("batch/v1", "jobs");
    let changes = [
        ("/spec/template/spec/restartPolicy", json!("Always")),
        ("/spec/parallelism", json!(-1)),
        ("/spec/completions", json!(-1)),
        ("/spec/backoffLimit", json!(-1)),
    ];
    s.expect("job-validation", &judged(s, &path, &job("a"), &changes).await?)?;
    s.post(&path, job("a")).await?.ok()?;
    let answers = json!({
        "completions": brief(&s.merge(&format!("{path}/a"), json!({"spec": {"completions": 7}})).await?),
        "mode": brief(&s.merge(&format!("{path}/a"), json!({"spec": {"completionMode": "Indexed"}})).await?),
    });
    s.expect("job-immutable", &answers)?;
    s.merge(&format!("{path}/a"), json!({"spec": {"parallelism": 2}})).await?.ok()?;
    Ok(())
}

async fn pods_are_validated_and_keep_their_spec(s: &Scope) -> Outcome {
    s.equipped().await?;
    let path = s.at("v1", "pods");
    let changes = [
        ("/spec/containers", json!([])),
        ("/spec/containers/0/name", json!("Main")),
        ("/spec/containers/0/image", json!("")),
        ("/spec/containers/0/volumeMounts", json!([{"name": "none", "mountPath": "/x"}])),
        ("/spec/containers/0/env", json!([{"name": ""}])),
        ("/spec/restartPolicy", json!("Sometimes")),
        ("/spec/volumes", json!([{"name": "a"}, {"name": "a"}])),
        ("/spec/containers/0/livenessProbe", json!({})),
    ];
    s.expect("pod-validation", &judged(s, &path, &pod("a"), &changes).await?)?;
    let mut body = pod("a");
    body["spec"]["schedulerName"] = "nobody".into();
    s.post(&path, body).await?.ok()?;
    let refused = s.merge(&format!("{path}/a"), json!({"spec": {"restartPolicy": "Never"}})).await?;
    is(&refused.body["reason"], "Invalid")?;
    is(&refused.body["details"]["causes"][0]["field"], "spec")?;
    has(
        &refused.error(422)?,
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
    )?;
    let image = json!({"spec": {"containers": [{"name": "main", "image": "registry/app:2"}]}});
    is(&s.strategic(&format!("{path}/a"), image).await?.ok()?["metadata"]["generation"], 2)
}

async fn services_get_an_address_and_keep_it(s: &Scope) -> Outcome {
    let path = s.at("v1", "services");
    let first = s.post(&path, service("a")).await?.ok()?;
    let address = first["spec"]["clusterIP"].clone();
    is(&first["spec"]["clusterIPs"], &json!([address]))?;
    is(
        &s.put(&format!("{path}/a"), with(service("a"), "/spec/sessionAffinity", json!("None")))
            .await?
            .ok()?["spec"]["clusterIP"],
        &address,
    )?;
    let refused =
        s.merge(&format!("{path}/a"), json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}})).await?;
    is(&refused.body["details"]["causes"][0]["field"], "spec.clusterIPs[0]")?;
    has(&refused.error(422)?, "may not change once set")?;
    let taken = s.post(&path, with(service("b"), "/spec/clusterIP", address)).await?;
    is(&taken.body["details"]["causes"][0]["field"], "spec.clusterIPs")?;
    has(&taken.error(422)?, "failed to allocate IP")?;
    let headless = s.post(&path, with(service("c"), "/spec/clusterIP", json!("None"))).await?.ok()?;
    s.expect("service-headless", &headless)
}

async fn services_are_validated(s: &Scope) -> Outcome {
    let changes = [
        ("/spec/ports", json!([])),
        ("/spec/ports", json!([{"port": 0}])),
        ("/spec/ports", json!([{"port": 80}, {"port": 81}])),
        ("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
        ("/spec/ports/0/protocol", json!("ICMP")),
        ("/spec/type", json!("Sideways")),
        ("/spec/sessionAffinity", json!("Never")),
    ];
    let found = judged(s, &s.at("v1", "services"), &service("a"), &changes).await?;
    s.expect("service-validation", &found)
}

async fn an_external_name_has_no_address(s: &Scope) -> Outcome {
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"type": "ExternalName", "externalName": "example.com"},
    });
    let created = s.post(&s.at("v1", "services"), body).await?.ok()?;
    s.expect("service-external-name", &created)
}

async fn quantities_are_kept_in_canonical_form(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "statefulsets");
    let resources = "/spec/template/spec/containers/0/resources";
    let mut found = serde_json::Map::new();
    for text in [
        json!("0.5"),
        json!(0.5),
        json!("1000m"),
        json!("1024Mi"),
        json!("1024Ki"),
        json!("1e3"),
        json!("1E3"),
        json!("1.5Gi"),
        json!("100M"),
        json!("0"),
        json!("1500000u"),
        json!("12345678901234567890"),
        json!("much"),
        json!("1 Gi"),
        json!(""),
    ] {
        let body = with(stateful_set("a"), resources, json!({"requests": {"memory": text}}));
        let answer = s.post(&format!("{path}?dryRun=All"), body).await?;
        let kept = answer.body.pointer(resources).cloned().unwrap_or_else(|| brief(&answer));
        found.insert(text.to_string(), kept);
    }
    s.expect("quantities", &Value::Object(found))?;
    let body = with(stateful_set("a"), resources, json!({"limits": {"cpu": 0.5, "memory": "1024Mi"}}));
    let created = s.post(&path, body).await?.ok()?;
    let kept = created.pointer(resources).cloned().unwrap_or_default();
    is(&kept["limits"], &json!({"cpu": "500m", "memory": "1Gi"}))?;
    // The pod that is made of it will request what it is limited to; the template does not.
    is(kept.get("requests"), None::<&Value>)
}

async fn validation_goes_into_every_corner(s: &Scope) -> Outcome {
    let container = "/spec/template/spec/containers/0/resources";
    for (path, base, changes) in [
        (
            s.at("apps/v1", "statefulsets"),
            stateful_set("a"),
            vec![
                (container, json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})),
                (container, json!({"requests": {"cpu": "-1"}})),
            ],
        ),
        (
            s.at("v1", "services"),
            service("a"),
            vec![
                ("/spec/clusterIP", json!("nonsense")),
                ("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}])),
                ("/spec/ports/0/targetPort", json!("not a port")),
            ],
        ),
    ] {
        for (pointer, value) in changes {
            s.post(&format!("{path}?dryRun=All"), with(base.clone(), pointer, value)).await?.error(422)?;
        }
    }
    Ok(())
}

//! What is served, and how a client learns of it.

use super::prelude::*;
use kube::Discovery;

cases! { "discovery":
    the_version_is_told,
    health_is_told,
    the_core_group_is_told,
    a_group_is_told,
    resources_are_told_with_their_verbs,
    discovery_in_both_forms_names_the_same,
    aggregated_resources_have_their_subresources,
    open_api_lists_every_group,
    open_api_describes_custom_resources,
    open_api_describes_built_in_kinds differs "the sandbox shows its defaults and no patch strategies",
}

async fn the_version_is_told(s: &Scope) -> Outcome {
    let version = s.get("/version").await?.code(200)?;
    is(&version["major"], "1")?;
    holds(version["gitVersion"].as_str().is_some_and(|v| v.starts_with("v1.")), &version)
}

async fn health_is_told(s: &Scope) -> Outcome {
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = s.get(path).await?;
        is((answer.code, answer.text.as_str()), (200, "ok"))?;
    }
    Ok(())
}

async fn the_core_group_is_told(s: &Scope) -> Outcome {
    let found = s.get("/api").await?.code(200)?;
    is((&found["kind"], &found["versions"]), (&json!("APIVersions"), &json!(["v1"])))
}

async fn a_group_is_told(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for group in
        ["apps", "batch", "policy", "rbac.authorization.k8s.io", "coordination.k8s.io", "events.k8s.io"]
    {
        found.insert(
            group.to_owned(),
            s.get(&format!("/apis/{group}")).await?.ok()?["preferredVersion"].clone(),
        );
    }
    s.expect("groups", &Value::Object(found))?;
    let apps = s.get("/apis/apps").await?.ok()?;
    s.expect("group-apps", &apps)?;
    s.get("/apis/none.contract.obstack.test").await?.code(404)?;
    Ok(())
}

/// What obstack, its engines and everyday clients ask for, by group and version.
const RESOURCES: &[(&str, &[&str])] = &[
    (
        "/api/v1",
        &[
            "configmaps",
            "endpoints",
            "events",
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "secrets",
            "serviceaccounts",
            "services",
            "namespaces/status",
            "pods/status",
            "pods/log",
            "pods/eviction",
            "pods/binding",
            "serviceaccounts/token",
            "services/status",
            "nodes/status",
        ],
    ),
    (
        "/apis/apps/v1",
        &[
            "controllerrevisions",
            "daemonsets",
            "deployments",
            "replicasets",
            "statefulsets",
            "deployments/scale",
            "deployments/status",
            "statefulsets/scale",
            "statefulsets/status",
            "replicasets/scale",
            "daemonsets/status",
        ],
    ),
    ("/apis/batch/v1", &["jobs", "cronjobs", "jobs/status"]),
    ("/apis/coordination.k8s.io/v1", &["leases"]),
    ("/apis/discovery.k8s.io/v1", &["endpointslices"]),
    ("/apis/policy/v1", &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    ("/apis/rbac.authorization.k8s.io/v1", &["roles", "rolebindings", "clusterroles", "clusterrolebindings"]),
    ("/apis/networking.k8s.io/v1", &["ingresses", "networkpolicies"]),
    ("/apis/storage.k8s.io/v1", &["storageclasses"]),
    ("/apis/apiextensions.k8s.io/v1", &["customresourcedefinitions", "customresourcedefinitions/status"]),
    ("/apis/authorization.k8s.io/v1", &["selfsubjectaccessreviews", "subjectaccessreviews"]),
    ("/apis/authentication.k8s.io/v1", &["tokenreviews", "selfsubjectreviews"]),
    ("/apis/events.k8s.io/v1", &["events"]),
];

async fn resources_are_told_with_their_verbs(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for (path, wanted) in RESOURCES {
        let list = s.get(path).await?.ok()?;
        for resource in list["resources"].as_array().into_iter().flatten() {
            let name = resource["name"].as_str().unwrap_or_default();
            if wanted.contains(&name) {
                let mut resource = resource.clone();
                // A hash of how it is stored, which is an affair of the server.
                if let Some(map) = resource.as_object_mut() {
                    map.remove("storageVersionHash");
                }
                found.insert(format!("{path}/{name}"), resource);
            }
        }
    }
    s.expect("resources", &Value::Object(found))
}

async fn discovery_in_both_forms_names_the_same(s: &Scope) -> Outcome {
    super::definitions::install(s, super::definitions::rich(s)).await?;
    let group = super::definitions::group(s);
    let names = |discovery: &Discovery| {
        let of = |group: &kube::discovery::ApiGroup| -> Vec<String> {
            group
                .recommended_resources()
                .into_iter()
                .map(|(r, _)| format!("{}/{}", r.group, r.plural))
                .collect()
        };
        let mut names: Vec<String> = discovery.groups().flat_map(of).collect();
        // Other cases define and remove theirs in between.
        names.retain(|name| !name.contains("contract.obstack.test") || name.starts_with(&group));
        names.sort();
        names
    };
    // The aggregated form follows some moments later.
    let wanted = format!("{group}/things");
    s.until("both forms to agree", async || {
        let plain = Discovery::new(s.client()).run().await;
        let aggregated = Discovery::new(s.client()).run_aggregated().await;
        // A group that another case removes in between is an error of the plain form.
        let (Ok(plain), Ok(aggregated)) = (plain, aggregated) else { return Ok(None) };
        let (plain, aggregated) = (names(&plain), names(&aggregated));
        Ok((plain == aggregated && plain.contains(&wanted)).then_some(()))
    })
    .await
}

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

async fn aggregated_resources_have_their_subresources(s: &Scope) -> Outcome {
    let answer = s.get_as("/apis", AGGREGATED).await?;
    has(&answer.content_type, "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")?;
    let groups = answer.ok()?;
    let group = |name: &str| {
        let items = groups["items"].as_array().into_iter().flatten();
        items.into_iter().find(|item| item["metadata"]["name"] == name).cloned().unwrap_or_default()
    };
    let mut apps = group("apps");
    if let Some(metadata) = apps["metadata"].as_object_mut() {
        metadata.remove("creationTimestamp");
    }
    s.expect("aggregated-apps", &apps)?;
    let core = s.get_as("/api", AGGREGATED).await?.ok()?;
    let resources = core["items"][0]["versions"][0]["resources"].as_array().cloned().unwrap_or_default();
    let wanted = ["configmaps", "secrets", "serviceaccounts", "namespaces", "events"];
    let found: Vec<Value> =
        resources.into_iter().filter(|r| wanted.iter().any(|name| r["resource"] == *name)).collect();
    s.expect("aggregated-core", &json!(found))
}

async fn open_api_lists_every_group(s: &Scope) -> Outcome {
    let index = s.get("/openapi/v3").await?.ok()?;
    for path in ["api/v1", "apis/apps/v1", "apis/batch/v1", "apis/policy/v1", "apis/coordination.k8s.io/v1"] {
        let url = index["paths"][path]["serverRelativeURL"].as_str().unwrap_or_default();
        holds(url.starts_with(&format!("/openapi/v3/{path}")), format!("{path}: {url}"))?;
        s.get(url).await?.code(200)?;
    }
    Ok(())
}

async fn open_api_describes_custom_resources(s: &Scope) -> Outcome {
    super::definitions::install(s, super::definitions::rich(s)).await?;
    let group = super::definitions::group(s);
    let path = format!("/openapi/v3/apis/{group}/v1");
    let found = s
        .until("the description", async || {
            let answer = s.get(&path).await?;
            let schemas = answer.body["components"]["schemas"].as_object().cloned().unwrap_or_default();
            let thing = schemas.into_iter().find(|(name, _)| name.ends_with(".Thing"));
            Ok(thing.filter(|_| answer.code == 200))
        })
        .await?;
    let (_, schema) = found;
    is(
        &schema["x-kubernetes-group-version-kind"],
        &json!([{"group": group, "kind": "Thing", "version": "v1"}]),
    )?;
    s.expect("open-api-custom", &schema["properties"]["spec"])
}

async fn open_api_describes_built_in_kinds(s: &Scope) -> Outcome {
    let document = s.get("/openapi/v3/apis/apps/v1").await?.ok()?;
    let schemas = &document["components"]["schemas"];
    s.expect("open-api-deployment", &schemas["io.k8s.api.apps.v1.DeploymentSpec"])?;
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    holds(paths.contains_key("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), "it has paths")
}

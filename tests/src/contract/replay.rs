//! Requests of the shapes that real clients send, to fixtures of this case, and what both servers answer.

use super::cases::install_ours;
use super::failure::{Check, Failure};
use super::objects::{config_map, deployment, pod, service};
use super::shapes::{Shape, kept};
use super::{Outcome, Scope};
use obstack_sandbox::raw::{APPLY, Ask, JSON_PATCH};
use serde_json::{Map, Value, json};

/// Format of typed clients in Go.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Sends every kept shape of a client that is taken, and compares codes and kinds of the answers.
pub(super) async fn client(s: &Scope, client: &str, name: &str, takes: impl Fn(&Shape) -> bool) -> Outcome {
    install_ours(s).await?;
    s.equipped().await?;
    let shapes = kept().remove(client).unwrap_or_default();
    let mut found = Map::new();
    for (index, shape) in shapes.iter().filter(|shape| takes(shape)).enumerate() {
        let answer = one(s, shape, &format!("r{index}")).await.map_err(|mut failure| {
            failure.what = format!("{shape}\n{}", failure.what);
            failure
        })?;
        found.insert(shape.to_string(), answer);
    }
    s.expect(&format!("requests-{name}"), &Value::Object(found))
}

/// How often an update is tried that meets a conflict.
const UPDATES: u32 = 5;

/// Group and version, plural and subresource of a path; none where it is no resource's.
fn resource(path: &str) -> Option<(String, String, String)> {
    let mut parts = path.split('/').skip(1);
    let api_version = match (parts.next()?, parts.next()?) {
        ("api", version) => version.to_owned(),
        ("apis", group) => format!("{group}/{}", parts.next()?),
        _ => return None,
    };
    let rest: Vec<&str> = parts.filter(|part| *part != "{namespace}").collect();
    let rest = match rest.as_slice() {
        ["namespaces", plural, rest @ ..] if *plural != "{name}" => [&[*plural], rest].concat(),
        rest => rest.to_vec(),
    };
    let plural = (*rest.first()?).to_owned();
    Some((api_version, plural, rest.get(2).map(|sub| (*sub).to_owned()).unwrap_or_default()))
}

async fn one(s: &Scope, shape: &Shape, short: &str) -> Result<Value, Failure> {
    let Some((api_version, plural, subresource)) = resource(&shape.path) else {
        let mut path = target(s, shape, short);
        if shape.parameters.iter().any(|parameter| parameter == "hash") {
            // The hash comes from the index, whatever the version of the document.
            let index = s.get("/openapi/v3").await?.ok()?;
            let document = shape.path.trim_start_matches("/openapi/v3/");
            let url = index["paths"][document]["serverRelativeURL"].as_str().unwrap_or_default();
            let hash = url.split_once("hash=").map_or("", |(_, hash)| hash);
            path = path.replace("hash=true", &format!("hash={hash}"));
        }
        let answer = send(s, shape, &path, Vec::new()).await?;
        return Ok(json!({"code": answer.0}));
    };
    let namespaced = shape.path.contains("{namespace}");
    let name = if namespaced { short.to_owned() } else { format!("{}-{short}", s.tag) };
    let object = fixture(s, &api_version, &plural, &name);
    let collection =
        shape.path.split("/{name}").next().unwrap_or_default().replace("{namespace}", &s.namespace);
    if shape.path.contains("{name}") {
        let made = s.post(&collection, object.clone()).await?;
        if made.code < 300 && !namespaced {
            s.delete_later(format!("{collection}/{name}"));
        }
    } else if !namespaced && shape.verb == "create" {
        s.delete_later(format!("{collection}/{name}"));
    }
    let path = target(s, shape, &name);
    if shape.verb == "watch" {
        s.watch_as(&path, &shape.accept).await?;
        return Ok(json!({"code": 200}));
    }
    let mut attempts = 0;
    let (code, kind) = loop {
        let body = body(s, shape, &object, &collection, &name, &subresource).await?;
        let answer = send(s, shape, &path, body).await?;
        attempts += 1;
        // A controller may have written the object since it was read: then a client reads it again.
        if answer.0 != 409 || shape.verb != "update" || attempts == UPDATES {
            break answer;
        }
    };
    Ok(if shape.accept.starts_with(PROTOBUF) {
        json!({"code": code})
    } else {
        json!({"code": code, "kind": kind})
    })
}

/// Path and query of a request, with values for what the shape leaves open.
fn target(s: &Scope, shape: &Shape, name: &str) -> String {
    let path = shape.path.replace("{namespace}", &s.namespace).replace("{name}", name);
    let values = shape.parameters.iter().map(|parameter| {
        let value = match parameter.as_str() {
            "fieldManager" => "replay",
            "dryRun" => "All",
            "fieldValidation" => "Strict",
            "labelSelector" => "app%3Da",
            "fieldSelector" if path.ends_with("/events") => "involvedObject.name%3Da",
            "fieldSelector" => "metadata.name%3Da",
            "limit" => "500",
            "resourceVersion" => "0",
            "timeoutSeconds" => "5",
            "timeout" => "32s",
            "resourceVersionMatch" => "NotOlderThan",
            "propagationPolicy" => "Background",
            "gracePeriodSeconds" => "0",
            "container" => "main",
            "includeObject" => "Object",
            "tailLines" => "1",
            "follow" | "previous" | "timestamps" => "false",
            _ => "true",
        };
        format!("{parameter}={value}")
    });
    let query = values.collect::<Vec<_>>().join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

async fn send(s: &Scope, shape: &Shape, path: &str, body: Vec<u8>) -> Result<(u16, Value), Failure> {
    let method = match shape.verb.as_str() {
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        "head" => "HEAD",
        _ => "GET",
    };
    let headers = [("accept", shape.accept.as_str()), ("content-type", shape.content_type.as_str())];
    let answer = s.ask(Ask { method, path, headers: &headers, body }).await?;
    if answer.code >= 500 && answer.code != 501 {
        return Err(Failure::new(format!("{} {}", answer.code, answer.text)));
    }
    Ok((answer.code, answer.body["kind"].clone()))
}

async fn body(
    s: &Scope,
    shape: &Shape,
    object: &Value,
    collection: &str,
    name: &str,
    subresource: &str,
) -> Result<Vec<u8>, Failure> {
    let kind = shape.content_type.as_str();
    let value = match shape.verb.as_str() {
        "create" => match subresource {
            "token" => json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}),
            "eviction" => json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}),
            "binding" => json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": {"kind": "Node", "name": "none"},
            }),
            _ => object.clone(),
        },
        "update" => {
            let at = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
            s.get(&format!("{collection}/{name}{at}")).await?.ok()?
        }
        "patch" if kind == APPLY => {
            json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {"name": name}})
        }
        "patch" if kind == JSON_PATCH => json!([{"op": "test", "path": "/kind", "value": object["kind"]}]),
        "patch" => json!({"metadata": {"annotations": {"replayed": "yes"}}}),
        "delete" | "deletecollection" if !kind.is_empty() => {
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})
        }
        _ => return Ok(Vec::new()),
    };
    if kind.starts_with(PROTOBUF) {
        return Ok(protobuf(&value));
    }
    Ok(value.to_string().into_bytes())
}

/// The envelope of an object in protobuf, with little more than its name.
fn protobuf(object: &Value) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short text");
        assert!(length < 128, "one byte of length");
        [&[(number << 3) | 2, length], content].concat()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
    let types = [field(1, &text(&object["apiVersion"])), field(2, &text(&object["kind"]))].concat();
    let name = text(&object["metadata"]["name"]);
    let attributes = &object["spec"]["resourceAttributes"];
    let raw = if attributes.is_object() {
        // The spec of an access review: a verb and a resource.
        let attributes = [field(2, &text(&attributes["verb"])), field(5, &text(&attributes["resource"]))];
        field(2, &field(1, &attributes.concat()))
    } else {
        field(1, &field(1, &name))
    };
    [b"k8s\0".to_vec(), field(1, &types), field(2, &raw)].concat()
}

/// An object of a kind, as small as it may be.
fn fixture(s: &Scope, api_version: &str, plural: &str, name: &str) -> Value {
    let typed = |kind: &str, rest: Value| {
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        for (field, value) in rest.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        object
    };
    let workload = |kind: &str, more: Value| {
        let mut object = deployment(name);
        object["kind"] = kind.into();
        for (field, value) in more.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        object
    };
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    match plural {
        "configmaps" => config_map(name, json!({})),
        "pods" => {
            let mut object = pod(name);
            object["spec"]["schedulerName"] = "nobody".into();
            object
        }
        "services" => service(name),
        "deployments" => workload("Deployment", json!({"replicas": 0})),
        "replicasets" => workload("ReplicaSet", json!({"replicas": 0})),
        "statefulsets" => workload("StatefulSet", json!({"replicas": 0, "serviceName": "a"})),
        "daemonsets" => workload("DaemonSet", json!({})),
        "controllerrevisions" => typed("ControllerRevision", json!({"revision": 1, "data": {}})),
        "secrets" => typed("Secret", json!({})),
        "serviceaccounts" => typed("ServiceAccount", json!({})),
        "namespaces" => typed("Namespace", json!({})),
        "nodes" => typed("Node", json!({})),
        "leases" => typed("Lease", json!({"spec": {"holderIdentity": "a"}})),
        "roles" => typed("Role", json!({"rules": []})),
        "clusterroles" => typed("ClusterRole", json!({"rules": []})),
        "rolebindings" => typed("RoleBinding", json!({"roleRef": role})),
        "clusterrolebindings" => typed("ClusterRoleBinding", json!({"roleRef": role})),
        "storageclasses" => typed("StorageClass", json!({"provisioner": "contract.obstack.test/none"})),
        "events" if api_version == "v1" => typed(
            "Event",
            json!({"involvedObject": {"namespace": s.namespace}, "firstTimestamp": "2026-01-02T03:04:05Z"}),
        ),
        "events" => typed(
            "Event",
            json!({
                "regarding": {"namespace": s.namespace}, "type": "Normal",
                "eventTime": "2026-01-02T03:04:05.000006Z",
                "reportingController": "contract.obstack.test/a", "reportingInstance": "a", "action": "A",
                "reason": "A",
            }),
        ),
        "endpointslices" => typed("EndpointSlice", json!({"addressType": "IPv4", "endpoints": []})),
        "jobs" => typed(
            "Job",
            json!({"spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": "registry/app:1"}]}}}}),
        ),
        "persistentvolumeclaims" => typed(
            "PersistentVolumeClaim",
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                "resources": {"requests": {"storage": "1Gi"}}}}),
        ),
        "persistentvolumes" => typed(
            "PersistentVolume",
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/x"}}}),
        ),
        "poddisruptionbudgets" => typed(
            "PodDisruptionBudget",
            json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "a"}}}}),
        ),
        "decisionrecords" => typed("DecisionRecord", json!({})),
        "observabilitystacks" => typed("ObservabilityStack", json!({"spec": {}})),
        "tokenreviews" => typed("TokenReview", json!({"spec": {"token": "nonsense"}})),
        "selfsubjectreviews" => typed("SelfSubjectReview", json!({})),
        "selfsubjectrulesreviews" => {
            typed("SelfSubjectRulesReview", json!({"spec": {"namespace": s.namespace}}))
        }
        "selfsubjectaccessreviews" => typed(
            "SelfSubjectAccessReview",
            json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        ),
        "subjectaccessreviews" => typed(
            "SubjectAccessReview",
            json!({"spec": {"user": "a", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        ),
        other => typed(other, json!({})),
    }
}

//! What `up --demo` waits for and prints: stacks that are Ready as far as this machine has binaries, and where
//! they are reached.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

const STACK: &str = "obstack.io/stack";
const ROLE: &str = "obstack.io/role";
/// Components that have pods, and the role that their pods are labelled with.
const ROLES: &[(&str, &str)] =
    &[("metricsStore", "metrics"), ("alerting", "alerting"), ("dashboards", "dashboards")];

/// How the stacks of the cluster stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What is not Ready although it could be: one line each. Empty when the demo is ready.
    pub waiting: Vec<String>,
    /// Components that have no binary on this machine: one line each.
    pub without_binary: Vec<String>,
}

/// Addresses that a person opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Prometheus, with its path prefix.
    pub prometheus: Option<String>,
    /// Alertmanager, with its path prefix.
    pub alertmanager: Option<String>,
    /// The operator's page of decisions.
    pub decisions: Option<String>,
}

/// Looks at all stacks.
///
/// # Errors
/// The server's answer.
pub async fn standing(client: &Client) -> Result<Standing, kube::Error> {
    let kind = GroupVersionKind::gvk("obstack.io", "v1alpha1", "ObservabilityStack");
    let resource = ApiResource::from_gvk(&kind);
    let stacks: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = pods.list(&ListParams::default().labels(STACK)).await?.items;
    let mut standing = Standing::default();
    for stack in stacks.list(&ListParams::default()).await?.items {
        judge(&stack, &pods, &mut standing);
    }
    Ok(standing)
}

fn judge(stack: &DynamicObject, pods: &[Pod], standing: &mut Standing) {
    let name = format!("{}/{}", stack.namespace().unwrap_or_default(), stack.name_any());
    let observed = stack.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let components = stack.data.pointer("/status/components").and_then(Value::as_array);
    let Some(components) = components.filter(|_| observed.is_some() && observed == stack.metadata.generation)
    else {
        standing.waiting.push(format!("{name}: the operator has not said anything yet"));
        return;
    };
    for component in components {
        let (id, state) = (text(component, "component"), text(component, "state"));
        if state == "Ready" {
            continue;
        }
        let role = ROLES.iter().find(|(known, _)| *known == id).map(|(_, role)| *role);
        let missing = pods
            .iter()
            .filter(|pod| pod.namespace() == stack.namespace())
            .filter(|pod| pod.labels().get(STACK) == Some(&stack.name_any()))
            .filter(|pod| role.is_some() && pod.labels().get(ROLE).map(String::as_str) == role)
            .find_map(missing_binary);
        match missing {
            Some(message) => standing.without_binary.push(format!("{name}: {id}: {message}")),
            None => {
                let message = text(component, "message");
                standing.waiting.push(format!("{name}: {id} is {state} {message}").trim_end().to_owned());
            }
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What the kubelet says where a pod's image has no binary here.
fn missing_binary(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(status.container_statuses.iter()).flatten();
    all.filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find(|waiting| waiting.reason.as_deref() == Some("ErrImagePull"))
        .and_then(|waiting| waiting.message.clone())
}

/// Lets everybody who reaches the operator read its decisions: a demo listens on loopback addresses alone, and
/// whoever tries it out has no token at hand. Everything else stays as the manifests say.
pub fn open_decisions(objects: &mut [DynamicObject]) {
    let is_deployment =
        |object: &&mut DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "Deployment");
    for object in objects.iter_mut().filter(is_deployment) {
        let containers = object.data.pointer_mut("/spec/template/spec/containers");
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            let is_ours = container["image"].as_str().is_some_and(|image| image.contains("/obstack:"));
            let args = container["args"].as_array_mut().filter(|_| is_ours);
            if let Some(args) = args.filter(|args| args.first().is_some_and(|first| first == "operator")) {
                args.push("--decisions-access=open".into());
            }
        }
    }
}

/// Where the parts of the first stack and the operator are reached.
///
/// # Errors
/// The server's answer.
pub async fn links(client: &Client) -> Result<Links, kube::Error> {
    let services: Api<Service> = Api::all(client.clone());
    let services = services.list(&ListParams::default()).await?.items;
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = pods.list(&ListParams::default().labels(STACK)).await?.items;
    let of = |role: &str| {
        let service = services.iter().find(|service| {
            service.labels().get(ROLE).map(String::as_str) == Some(role) && address(service).is_some()
        })?;
        let prefix = pods
            .iter()
            .filter(|pod| pod.namespace() == service.namespace())
            .find(|pod| pod.labels().get(ROLE).map(String::as_str) == Some(role))
            .and_then(prefix)
            .unwrap_or_default();
        Some(format!("http://{}{prefix}/", address(service)?))
    };
    let operator = services.iter().find(|service| {
        let labels = service.labels();
        labels.get("app.kubernetes.io/name").map(String::as_str) == Some("obstack")
            && address(service).is_some()
    });
    Ok(Links {
        prometheus: of("metrics"),
        alertmanager: of("alerting"),
        decisions: operator.and_then(address).map(|address| format!("http://{address}/decisions")),
    })
}

/// Address and first port of a Service that has one.
fn address(service: &Service) -> Option<String> {
    let spec = service.spec.as_ref()?;
    let ip = spec.cluster_ip.as_deref().filter(|ip| !matches!(*ip, "" | "None"))?;
    let port = spec.ports.as_ref()?.first()?.port;
    Some(if port == 80 { ip.to_owned() } else { format!("{ip}:{port}") })
}

/// The path that an engine serves under: what comes before the end of its readiness probe's.
fn prefix(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let path = containers.iter().find_map(|container| {
        let probe = container.readiness_probe.as_ref()?.http_get.as_ref()?;
        probe.path.as_deref()?.strip_suffix("/-/ready").map(str::to_owned)
    });
    path.filter(|path| !path.is_empty())
}

/// The lines for a person and for scripts, in their order.
pub fn lines(links: &Links, kubeconfig: &std::path::Path) -> Vec<String> {
    let rows = BTreeMap::from([
        (0, ("prometheus: ", links.prometheus.clone())),
        (1, ("alertmanager: ", links.alertmanager.clone())),
        (2, ("decisions: ", links.decisions.clone())),
        (3, ("export KUBECONFIG=", Some(kubeconfig.display().to_string()))),
    ]);
    rows.into_values().filter_map(|(start, value)| value.map(|value| format!("{start}{value}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack(components: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": { "name": "main", "namespace": "ns", "generation": 2 },
            "status": { "observedGeneration": 2, "components": components },
        }))
        .unwrap()
    }

    #[test]
    fn a_component_without_a_binary_does_not_hold_the_demo_up() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "ns", "labels": { STACK: "main", ROLE: "dashboards" } },
            "status": { "containerStatuses": [{ "name": "grafana", "image": "g", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ErrImagePull", "message": "no binary for image g" } } }] },
        }))
        .unwrap();
        let components = json!([
            { "component": "metricsStore", "state": "Progressing" },
            { "component": "alerting", "state": "Ready" },
            { "component": "dashboards", "state": "Pending" },
        ]);
        let mut standing = Standing::default();
        judge(&stack(components), &[pod], &mut standing);
        assert_eq!(standing.waiting, ["ns/main: metricsStore is Progressing"]);
        assert_eq!(standing.without_binary, ["ns/main: dashboards: no binary for image g"]);
    }

    #[test]
    fn only_the_operator_is_opened() {
        let deployment = |image: &str, args: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
                "spec": { "template": { "spec": { "containers": [{ "image": image, "args": args }] } } },
            }))
            .unwrap()
        };
        let mut objects = [
            deployment("ghcr.io/obstack/obstack:0.1.0", json!(["operator", "--listen=:8080"])),
            deployment("ghcr.io/obstack/obstack:0.1.0", json!(["reloader"])),
            deployment("ghcr.io/other/app:1", json!(["operator"])),
        ];
        let others = objects[1..].to_vec();
        open_decisions(&mut objects);
        let args = &objects[0].data["spec"]["template"]["spec"]["containers"][0]["args"];
        assert_eq!(*args, json!(["operator", "--listen=:8080", "--decisions-access=open"]));
        assert_eq!(objects[1..], others);
    }

    #[test]
    fn a_status_of_an_older_generation_is_not_believed() {
        let mut stack = stack(json!([]));
        stack.metadata.generation = Some(3);
        let mut standing = Standing::default();
        judge(&stack, &[], &mut standing);
        assert_eq!(standing.waiting.len(), 1);
    }
}

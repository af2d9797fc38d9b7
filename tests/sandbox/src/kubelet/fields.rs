//! Values of a pod that its containers may refer to: the downward API.

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

/// The addresses of a pod and of its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    /// Address of the pod.
    pub(crate) pod: String,
    /// Address of the node.
    pub(crate) host: String,
}

/// The value of a field of a pod; none for a field that the downward API does not have.
pub(crate) fn field(pod: &Pod, addresses: &Addresses, path: &str) -> Option<String> {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => pod.labels(),
            "metadata.annotations" => pod.annotations(),
            _ => return None,
        };
        return Some(map.get(key).cloned().unwrap_or_default());
    }
    let lines = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect::<String>()
    };
    let spec = pod.spec.as_ref();
    Some(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => lines(pod.labels()),
        "metadata.annotations" => lines(pod.annotations()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => account(pod),
        "status.podIP" | "status.podIPs" => addresses.pod.clone(),
        "status.hostIP" | "status.hostIPs" => addresses.host.clone(),
        _ => return None,
    })
}

/// Name of the ServiceAccount that a pod runs as.
pub(crate) fn account(pod: &Pod) -> String {
    let name = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned())
}

/// The value of a resource of a container, divided and rounded up: a limit that is not set is what the
/// machine has.
pub(crate) fn resource(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
) -> Option<String> {
    let named =
        |name: &String| pod.spec.as_ref()?.containers.iter().find(|container| container.name == *name);
    let container = selector.container_name.as_ref().and_then(named).or(container)?;
    let (kind, name) = selector.resource.split_once('.')?;
    let resources = container.resources.clone().unwrap_or_default();
    let set = match kind {
        "limits" => resources.limits.as_ref().and_then(|limits| limits.get(name).cloned()),
        "requests" => resources
            .requests
            .as_ref()
            .and_then(|requests| requests.get(name).cloned())
            .or_else(|| resources.limits.as_ref().and_then(|limits| limits.get(name).cloned())),
        _ => return None,
    };
    let value = match (set, kind, name) {
        (Some(set), ..) => quantity(&set)?,
        (None, "limits", "memory") => machine_memory() as f64,
        (None, "limits", "cpu") => {
            std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
        }
        (None, ..) => 0.0,
    };
    let divisor =
        selector.divisor.as_ref().and_then(quantity).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    Some(format!("{}", (value / divisor).ceil() as u64))
}

/// Memory of the machine in bytes; 0 where it does not tell.
pub(crate) fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// A quantity as a number.
pub(crate) fn quantity(quantity: &Quantity) -> Option<f64> {
    const UNITS: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    UNITS.iter().find_map(|(unit, factor)| {
        quantity
            .0
            .strip_suffix(unit)
            .and_then(|number| number.parse::<f64>().ok())
            .map(|number| number * factor)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_and_resources_have_the_values_of_the_pod() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "a", "namespace": "ns", "labels": { "app": "x" } },
            "spec": { "containers": [{ "name": "c", "resources": { "limits": { "memory": "1.5Gi", "cpu": "250m" } } }] },
        }))
        .unwrap();
        let addresses = Addresses { pod: "127.42.1.1".into(), host: "127.42.0.1".into() };
        let value = |path: &str| field(&pod, &addresses, path);
        assert_eq!(value("metadata.labels['app']").as_deref(), Some("x"));
        assert_eq!(value("metadata.labels").as_deref(), Some("app=\"x\"\n"));
        assert_eq!(value("status.podIP").as_deref(), Some("127.42.1.1"));
        assert_eq!(value("spec.serviceAccountName").as_deref(), Some("default"));
        assert_eq!(value("spec.nothing"), None);
        let limit = |resource: &str, divisor: &str| {
            let selector = ResourceFieldSelector {
                container_name: None,
                divisor: Some(Quantity(divisor.to_owned())),
                resource: resource.to_owned(),
            };
            let container = &pod.spec.as_ref().unwrap().containers[0];
            resource_of(&pod, container, &selector)
        };
        assert_eq!(limit("limits.memory", "1Mi").as_deref(), Some("1536"));
        assert_eq!(limit("limits.cpu", "1").as_deref(), Some("1"));
        assert_eq!(limit("limits.cpu", "1m").as_deref(), Some("250"));
    }

    fn resource_of(pod: &Pod, container: &Container, selector: &ResourceFieldSelector) -> Option<String> {
        resource(pod, Some(container), selector)
    }
}

//! Names of Services and pods, as a hosts file: what DNS is in a cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use crate::controllers::endpoint_service_label;

/// Names by address. Names of the pod's own namespace are there in their short form too.
pub(crate) type Names = BTreeMap<String, Vec<String>>;

/// Every name that a pod of a namespace can look up.
pub(crate) fn build_names(
    namespace: &str,
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
) -> Names {
    let mut names = Names::new();
    for service in services {
        let spec = service.spec.clone().unwrap_or_default();
        let (own, name) = (service.namespace().unwrap_or_default(), service.name_any());
        match spec.cluster_ip.as_deref() {
            Some("" | "None") | None => (),
            Some(address) => add(&mut names, address, namespace, &own, &name),
        }
    }
    for slice in slices {
        let own = slice.namespace().unwrap_or_default();
        let Some(name) = slice.labels().get(endpoint_service_label()) else { continue };
        let headless = services.iter().any(|service| {
            service.name_any() == *name
                && service.namespace().as_deref() == Some(own.as_str())
                && service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
        });
        for endpoint in slice.endpoints.iter().flatten() {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false);
            let Some(address) = endpoint.addresses.first().filter(|_| ready) else { continue };
            if let Some(hostname) = &endpoint.hostname {
                add(&mut names, address, namespace, &own, &format!("{hostname}.{name}"));
            }
            if headless {
                add(&mut names, address, namespace, &own, name);
            }
        }
    }
    names
}

fn add(names: &mut Names, address: &str, from: &str, namespace: &str, name: &str) {
    let entry = names.entry(address.to_owned()).or_default();
    if from == namespace {
        entry.push(name.to_owned());
    }
    entry.extend(["", ".svc", ".svc.cluster.local"].map(|end| format!("{name}.{namespace}{end}")));
}

/// The hosts file of a pod.
pub(crate) fn build_hosts(pod: &Pod, address: &str, names: &Names) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    let spec = pod.spec.as_ref();
    let hostname = spec.and_then(|spec| spec.hostname.clone()).unwrap_or_else(|| pod.name_any());
    let full = spec.and_then(|spec| spec.subdomain.as_ref()).map(|subdomain| {
        format!(" {hostname}.{subdomain}.{}.svc.cluster.local", pod.namespace().unwrap_or_default())
    });
    text.push_str(&format!("{address}{} {hostname}\n", full.unwrap_or_default()));
    for alias in spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten()) {
        text.push_str(&format!(
            "{} {}\n",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join(" ")
        ));
    }
    for (address, names) in names {
        text.push_str(&format!("{address} {}\n", names.join(" ")));
    }
    text
}

/// Puts a file of `/etc` in place with one rename, where its content is another.
///
/// # Errors
/// The file system's.
pub(crate) fn replace(etc: &Path, name: &str, content: &str) -> std::io::Result<()> {
    let path = etc.join(name);
    if std::fs::read(&path).is_ok_and(|old| old == content.as_bytes()) {
        return Ok(());
    }
    let next = etc.join(format!(".{name}.next"));
    std::fs::write(&next, content)?;
    std::fs::rename(next, path)
}

/// Writes the files of `/etc` that never change. No name server is named: what is not in the hosts file is
/// refused at once by the loopback address.
///
/// # Errors
/// The file system's.
pub(crate) fn write_etc(etc: &Path, hostname: &str, user: i64) -> std::io::Result<()> {
    std::fs::create_dir_all(etc)?;
    let name = if user == 0 { "root" } else { "nobody" };
    let root = if user == 0 { "" } else { "root:x:0:0:root:/root:/bin/sh\n" };
    replace(etc, "hostname", &format!("{hostname}\n"))?;
    replace(etc, "resolv.conf", "")?;
    replace(etc, "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
    replace(etc, "passwd", &format!("{root}{name}:x:{user}:{user}:{name}:/:/bin/sh\n"))?;
    replace(etc, "group", &format!("{name}:x:{user}:\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_the_pods_of_headless_ones_have_names() {
        let service = |name: &str, address: &str| -> Arc<Service> {
            let text =
                json!({ "metadata": { "name": name, "namespace": "ns" }, "spec": { "clusterIP": address } });
            Arc::new(serde_json::from_value(text).unwrap())
        };
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": { "name": "s", "namespace": "ns", "labels": { "kubernetes.io/service-name": "web-headless" } },
            "addressType": "IPv4",
            "endpoints": [
                { "addresses": ["127.42.1.1"], "hostname": "web-0", "conditions": { "ready": true } },
                { "addresses": ["127.42.1.2"], "hostname": "web-1", "conditions": { "ready": false } },
            ],
        }))
        .unwrap();
        let services = [service("web", "127.43.0.5"), service("web-headless", "None")];
        let names = build_names("ns", &services, &[Arc::new(slice.clone())]);
        assert_eq!(names["127.43.0.5"], ["web", "web.ns", "web.ns.svc", "web.ns.svc.cluster.local"]);
        assert!(names["127.42.1.1"].contains(&"web-0.web-headless.ns.svc".to_owned()));
        assert!(names["127.42.1.1"].contains(&"web-headless.ns.svc".to_owned()));
        assert!(!names.contains_key("127.42.1.2"), "not ready");
        let other = build_names("other", &services, &[Arc::new(slice)]);
        assert_eq!(other["127.43.0.5"], ["web.ns", "web.ns.svc", "web.ns.svc.cluster.local"]);
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "web-0", "namespace": "ns" },
            "spec": { "hostname": "web-0", "subdomain": "web-headless", "containers": [] } }))
        .unwrap();
        let hosts = build_hosts(&pod, "127.42.1.1", &names);
        assert!(hosts.contains("127.42.1.1 web-0.web-headless.ns.svc.cluster.local web-0\n"), "{hosts}");
    }
}

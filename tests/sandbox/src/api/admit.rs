//! What admission and allocation add to objects on their way in.

use super::errors::{ApiError, ApiResult, Cause};
use super::meta;
use super::registry::Resource;
use super::server::Server;
use super::store::Store;
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;

impl Server {
    /// Completes an object that is about to be created.
    ///
    /// # Errors
    /// Forbidden or invalid, in the words of the plugin that would refuse it.
    pub(super) fn admit_create(
        &self,
        store: &Store,
        resource: &Resource,
        object: &mut Value,
    ) -> ApiResult<()> {
        if resource.is("", "pods") {
            pod(store, object)?;
        } else if resource.is("", "services") {
            self.allocate(store, object)?;
        } else if resource.is("", "persistentvolumeclaims") {
            default_class(store, object);
        } else if resource.is("batch", "jobs") {
            job_selector(object);
        }
        Ok(())
    }

    /// Keeps what was allocated when an update leaves it out.
    pub(super) fn admit_update(
        &self,
        store: &Store,
        resource: &Resource,
        object: &mut Value,
        old: &Value,
    ) -> ApiResult<()> {
        if !resource.is("", "services") {
            return Ok(());
        }
        let external = |o: &Value| o["spec"]["type"] == "ExternalName";
        if external(object) {
            let spec = meta::map_at(object, "spec");
            ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"].iter().for_each(|f| {
                spec.remove(*f);
            });
            return Ok(());
        }
        if !external(old) {
            let spec = meta::map_at(object, "spec");
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
                let gone = spec.get(field).is_none_or(|v| v == "");
                if gone && let Some(value) = old["spec"].get(field) {
                    spec.insert(field.to_owned(), value.clone());
                }
            }
        }
        self.allocate(store, object)
    }

    fn allocate(&self, store: &Store, object: &mut Value) -> ApiResult<()> {
        let name = meta::name(object).to_owned();
        let own_uid = meta::uid(object).to_owned();
        let spec = meta::map_at(object, "spec");
        if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
            return Ok(());
        }
        let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
        let used: Vec<String> = store
            .list("services", None)
            .filter(|s| meta::uid(s) != own_uid || own_uid.is_empty())
            .filter_map(|s| s.pointer("/spec/clusterIP").and_then(Value::as_str).map(str::to_owned))
            .collect();
        let address = if wanted == "None" {
            wanted
        } else if !wanted.is_empty() {
            if used.contains(&wanted) {
                let why = "failed to allocate IP: provided IP is already allocated";
                let cause = Cause::invalid("spec.clusterIPs", &json!([wanted]), why);
                return Err(ApiError::invalid("", "Service", &name, vec![cause]));
            }
            wanted
        } else {
            let (base, bits) = self.service_range;
            let size = 1_u32 << (32 - u32::from(bits.clamp(8, 30)));
            (1..size - 1)
                .map(|offset| Ipv4Addr::from(u32::from(base) + offset).to_string())
                .find(|candidate| !used.contains(candidate) && !self.reserved.contains(candidate))
                .ok_or_else(|| ApiError::new(500, "InternalError", "service address range is full"))?
        };
        spec.insert("clusterIPs".to_owned(), json!([address]));
        spec.insert("clusterIP".to_owned(), address.into());
        spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
        spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
        Ok(())
    }
}

/// Labels and selector by which a Job knows its pods.
fn job_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (meta::name(object).to_owned(), meta::uid(object).to_owned());
    let spec = &mut object["spec"];
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = meta::as_map(&mut spec["template"]["metadata"]["labels"]);
    for prefix in ["", "batch.kubernetes.io/"] {
        labels.insert(format!("{prefix}controller-uid"), uid.clone().into());
        labels.insert(format!("{prefix}job-name"), name.clone().into());
    }
    // A Job has the labels of its template, where it has none of its own.
    let labels = labels.clone();
    if object["metadata"]["labels"].as_object().is_none_or(Map::is_empty) {
        object["metadata"]["labels"] = labels.into();
    }
}

fn default_class(store: &Store, object: &mut Value) {
    if object.pointer("/spec/storageClassName").is_some() {
        return;
    }
    let class = store.list("storageclasses.storage.k8s.io", None).find(|class| {
        class.pointer("/metadata/annotations/storageclass.kubernetes.io~1is-default-class")
            == Some(&Value::String("true".to_owned()))
    });
    if let Some(class) = class {
        meta::map_at(object, "spec").insert("storageClassName".to_owned(), meta::name(class).into());
    }
}

/// The ServiceAccount, Priority and DefaultTolerationSeconds plugins.
fn pod(store: &Store, object: &mut Value) -> ApiResult<()> {
    let (namespace, name) = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
    let spec = meta::map_at(object, "spec");
    let account = spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or("default").to_owned();
    spec.insert("serviceAccountName".to_owned(), account.clone().into());
    spec.insert("serviceAccount".to_owned(), account.clone().into());
    spec.entry("enableServiceLinks").or_insert(json!(true));
    priority(store, spec, &name)?;
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Value::Array(list) = tolerations {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let covered = list.iter().any(|t| {
                (t["key"] == key || t["key"].is_null())
                    && (t["effect"] == "NoExecute" || t["effect"].is_null())
            });
            if !covered {
                list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
            }
        }
    }
    let Some(found) = store.get("serviceaccounts", &namespace, &account) else {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
        );
        return Err(ApiError::forbidden("", "pods", &name, &why));
    };
    let automount = spec
        .get("automountServiceAccountToken")
        .or_else(|| found.get("automountServiceAccountToken"))
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if automount {
        mount_token(spec);
    }
    if !spec.contains_key("imagePullSecrets")
        && let Some(secrets) = found.get("imagePullSecrets")
    {
        spec.insert("imagePullSecrets".to_owned(), secrets.clone());
    }
    Ok(())
}

/// The Priority plugin: the numbers come from the class.
fn priority(store: &Store, spec: &mut Map<String, Value>, pod: &str) -> ApiResult<()> {
    let class = match spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default() {
        "" => None,
        // Those that every cluster has.
        "system-node-critical" => Some(json!({"value": 2_000_001_000})),
        "system-cluster-critical" => Some(json!({"value": 2_000_000_000})),
        class => {
            let found = store.get("priorityclasses.scheduling.k8s.io", "", class);
            let Some(found) = found else {
                let why = format!("no PriorityClass with name {class} was found");
                return Err(ApiError::forbidden("", "pods", pod, &why));
            };
            Some(Value::clone(&found))
        }
    };
    let field = |field: &str| class.as_ref().and_then(|class| class.get(field)).cloned();
    spec.insert("priority".to_owned(), field("value").unwrap_or(json!(0)));
    spec.insert(
        "preemptionPolicy".to_owned(),
        field("preemptionPolicy").unwrap_or_else(|| "PreemptLowerPriority".into()),
    );
    Ok(())
}

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn mount_token(spec: &mut serde_json::Map<String, Value>) {
    let volume = format!("kube-api-access-{}", meta::name_suffix());
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let container = meta::as_map(container);
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Value::Array(mounts) = mounts else { continue };
            if mounts.iter().any(|m| m["mountPath"] == TOKEN_PATH) {
                continue;
            }
            mounts.push(json!({"name": volume, "mountPath": TOKEN_PATH, "readOnly": true}));
            mounted = true;
        }
    }
    if !mounted {
        return;
    }
    let source = json!({
        "name": volume,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{
                    "path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                }]}},
            ],
        },
    });
    if let Value::Array(volumes) = spec.entry("volumes").or_insert_with(|| json!([])) {
        volumes.push(source);
    }
}

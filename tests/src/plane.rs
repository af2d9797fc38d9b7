//! A control plane without a kubelet and without engines: the API server in this process, with the API types
//! installed and an account for the operator. What the operator writes, and what it reads, is counted there.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use obstack::running::{PART_KEY, POINTER_KEY, Pointer};
use obstack_sandbox::api::{ApiServer, AuditEntry, Config, Handle, RequestInfo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Operator;
use crate::wait::until;

/// Namespace of the operator.
pub const HOME: &str = "obstack-system";
/// Namespace of the stacks.
pub const NAMESPACE: &str = "monitoring";
/// Account of the operator, as the audit log names it.
pub const ACCOUNT: &str = "system:serviceaccount:obstack-system:obstack";
/// What a cluster is given beside the API types: the rights that the operator really has.
const INSTALL: &str = include_str!("../../deploy/install.yaml");
/// Who applies manifests.
const ADMIN: &str = "kubernetes-admin";
/// How long a stack may take until the operator has no more to write.
pub const SETTLE: Duration = Duration::from_secs(60);
/// How many reconciles in a row must write nothing before a stack counts as settled. One can be under way
/// when counting begins, and one can run on what the watches showed before the last write.
const QUIET_RECONCILES: u64 = 3;
/// Resources that the operator writes and that are not part of the state that it makes.
const PASSING: [&str; 2] = ["leases", "events"];

/// A running control plane; it stops when it is dropped.
pub struct Plane {
    /// The API server.
    pub api: Handle,
    /// An administrator's client.
    pub admin: Client,
    folder: TempDir,
}

impl Plane {
    /// Starts one with the API types, a namespace for stacks, and the operator's account with its rights.
    pub async fn start() -> Self {
        let plane = Self::bare().await;
        plane.install_types().await;
        plane
    }

    /// The same without the API types.
    pub async fn bare() -> Self {
        obstack::tls::install_provider();
        let api = ApiServer::start(Config::default()).await.expect("the API server starts");
        let kubeconfig = Kubeconfig::from_yaml(&api.admin_kubeconfig()).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let admin = Client::try_from(config.expect("a usable kubeconfig")).expect("a client");
        let plane = Self { api, admin, folder: TempDir::new().expect("a folder") };
        plane.apply(INSTALL).await;
        plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")).await;
        plane
    }

    /// Installs the API types.
    pub async fn install_types(&self) {
        for definition in obstack_crds::all() {
            self.apply(&serde_json::to_string(&definition).expect("a definition")).await;
        }
    }

    /// A folder of this plane's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A kubeconfig file for an account in the operator's namespace.
    pub fn kubeconfig(&self, account: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{account}.kubeconfig"));
        std::fs::write(&path, self.api.kubeconfig_for_account(HOME, account)).expect("a kubeconfig file");
        path
    }

    /// Starts an operator with the operator's account. Unless told otherwise it looks at a stack every 200 ms,
    /// so that "it writes nothing more" is seen soon.
    pub fn operator(&self, args: &[&str]) -> Operator {
        let resync: &[&str] = if args.contains(&"--resync") { &[] } else { &["--resync", "200ms"] };
        let args = [&["--listen", "127.0.0.1:0", "--decisions-access", "open"], resync, args].concat();
        let log = self.folder.path().join("operator.log");
        Operator::start(&self.kubeconfig("obstack"), &log, "obstack-0", &args).expect("the operator starts")
    }

    /// Applies manifests as their author; their fields are his.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn apply(&self, yaml: &str) {
        if let Err(error) = self.try_apply(yaml).await {
            panic!("{error}\n{yaml}");
        }
    }

    /// Applies manifests as their author.
    ///
    /// # Errors
    /// What the API server says to the first that it refuses.
    pub async fn try_apply(&self, yaml: &str) -> Result<(), kube::Error> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
        for document in documents {
            let api = self.api_of(&document).await?;
            let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            api.patch(&name, &PatchParams::apply("author").force(), &Patch::Apply(&document)).await?;
        }
        Ok(())
    }

    /// Deletes the object of a manifest; the name and the kind are enough.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn delete(&self, object: &Value) {
        let api = self.api_of(object).await.expect("a known kind");
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api.delete(name, &kube::api::DeleteParams::default()).await.expect("it is deleted");
    }

    async fn api_of(&self, object: &Value) -> Result<Api<DynamicObject>, kube::Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&object["apiVersion"]);
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
        let (resource, _) = kube::discovery::pinned_kind(&self.admin, &kind).await?;
        Ok(match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.admin.clone(), namespace, &resource),
            None => Api::all_with(self.admin.clone(), &resource),
        })
    }

    /// The stack of this name as it is stored.
    ///
    /// # Panics
    /// When there is none.
    pub fn stack(&self, name: &str) -> Value {
        self.api.peek("observabilitystacks.obstack.io", NAMESPACE, name).expect("the stack exists")
    }

    /// Requests of operators that change the state it makes, from an index of the audit log on.
    pub fn writes_since(&self, index: u64) -> Vec<AuditEntry> {
        self.api.audit_since(index).into_iter().filter(|entry| is_write(&entry.request)).collect()
    }

    /// Waits until every stack's last generation was looked at and the operator has reconciled several times
    /// without a write.
    pub async fn settled(&self, operator: &Operator) {
        let url = operator.url().await;
        // Where the audit log and the count of reconciles stood when it was last known to be busy.
        let busy: Cell<Option<(u64, u64)>> = Cell::new(None);
        until("the operator has no more to write", SETTLE, || async {
            let next = self.api.audit_next();
            let count = reconciles(&url).await?;
            let written = |(since, _)| self.writes_since(since).last().map(|w| w.request.path.clone());
            let written = busy.get().and_then(written);
            let behind = self.behind();
            let begun = match busy.get() {
                Some((_, begun)) if written.is_none() && behind.is_none() => begun,
                _ => {
                    busy.set(Some((next, count)));
                    count
                }
            };
            let quiet = count.saturating_sub(begun);
            if quiet >= QUIET_RECONCILES {
                return Ok(());
            }
            Err(format!(
                "{quiet} reconciles without a write; last write: {written:?}; behind: {behind:?}; log: {}",
                operator.tail()
            ))
        })
        .await;
    }

    /// The first stack whose last generation was not looked at yet.
    fn behind(&self) -> Option<String> {
        let stacks = self.api.peek_all("observabilitystacks.obstack.io");
        let behind =
            |stack: &&Value| stack["status"]["observedGeneration"] != stack["metadata"]["generation"];
        stacks.iter().find(behind).map(|stack| stack["metadata"]["name"].to_string())
    }

    /// What is there of the resources that the operator writes: the keys of [`Self::dump`].
    pub fn keys(&self) -> BTreeSet<String> {
        let of = |resource: String| {
            let objects =
                self.api.peek_all(&resource).into_iter().filter(|object| !is_of_the_cluster(object));
            objects.map(move |object| key(&resource, &object))
        };
        resources().into_iter().flat_map(of).collect()
    }

    /// Everything that the operator made, by resource, namespace and name, without what differs from one run
    /// to the next: versions, UIDs, times and random values. Leases and Events are left out.
    pub fn dump(&self) -> BTreeMap<String, Value> {
        let mut dump = BTreeMap::new();
        for resource in resources() {
            for object in self.api.peek_all(&resource) {
                if is_of_the_cluster(&object) {
                    continue;
                }
                dump.insert(key(&resource, &object), self.normal(object));
            }
        }
        dump
    }

    fn normal(&self, mut object: Value) -> Value {
        if object["metadata"]["annotations"].get(obstack::apply::GENERATE).is_some() {
            for value in object["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
                *value = json!(format!("{} characters of base64", value.as_str().unwrap_or_default().len()));
            }
        }
        let uids: Vec<(String, String)> = self
            .api
            .peek_all("observabilitystacks.obstack.io")
            .iter()
            .map(|stack| (stack["metadata"]["uid"].to_string(), stack["metadata"]["name"].to_string()))
            .map(|(uid, name)| {
                (uid.trim_matches('"').to_owned(), format!("uid of {}", name.trim_matches('"')))
            })
            .collect();
        normalise(&mut object, &uids);
        object
    }

    /// The files of the configuration in force of a role, by path, as the pointer names them. A set that is
    /// being written is waited for, as a reloader does.
    ///
    /// # Panics
    /// When there is no whole set within 30 s.
    pub async fn configuration(&self, stack: &str, role: &str) -> BTreeMap<String, String> {
        let whole = || async { self.present_configuration(stack, role) };
        until("the configuration is whole", Duration::from_secs(30), whole).await
    }

    fn present_configuration(&self, stack: &str, role: &str) -> Result<BTreeMap<String, String>, String> {
        let read = |name: &str, key: &str| -> Option<Vec<u8>> {
            let secret = self.api.peek("secrets", NAMESPACE, name)?;
            Some(decode(secret["data"][key].as_str()?))
        };
        let name = format!("{stack}-{role}-candidate");
        let pointer = read(&name, POINTER_KEY).ok_or_else(|| format!("there is no {name}"))?;
        let pointer = Pointer::parse(&pointer).map_err(|error| error.to_string())?;
        pointer.files(|part| read(&part.secret, PART_KEY)).map_err(|error| error.to_string())
    }

    /// Stops it.
    pub async fn stop(self) {
        self.api.stop().await;
    }
}

/// Whether a request is an operator's and changes the state that it makes: Leases and Events are not part of
/// it. A dry run counts.
pub fn is_write(request: &RequestInfo) -> bool {
    request.user != ADMIN && request.is_mutating() && !PASSING.contains(&request.resource.as_str())
}

/// Every resource that the operator writes, Leases and Events aside, as the store names it.
pub fn resources() -> Vec<String> {
    let own = ["observabilitystacks.obstack.io", "decisionrecords.obstack.io"].map(str::to_owned);
    let owned = obstack::observe::kinds::OWNED.iter().map(|kind| {
        if kind.group.is_empty() { kind.plural.to_owned() } else { format!("{}.{}", kind.plural, kind.group) }
    });
    owned.chain(own).collect()
}

/// Reconciles that an operator has ended, whatever came of them.
async fn reconciles(url: &str) -> Result<u64, String> {
    let text = crate::ask::text(&format!("{url}/metrics")).await?;
    let samples = text.lines().filter(|line| line.starts_with("obstack_reconciles_total{"));
    Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// The key of an object: `resource/namespace/name`.
fn key(resource: &str, object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    format!("{resource}/{}/{}", text("namespace"), text("name"))
}

/// What every namespace holds from the start.
fn is_of_the_cluster(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    name == "kube-root-ca.crt" || (object["kind"] == "ServiceAccount" && name == "default")
}

/// Fields that differ from one run to the next wherever they stand.
const VARYING: [&str; 9] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "lastTransitionTime",
    "decidedAt",
    "clusterIP",
    "clusterIPs",
];

fn normalise(value: &mut Value, uids: &[(String, String)]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !VARYING.contains(&name.as_str()) || *value == "None");
            fields.values_mut().for_each(|value| normalise(value, uids));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalise(item, uids)),
        Value::String(text) => {
            for (uid, name) in uids {
                if text.contains(uid.as_str()) {
                    *text = text.replace(uid.as_str(), name);
                }
            }
        }
        _ => {}
    }
}

fn decode(base64: &str) -> Vec<u8> {
    serde_json::from_value::<k8s_openapi::ByteString>(json!(base64)).map(|bytes| bytes.0).unwrap_or_default()
}

/// The entries that differ between two dumps, each with what was expected and what was found.
pub fn differences(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> Vec<String> {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let of = |key: &String| -> Option<String> {
        match (expected.get(key), found.get(key)) {
            (Some(expected), Some(found)) if expected == found => None,
            (Some(expected), Some(found)) => Some(format!("{key}: {}", leaf(expected, found, ""))),
            (Some(_), None) => Some(format!("{key}: missing")),
            (None, _) => Some(format!("{key}: left over")),
        }
    };
    keys.into_iter().filter_map(of).collect()
}

/// The first place where two values differ.
fn leaf(expected: &Value, found: &Value, path: &str) -> String {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let (a, b) = (|key: &String| &expected[key.as_str()], |key: &String| &found[key.as_str()]);
            match keys.into_iter().find(|key| a(key) != b(key)) {
                Some(key) => leaf(a(key), b(key), &format!("{path}.{key}")),
                None => format!("{path}: a field is null on one side"),
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            match (0..a.len()).find(|index| a[*index] != b[*index]) {
                Some(index) => leaf(&a[index], &b[index], &format!("{path}[{index}]")),
                None => path.to_owned(),
            }
        }
        _ => format!("{path}: expected {expected}, found {found}"),
    }
}

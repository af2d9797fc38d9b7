//! The volumes of one pod: folders of this machine that are bound into its containers.

pub(crate) mod atomic;
pub(crate) mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount, Volume,
};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use sources::Sources;

use super::env::{self, Lookup};
use super::fields::{Addresses, account};

/// Where a pod finds its token, the server's certificate and its namespace.
pub(crate) const ACCOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Folder of the files under [`ACCOUNT_PATH`].
const ACCOUNT_VOLUME: &str = "kube-api-access";

/// Why a volume is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("{kind} {name:?} not found")]
    NotFound { kind: &'static str, name: String },
    #[error("{kind} {name} has no key {key}")]
    NoKey { kind: &'static str, name: String, key: String },
    #[error("{0}: no such field of the downward API")]
    NoField(String),
    #[error("the token of the service account is not there yet")]
    NoToken,
    #[error("persistentvolumeclaim {0:?} is not bound")]
    Unbound(String),
    #[error("volume {0}: the sandbox mounts no folders of the machine")]
    HostPath(String),
    #[error("{0} is not served by the sandbox")]
    Unserved(String),
    #[error("volume {volume}: {message}")]
    Io { volume: String, message: String },
    #[error("a token for service account {account:?}: {message}")]
    Token { account: String, message: String },
}

/// Objects that volumes refer to.
pub(crate) trait Objects: Lookup {
    /// A claim of the pod's namespace.
    fn claim(&self, name: &str) -> Option<std::sync::Arc<PersistentVolumeClaim>>;
    /// A volume of the cluster.
    fn volume(&self, name: &str) -> Option<std::sync::Arc<PersistentVolume>>;
}

struct Token {
    value: String,
    renew: Instant,
}

/// The volumes of one pod.
pub(crate) struct Volumes {
    /// Folder of the pod's volumes.
    root: PathBuf,
    /// Certificate of the server's authority, PEM.
    ca: Vec<u8>,
    tokens: BTreeMap<(String, i64), Token>,
    /// Whether the kubelet puts the account's token in place, once that is decided.
    access: Option<bool>,
}

/// A folder or file of this machine that is seen inside of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Where it is on the machine.
    pub(crate) source: PathBuf,
    /// Where it is in the container.
    pub(crate) target: String,
    /// Whether the container may only read it.
    pub(crate) read_only: bool,
}

impl Volumes {
    pub(crate) fn new(root: PathBuf, ca: Vec<u8>) -> Self {
        Self { root, ca, tokens: BTreeMap::new(), access: None }
    }

    fn folder(&self, volume: &str) -> PathBuf {
        self.root.join(volume)
    }

    /// Brings every volume up to date with the objects that it refers to.
    ///
    /// # Errors
    /// The first volume that cannot be made; the others are up to date.
    pub(crate) async fn sync(
        &mut self,
        client: &Client,
        pod: &Pod,
        addresses: &Addresses,
        objects: &(dyn Objects + Sync),
    ) -> Result<(), VolumeError> {
        let mut volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.clone()).unwrap_or_default();
        if self.mounts_account(client, pod).await {
            volumes.push(access_volume());
        }
        let mut first = self.fetch_tokens(client, pod, &volumes).await.err();
        let tokens = self.tokens.iter().map(|(key, token)| (key.clone(), token.value.clone())).collect();
        let sources = Sources { pod, addresses, lookup: objects, tokens: &tokens };
        for volume in &volumes {
            if let Err(error) = self.make(volume, &sources, objects) {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Whether the kubelet has to put the token in place; decided once, when the account can be read.
    async fn mounts_account(&mut self, client: &Client, pod: &Pod) -> bool {
        if let Some(decided) = self.access.or_else(|| pod_says(pod)) {
            return decided;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        match tokio::time::timeout(Duration::from_secs(10), accounts.get_opt(&account(pod))).await {
            Ok(Ok(account)) => {
                let says = account.and_then(|account| account.automount_service_account_token);
                *self.access.insert(says != Some(false))
            }
            // Without the token a container would fail in ways that are hard to see.
            _ => true,
        }
    }

    fn make(&self, volume: &Volume, sources: &Sources<'_>, objects: &dyn Objects) -> Result<(), VolumeError> {
        let io = |error: std::io::Error| VolumeError::Io {
            volume: volume.name.clone(),
            message: error.to_string(),
        };
        let folder = self.folder(&volume.name);
        if let Some(mut files) = sources.files(volume)? {
            if volume.name == ACCOUNT_VOLUME {
                files.insert("ca.crt".to_owned(), atomic::File { content: self.ca.clone(), mode: 0o644 });
            }
            return atomic::write(&folder, &files).map(|_| ()).map_err(io);
        }
        if volume.empty_dir.is_some() {
            return std::fs::create_dir_all(&folder).map_err(io);
        }
        if let Some(source) = &volume.persistent_volume_claim {
            let path = claim_folder(objects, &source.claim_name)?;
            return std::fs::create_dir_all(path).map_err(io);
        }
        if volume.host_path.is_some() {
            return Err(VolumeError::HostPath(volume.name.clone()));
        }
        Err(VolumeError::Unserved(format!("the kind of volume {}", volume.name)))
    }

    /// Asks for the tokens that are missing or past most of their life.
    async fn fetch_tokens(
        &mut self,
        client: &Client,
        pod: &Pod,
        volumes: &[Volume],
    ) -> Result<(), VolumeError> {
        let wanted = volumes
            .iter()
            .filter_map(|volume| volume.projected.as_ref())
            .flat_map(|projected| projected.sources.iter().flatten())
            .filter_map(|source| source.service_account_token.as_ref())
            .map(|token| {
                (token.audience.clone().unwrap_or_default(), sources::lifetime(token.expiration_seconds))
            });
        for key in wanted {
            if self.tokens.get(&key).is_some_and(|token| token.renew > Instant::now()) {
                continue;
            }
            let value = request_token(client, pod, &key.0, key.1).await?;
            let life = Duration::from_secs(u64::try_from(key.1).unwrap_or(600));
            self.tokens.insert(key, Token { value, renew: Instant::now() + life.mul_f32(0.8) });
        }
        Ok(())
    }

    /// When the next token is due; none without tokens.
    pub(crate) fn next_renewal(&self) -> Option<Instant> {
        self.tokens.values().map(|token| token.renew).min()
    }

    /// What a container sees of the volumes, outer folders first.
    ///
    /// # Errors
    /// A mount of a volume that the pod does not have, or a path that leads out of its volume.
    pub(crate) fn binds(
        &self,
        pod: &Pod,
        container: &Container,
        variables: &BTreeMap<String, String>,
        objects: &dyn Objects,
    ) -> Result<Vec<Bind>, VolumeError> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let mut binds = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = volumes
                .iter()
                .copied()
                .flatten()
                .find(|volume| volume.name == mount.name)
                .ok_or_else(|| VolumeError::NotFound { kind: "volume", name: mount.name.clone() })?;
            let claim = volume.persistent_volume_claim.as_ref();
            let mut source = match claim {
                Some(claim) => claim_folder(objects, &claim.claim_name)?,
                None => self.folder(&volume.name),
            };
            let expanded = mount.sub_path_expr.as_ref().map(|text| env::expand(text, variables));
            let writable = volume.empty_dir.is_some() || claim.is_some();
            if let Some(below) = expanded.as_ref().or(mount.sub_path.as_ref()).filter(|path| !path.is_empty())
            {
                source = sub_path(&source, below, writable)
                    .map_err(|message| VolumeError::Io { volume: mount.name.clone(), message })?;
            }
            let claim_read_only = claim.is_some_and(|claim| claim.read_only == Some(true));
            binds.push(Bind {
                source,
                target: mount.mount_path.trim_end_matches('/').to_owned(),
                read_only: !writable || claim_read_only || mount.read_only == Some(true),
            });
        }
        let account = self.folder(ACCOUNT_VOLUME);
        if account.is_dir() && !binds.iter().any(|bind| bind.target == ACCOUNT_PATH) {
            binds.push(Bind { source: account, target: ACCOUNT_PATH.to_owned(), read_only: true });
        }
        binds.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(binds)
    }
}

/// The path below a volume; a folder is made where the volume is writable.
fn sub_path(root: &Path, below: &str, writable: bool) -> Result<PathBuf, String> {
    let inside = Path::new(below).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside {
        return Err(format!("subPath {below:?} leads out of the volume"));
    }
    let path = root.join(below);
    if writable && !path.exists() {
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
    }
    // Links inside of the volume must not lead out of it either.
    let (resolved, root) = (path.canonicalize(), root.canonicalize());
    match (resolved, root) {
        (Ok(resolved), Ok(root)) if resolved.starts_with(&root) => Ok(resolved),
        _ => Err(format!("subPath {below:?} is not there")),
    }
}

fn claim_folder(objects: &dyn Objects, name: &str) -> Result<PathBuf, VolumeError> {
    let unbound = || VolumeError::Unbound(name.to_owned());
    let claim = objects
        .claim(name)
        .ok_or_else(|| VolumeError::NotFound { kind: "persistentvolumeclaim", name: name.to_owned() })?;
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).ok_or_else(unbound)?;
    let volume = objects.volume(&volume).ok_or_else(unbound)?;
    let spec = volume.spec.as_ref().ok_or_else(unbound)?;
    let host = spec.host_path.as_ref().map(|host| host.path.as_str());
    let path = host.or(spec.local.as_ref().map(|local| local.path.as_str()));
    path.map(PathBuf::from)
        .ok_or_else(|| VolumeError::Unserved(format!("the kind of volume {}", volume.name_any())))
}

/// Whether the kubelet has to put the token in place, as far as the pod alone tells: not where the server's
/// admission did it, else what the pod says; none where that is left to its account.
fn pod_says(pod: &Pod) -> Option<bool> {
    let spec = pod.spec.as_ref()?;
    let mut mounts = spec.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten());
    if mounts.any(|mount| mount.mount_path == ACCOUNT_PATH) {
        return Some(false);
    }
    spec.automount_service_account_token
}

fn access_volume() -> Volume {
    let text = serde_json::json!({
        "name": ACCOUNT_VOLUME,
        "projected": { "sources": [
            { "serviceAccountToken": { "path": "token" } },
            { "downwardAPI": { "items": [
                { "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } },
            ] } },
        ] },
    });
    serde_json::from_value(text).unwrap_or_default()
}

async fn request_token(
    client: &Client,
    pod: &Pod,
    audience: &str,
    seconds: i64,
) -> Result<String, VolumeError> {
    let name = account(pod);
    let failed = |message: String| VolumeError::Token { account: name.clone(), message };
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: (!audience.is_empty()).then(|| vec![audience.to_owned()]),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = PostParams::default();
    let answer = accounts.create_token_request(&name, &params, &request);
    let answer = tokio::time::timeout(Duration::from_secs(10), answer)
        .await
        .map_err(|_| failed("no answer within 10 s".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    answer.status.and_then(|status| status.token).ok_or(VolumeError::NoToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_path_stays_inside_of_its_volume() {
        let root = tempfile::tempdir().unwrap();
        let volume = root.path().join("v");
        std::fs::create_dir(&volume).unwrap();
        assert!(sub_path(&volume, "a/b", true).unwrap().ends_with("v/a/b"));
        assert!(sub_path(&volume, "missing", false).is_err());
        assert!(sub_path(&volume, "../x", true).is_err());
        std::os::unix::fs::symlink("/", volume.join("out")).unwrap();
        assert!(sub_path(&volume, "out/etc", true).is_err());
    }

    #[test]
    fn the_token_is_put_in_place_unless_the_server_did_it_or_the_pod_says_no() {
        let pod = |automount: serde_json::Value, path: &str| -> Pod {
            serde_json::from_value(serde_json::json!({ "spec": {
                "automountServiceAccountToken": automount,
                "containers": [{ "name": "c", "volumeMounts": [{ "name": "v", "mountPath": path }] }],
            } }))
            .unwrap()
        };
        let unsaid = serde_json::Value::Null;
        assert_eq!(pod_says(&pod(unsaid.clone(), "/x")), None, "left to the account");
        assert_eq!(pod_says(&pod(unsaid, ACCOUNT_PATH)), Some(false), "the server did it");
        assert_eq!(pod_says(&pod(false.into(), "/x")), Some(false));
        assert_eq!(pod_says(&pod(true.into(), "/x")), Some(true));
        assert_eq!(pod_says(&pod(true.into(), ACCOUNT_PATH)), Some(false));
    }
}

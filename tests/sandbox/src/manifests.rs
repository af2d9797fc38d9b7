//! Manifests from files and folders, and how they are applied: what others need comes first.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{self, Scope};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

/// Field manager of what is applied.
const MANAGER: &str = "obstack-sandbox";
/// Largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;
/// How long a definition may take to be served.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Why manifests cannot be read or applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder cannot be read.
    #[error("{path}: {message}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        message: String,
    },
    /// A document is no Kubernetes object.
    #[error("{path}: document {number}: {message}")]
    Document {
        /// The file.
        path: String,
        /// Number of the document in it, from 1.
        number: usize,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// The server refuses an object.
    #[error("{object}: {message}")]
    Refused {
        /// Kind and name.
        object: String,
        /// What the server says.
        message: String,
    },
    /// A definition is not served in time.
    #[error("{0}: the definition is not served within 30 s")]
    NotEstablished(String),
}

/// Reads all objects of files, folders (their `.yaml`, `.yml` and `.json` files) and, for `-`, standard input.
///
/// # Errors
/// The first path or document that cannot be read.
pub fn load(paths: &[PathBuf]) -> Result<Vec<DynamicObject>, ManifestError> {
    let mut objects = Vec::new();
    for path in paths {
        for file in files(path)? {
            objects.extend(parse(&file.display().to_string(), &read(&file)?)?);
        }
    }
    // Stable: within a rank the order of the files is kept.
    objects.sort_by_key(rank);
    Ok(objects)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    if path == Path::new("-") || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| ManifestError::Read {
        path: path.display().to_string(),
        message: error.to_string(),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if file.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, ManifestError> {
    let failed = |message: String| ManifestError::Read { path: path.display().to_string(), message };
    let mut text = String::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
    };
    result.map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(failed("the file is larger than 16 MiB".to_owned()));
    }
    Ok(text)
}

fn parse(path: &str, text: &str) -> Result<Vec<DynamicObject>, ManifestError> {
    let document =
        |number: usize, message: String| ManifestError::Document { path: path.to_owned(), number, message };
    let values: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| document(1, error.to_string()))?;
    let mut objects = Vec::new();
    for (index, value) in values.into_iter().enumerate().filter(|(_, value)| !value.is_null()) {
        let items = match value.get("items").and_then(Value::as_array) {
            Some(items) if value["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => items.clone(),
            _ => vec![value],
        };
        for item in items {
            let object: DynamicObject =
                serde_json::from_value(item).map_err(|error| document(index + 1, error.to_string()))?;
            if object.types.is_none() || object.metadata.name.is_none() {
                let message = "write apiVersion, kind and metadata.name".to_owned();
                return Err(document(index + 1, message));
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Kinds that others need come before them; kinds that are not named here come last.
const RANKS: &[&[&str]] = &[
    &["Namespace", "CustomResourceDefinition", "StorageClass"],
    &["ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap", "Secret"],
    &["Service", "PersistentVolumeClaim", "Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"],
];

fn rank(object: &DynamicObject) -> usize {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    RANKS.iter().position(|kinds| kinds.contains(&kind)).unwrap_or(RANKS.len())
}

/// Kind, namespace and name of an object, for people.
pub fn describe(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or("object");
    let namespace = object.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{kind} {namespace}{}", object.name_any())
}

/// Applies objects in order, each by a server-side apply that takes over what others own; waits until each
/// definition is served.
///
/// # Errors
/// The first object that the server refuses.
pub async fn apply(client: &Client, objects: &[DynamicObject]) -> Result<(), ManifestError> {
    let mut definitions: BTreeSet<String> = BTreeSet::new();
    for object in objects {
        let refused = |message: String| ManifestError::Refused { object: describe(object), message };
        let types = object.types.clone().unwrap_or_default();
        if rank(object) > 0 {
            for name in std::mem::take(&mut definitions) {
                await_established(client, &name).await?;
            }
        }
        let kind = GroupVersionKind::try_from(&types).map_err(|error| refused(error.to_string()))?;
        let (resource, capabilities) =
            discovery::pinned_kind(client, &kind).await.map_err(|error| refused(error.to_string()))?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
                Api::namespaced_with(client.clone(), &namespace, &resource)
            }
        };
        let params = PatchParams::apply(MANAGER).force();
        api.patch(&object.name_any(), &params, &Patch::Apply(object))
            .await
            .map_err(|error| refused(error.to_string()))?;
        if types.kind == "CustomResourceDefinition" {
            definitions.insert(object.name_any());
        }
    }
    for name in definitions {
        await_established(client, &name).await?;
    }
    Ok(())
}

async fn await_established(client: &Client, name: &str) -> Result<(), ManifestError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let established = kube::runtime::conditions::is_crd_established();
    let waiting = kube::runtime::wait::await_condition(api, name, established);
    match tokio::time::timeout(ESTABLISHED, waiting).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(ManifestError::NotEstablished(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_in_the_order_in_which_they_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "a.yaml",
            "apiVersion: x/v1\nkind: Stack\nmetadata: {name: s}\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n",
        );
        write(
            "b.yml",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n",
        );
        write("c.txt", "not: read");
        let objects = load(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = objects.iter().map(describe).collect();
        assert_eq!(names, ["Namespace ns", "ConfigMap c", "Stack s"]);
    }

    #[test]
    fn a_document_that_is_no_object_is_named_with_its_place() {
        let error =
            parse("x.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nfoo: 1\n").unwrap_err();
        assert_eq!(error.to_string(), "x.yaml: document 2: write apiVersion, kind and metadata.name");
        assert!(
            load(&["/none/at/all.yaml".into()]).unwrap_err().to_string().starts_with("/none/at/all.yaml: ")
        );
    }
}

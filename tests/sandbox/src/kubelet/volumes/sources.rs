//! Pure: the files of a volume, from the objects that it refers to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Volume};

use super::VolumeError;
use super::atomic::{File, Files};
use crate::kubelet::env::Lookup;
use crate::kubelet::fields::{self, Addresses};

const MODE: i32 = 0o644;

/// What a volume's files are made from.
pub(crate) struct Sources<'a> {
    /// The pod.
    pub(crate) pod: &'a Pod,
    /// Its addresses.
    pub(crate) addresses: &'a Addresses,
    /// Secrets and ConfigMaps of its namespace.
    pub(crate) lookup: &'a dyn Lookup,
    /// Tokens by audience (empty for the server's own) and lifetime in seconds.
    pub(crate) tokens: &'a BTreeMap<(String, i64), String>,
}

impl Sources<'_> {
    /// The files of a volume; none for a volume that is a folder.
    ///
    /// # Errors
    /// An object or a key that is not there and not optional.
    pub(crate) fn files(&self, volume: &Volume) -> Result<Option<Files>, VolumeError> {
        let mut files = Files::new();
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let mode = source.default_mode.unwrap_or(MODE);
            self.secret(name, source.items.as_deref(), source.optional, mode, &mut files)?;
        } else if let Some(source) = &volume.config_map {
            let mode = source.default_mode.unwrap_or(MODE);
            self.config_map(&source.name, source.items.as_deref(), source.optional, mode, &mut files)?;
        } else if let Some(source) = &volume.downward_api {
            let mode = source.default_mode.unwrap_or(MODE);
            self.downward(source.items.as_deref().unwrap_or_default(), mode, &mut files)?;
        } else if let Some(source) = &volume.projected {
            self.projected(source, &mut files)?;
        } else {
            return Ok(None);
        }
        Ok(Some(files))
    }

    fn projected(&self, source: &ProjectedVolumeSource, files: &mut Files) -> Result<(), VolumeError> {
        let mode = source.default_mode.unwrap_or(MODE);
        for source in source.sources.iter().flatten() {
            if let Some(secret) = &source.secret {
                self.secret(&secret.name, secret.items.as_deref(), secret.optional, mode, files)?;
            } else if let Some(map) = &source.config_map {
                self.config_map(&map.name, map.items.as_deref(), map.optional, mode, files)?;
            } else if let Some(downward) = &source.downward_api {
                self.downward(downward.items.as_deref().unwrap_or_default(), mode, files)?;
            } else if let Some(token) = &source.service_account_token {
                let key = (token.audience.clone().unwrap_or_default(), lifetime(token.expiration_seconds));
                let content = self.tokens.get(&key).ok_or(VolumeError::NoToken)?;
                insert(files, &token.path, content.as_bytes(), mode);
            } else {
                return Err(VolumeError::Unserved("this source of a projected volume".to_owned()));
            }
        }
        Ok(())
    }

    fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
        files: &mut Files,
    ) -> Result<(), VolumeError> {
        let Some(secret) = self.lookup.secret(name) else {
            return missing("secret", name, optional);
        };
        let data: BTreeMap<&str, &[u8]> =
            secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
        pick("secret", name, &data, items, optional, mode, files)
    }

    fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
        files: &mut Files,
    ) -> Result<(), VolumeError> {
        let Some(map) = self.lookup.config_map(name) else {
            return missing("configmap", name, optional);
        };
        let text = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
        pick("configmap", name, &text.chain(binary).collect(), items, optional, mode, files)
    }

    fn downward(
        &self,
        items: &[DownwardAPIVolumeFile],
        mode: i32,
        files: &mut Files,
    ) -> Result<(), VolumeError> {
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => fields::field(self.pod, self.addresses, &field.field_path),
                (None, Some(resource)) => fields::resource(self.pod, None, resource),
                (None, None) => None,
            };
            let value = value.ok_or_else(|| VolumeError::NoField(item.path.clone()))?;
            insert(files, &item.path, value.as_bytes(), item.mode.unwrap_or(mode));
        }
        Ok(())
    }
}

/// Seconds that a token of a projected volume lives: an hour where nothing is said, ten minutes at least.
pub(super) fn lifetime(seconds: Option<i64>) -> i64 {
    seconds.unwrap_or(3600).max(600)
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), VolumeError> {
    if optional == Some(true) { Ok(()) } else { Err(VolumeError::NotFound { kind, name: name.to_owned() }) }
}

fn insert(files: &mut Files, path: &str, content: &[u8], mode: i32) {
    let mode = u32::try_from(mode).unwrap_or(0o644) & 0o777;
    files.insert(path.to_owned(), File { content: content.to_vec(), mode });
}

fn pick(
    kind: &'static str,
    name: &str,
    data: &BTreeMap<&str, &[u8]>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
    files: &mut Files,
) -> Result<(), VolumeError> {
    let Some(items) = items else {
        for (key, value) in data {
            insert(files, key, value, mode);
        }
        return Ok(());
    };
    for item in items {
        match data.get(item.key.as_str()) {
            Some(value) => insert(files, &item.path, value, item.mode.unwrap_or(mode)),
            None if optional == Some(true) => (),
            None => {
                return Err(VolumeError::NoKey { kind, name: name.to_owned(), key: item.key.clone() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use serde_json::json;

    use super::*;

    struct Objects;

    impl Lookup for Objects {
        fn secret(&self, name: &str) -> Option<Arc<Secret>> {
            let secret = json!({ "data": { "part.gz": "AAE=", "other": "AAE=" } });
            (name == "part-0").then(|| Arc::new(serde_json::from_value(secret).unwrap()))
        }

        fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
            let map = json!({ "data": { "ca.crt": "pem" } });
            (name == "ca").then(|| Arc::new(serde_json::from_value(map).unwrap()))
        }
    }

    fn files(volume: serde_json::Value) -> Result<Option<Files>, VolumeError> {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "name": "p", "namespace": "ns" } })).unwrap();
        let tokens = BTreeMap::from([((String::new(), 3600), "token".to_owned())]);
        let sources =
            Sources { pod: &pod, addresses: &Addresses::default(), lookup: &Objects, tokens: &tokens };
        sources.files(&serde_json::from_value(volume).unwrap())
    }

    #[test]
    fn a_projected_volume_joins_its_sources_and_leaves_out_what_is_optional() {
        let files = files(json!({ "name": "v", "projected": { "defaultMode": 0o440, "sources": [
            { "secret": { "name": "part-0", "items": [{ "key": "part.gz", "path": "part-0.gz" }] } },
            { "secret": { "name": "part-1", "optional": true, "items": [{ "key": "part.gz", "path": "x" }] } },
            { "configMap": { "name": "ca" } },
            { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
            { "serviceAccountToken": { "path": "token" } },
        ] } }))
        .unwrap()
        .unwrap();
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["ca.crt", "namespace", "part-0.gz", "token"]);
        assert_eq!(files["part-0.gz"], File { content: vec![0, 1], mode: 0o440 });
        assert_eq!(files["namespace"].content, b"ns");
    }

    #[test]
    fn what_is_missing_and_not_optional_is_named() {
        let error = files(json!({ "name": "v", "secret": { "secretName": "none" } })).unwrap_err();
        assert_eq!(error.to_string(), "secret \"none\" not found");
        let error = files(
            json!({ "name": "v", "configMap": { "name": "ca", "items": [{ "key": "k", "path": "p" }] } }),
        );
        assert_eq!(error.unwrap_err().to_string(), "configmap ca has no key k");
    }
}

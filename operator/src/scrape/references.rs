//! References of objects to Secrets and ConfigMaps, which always mean the namespace of who refers.

use super::assets::{AssetError, Assets};
use super::contents::Holder;
use super::judge::{Rejection, fault};
use super::objects::KeyRef;

/// A key of a Secret or of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetRef {
    /// What it points into.
    pub source: Holder,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// A file that a job reads: TLS material, put where the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetFile {
    /// Absolute path in the engine's pod.
    pub path: String,
    /// What is in it.
    pub from: AssetRef,
}

/// Stands for what a Secret holds where that is not to be shown or was not looked up. Material that reads like
/// this is not judged.
pub const UNSEEN: &str = "<secret>";

/// Nobody looks: every reference is taken to be good, and what it holds is [`UNSEEN`].
#[derive(Clone, Copy, Debug, Default)]
pub struct UnseenAssets;

impl Assets for UnseenAssets {
    fn secret(&self, _: &str, _: &str, _: &str) -> Result<&[u8], AssetError> {
        Ok(UNSEEN.as_bytes())
    }

    fn config_map(&self, _: &str, _: &str, _: &str) -> Result<&[u8], AssetError> {
        Ok(UNSEEN.as_bytes())
    }
}

/// The lookup of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) assets: &'a dyn Assets,
    pub(crate) namespace: &'a str,
}

impl<'a> Scope<'a> {
    pub(crate) fn reference(&self, source: Holder, key: &KeyRef) -> AssetRef {
        AssetRef {
            source,
            namespace: self.namespace.to_owned(),
            name: key.name.clone(),
            key: key.key.clone(),
        }
    }

    /// The content of a reference as text.
    pub(crate) fn read(&self, path: &str, source: Holder, key: &KeyRef) -> Result<&'a str, Rejection> {
        let kind = source.as_str();
        let KeyRef { name, key: entry } = key;
        let namespace = self.namespace;
        let content = match source {
            Holder::Secret => self.assets.secret(namespace, name, entry),
            Holder::ConfigMap => self.assets.config_map(namespace, name, entry),
        };
        let content = content.map_err(|error| match error {
            AssetError::NoObject => fault(
                path,
                format!("{kind} {namespace}/{name}, which does not exist"),
                format!("the name of a {kind} in namespace {namespace}"),
            ),
            AssetError::NoKey => fault(
                path,
                format!("key {entry:?}, which {kind} {namespace}/{name} does not have"),
                "a key that it has",
            ),
        })?;
        std::str::from_utf8(content).map_err(|_| {
            let found = format!("key {entry:?} of {kind} {namespace}/{name}, which is no UTF-8 text");
            fault(path, found, "a key that holds text")
        })
    }

    /// The content of a key of a Secret, to be written into a configuration.
    pub(crate) fn secret(&self, path: &str, key: &KeyRef) -> Result<&'a str, Rejection> {
        self.read(path, Holder::Secret, key)
    }
}

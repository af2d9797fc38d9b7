//! Contents of Secrets and ConfigMaps that objects of others refer to, looked up and never listed.

use std::collections::BTreeMap;

/// Contents by namespace, name and key. Who implements it answers for nothing else than what is asked for.
pub trait Assets {
    /// The content of a key of a Secret.
    ///
    /// # Errors
    /// [`AssetError`] where the Secret or the key is not there.
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError>;

    /// The content of a key of a ConfigMap.
    ///
    /// # Errors
    /// [`AssetError`] where the ConfigMap or the key is not there.
    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError>;
}

/// Why a content cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// The object is not there.
    #[error("does not exist")]
    NoObject,
    /// The object is there and has no such key.
    #[error("has no such key")]
    NoKey,
}

/// What a Secret or a ConfigMap holds as it was written, by key; nothing where the object is another. A key whose
/// content is no base64 is left out. `stringData` goes before `data`, as in the API server.
pub fn data_of(object: &serde_json::Value) -> BTreeMap<String, Vec<u8>> {
    use base64::Engine as _;
    let standard = &base64::engine::general_purpose::STANDARD;
    let texts = |field: &str| object[field].as_object().into_iter().flatten();
    let plain = |(key, value): (&String, &serde_json::Value)| {
        Some((key.clone(), value.as_str()?.as_bytes().to_vec()))
    };
    let coded = |(key, value): (&String, &serde_json::Value)| {
        // A line break at the end or inside is no fault of the content's.
        let text: String = value.as_str()?.split_whitespace().collect();
        Some((key.clone(), standard.decode(text).ok()?))
    };
    let (first, last) = match object["kind"].as_str() {
        Some("Secret") => ("data", "stringData"),
        Some("ConfigMap") => ("binaryData", "data"),
        _ => return BTreeMap::new(),
    };
    texts(first).filter_map(coded).chain(texts(last).filter_map(plain)).collect()
}

/// Namespace, name and key of a content.
type Place = (String, String);

/// Contents that are held in memory, for the command line and for tests.
#[derive(Clone, Default)]
pub struct HeldAssets {
    secrets: BTreeMap<Place, BTreeMap<String, Vec<u8>>>,
    config_maps: BTreeMap<Place, BTreeMap<String, Vec<u8>>>,
}

impl std::fmt::Debug for HeldAssets {
    /// Names only: contents are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldAssets")
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("config_maps", &self.config_maps.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl HeldAssets {
    /// Adds a Secret or a ConfigMap as it was written; any other object is left alone, and so is a key whose
    /// content is no base64. `stringData` goes before `data`, as in the API server.
    pub fn add(&mut self, object: &serde_json::Value) {
        let about = &object["metadata"];
        let namespace = about["namespace"].as_str().filter(|text| !text.is_empty()).unwrap_or("default");
        let place = (namespace.to_owned(), about["name"].as_str().unwrap_or_default().to_owned());
        let held = match object["kind"].as_str() {
            Some("Secret") => &mut self.secrets,
            Some("ConfigMap") => &mut self.config_maps,
            _ => return,
        };
        held.entry(place).or_default().extend(data_of(object));
    }
}

impl Assets for HeldAssets {
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        find(&self.secrets, namespace, name, key)
    }

    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        find(&self.config_maps, namespace, name, key)
    }
}

fn find<'a>(
    held: &'a BTreeMap<Place, BTreeMap<String, Vec<u8>>>,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<&'a [u8], AssetError> {
    let object = held.get(&(namespace.to_owned(), name.to_owned())).ok_or(AssetError::NoObject)?;
    object.get(key).map(Vec::as_slice).ok_or(AssetError::NoKey)
}

//! Contents of the Secrets that a stack refers to: read one by one, only where referred to, and never logged.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use obstack_crds::workload::SecretKey;

use super::Fact;
use crate::apply::writer::{READ_TIMEOUT, within};

/// Longest value that is taken from a Secret: the API's own bound on a whole one.
pub const MAX_VALUE: usize = 1 << 20;

/// Reads the values of these keys; each Secret is read once.
pub async fn read(
    client: &Client,
    namespace: &str,
    keys: BTreeSet<SecretKey>,
) -> BTreeMap<SecretKey, Fact<Option<Vec<u8>>>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let names: BTreeSet<String> = keys.iter().map(|key| key.name.clone()).collect();
    let mut secrets = BTreeMap::new();
    for name in names {
        let answer = within(READ_TIMEOUT, api.get_opt(&name)).await;
        secrets.insert(name, answer.map_err(|error| error.to_string()));
    }
    keys.into_iter()
        .map(|key| {
            let fact = match secrets.get(&key.name) {
                Some(Ok(secret)) => value(secret.as_ref(), &key.key),
                Some(Err(reason)) => Fact::Unavailable(reason.clone()),
                None => Fact::Unavailable("not read".to_owned()),
            };
            (key, fact)
        })
        .collect()
}

fn value(secret: Option<&Secret>, key: &str) -> Fact<Option<Vec<u8>>> {
    let found = secret.and_then(|secret| secret.data.as_ref()).and_then(|data| data.get(key));
    match found {
        Some(value) if value.0.len() > MAX_VALUE => {
            Fact::Unavailable(format!("its key {key} holds more than {} MiB", MAX_VALUE >> 20))
        }
        found => Fact::Known(found.map(|value| value.0.clone())),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_missing_secret_and_a_missing_key_are_known_to_be_missing() {
        let data = BTreeMap::from([("url".to_owned(), ByteString(b"https://x".to_vec()))]);
        let secret = Secret { data: Some(data), ..Secret::default() };
        assert_eq!(value(None, "url"), Fact::Known(None));
        assert_eq!(value(Some(&secret), "other"), Fact::Known(None));
        assert_eq!(value(Some(&secret), "url"), Fact::Known(Some(b"https://x".to_vec())));
    }
}

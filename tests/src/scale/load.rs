//! Fills a cluster with objects, many requests at a time.

use std::time::Instant;

use futures::{StreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, Error};
use serde_json::Value;

/// Requests at the same time.
const AT_ONCE: usize = 48;
/// How often a create is tried: an API server under load refuses some.
const TRIES: usize = 20;
/// Objects between two lines of progress.
const TOLD: usize = 2_000;

/// Creates objects, and says on standard error how far it is.
///
/// # Errors
/// The API server's, after [`TRIES`] tries.
pub async fn create(
    client: &Client,
    what: &str,
    plural: &str,
    objects: impl Iterator<Item = Value>,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut done = 0;
    let mut requests =
        stream::iter(objects.map(|object| one(client, plural, object))).buffer_unordered(AT_ONCE);
    while let Some(result) = requests.next().await {
        result?;
        done += 1;
        if done % TOLD == 0 {
            eprintln!("{what}: {done} created in {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    eprintln!("{what}: {done} created in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn one(client: &Client, plural: &str, mut object: Value) -> Result<(), Error> {
    if let Some(about) = object["metadata"].as_object_mut() {
        about.remove("uid");
        about.remove("resourceVersion");
    }
    let api = api(client, plural, &object);
    let object: DynamicObject = serde_json::from_value(object).map_err(Error::SerdeError)?;
    let mut tries = 1;
    loop {
        match api.create(&PostParams::default(), &object).await {
            Err(Error::Api(status)) if status.code == 409 => return Ok(()),
            Err(_) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            }
            other => return other.map(drop),
        }
    }
}

/// The API of an object's kind in its namespace.
pub fn api(client: &Client, plural: &str, object: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

//! Parts of an engine's main file, each judged and written by itself: one at fault costs nothing but itself.

use serde_json::{Map, Value};

use super::{alerting, global, remote};
use crate::scrape::assets::Assets;
use crate::scrape::jobs::http::Client;
use crate::scrape::jobs::{Yaml, engine_scope};
use crate::scrape::judge::{Rejection, Under, fault};
use crate::scrape::references::AssetFile;
use crate::scrape::settings::Settings;

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// As it stands in the main file.
    pub(crate) value: Value,
    /// The files that it reads.
    pub(crate) files: Vec<AssetFile>,
}

/// What became of each entry of a list.
pub(crate) type Parts = Vec<Result<Part, Rejection>>;

/// Where samples are sent to.
pub(crate) fn remote_writes(settings: &Settings, assets: &dyn Assets) -> Parts {
    each("spec.remoteWrite", settings, assets, &settings.spec.remote_write, |y, client, one| {
        remote::judge_write(client.settings, &client.scope, one)?;
        remote::remote_write(y, client, one)
    })
}

/// Where samples are read from.
pub(crate) fn remote_reads(settings: &Settings, assets: &dyn Assets) -> Parts {
    each("spec.remoteRead", settings, assets, &settings.spec.remote_read, |y, client, one| {
        remote::judge_read(&client.scope, one)?;
        remote::remote_read(y, client, one)
    })
}

/// Who is told of alerts.
pub(crate) fn alertmanagers(settings: &Settings, assets: &dyn Assets) -> Parts {
    let all = settings.spec.alerting.as_ref().map_or(&[][..], |alerting| &alerting.alertmanagers);
    each("spec.alerting.alertmanagers", settings, assets, all, |y, client, one| {
        alerting::judge_one(client.settings, &client.scope, one)?;
        alerting::alertmanager(y, client, one)
    })
}

fn each<T>(
    path: &str,
    settings: &Settings,
    assets: &dyn Assets,
    entries: &[T],
    write: impl Fn(&mut Yaml, &Client<'_>, &T) -> Result<(), Rejection>,
) -> Parts {
    let client = Client { settings, scope: engine_scope(settings, "default", assets) };
    let one = |(index, entry): (usize, &T)| {
        let mut y = Yaml::default();
        y.list("list", |y| y.item(|y| write(y, &client, entry))).at(path, index)?;
        let files = std::mem::take(&mut y.files);
        let value = read(y).at(path, index)?.remove("list").and_then(|list| list.get(0).cloned());
        Ok(Part { value: value.unwrap_or_default(), files })
    };
    entries.iter().enumerate().map(one).collect()
}

/// What one scrape may bring where its job says nothing, as it stands in the global part.
pub(crate) fn limits(settings: &Settings) -> Map<String, Value> {
    let mut y = Yaml::default();
    global::limits(&mut y, settings);
    // What was just written can be read.
    read(y).unwrap_or_default()
}

/// How samples are kept, as it stands in the main file; none where nothing is said.
pub(crate) fn storage(settings: &Settings) -> Option<Value> {
    let mut y = Yaml::default();
    global::storage(&mut y, settings).ok()?;
    read(y).unwrap_or_default().remove("storage")
}

/// Judges what holds for the engine as a whole.
///
/// # Errors
/// The first fault.
pub(crate) fn judge_global(settings: &Settings) -> Result<(), Rejection> {
    global::judge(settings).under("spec")
}

fn read(y: Yaml) -> Result<Map<String, Value>, Rejection> {
    let text = y.into_text();
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_saphyr::from_str(&text).map_err(|_| fault("", "what cannot be read back", "something else"))
}

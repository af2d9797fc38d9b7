//! Many objects at once: each is built by itself, and what is wrong with one stops no other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::assets::Assets;
use super::jobs::{Built, build};
use super::judge::object::judge_required;
use super::judge::{Rejection, fault};
use super::objects::{Kind, Monitor};
use super::settings::Settings;

/// What became of many objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Jobs by kind, namespace and name.
    pub built: BTreeMap<(Kind, String, String), Built>,
    /// What was kept out, in the order in which it came.
    pub rejected: Vec<Rejection>,
}

impl Collected {
    /// The jobs in the order in which they are written.
    pub fn jobs(&self) -> Vec<(Kind, &Built)> {
        self.built.iter().map(|((kind, _, _), built)| (*kind, built)).collect()
    }
}

/// Builds the jobs of objects of `monitoring.coreos.com` that come from files: defaults are filled in, and what
/// the API requires must be there. Of two with one kind, namespace and name, which no API
/// server holds, the first one counts.
pub fn build_all<'v>(
    settings: &Settings,
    objects: impl IntoIterator<Item = (Kind, &'v Value)>,
    assets: &dyn Assets,
) -> Collected {
    let mut done = Collected::default();
    for (kind, object) in objects {
        let monitor = match Monitor::read(kind, object) {
            Ok(monitor) => monitor.with_defaults(),
            Err(rejection) => {
                done.rejected.push(rejection);
                continue;
            }
        };
        let key = (kind, monitor.namespace.clone(), monitor.name.clone());
        if done.built.contains_key(&key) {
            let again = fault("metadata.name", "a second object of this name", "another name");
            done.rejected.push(again.of(kind.as_str(), &key.1, &key.2));
            continue;
        }
        let required = judge_required(&monitor).map_err(|missing| missing.of(kind.as_str(), &key.1, &key.2));
        match required.and_then(|()| build(settings, &monitor, assets)) {
            Ok(built) => {
                done.built.insert(key, built);
            }
            Err(rejection) => done.rejected.push(rejection),
        }
    }
    done
}

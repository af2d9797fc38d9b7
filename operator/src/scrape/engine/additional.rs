//! What is taken over into a configuration as it was written.

use serde_json::{Value, json};

use super::read_list;
use crate::scrape::assets::Assets;
use crate::scrape::jobs::engine_scope;
use crate::scrape::judge::{Rejection, Under, fault};
use crate::scrape::objects::KeyRef;
use crate::scrape::references::UNSEEN;
use crate::scrape::settings::{Role, Settings};

/// Texts that the settings refer to, and the files of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additional {
    /// Jobs, a list of YAML.
    pub scrape_configs: Option<String>,
    /// Steps of relabelling of alerts, a list of YAML.
    pub alert_relabel_configs: Option<String>,
    /// Alertmanagers, a list of YAML.
    pub alertmanager_configs: Option<String>,
    /// Patterns of files of rules.
    pub rule_files: Vec<String>,
}

impl Additional {
    /// Reads the texts that the settings refer to. What nobody has seen is left out.
    ///
    /// # Errors
    /// References that lead nowhere.
    pub fn read(settings: &Settings, assets: &dyn Assets) -> Result<Self, Rejection> {
        Ok(Self {
            scrape_configs: Self::read_scrape_configs(settings, assets)?,
            alert_relabel_configs: Self::read_alert_relabel_configs(settings, assets)?,
            alertmanager_configs: read(
                settings,
                assets,
                "additionalAlertManagerConfigs",
                settings.spec.additional_alert_manager_configs.as_ref(),
            )?,
            rule_files: Vec::new(),
        })
    }

    /// The text of the jobs; none where none is referred to or nobody has seen it.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub(crate) fn read_scrape_configs(
        settings: &Settings,
        assets: &dyn Assets,
    ) -> Result<Option<String>, Rejection> {
        let key = settings.spec.additional_scrape_configs.as_ref();
        read(settings, assets, "additionalScrapeConfigs", key)
    }

    /// The text of the steps of relabelling of alerts; none where none is referred to or nobody has seen it.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub(crate) fn read_alert_relabel_configs(
        settings: &Settings,
        assets: &dyn Assets,
    ) -> Result<Option<String>, Rejection> {
        let key = settings.spec.additional_alert_relabel_configs.as_ref();
        read(settings, assets, "additionalAlertRelabelConfigs", key)
    }

    /// The jobs, shared among shards unless one shares its targets by itself.
    pub(super) fn scrape_configs(&self, settings: &Settings) -> Result<Vec<Value>, Rejection> {
        let mut jobs = read_list("spec.additionalScrapeConfigs", self.scrape_configs.as_deref())?;
        let Some(shard) = settings.places.shard.as_deref() else { return Ok(jobs) };
        if settings.shards() == 1 || settings.role == Role::NodeAgent {
            return Ok(jobs);
        }
        for (index, job) in jobs.iter_mut().enumerate() {
            let Some(fields) = job.as_object_mut() else { continue };
            let steps = fields.entry("relabel_configs").or_insert_with(|| json!([]));
            if steps.is_null() {
                *steps = json!([]);
            }
            let Some(steps) = steps.as_array_mut() else {
                return Err(fault("relabel_configs", "no list", "a list of steps"))
                    .at("spec.additionalScrapeConfigs", index);
            };
            if !steps.iter().any(|step| step["action"] == "hashmod") {
                steps.extend(sharding(settings.shards(), shard));
            }
        }
        Ok(jobs)
    }
}

fn read(
    settings: &Settings,
    assets: &dyn Assets,
    path: &str,
    key: Option<&KeyRef>,
) -> Result<Option<String>, Rejection> {
    let Some(key) = key else { return Ok(None) };
    let text = engine_scope(settings, "default", assets).secret(path, key).under("spec")?;
    Ok((text != UNSEEN).then(|| text.to_owned()))
}

/// Steps that share targets among shards.
fn sharding(shards: i64, shard: &str) -> [Value; 3] {
    [
        json!({
            "source_labels": ["__address__", "__tmp_hash"],
            "target_label": "__tmp_hash",
            "regex": "(.+);",
            "replacement": "$1",
            "action": "replace",
        }),
        json!({
            "source_labels": ["__tmp_hash"],
            "target_label": "__tmp_hash",
            "modulus": shards,
            "action": "hashmod",
        }),
        json!({
            "source_labels": ["__tmp_hash", "__tmp_disable_sharding"],
            "regex": format!("{shard};|.+;.+"),
            "action": "keep",
        }),
    ]
}

//! What is taken over into a configuration as it was written.

use serde_json::{Value, json};

use super::read_list;
use crate::scrape::assets::Assets;
use crate::scrape::jobs::engine_scope;
use crate::scrape::judge::{Rejection, Under, fault};
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
        let scope = engine_scope(settings, "default", assets);
        let read = |path: &str, key: &Option<crate::scrape::objects::KeyRef>| {
            let Some(key) = key else { return Ok(None) };
            let text = scope.secret(path, key).under("spec")?;
            Ok((text != UNSEEN).then(|| text.to_owned()))
        };
        let spec = &settings.spec;
        Ok(Self {
            scrape_configs: read("additionalScrapeConfigs", &spec.additional_scrape_configs)?,
            alert_relabel_configs: read(
                "additionalAlertRelabelConfigs",
                &spec.additional_alert_relabel_configs,
            )?,
            alertmanager_configs: read(
                "additionalAlertManagerConfigs",
                &spec.additional_alert_manager_configs,
            )?,
            rule_files: Vec::new(),
        })
    }

    /// The jobs, shared among shards unless one shares its targets by itself.
    pub(super) fn scrape_configs(&self, settings: &Settings) -> Result<Vec<Value>, Rejection> {
        let mut jobs = read_list("spec.additionalScrapeConfigs", self.scrape_configs.as_deref())?;
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
                steps.extend(sharding(settings));
            }
        }
        Ok(jobs)
    }
}

/// Steps that share targets among shards.
fn sharding(settings: &Settings) -> [Value; 3] {
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
            "modulus": settings.shards(),
            "action": "hashmod",
        }),
        json!({
            "source_labels": ["__tmp_hash", "__tmp_disable_sharding"],
            "regex": format!("{};|.+;.+", settings.places.shard),
            "action": "keep",
        }),
    ]
}

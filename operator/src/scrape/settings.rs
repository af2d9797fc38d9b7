//! What an engine is told, made ready: what is judged once and not for every job.

use serde_json::Value;

use super::judge::relabel::{Rules, judge_list};
use super::judge::{Rejection, Under, fault, http, names};
use super::objects::{Kind, Metadata, PrometheusSpec, ScrapeClass, typed};
use super::version::Version;

/// What part of a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Scrapes, stores and evaluates.
    Server,
    /// Scrapes and sends on.
    Agent,
    /// Scrapes the pods of its own node and sends on.
    NodeAgent,
}

/// Where things are in an engine's pod, and how what differs from replica to replica is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Folder of TLS material, without a slash at the end.
    pub certificates: String,
    /// Folder of rule files, without a slash at the end.
    pub rules: String,
    /// Folder of log files that are named without one.
    pub logs: String,
    /// Stands for the pod's name.
    pub pod_name: String,
    /// Stands for the number of the shard, from 0; none where one engine has all targets, and no step shares them.
    pub shard: Option<String>,
    /// Stands for the node's name.
    pub node_name: String,
}

impl Default for Places {
    /// As the peers' operator has them.
    fn default() -> Self {
        Self {
            certificates: "/etc/prometheus/certs".to_owned(),
            rules: "/etc/prometheus/rules".to_owned(),
            logs: "/var/log/prometheus".to_owned(),
            pod_name: "$(POD_NAME)".to_owned(),
            shard: Some("$(SHARD)".to_owned()),
            node_name: "$(NODE_NAME)".to_owned(),
        }
    }
}

/// What an engine is told: every job depends on this, on its object and on the object's Secrets alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Namespace of the engine.
    pub namespace: String,
    /// Name of what the engine belongs to.
    pub name: String,
    /// What part of a configuration is written.
    pub role: Role,
    /// The engine's version: a field that it does not know is left out.
    pub version: Version,
    /// Where things are in the engine's pod.
    pub places: Places,
    /// Whether the cluster serves EndpointSlice.
    pub endpoint_slices: bool,
    /// Whether TLS material stands in the configuration instead of in files.
    pub inline_tls: bool,
    pub(crate) spec: PrometheusSpec,
}

impl Settings {
    /// Reads a Prometheus or a PrometheusAgent of the group `monitoring.coreos.com`.
    ///
    /// `version` is written for instead of the one in the object.
    ///
    /// # Errors
    /// A field of another type, and everything that would spoil all jobs: the version, scrape classes.
    pub fn read(object: &Value, version: Option<Version>) -> Result<Self, Rejection> {
        let kind = if object["kind"] == "PrometheusAgent" { "PrometheusAgent" } else { "Prometheus" };
        let read = || -> Result<Self, Rejection> {
            let metadata: Metadata = typed(&object["metadata"]).under("metadata")?;
            let spec: PrometheusSpec = match &object["spec"] {
                Value::Null => PrometheusSpec::default(),
                spec => typed(spec).under("spec")?,
            };
            let role = match (kind, spec.mode.as_deref()) {
                ("PrometheusAgent", Some("DaemonSet")) => Role::NodeAgent,
                ("PrometheusAgent", _) => Role::Agent,
                _ => Role::Server,
            };
            Self::new(metadata.namespace, metadata.name, role, spec, version)
        };
        read().map_err(|rejection| rejection.of_object(kind, object))
    }

    pub(crate) fn new(
        namespace: String,
        name: String,
        role: Role,
        spec: PrometheusSpec,
        version: Option<Version>,
    ) -> Result<Self, Rejection> {
        let version = match (version, spec.version.as_deref()) {
            (Some(version), _) => version,
            (None, Some(text)) if !text.is_empty() => text.parse().map_err(|_| {
                fault("spec.version", format!("{text:?}"), "a version of Prometheus 2 or 3, such as v3.5.0")
            })?,
            _ => Version::DEFAULT,
        };
        let settings = Self::unjudged(namespace, name, role, spec, version);
        match settings.class_faults().into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(settings),
        }
    }

    /// Settings of which nothing was judged: see [`Settings::class_faults`].
    pub(crate) fn unjudged(
        namespace: String,
        name: String,
        role: Role,
        spec: PrometheusSpec,
        version: Version,
    ) -> Self {
        Self {
            namespace,
            name,
            role,
            version,
            places: Places::default(),
            endpoint_slices: true,
            inline_tls: false,
            spec,
        }
    }

    /// The settings with what an API server fills in: objects that come from files alone lack it.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        for interval in [&mut self.spec.scrape_interval, &mut self.spec.evaluation_interval] {
            if interval.is_empty() {
                "30s".clone_into(interval);
            }
        }
        self
    }

    /// Among how many engines the targets are shared.
    pub(crate) fn shards(&self) -> i64 {
        self.spec.shards.filter(|shards| *shards > 1).unwrap_or(1)
    }

    /// What is wrong with each scrape class by itself, contents left aside, and with all of them together.
    pub(crate) fn class_faults(&self) -> Vec<Rejection> {
        let classes = &self.spec.scrape_classes;
        let judge = |(index, class)| self.judge_class(class).at("spec.scrapeClasses", index).err();
        let mut faults: Vec<Rejection> = classes.iter().enumerate().filter_map(judge).collect();
        let defaults = classes.iter().filter(|class| class.default == Some(true)).count();
        if defaults > 1 {
            let found = format!("{defaults} defaults");
            faults.push(fault("spec.scrapeClasses", found, "default: true in one at most"));
        }
        faults
    }

    /// Leaves out the scrape classes that are at fault, and says what they are.
    pub(crate) fn leave_out_unsound_classes(&mut self) -> Vec<Rejection> {
        let faults = self.class_faults();
        let classes = std::mem::take(&mut self.spec.scrape_classes);
        let sound = classes.into_iter().filter(|class| self.judge_class(class).is_ok());
        self.spec.scrape_classes = sound.collect();
        faults
    }

    fn judge_class(&self, class: &ScrapeClass) -> Result<(), Rejection> {
        judge_list("relabelings", self.rules(), &class.relabelings)?;
        judge_list("metricRelabelings", self.rules(), &class.metric_relabelings)?;
        if let Some(tls) = &class.tls_config {
            http::judge_tls_shape(tls).under("tlsConfig")?;
        }
        if let Some(authorization) = &class.authorization {
            http::judge_authorization_shape(authorization).under("authorization")?;
        }
        names::word(
            "fallbackScrapeProtocol",
            class.fallback_scrape_protocol.as_deref(),
            &super::judge::object::PROTOCOLS,
            false,
        )
    }

    /// Whether ServiceMonitors of a namespace may not name files of the engine's pod.
    pub(crate) fn denies_files(&self, namespace: &str) -> bool {
        let access = &self.spec.arbitrary_fs_access;
        access.deny && !(access.own_namespace_may && namespace == self.namespace)
    }

    /// The class that an object chose, the default one, or none.
    pub(crate) fn class(&self, name: Option<&str>) -> Option<&ScrapeClass> {
        let classes = &self.spec.scrape_classes;
        // Of two classes with one name the last one counts.
        let named = name.and_then(|name| classes.iter().rev().find(|class| class.name == name));
        named.or_else(|| classes.iter().find(|class| class.default == Some(true)))
    }

    /// What steps of relabelling are judged for.
    pub(crate) fn rules(&self) -> Rules {
        let legacy_names = self
            .spec
            .name_validation_scheme
            .as_deref()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("legacy"));
        Rules { version: self.version, legacy_names }
    }

    /// Where endpoints of Services are looked for.
    pub(crate) fn endpoints_role(&self, own: Option<&str>) -> &'static str {
        let wanted = own.or(self.spec.service_discovery_role.as_deref());
        let slices = self.endpoint_slices
            && self.version.at_least(2, 21, 0)
            && wanted.is_some_and(|role| role.eq_ignore_ascii_case("EndpointSlice"));
        if slices { "endpointslice" } else { "endpoints" }
    }

    /// The namespace label that an object's targets and samples must have, if it must.
    pub(crate) fn enforced_label(&self, kind: Kind, namespace: &str, name: &str) -> Option<&str> {
        let label = Some(self.spec.enforced_namespace_label.as_str()).filter(|label| !label.is_empty())?;
        let excluded = self.spec.excluded_from_enforcement.iter().any(|excluded| {
            (excluded.group.is_empty() || excluded.group == super::objects::GROUP)
                && excluded.resource == kind.resource()
                && excluded.namespace == namespace
                && (excluded.name.is_empty() || excluded.name == name)
        });
        (!excluded).then_some(label)
    }
}

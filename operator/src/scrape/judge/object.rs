//! Whether a monitor can be taken.

use super::http::{Auth, judge_auth, judge_proxy, judge_safe_tls, judge_tls};
use super::names::{
    bounded, duration, host_and_port, interval_and_timeout, is_label_for, judge_byte_size, key, params, word,
};
use super::relabel::judge_list;
use super::{Rejection, Under, discovery, fault, selector};
use crate::scrape::assets::Assets;
use crate::scrape::jobs::relabel::sanitized;
use crate::scrape::objects::monitors::EndpointOf;
use crate::scrape::objects::{
    Endpoint, Histograms, IntOrString, Monitor, NamespaceSelector, PodMonitorSpec, ProbeSpec,
    ScrapeConfigSpec, ServiceMonitorSpec, Spec,
};
use crate::scrape::references::Scope;
use crate::scrape::settings::Settings;
use crate::validate::re2::judge_anchored;

/// Protocols of a scrape.
pub(crate) const PROTOCOLS: [&str; 5] = [
    "PrometheusProto",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
];

/// Most endpoints of one object: each is a job with all that the object asks for.
const MAX_ENDPOINTS: usize = 500;
/// Most labels that are taken over, namespaces, targets of one list.
const MAX_ENTRIES: usize = 20_000;

/// What an object is judged with.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) settings: &'a Settings,
    pub(super) scope: Scope<'a>,
}

/// Judges an object.
///
/// # Errors
/// The first fault, by an object that is still to be named.
pub(crate) fn judge(settings: &Settings, monitor: &Monitor, assets: &dyn Assets) -> Result<(), Rejection> {
    for (path, text) in [("metadata.namespace", &monitor.namespace), ("metadata.name", &monitor.name)] {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        if text.is_empty() || text.len() > 253 || !text.bytes().all(inner) {
            return Err(fault(path, format!("{text:?}"), "a name of letters, digits, dashes and dots"));
        }
    }
    let judge = Judge { settings, scope: Scope { assets, namespace: &monitor.namespace } };
    match &monitor.spec {
        Spec::Service(spec) => judge.service_monitor(spec),
        Spec::Pod(spec) => judge.pod_monitor(spec),
        Spec::Probe(spec) => judge.probe(spec),
        Spec::Scrape(spec) => judge.scrape_config(spec),
    }
    .under("spec")
}

/// Judges that what the API requires is there: objects that come from files alone have not been through it.
///
/// # Errors
/// The first field that is missing, by an object that is still to be named.
pub(crate) fn judge_required(monitor: &Monitor) -> Result<(), Rejection> {
    match &monitor.spec {
        Spec::Scrape(spec) => discovery::judge_required(&spec.rest).under("spec"),
        _ => Ok(()),
    }
}

impl Judge<'_> {
    fn service_monitor(&self, spec: &ServiceMonitorSpec) -> Result<(), Rejection> {
        selector::judge("selector", &spec.selector)?;
        self.mechanism(spec.selector_mechanism.as_deref())?;
        let roles = ["Endpoints", "EndpointSlice"];
        word("serviceDiscoveryRole", spec.service_discovery_role.as_deref(), &roles, false)?;
        namespaces(&spec.namespace_selector)?;
        self.labels("targetLabels", &spec.target_labels)?;
        self.labels("podTargetLabels", &spec.pod_target_labels)?;
        bounded("jobLabel", &spec.job_label)?;
        few("endpoints", spec.endpoints.len(), MAX_ENDPOINTS)?;
        for (index, endpoint) in spec.endpoints.iter().enumerate() {
            self.endpoint(endpoint).at("endpoints", index)?;
        }
        judge_byte_size("bodySizeLimit", spec.body_size_limit.as_deref())?;
        self.common(
            spec.scrape_class.as_deref(),
            &spec.scrape_protocols,
            spec.fallback_scrape_protocol.as_deref(),
            &spec.histograms,
        )
    }

    fn endpoint(&self, endpoint: &Endpoint) -> Result<(), Rejection> {
        if self.settings.denies_files(self.scope.namespace) {
            self.no_files(endpoint)?;
        }
        bounded("bearerTokenFile", &endpoint.own.bearer_token_file)?;
        if !endpoint.own.bearer_token_file.is_empty() {
            let others = endpoint.authorization.is_some()
                || endpoint.basic_auth.is_some()
                || endpoint.oauth2.is_some()
                || endpoint.bearer_token_secret.as_ref().is_some_and(|key| !key.name.is_empty());
            if others {
                let found = "a file beside another way of authenticating";
                return Err(fault("bearerTokenFile", found, "one way of authenticating only"));
            }
        }
        port("port", endpoint.port.as_deref().unwrap_or_default())?;
        target_port(endpoint.target_port.as_ref())?;
        if let Some(tls) = &endpoint.own.tls_config {
            judge_tls(&self.scope, tls).under("tlsConfig")?;
        }
        self.endpoint_common(endpoint)
    }

    /// Files of the engine's pod may belong to whoever runs the engine.
    fn no_files(&self, endpoint: &Endpoint) -> Result<(), Rejection> {
        let write = "a reference to a Secret: this stack denies files of the engine's pod to this namespace";
        if !endpoint.own.bearer_token_file.is_empty() {
            return Err(fault("bearerTokenFile", "a file", write));
        }
        let Some(tls) = &endpoint.own.tls_config else { return Ok(()) };
        for (path, file) in
            [("caFile", &tls.ca_file), ("certFile", &tls.cert_file), ("keyFile", &tls.key_file)]
        {
            if !file.is_empty() {
                return Err(fault(path, "a file", write)).under("tlsConfig");
            }
        }
        Ok(())
    }

    fn endpoint_common<O>(&self, endpoint: &EndpointOf<O>) -> Result<(), Rejection> {
        let auth = Auth {
            basic: endpoint.basic_auth.as_deref(),
            authorization: endpoint.authorization.as_deref(),
            oauth2: endpoint.oauth2.as_deref(),
            bearer: endpoint.bearer_token_secret.as_ref(),
        };
        judge_auth(&self.scope, auth)?;
        judge_proxy(&self.scope, &endpoint.proxy)?;
        interval_and_timeout(
            ("interval", &endpoint.interval),
            ("scrapeTimeout", &endpoint.scrape_timeout),
            &self.settings.spec.scrape_interval,
        )?;
        word("scheme", endpoint.scheme.as_deref(), &["http", "https"], true)?;
        bounded("path", &endpoint.path)?;
        params("params", endpoint.params.iter().flatten())?;
        judge_list("relabelings", self.settings.rules(), &endpoint.relabelings)?;
        judge_list("metricRelabelings", self.settings.rules(), &endpoint.metric_relabelings)
    }

    fn pod_monitor(&self, spec: &PodMonitorSpec) -> Result<(), Rejection> {
        selector::judge("selector", &spec.selector)?;
        self.mechanism(spec.selector_mechanism.as_deref())?;
        namespaces(&spec.namespace_selector)?;
        self.labels("podTargetLabels", &spec.pod_target_labels)?;
        bounded("jobLabel", &spec.job_label)?;
        few("podMetricsEndpoints", spec.pod_metrics_endpoints.len(), MAX_ENDPOINTS)?;
        for (index, endpoint) in spec.pod_metrics_endpoints.iter().enumerate() {
            let judge = || -> Result<(), Rejection> {
                port("port", endpoint.port.as_deref().unwrap_or_default())?;
                number("portNumber", endpoint.own.port_number)?;
                target_port(endpoint.target_port.as_ref())?;
                if let Some(tls) = &endpoint.own.tls_config {
                    judge_safe_tls(&self.scope, tls).under("tlsConfig")?;
                }
                self.endpoint_common(endpoint)
            };
            judge().at("podMetricsEndpoints", index)?;
        }
        judge_byte_size("bodySizeLimit", spec.body_size_limit.as_deref())?;
        self.common(
            spec.scrape_class.as_deref(),
            &spec.scrape_protocols,
            spec.fallback_scrape_protocol.as_deref(),
            &spec.histograms,
        )
    }

    fn probe(&self, spec: &ProbeSpec) -> Result<(), Rejection> {
        let targets = &spec.targets;
        if targets.static_config.is_none() && targets.ingress.is_none() {
            return Err(fault("targets", "nothing to probe", "staticConfig or ingress"));
        }
        let auth = Auth {
            basic: spec.basic_auth.as_ref(),
            authorization: spec.authorization.as_ref(),
            oauth2: spec.oauth2.as_ref(),
            bearer: spec.bearer_token_secret.as_ref(),
        };
        judge_auth(&self.scope, auth)?;
        if let Some(tls) = &spec.tls_config {
            judge_safe_tls(&self.scope, tls).under("tlsConfig")?;
        }
        interval_and_timeout(
            ("interval", &spec.interval),
            ("scrapeTimeout", &spec.scrape_timeout),
            &self.settings.spec.scrape_interval,
        )?;
        let rules = self.settings.rules();
        judge_list("metricRelabelings", rules, &spec.metric_relabelings)?;
        if let Some(fixed) = &targets.static_config {
            let path = "targets.staticConfig";
            self.static_targets(&fixed.targets, fixed.labels.keys()).under(path)?;
            judge_list("relabelingConfigs", rules, &fixed.relabelings).under(path)?;
        }
        if let Some(ingress) = &targets.ingress {
            let path = "targets.ingress";
            selector::judge("selector", &ingress.selector).under(path)?;
            namespaces(&ingress.namespace_selector).under(path)?;
            judge_list("relabelingConfigs", rules, &ingress.relabelings).under(path)?;
        }
        judge_proxy(&self.scope, &spec.prober.proxy).under("prober")?;
        word("prober.scheme", spec.prober.scheme.as_deref(), &["http", "https"], true)?;
        bounded("prober.path", &spec.prober.path)?;
        bounded("module", &spec.module)?;
        bounded("jobName", &spec.job_name)?;
        params("params", spec.params.iter().map(|param| (&param.name, &param.values)))?;
        let mut names: Vec<&str> = spec.params.iter().map(|param| param.name.as_str()).collect();
        few("params", names.len(), MAX_ENTRIES)?;
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(fault("params", format!("{:?} twice", twice[0]), "each name once"));
        }
        host_and_port("prober.url", &spec.prober.url)?;
        self.common(
            spec.scrape_class.as_deref(),
            &spec.scrape_protocols,
            spec.fallback_scrape_protocol.as_deref(),
            &spec.histograms,
        )
    }

    fn scrape_config(&self, spec: &ScrapeConfigSpec) -> Result<(), Rejection> {
        if !self.settings.version.at_least(2, 40, 0) {
            let found = format!("a ScrapeConfig for Prometheus {}", self.settings.version);
            return Err(fault("", found, "another kind of monitor, or run Prometheus 2.40.0 or newer"));
        }
        let auth = Auth {
            basic: spec.basic_auth.as_ref(),
            authorization: spec.authorization.as_ref(),
            oauth2: spec.oauth2.as_ref(),
            bearer: None,
        };
        judge_auth(&self.scope, auth)?;
        if let Some(tls) = &spec.tls_config {
            judge_safe_tls(&self.scope, tls).under("tlsConfig")?;
        }
        judge_proxy(&self.scope, &spec.proxy)?;
        interval_and_timeout(
            ("scrapeInterval", spec.scrape_interval.as_deref().unwrap_or_default()),
            ("scrapeTimeout", spec.scrape_timeout.as_deref().unwrap_or_default()),
            &self.settings.spec.scrape_interval,
        )?;
        let rules = self.settings.rules();
        judge_list("relabelings", rules, &spec.relabelings)?;
        judge_list("metricRelabelings", rules, &spec.metric_relabelings)?;
        word("scheme", spec.scheme.as_deref(), &["http", "https"], true)?;
        bounded("metricsPath", spec.metrics_path.as_deref().unwrap_or_default())?;
        bounded("jobName", spec.job_name.as_deref().unwrap_or_default())?;
        judge_byte_size("bodySizeLimit", spec.body_size_limit.as_deref())?;
        params("params", &spec.params)?;
        word("nameValidationScheme", spec.name_validation_scheme.as_deref(), &["UTF8", "Legacy"], false)?;
        let schemes = ["AllowUTF8", "Underscores", "Dots", "Values"];
        word("nameEscapingScheme", spec.name_escaping_scheme.as_deref(), &schemes, false)?;
        let legacy = match spec.name_validation_scheme.as_deref() {
            Some(scheme) => scheme == "Legacy",
            None => rules.legacy_names,
        };
        if legacy && spec.name_escaping_scheme.as_deref() == Some("AllowUTF8") {
            let found = "AllowUTF8 where names are validated as Legacy";
            return Err(fault("nameEscapingScheme", found, "Underscores, Dots or Values"));
        }
        let readdressed = spec.relabelings.iter().any(|step| step.target_label == "__address__");
        for (index, config) in spec.static_configs.iter().enumerate() {
            self.static_targets(&config.targets, config.labels.keys()).at("staticConfigs", index)?;
            if let Some(target) = config.targets.iter().find(|target| !readdressed && target.contains('/')) {
                let found = format!("{target:?}, which is no address");
                let write = "host:port; scheme and metricsPath have fields of their own";
                return Err(fault("targets", found, write)).at("staticConfigs", index);
            }
        }
        discovery::judge(self, &spec.rest)?;
        self.common(
            spec.scrape_class.as_deref(),
            &spec.scrape_protocols,
            spec.fallback_scrape_protocol.as_deref(),
            &spec.histograms,
        )
    }

    fn static_targets<'k>(
        &self,
        targets: &[String],
        labels: impl Iterator<Item = &'k String>,
    ) -> Result<(), Rejection> {
        few("targets", targets.len(), MAX_ENTRIES)?;
        targets.iter().try_for_each(|target| bounded("targets", target))?;
        let rules = self.settings.rules();
        for name in labels {
            key("labels", name)?;
            if !is_label_for(rules.version, rules.legacy_names, name) {
                let found = format!("{name:?}, which is no name of a label");
                return Err(fault("labels", found, "letters, digits and underscores"));
            }
        }
        Ok(())
    }

    fn common(
        &self,
        class: Option<&str>,
        protocols: &[String],
        fallback: Option<&str>,
        histograms: &Histograms,
    ) -> Result<(), Rejection> {
        let classes = &self.settings.spec.scrape_classes;
        if let Some(name) = class.filter(|name| !name.is_empty())
            && !classes.iter().any(|class| class.name == name)
        {
            let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).take(20).collect();
            let write = match known.as_slice() {
                [] => "nothing there: no scrape class is defined".to_owned(),
                _ => format!("one of {}", known.join(", ")),
            };
            return Err(fault("scrapeClass", format!("{name:?}, which is not defined"), write));
        }
        judge_protocols("scrapeProtocols", protocols)?;
        word("fallbackScrapeProtocol", fallback, &PROTOCOLS, false)?;
        match &histograms.native_histogram_min_bucket_factor {
            Some(factor) if factor.value().is_none() => {
                Err(fault("nativeHistogramMinBucketFactor", "no number", "a quantity such as 1.1"))
            }
            _ => Ok(()),
        }
    }

    fn mechanism(&self, mechanism: Option<&str>) -> Result<(), Rejection> {
        let known = ["RelabelConfig", "RoleSelector"];
        word("selectorMechanism", mechanism, &known, false)?;
        if mechanism == Some("RoleSelector") && !self.settings.version.at_least(2, 17, 0) {
            let found = format!("RoleSelector for Prometheus {}", self.settings.version);
            return Err(fault("selectorMechanism", found, "RelabelConfig, or run 2.17.0 or newer"));
        }
        Ok(())
    }

    /// Labels that become labels of targets.
    fn labels(&self, path: &str, labels: &[String]) -> Result<(), Rejection> {
        few(path, labels.len(), MAX_ENTRIES)?;
        let rules = self.settings.rules();
        for (index, label) in labels.iter().enumerate() {
            bounded(path, label)?;
            if !is_label_for(rules.version, rules.legacy_names, &sanitized(label)) {
                let found = format!("{label:?}, which becomes no name of a label");
                return Err(fault("", found, "the key of a label")).at(path, index);
            }
        }
        Ok(())
    }
}

/// Judges protocols, each of which an engine takes once.
pub(crate) fn judge_protocols(path: &str, protocols: &[String]) -> Result<(), Rejection> {
    for (index, protocol) in protocols.iter().enumerate() {
        word("", Some(protocol), &PROTOCOLS, false).at(path, index)?;
        if protocols[..index].contains(protocol) {
            return Err(fault("", format!("{protocol} again"), "each protocol once")).at(path, index);
        }
    }
    Ok(())
}

fn namespaces(selector: &NamespaceSelector) -> Result<(), Rejection> {
    few("namespaceSelector.matchNames", selector.match_names.len(), MAX_ENTRIES)?;
    selector.match_names.iter().try_for_each(|name| bounded("namespaceSelector.matchNames", name))
}

/// A name of a port is matched as an expression.
fn port(path: &str, name: &str) -> Result<(), Rejection> {
    bounded(path, name)?;
    judge_anchored(name).map_err(|what| fault(path, format!("{name:?}: {what}"), "the name of a port"))
}

fn target_port(target: Option<&IntOrString>) -> Result<(), Rejection> {
    match target {
        Some(IntOrString::Text(name)) => port("targetPort", name),
        Some(IntOrString::Int(value)) => number("targetPort", Some(*value)),
        None => Ok(()),
    }
}

fn number(path: &str, value: Option<i64>) -> Result<(), Rejection> {
    match value {
        Some(value) if !(0..=65_535).contains(&value) => {
            Err(fault(path, value.to_string(), "a port from 1 to 65535"))
        }
        _ => Ok(()),
    }
}

pub(super) fn few(path: &str, count: usize, most: usize) -> Result<(), Rejection> {
    if count > most {
        return Err(fault(path, format!("{count} entries"), format!("at most {most}")));
    }
    Ok(())
}

/// Judges a duration that may be missing.
pub(super) fn optional_duration(path: &str, text: Option<&str>) -> Result<(), Rejection> {
    match text {
        Some(text) => duration(path, text).map(drop),
        None => Ok(()),
    }
}

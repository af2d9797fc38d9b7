//! Pure: one object becomes its scrape jobs. What is written depends on the settings, the object and its Secrets,
//! and on nothing else, so that it can be kept until one of them changes.

pub(crate) mod discovery;
pub(crate) mod http;
pub(crate) mod kubernetes;
mod limits;
mod pod_monitor;
mod probe;
pub(crate) mod relabel;
mod scrape_config;
mod service_monitor;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

pub(crate) use yaml::Yaml;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::assets::Assets;
use super::judge::{Rejection, fault, object};
use super::objects::monitors::EndpointOf;
use super::objects::{AttachMetadata, Monitor, NamespaceSelector, ScrapeClass, Spec, typed};
use super::references::{AssetFile, Scope};
use super::settings::Settings;

/// Most bytes that one object becomes. The largest object that an API server takes has 1.5 MiB, but what it asks
/// for is written once per endpoint.
pub const MAX_OBJECT_BYTES: usize = 4 << 20;

/// What an object became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Its jobs as a file of their own.
    text: Arc<str>,
    /// How many jobs there are.
    pub count: usize,
    /// The files that they read, sorted, each once.
    pub files: Vec<AssetFile>,
}

/// What a file of jobs begins with.
const HEAD: &str = "scrape_configs:\n";

impl Built {
    /// Its jobs, as items of the list `scrape_configs`: YAML, each line indented as below that key.
    pub fn jobs(&self) -> &str {
        self.text.strip_prefix(HEAD).unwrap_or_default()
    }

    /// Its jobs as a file of their own: YAML, the list `scrape_configs`. It costs no copy.
    pub fn file(&self) -> Arc<[u8]> {
        self.text.clone().into()
    }
}

/// Judges an object and writes its jobs.
///
/// # Errors
/// Why it is kept out. Nothing of it is to be used then.
pub fn build(settings: &Settings, monitor: &Monitor, assets: &dyn Assets) -> Result<Built, Rejection> {
    let kind = monitor.kind().as_str();
    object::judge(settings, monitor, assets)
        .and_then(|()| unjudged(settings, monitor, assets))
        .map_err(|rejection| rejection.of(kind, &monitor.namespace, &monitor.name))
}

/// Writes the jobs of an object that was judged before, or whose jobs are wanted whatever they are worth.
///
/// # Errors
/// References that lead nowhere, and what is too large.
pub fn build_unjudged(
    settings: &Settings,
    monitor: &Monitor,
    assets: &dyn Assets,
) -> Result<Built, Rejection> {
    let kind = monitor.kind().as_str();
    unjudged(settings, monitor, assets)
        .map_err(|rejection| rejection.of(kind, &monitor.namespace, &monitor.name))
}

thread_local! {
    /// Room that jobs are written in, kept from one object to the next: how long a text becomes is known only once it is
    /// written, and then it is copied once, into memory of just its size.
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
}
/// Most bytes of room that are kept. Two endpoints with three steps each take 3,700.
const MAX_SCRATCH: usize = 64 << 10;

fn unjudged(settings: &Settings, monitor: &Monitor, assets: &dyn Assets) -> Result<Built, Rejection> {
    let job = Job {
        client: http::Client { settings, scope: Scope { assets, namespace: &monitor.namespace } },
        engine: engine_scope(settings, &monitor.namespace, assets),
        monitor,
    };
    let mut y = Yaml::after(SCRATCH.take());
    y.items_as_written(HEAD);
    let count = match &monitor.spec {
        Spec::Service(spec) => service_monitor::write(&mut y, &job, spec)?,
        Spec::Pod(spec) => pod_monitor::write(&mut y, &job, spec)?,
        Spec::Probe(spec) => probe::write(&mut y, &job, spec)?,
        Spec::Scrape(spec) => scrape_config::write(&mut y, &job, spec)?,
    };
    let mut files = std::mem::take(&mut y.files);
    files.sort();
    files.dedup();
    let text = y.into_text();
    let built = Built { text: text.as_str().into(), count, files };
    if text.capacity() <= MAX_SCRATCH {
        SCRATCH.set(text);
    }
    Ok(built)
}

/// The engine's own namespace, which its settings refer to. Settings without one belong to the object's.
pub(crate) fn engine_scope<'a>(
    settings: &'a Settings,
    fallback: &'a str,
    assets: &'a dyn Assets,
) -> Scope<'a> {
    let namespace = if settings.namespace.is_empty() { fallback } else { settings.namespace.as_str() };
    Scope { assets, namespace }
}

/// What jobs of one object are written with.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) client: http::Client<'a>,
    /// Where references of the engine's settings are looked up.
    pub(crate) engine: Scope<'a>,
    pub(crate) monitor: &'a Monitor,
}

impl<'a> Job<'a> {
    pub(crate) fn settings(&self) -> &'a Settings {
        self.client.settings
    }

    /// What the object's only job is called, or one of several.
    pub(crate) fn job_name(&self, y: &mut Yaml, index: Option<usize>) {
        let Monitor { namespace, name, .. } = self.monitor;
        let kind = self.monitor.kind().job();
        match index {
            Some(index) => y.joined("job_name", &[kind, "/", namespace, "/", name, "/", &index.to_string()]),
            None => y.joined("job_name", &[kind, "/", namespace, "/", name]),
        }
    }

    pub(crate) fn enforced_label(&self) -> Option<&'a str> {
        let Monitor { namespace, name, .. } = self.monitor;
        self.settings().enforced_label(self.monitor.kind(), namespace, name)
    }

    pub(crate) fn honor_labels(&self, y: &mut Yaml, honor: bool) {
        y.truth("honor_labels", honor && !self.settings().spec.override_honor_labels);
    }

    pub(crate) fn honor_timestamps(&self, y: &mut Yaml, honor: Option<bool>) {
        let overridden = self.settings().spec.override_honor_timestamps;
        if (honor.is_some() || overridden) && self.client.at_least(2, 9) {
            y.truth("honor_timestamps", honor == Some(true) && !overridden);
        }
    }

    pub(crate) fn track_staleness(&self, y: &mut Yaml, track: Option<bool>) {
        if self.client.at_least(2, 48) {
            y.plain_if("track_timestamps_staleness", track);
        }
    }

    pub(crate) fn redirects_and_http2(&self, y: &mut Yaml, follow: Option<bool>, http2: Option<bool>) {
        if self.client.at_least(2, 26) {
            y.plain_if("follow_redirects", follow);
        }
        if self.client.at_least(2, 35) {
            y.plain_if("enable_http2", http2);
        }
    }

    /// What a target is asked for, and how often.
    pub(crate) fn request<O>(&self, y: &mut Yaml, endpoint: &EndpointOf<O>) {
        y.text_if("scrape_interval", there(&endpoint.interval));
        y.text_if("scrape_timeout", there(&endpoint.scrape_timeout));
        y.text_if("metrics_path", there(&endpoint.path));
        if let Some(params) = &endpoint.params {
            y.lists("params", params);
        }
        y.text_if("scheme", endpoint.scheme.as_deref().map(lowercase).as_deref());
    }

    /// How a target is asked. Credentials of the class are left out where the endpoint has its own: an engine
    /// takes one way of authenticating only, and refuses everything otherwise.
    pub(crate) fn authenticate<O>(
        &self,
        y: &mut Yaml,
        endpoint: &EndpointOf<O>,
        tls: Option<http::TlsView<'_>>,
        class: Option<&ScrapeClass>,
        bearer_file: bool,
    ) -> Result<(), Rejection> {
        let client = &self.client;
        client.proxy(y, &endpoint.proxy)?;
        client.oauth2(y, endpoint.oauth2.as_deref())?;
        client.tls(y, tls)?;
        client.bearer(y, endpoint.bearer_token_secret.as_ref())?;
        client.basic(y, endpoint.basic_auth.as_deref())?;
        let bearer = endpoint.bearer_token_secret.as_ref().is_some_and(|key| !key.name.is_empty());
        let taken = bearer || bearer_file || endpoint.basic_auth.is_some() || endpoint.oauth2.is_some();
        let of_class = class.filter(|_| !taken).and_then(|class| class.authorization.as_ref());
        client.authorization_of_class(y, endpoint.authorization.as_deref(), of_class, self.engine)
    }

    pub(crate) fn protocols(&self, y: &mut Yaml, all: &[String], fallback: Option<&str>) {
        protocols(y, self.settings(), all);
        if self.client.at_least(3, 0) {
            y.text_if("fallback_scrape_protocol", fallback);
        }
    }
}

/// The protocols that an engine knows of those that are wanted.
pub(crate) fn protocols(y: &mut Yaml, settings: &Settings, all: &[String]) {
    if all.is_empty() || !settings.version.at_least(2, 49, 0) {
        return;
    }
    let newest = settings.version.leads_to(3, 0, 0);
    let known: Vec<&String> =
        all.iter().filter(|protocol| newest || *protocol != "PrometheusText1.0.0").collect();
    y.texts("scrape_protocols", &known);
}

/// Whether what was written so far is still of a size that one object may have.
pub(crate) fn judge_size(y: &Yaml) -> Result<(), Rejection> {
    if y.len() <= MAX_OBJECT_BYTES {
        return Ok(());
    }
    let limit = MAX_OBJECT_BYTES >> 20;
    Err(fault("spec", format!("jobs of more than {limit} MiB"), "several smaller objects"))
}

/// A text without what is empty, which counts as absent.
pub(crate) fn there(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A text in small letters, without a copy where it is.
pub(crate) fn lowercase(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|b| b.is_ascii_uppercase()) {
        true => text.to_ascii_lowercase().into(),
        false => text.into(),
    }
}

/// One block of discovery in Kubernetes as jobs have it: a text of YAML with the one key `kubernetes_sd_configs`.
/// `selector` is a `namespaceSelector`, `attach` an `attachMetadata` with the first version that can attach it.
///
/// # Errors
/// Fields of another type, and references that lead nowhere.
pub fn build_discovery(
    settings: &Settings,
    namespace: &str,
    role: &str,
    selector: &serde_json::Value,
    attach: Option<(&serde_json::Value, (u64, u64))>,
    assets: &dyn Assets,
) -> Result<String, Rejection> {
    let selector: NamespaceSelector = typed(selector)?;
    let attach = match attach {
        Some((attach, since)) => Some((typed::<AttachMetadata>(attach)?, since)),
        None => None,
    };
    let client = http::Client { settings, scope: Scope { assets, namespace } };
    let namespaces = kubernetes::namespaces(settings, &selector, namespace);
    let attach = attach.as_ref().map(|(attach, since)| (attach, *since));
    let mut y = Yaml::default();
    kubernetes::discover(
        &mut y,
        &client,
        &namespaces,
        kubernetes::Discovery { role, attach, selector: None },
    )?;
    Ok(y.into_text())
}

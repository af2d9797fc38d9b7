//! Probe.

use super::http::TlsView;
use super::kubernetes::Discovery;
use super::relabel::{self, Of};
use super::{Job, Yaml, there};
use crate::scrape::judge::Rejection;
use crate::scrape::objects::http::SafeTls;
use crate::scrape::objects::monitors::{ProbeIngress, ProbeStatic};
use crate::scrape::objects::{ProbeSpec, ScrapeClass};

/// Writes the one job.
pub(super) fn write(y: &mut Yaml, job: &Job<'_>, spec: &ProbeSpec) -> Result<usize, Rejection> {
    y.item(|y| write_job(y, job, spec))?;
    super::judge_size(y)?;
    Ok(1)
}

fn write_job(y: &mut Yaml, job: &Job<'_>, spec: &ProbeSpec) -> Result<(), Rejection> {
    let settings = job.settings();
    let class = settings.class(spec.scrape_class.as_deref());
    job.job_name(y, None);
    job.honor_timestamps(y, Some(true));
    y.text("metrics_path", &spec.prober.path);
    y.text_if("scrape_interval", there(&spec.interval));
    y.text_if("scrape_timeout", there(&spec.scrape_timeout));
    y.text_if("scheme", spec.prober.scheme.as_deref().map(str::to_ascii_lowercase).as_deref());
    // A module that is named goes before one among the parameters.
    let params: Vec<_> =
        spec.params.iter().filter(|param| spec.module.is_empty() || param.name != "module").collect();
    if !spec.module.is_empty() || !params.is_empty() {
        let module = (!spec.module.is_empty()).then(|| ("module".to_owned(), vec![spec.module.clone()]));
        let all: Vec<(String, Vec<String>)> = module
            .into_iter()
            .chain(params.iter().map(|param| (param.name.clone(), param.values.clone())))
            .collect();
        y.lists("params", all.iter().map(|(name, values)| (name, values)));
    }
    job.limits(y, &spec.limits);
    job.histograms(y, &spec.histograms);
    job.protocols(
        y,
        &spec.scrape_protocols,
        spec.fallback_scrape_protocol
            .as_deref()
            .or(class.and_then(|class| class.fallback_scrape_protocol.as_deref())),
    );
    job.body_size(y, None);
    job.client.proxy(y, &spec.prober.proxy)?;
    let targets = &spec.targets;
    match (&targets.static_config, &targets.ingress) {
        (Some(fixed), _) => write_static(y, job, fixed)?,
        (None, Some(ingress)) => {
            job.discover(
                y,
                &ingress.namespace_selector,
                Discovery { role: "ingress", ..Discovery::default() },
            )?;
        }
        (None, None) => {}
    }
    y.list("relabel_configs", |y| {
        relabel::first(y);
        if !spec.job_name.is_empty() {
            relabel::set(y, "job", &spec.job_name);
        }
        match (&targets.static_config, &targets.ingress) {
            (Some(fixed), _) => {
                y.items_as_written(STATIC);
                relabel_prober(y, spec, class);
                job.own_steps(y, &fixed.relabelings);
            }
            (None, Some(ingress)) => relabel_ingress(y, job, spec, ingress, class),
            (None, None) => {}
        }
        job.sharded(y, "__param_target");
        Ok::<(), Rejection>(())
    })?;
    let own = spec.tls_config.as_ref().filter(|tls| **tls != SafeTls::default()).map(TlsView::safe);
    let tls = TlsView::of_class(own, class.and_then(|class| class.tls_config.as_ref()), job.engine);
    let client = &job.client;
    client.tls(y, tls)?;
    client.bearer(y, spec.bearer_token_secret.as_ref())?;
    client.basic(y, spec.basic_auth.as_ref())?;
    client.oauth2(y, spec.oauth2.as_ref())?;
    let taken = spec.basic_auth.is_some()
        || spec.oauth2.is_some()
        || spec.bearer_token_secret.as_ref().is_some_and(|key| !key.name.is_empty());
    let of_class = class.filter(|_| !taken).and_then(|class| class.authorization.as_ref());
    client.authorization_of_class(y, spec.authorization.as_ref(), of_class, job.engine)?;
    let of_class = class.map_or(&[][..], |class| &class.metric_relabelings);
    job.metric_relabelings(y, of_class, &spec.metric_relabelings);
    Ok(())
}

fn write_static(y: &mut Yaml, job: &Job<'_>, fixed: &ProbeStatic) -> Result<(), Rejection> {
    y.list("static_configs", |y| {
        y.item(|y| {
            y.texts("targets", &fixed.targets);
            let named = fixed.labels.contains_key("namespace");
            let own = (!named).then_some(("namespace", job.monitor.namespace.as_str()));
            y.pairs("labels", super::http::pairs(&fixed.labels).chain(own));
            Ok::<(), Rejection>(())
        })
    })
}

fn relabel_prober(y: &mut Yaml, spec: &ProbeSpec, class: Option<&ScrapeClass>) {
    y.items_as_written(INSTANCE);
    relabel::set(y, "__address__", &spec.prober.url);
    class.into_iter().flat_map(|class| &class.relabelings).for_each(|step| relabel::written(y, step));
}

fn relabel_ingress(
    y: &mut Yaml,
    job: &Job<'_>,
    spec: &ProbeSpec,
    ingress: &ProbeIngress,
    class: Option<&ScrapeClass>,
) {
    relabel::selected(y, Of::Ingress, &ingress.selector);
    y.items_as_written(INGRESS);
    relabel_prober(y, spec, class);
    job.own_steps(y, &ingress.relabelings);
}

/// The address is what is probed.
const STATIC: &str = "  - source_labels:\n    - __address__\n    target_label: __param_target\n";

/// What is probed names the series.
const INSTANCE: &str = "  - source_labels:\n    - __param_target\n    target_label: instance\n";

/// The address of an Ingress's path is what is probed.
const INGRESS: &str = r#"  - source_labels:
    - __meta_kubernetes_ingress_scheme
    - __address__
    - __meta_kubernetes_ingress_path
    separator: ";"
    regex: "(.+);(.+);(.+)"
    target_label: __param_target
    replacement: "${1}://${2}${3}"
    action: replace
  - source_labels:
    - __meta_kubernetes_namespace
    target_label: namespace
  - source_labels:
    - __meta_kubernetes_ingress_name
    target_label: ingress
  - source_labels:
    - __address__
    separator: ";"
    regex: "(.*)"
    target_label: __tmp_ingress_address
    replacement: "$1"
    action: replace
"#;

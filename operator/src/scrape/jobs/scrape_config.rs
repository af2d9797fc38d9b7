//! ScrapeConfig.

use super::http::TlsView;
use super::{Job, Yaml, discovery, relabel, there};
use crate::scrape::judge::Rejection;
use crate::scrape::objects::http::SafeTls;
use crate::scrape::objects::{Relabel, ScrapeConfigSpec};

/// Writes the one job.
pub(super) fn write(y: &mut Yaml, job: &Job<'_>, spec: &ScrapeConfigSpec) -> Result<usize, Rejection> {
    y.item(|y| write_job(y, job, spec))?;
    super::judge_size(y)?;
    Ok(1)
}

fn write_job(y: &mut Yaml, job: &Job<'_>, spec: &ScrapeConfigSpec) -> Result<(), Rejection> {
    let settings = job.settings();
    let client = &job.client;
    let class = settings.class(spec.scrape_class.as_deref());
    job.job_name(y, None);
    if spec.honor_timestamps.is_some() {
        job.honor_timestamps(y, spec.honor_timestamps);
    }
    job.track_staleness(y, spec.track_timestamps_staleness);
    if let Some(honor) = spec.honor_labels {
        job.honor_labels(y, honor);
    }
    y.text_if("metrics_path", spec.metrics_path.as_deref());
    if !spec.params.is_empty() {
        y.lists("params", &spec.params);
    }
    if client.at_least(2, 49) {
        y.plain_if("enable_compression", spec.enable_compression);
    }
    job.redirects_and_http2(y, None, spec.enable_http2);
    y.text_if("scrape_interval", spec.scrape_interval.as_deref().and_then(there));
    y.text_if("scrape_timeout", spec.scrape_timeout.as_deref().and_then(there));
    job.protocols(
        y,
        &spec.scrape_protocols,
        spec.fallback_scrape_protocol
            .as_deref()
            .or(class.and_then(|class| class.fallback_scrape_protocol.as_deref())),
    );
    y.text_if("scheme", spec.scheme.as_deref().map(str::to_ascii_lowercase).as_deref());
    client.proxy(y, &spec.proxy)?;
    client.basic(y, spec.basic_auth.as_ref())?;
    let taken = spec.basic_auth.is_some() || spec.oauth2.is_some();
    let of_class = class.filter(|_| !taken).and_then(|class| class.authorization.as_ref());
    client.authorization_of_class(y, spec.authorization.as_ref(), of_class, job.engine)?;
    client.oauth2(y, spec.oauth2.as_ref())?;
    let own = spec.tls_config.as_ref().filter(|tls| **tls != SafeTls::default()).map(TlsView::safe);
    client.tls(y, TlsView::of_class(own, class.and_then(|class| class.tls_config.as_ref()), job.engine))?;
    job.limits(y, &spec.limits);
    job.histograms(y, &spec.histograms);
    job.body_size(y, spec.body_size_limit.as_deref());
    if !spec.static_configs.is_empty() {
        y.list("static_configs", |y| {
            spec.static_configs.iter().try_for_each(|config| {
                y.item(|y| {
                    y.texts("targets", &config.targets);
                    y.pairs("labels", super::http::pairs(&config.labels));
                    Ok::<(), Rejection>(())
                })
            })
        })?;
    }
    discovery::write(y, client, &spec.rest)?;

    let of_class = class.map_or(&[][..], |class| &class.relabelings);
    y.list("relabel_configs", |y| {
        relabel::first(y);
        of_class.iter().for_each(|step| relabel::written(y, step));
        if let Some(name) = &spec.job_name {
            let job = Relabel {
                target_label: "job".to_owned(),
                replacement: Some(name.clone()),
                action: "replace".to_owned(),
                ..Relabel::default()
            };
            relabel::written(y, &job);
        }
        job.own_steps(y, &spec.relabelings);
        let shares = |step: &Relabel| step.action.eq_ignore_ascii_case("hashmod");
        if settings.shards() != 1 && !of_class.iter().chain(&spec.relabelings).any(shares) {
            job.sharded(y, "__address__");
        }
        Ok::<(), Rejection>(())
    })?;
    let of_class = class.map_or(&[][..], |class| &class.metric_relabelings);
    job.metric_relabelings(y, of_class, &spec.metric_relabelings);
    name_schemes(y, job, spec.name_validation_scheme.as_deref(), spec.name_escaping_scheme.as_deref());
    Ok(())
}

/// An engine that is to take plain names only also wants to be told how to ask for them; the engine's own settings
/// say so unless they are about any name.
fn name_schemes(y: &mut Yaml, job: &Job<'_>, validation: Option<&str>, escaping: Option<&str>) {
    let spec = &job.settings().spec;
    let plain = validation == Some("Legacy") && !job.settings().rules().legacy_names;
    let any = matches!(spec.name_escaping_scheme.as_deref(), None | Some("AllowUTF8"));
    let escaping = escaping.or((plain && any).then_some("Underscores"));
    crate::scrape::engine::name_schemes(y, job.settings(), validation, escaping);
}

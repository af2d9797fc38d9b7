//! What an engine takes in by OTLP, and where it sends its own traces.

use crate::scrape::jobs::Yaml;
use crate::scrape::jobs::http::{Client, TlsView, pairs};
use crate::scrape::judge::http::{judge_header_name, judge_tls};
use crate::scrape::judge::names::{duration, word};
use crate::scrape::judge::{Rejection, Under, fault};
use crate::scrape::objects::prometheus::Otlp;
use crate::scrape::references::Scope;
use crate::scrape::settings::Settings;

/// Writes `otlp` and `tracing`.
pub(super) fn write(y: &mut Yaml, client: &Client<'_>) -> Result<(), Rejection> {
    let spec = &client.settings.spec;
    if let Some(otlp) = &spec.otlp {
        judge_otlp(client.settings, otlp).under("spec.otlp")?;
        let mut inner = Yaml::default();
        write_otlp(&mut inner, client, otlp);
        if inner.len() > 0 {
            y.map("otlp", |y| {
                write_otlp(y, client, otlp);
                Ok::<(), Rejection>(())
            })?;
        }
    }
    let Some(tracing) = &spec.tracing else { return Ok(()) };
    judge_tracing(client.settings).under("spec.tracingConfig")?;
    y.map("tracing", |y| {
        y.text("endpoint", &tracing.endpoint);
        y.text_if("client_type", tracing.client_type.as_deref().map(str::to_ascii_lowercase).as_deref());
        let fraction = tracing.sampling_fraction.as_ref().and_then(|fraction| fraction.value());
        y.plain_if("sampling_fraction", fraction);
        y.plain_if("insecure", tracing.insecure);
        if !tracing.headers.is_empty() {
            y.pairs("headers", pairs(&tracing.headers));
        }
        y.text_if("compression", tracing.compression.as_deref().map(str::to_ascii_lowercase).as_deref());
        y.text_if("timeout", tracing.timeout.as_deref());
        client.tls(y, tracing.tls_config.as_ref().map(TlsView::full))
    })
}

fn write_otlp(y: &mut Yaml, client: &Client<'_>, otlp: &Otlp) {
    if !otlp.promote_resource_attributes.is_empty() {
        y.texts("promote_resource_attributes", &otlp.promote_resource_attributes);
    }
    if client.at_least(3, 0) {
        y.text_if("translation_strategy", otlp.translation_strategy.as_deref());
    }
    if client.at_least(3, 1) {
        y.plain_if("keep_identifying_resource_attributes", otlp.keep_identifying_resource_attributes);
    }
    if client.at_least(3, 4) {
        y.plain_if("convert_histograms_to_nhcb", otlp.convert_histograms_to_nhcb);
    }
    if client.at_least(3, 5) {
        y.plain_if("promote_all_resource_attributes", otlp.promote_all_resource_attributes);
        if !otlp.ignore_resource_attributes.is_empty() {
            y.texts("ignore_resource_attributes", &otlp.ignore_resource_attributes);
        }
    }
    if client.at_least(3, 6) {
        y.plain_if("promote_scope_metadata", otlp.promote_scope_metadata);
    }
}

/// What no version would read is an error, not an omission: samples would get other names.
fn judge_otlp(settings: &Settings, otlp: &Otlp) -> Result<(), Rejection> {
    let version = settings.version;
    let needs = |path: &str, at: (u64, u64)| {
        let found = format!("a value for Prometheus {version}");
        Err(fault(path, found, format!("nothing there, or run Prometheus {}.{}.0 or newer", at.0, at.1)))
    };
    if !version.at_least(2, 55, 0) {
        return needs("", (2, 55));
    }
    let strategy = otlp.translation_strategy.as_deref();
    let known = [
        "NoUTF8EscapingWithSuffixes",
        "UnderscoreEscapingWithSuffixes",
        "NoTranslation",
        "UnderscoreEscapingWithoutSuffixes",
    ];
    word("translationStrategy", strategy, &known, false)?;
    match strategy {
        Some("NoUTF8EscapingWithSuffixes") if settings.rules().legacy_names => {
            let found = "NoUTF8EscapingWithSuffixes beside nameValidationScheme Legacy";
            return Err(fault("translationStrategy", found, "UnderscoreEscapingWithSuffixes"));
        }
        Some("NoTranslation") if !version.at_least(3, 4, 0) => return needs("translationStrategy", (3, 4)),
        Some("UnderscoreEscapingWithoutSuffixes") if !version.at_least(3, 6, 0) => {
            return needs("translationStrategy", (3, 6));
        }
        _ => {}
    }
    if !version.at_least(3, 5, 0) {
        return Ok(());
    }
    let all = otlp.promote_all_resource_attributes == Some(true);
    if all && !otlp.promote_resource_attributes.is_empty() {
        let found = "attributes beside promoteAllResourceAttributes";
        return Err(fault("promoteResourceAttributes", found, "one of both"));
    }
    if !all && !otlp.ignore_resource_attributes.is_empty() {
        let found = "attributes without promoteAllResourceAttributes";
        return Err(fault("ignoreResourceAttributes", found, "promoteAllResourceAttributes: true too"));
    }
    Ok(())
}

fn judge_tracing(settings: &Settings) -> Result<(), Rejection> {
    let Some(tracing) = &settings.spec.tracing else { return Ok(()) };
    if tracing.endpoint.is_empty() {
        return Err(fault("endpoint", "nothing", "the address that traces are sent to"));
    }
    tracing.headers.keys().try_for_each(|name| judge_header_name(name)).under("headers")?;
    word("clientType", tracing.client_type.as_deref(), &["http", "grpc"], true)?;
    word("compression", tracing.compression.as_deref(), &["gzip"], true)?;
    if let Some(timeout) = &tracing.timeout {
        duration("timeout", timeout)?;
    }
    match &tracing.sampling_fraction {
        Some(fraction) if !fraction.value().is_some_and(|value| (0.0..=1.0).contains(&value)) => {
            Err(fault("samplingFraction", "no share", "a number from 0 to 1"))
        }
        _ => Ok(()),
    }
}

/// Judges both.
pub(super) fn judge(settings: &Settings, scope: &Scope<'_>) -> Result<(), Rejection> {
    if let Some(otlp) = &settings.spec.otlp {
        judge_otlp(settings, otlp).under("otlp")?;
    }
    judge_tracing(settings).under("tracingConfig")?;
    match settings.spec.tracing.as_ref().and_then(|tracing| tracing.tls_config.as_ref()) {
        Some(tls) => judge_tls(scope, tls).under("tracingConfig.tlsConfig"),
        None => Ok(()),
    }
}

//! Who is told of alerts.

use super::{Additional, port_text, read_list};
use crate::scrape::jobs::http::{Client, TlsView};
use crate::scrape::jobs::kubernetes::{Discovery, discover};
use crate::scrape::jobs::{Yaml, relabel, there, yaml};
use crate::scrape::judge::http::{Auth, at_most_one, judge_auth, judge_proxy, judge_sigv4, judge_tls};
use crate::scrape::judge::names::{duration, word};
use crate::scrape::judge::relabel::judge_list;
use crate::scrape::judge::{Rejection, Under};
use crate::scrape::objects::prometheus::AlertmanagerEndpoints;
use crate::scrape::references::Scope;
use crate::scrape::settings::Settings;

/// Writes `alerting`.
pub(super) fn write(y: &mut Yaml, client: &Client<'_>, additional: &Additional) -> Result<(), Rejection> {
    let spec = &client.settings.spec;
    let nothing = spec.alerting.is_none()
        && additional.alert_relabel_configs.is_none()
        && additional.alertmanager_configs.is_none();
    if nothing {
        return Ok(());
    }
    let steps = read_list("spec.additionalAlertRelabelConfigs", additional.alert_relabel_configs.as_deref())?;
    let more = read_list("spec.additionalAlertManagerConfigs", additional.alertmanager_configs.as_deref())?;
    let endpoints = spec.alerting.as_ref().map_or(&[][..], |alerting| &alerting.alertmanagers);
    let replica = spec.replica_external_label_name.as_deref().unwrap_or("prometheus_replica");
    y.map("alerting", |y| {
        y.list("alert_relabel_configs", |y| {
            // Replicas send the same alert, which is recognised only without what tells them apart.
            if !replica.is_empty() {
                y.item(|y| {
                    y.text("action", "labeldrop");
                    y.text("regex", &literal(replica));
                    Ok::<(), Rejection>(())
                })?;
            }
            y.items_indented(&yaml::items(&steps));
            Ok(())
        })?;
        y.list("alertmanagers", |y| {
            endpoints.iter().try_for_each(|one| y.item(|y| alertmanager(y, client, one)))?;
            y.items_indented(&yaml::items(&more));
            Ok(())
        })
    })
}

/// A text as an expression that matches nothing else.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal
}

pub(super) fn alertmanager(
    y: &mut Yaml,
    client: &Client<'_>,
    one: &AlertmanagerEndpoints,
) -> Result<(), Rejection> {
    let settings = client.settings;
    y.text_if("scheme", one.scheme.as_deref().map(str::to_ascii_lowercase).as_deref());
    y.text_if("path_prefix", one.path_prefix.as_deref());
    y.text_if("timeout", one.timeout.as_deref());
    if client.at_least(2, 35) {
        y.plain_if("enable_http2", one.enable_http2);
    }
    client.tls(y, one.tls_config.as_ref().map(TlsView::full))?;
    client.proxy(y, &one.proxy)?;
    let role = settings.endpoints_role(None);
    let namespace = one.namespace.as_deref().unwrap_or(&settings.namespace);
    discover(y, client, &[namespace], Discovery { role, ..Discovery::default() })?;
    y.text_if("bearer_token_file", there(&one.bearer_token_file));
    if client.at_least(2, 26) {
        client.basic(y, one.basic_auth.as_ref())?;
    }
    client.safe_authorization(y, one.authorization.as_ref())?;
    if client.at_least(2, 48) {
        client.sigv4(y, one.sigv4.as_ref())?;
    }
    api_version(y, client, one.api_version.as_deref());
    y.list("relabel_configs", |y| {
        relabel::filter(y, "keep", &["__meta_kubernetes_service_name"], &one.name);
        match port_text(one.port.as_ref()) {
            Some(Ok(name)) => {
                let label = match role {
                    "endpointslice" => "__meta_kubernetes_endpointslice_port_name",
                    _ => "__meta_kubernetes_endpoint_port_name",
                };
                relabel::filter(y, "keep", &[label], name);
            }
            Some(Err(number)) => {
                let label = "__meta_kubernetes_pod_container_port_number";
                relabel::filter(y, "keep", &[label], &number.to_string());
            }
            None => {}
        }
        one.relabelings.iter().for_each(|step| relabel::written(y, step));
        Ok::<(), Rejection>(())
    })?;
    if one.alert_relabelings.is_empty() || !client.at_least(2, 51) {
        return Ok(());
    }
    y.list("alert_relabel_configs", |y| {
        one.alert_relabelings.iter().for_each(|step| relabel::written(y, step));
        Ok(())
    })
}

/// Prometheus 3 knows only the second version.
fn api_version(y: &mut Yaml, client: &Client<'_>, version: Option<&str>) {
    let known = match version.map(str::to_ascii_lowercase).as_deref() {
        Some("v1") => client.settings.version.major <= 2,
        Some("v2") => true,
        _ => false,
    };
    if known && client.at_least(2, 11) {
        y.text_if("api_version", version.map(str::to_ascii_lowercase).as_deref());
    }
}

/// Judges who is told.
pub(super) fn judge(settings: &Settings, scope: &Scope<'_>) -> Result<(), Rejection> {
    let Some(alerting) = &settings.spec.alerting else { return Ok(()) };
    for (index, one) in alerting.alertmanagers.iter().enumerate() {
        judge_one(settings, scope, one).at("alerting.alertmanagers", index)?;
    }
    Ok(())
}

pub(super) fn judge_one(
    settings: &Settings,
    scope: &Scope<'_>,
    one: &AlertmanagerEndpoints,
) -> Result<(), Rejection> {
    word("scheme", one.scheme.as_deref(), &["http", "https"], true)?;
    word("apiVersion", one.api_version.as_deref(), &["v1", "v2"], true)?;
    if let Some(timeout) = &one.timeout {
        duration("timeout", timeout)?;
    }
    at_most_one(&[
        ("basicAuth", one.basic_auth.is_some()),
        ("authorization", one.authorization.is_some()),
        ("bearerTokenFile", !one.bearer_token_file.is_empty()),
        ("sigv4", one.sigv4.is_some()),
    ])?;
    let auth =
        Auth { basic: one.basic_auth.as_ref(), authorization: one.authorization.as_ref(), ..Auth::default() };
    judge_auth(scope, auth)?;
    judge_proxy(scope, &one.proxy)?;
    if let Some(tls) = &one.tls_config {
        judge_tls(scope, tls).under("tlsConfig")?;
    }
    if let Some(sigv4) = &one.sigv4 {
        judge_sigv4(scope, sigv4).under("sigv4")?;
    }
    judge_list("relabelings", settings.rules(), &one.relabelings)?;
    judge_list("alertRelabelings", settings.rules(), &one.alert_relabelings)
}

//! Where samples are sent to and read from.

use crate::scrape::contents::Holder;
use crate::scrape::jobs::http::{Client, TlsView, pairs};
use crate::scrape::jobs::{Yaml, relabel, there};
use crate::scrape::judge::http::{
    Auth, at_most_one, judge_auth, judge_authorization_shape, judge_header_name, judge_proxy, judge_sigv4,
    judge_tls,
};
use crate::scrape::judge::names::{duration, key, url, word};
use crate::scrape::judge::relabel::judge_list;
use crate::scrape::judge::{Rejection, Under, fault};
use crate::scrape::objects::remote::{AzureAd, MetadataConfig, Queue, RemoteRead, RemoteWrite};
use crate::scrape::references::Scope;
use crate::scrape::settings::{Role, Settings};
use crate::scrape::version::Version;

/// Writes `remote_write` and `remote_read`.
pub(super) fn write(y: &mut Yaml, client: &Client<'_>) -> Result<(), Rejection> {
    let spec = &client.settings.spec;
    if !spec.remote_write.is_empty() {
        y.list("remote_write", |y| {
            let write = |(index, one)| y.item(|y| remote_write(y, client, one)).at("spec.remoteWrite", index);
            spec.remote_write.iter().enumerate().try_for_each(write)
        })?;
    }
    if spec.remote_read.is_empty() || client.settings.role != Role::Server {
        return Ok(());
    }
    y.list("remote_read", |y| {
        let write = |(index, one)| y.item(|y| remote_read(y, client, one)).at("spec.remoteRead", index);
        spec.remote_read.iter().enumerate().try_for_each(write)
    })
}

pub(super) fn remote_write(y: &mut Yaml, client: &Client<'_>, one: &RemoteWrite) -> Result<(), Rejection> {
    y.text("url", &one.url);
    y.text_if("remote_timeout", one.remote_timeout.as_deref());
    if client.at_least(2, 15) {
        if !one.headers.is_empty() {
            y.pairs("headers", pairs(&one.headers));
        }
        y.text_if("name", one.name.as_deref().and_then(there));
    }
    if client.at_least(2, 54) {
        y.text_if("protobuf_message", one.message_version.as_deref().map(message));
    }
    if client.at_least(2, 27) {
        y.plain_if("send_exemplars", one.send_exemplars);
    }
    if client.at_least(2, 40) {
        y.plain_if("send_native_histograms", one.send_native_histograms);
    }
    if !one.write_relabel_configs.is_empty() {
        y.list("write_relabel_configs", |y| {
            one.write_relabel_configs.iter().for_each(|step| relabel::written(y, step));
            Ok::<(), Rejection>(())
        })?;
    }
    client.basic(y, one.basic_auth.as_ref())?;
    y.text_if("bearer_token", there(&one.bearer_token));
    y.text_if("bearer_token_file", there(&one.bearer_token_file));
    client.oauth2(y, one.oauth2.as_ref())?;
    client.tls(y, one.tls_config.as_ref().map(TlsView::full))?;
    client.authorization(y, one.authorization.as_ref())?;
    client.proxy(y, &one.proxy)?;
    if client.at_least(2, 26) {
        client.sigv4(y, one.sigv4.as_ref())?;
        y.plain_if("follow_redirects", one.follow_redirects);
    }
    if let Some(azure) = one.azure_ad.as_ref().filter(|_| client.at_least(2, 45)) {
        y.map("azuread", |y| azure_ad(y, client, azure))?;
    }
    if client.at_least(2, 35) {
        y.plain_if("enable_http2", one.enable_http2);
    }
    if let Some(queue) = &one.queue_config {
        y.map("queue_config", |y| {
            queue_fields(y, client.settings.version, queue);
            Ok::<(), Rejection>(())
        })?;
    }
    if let Some(metadata) = one.metadata_config.as_ref().filter(|_| client.at_least(2, 23)) {
        y.map("metadata_config", |y| {
            metadata_fields(y, client, metadata);
            Ok::<(), Rejection>(())
        })?;
    }
    if client.at_least(3, 1) {
        y.plain_if("round_robin_dns", one.round_robin_dns);
    }
    Ok(())
}

/// The message of a version of the protocol.
fn message(version: &str) -> &'static str {
    if version == "V2.0" { "io.prometheus.write.v2.Request" } else { "prometheus.WriteRequest" }
}

fn azure_ad(y: &mut Yaml, client: &Client<'_>, azure: &AzureAd) -> Result<(), Rejection> {
    if let Some(identity) = &azure.managed_identity {
        y.map("managed_identity", |y| {
            y.text_if("client_id", identity.client_id.as_deref().and_then(there));
            Ok::<(), Rejection>(())
        })?;
    }
    if let Some(oauth) = azure.oauth.as_ref().filter(|_| client.at_least(2, 48)) {
        y.map("oauth", |y| {
            y.text("client_id", &oauth.client_id);
            let secret = client.scope.secret("azureAd.oauth.clientSecret", &oauth.client_secret)?;
            y.text("client_secret", secret);
            y.text("tenant_id", &oauth.tenant_id);
            Ok(())
        })?;
    }
    if let Some(sdk) = azure.sdk.as_ref().filter(|_| client.at_least(2, 52)) {
        y.map("sdk", |y| {
            y.text("tenant_id", sdk.tenant_id.as_deref().unwrap_or_default());
            Ok::<(), Rejection>(())
        })?;
    }
    if let Some(identity) = azure.workload_identity.as_ref().filter(|_| client.at_least(3, 7)) {
        y.map("workload_identity", |y| {
            y.text("client_id", &identity.client_id);
            y.text("tenant_id", &identity.tenant_id);
            Ok::<(), Rejection>(())
        })?;
    }
    y.text_if("cloud", azure.cloud.as_deref());
    if client.at_least(3, 9) {
        y.text_if("scope", azure.scope.as_deref().and_then(there));
    }
    Ok(())
}

fn queue_fields(y: &mut Yaml, version: Version, queue: &Queue) {
    let number = |y: &mut Yaml, name: &str, value: i64| y.plain_if(name, Some(value).filter(|n| *n != 0));
    number(y, "capacity", queue.capacity);
    if version.at_least(2, 6, 0) {
        number(y, "min_shards", queue.min_shards);
    }
    number(y, "max_shards", queue.max_shards);
    number(y, "max_samples_per_send", queue.max_samples_per_send);
    y.text_if("batch_send_deadline", queue.batch_send_deadline.as_deref());
    // Gone since 2.11.
    if !version.at_least(2, 11, 0) {
        number(y, "max_retries", queue.max_retries);
    }
    y.text_if("min_backoff", queue.min_backoff.as_deref());
    y.text_if("max_backoff", queue.max_backoff.as_deref());
    if queue.retry_on_rate_limit && version.at_least(2, 26, 0) {
        y.plain("retry_on_http_429", true);
    }
    if version.at_least(2, 50, 0) {
        y.text_if("sample_age_limit", queue.sample_age_limit.as_deref());
    }
}

fn metadata_fields(y: &mut Yaml, client: &Client<'_>, metadata: &MetadataConfig) {
    y.plain("send", metadata.send);
    y.text_if("send_interval", there(&metadata.send_interval));
    if client.at_least(2, 29) {
        y.plain_if("max_samples_per_send", metadata.max_samples_per_send);
    }
}

pub(super) fn remote_read(y: &mut Yaml, client: &Client<'_>, one: &RemoteRead) -> Result<(), Rejection> {
    y.text("url", &one.url);
    y.text_if("remote_timeout", one.remote_timeout.as_deref());
    if !one.headers.is_empty() && client.at_least(2, 26) {
        y.pairs("headers", pairs(&one.headers));
    }
    if client.at_least(2, 15) {
        y.text_if("name", there(&one.name));
    }
    if !one.required_matchers.is_empty() {
        y.pairs("required_matchers", pairs(&one.required_matchers));
    }
    if one.read_recent {
        y.plain("read_recent", true);
    }
    client.basic(y, one.basic_auth.as_ref())?;
    y.text_if("bearer_token", there(&one.bearer_token));
    y.text_if("bearer_token_file", there(&one.bearer_token_file));
    client.oauth2(y, one.oauth2.as_ref())?;
    client.tls(y, one.tls_config.as_ref().map(TlsView::full))?;
    client.authorization(y, one.authorization.as_ref())?;
    client.proxy(y, &one.proxy)?;
    if client.at_least(2, 26) {
        y.plain_if("follow_redirects", one.follow_redirects);
    }
    if client.at_least(2, 34) {
        y.plain_if("filter_external_labels", one.filter_external_labels);
    }
    Ok(())
}

/// Judges both.
pub(super) fn judge(settings: &Settings, scope: &Scope<'_>) -> Result<(), Rejection> {
    for (index, one) in settings.spec.remote_write.iter().enumerate() {
        judge_write(settings, scope, one).at("remoteWrite", index)?;
    }
    for (index, one) in settings.spec.remote_read.iter().enumerate() {
        judge_read(scope, one).at("remoteRead", index)?;
    }
    Ok(())
}

pub(super) fn judge_write(
    settings: &Settings,
    scope: &Scope<'_>,
    one: &RemoteWrite,
) -> Result<(), Rejection> {
    url("url", &one.url, &["http", "https"])?;
    at_most_one(&[
        ("basicAuth", one.basic_auth.is_some()),
        ("oauth2", one.oauth2.is_some()),
        ("authorization", one.authorization.is_some()),
        ("bearerToken", !one.bearer_token.is_empty()),
        ("bearerTokenFile", !one.bearer_token_file.is_empty()),
        ("sigv4", one.sigv4.is_some()),
        ("azureAd", one.azure_ad.is_some()),
    ])?;
    let safe = one.authorization.as_ref().map(|authorization| &authorization.safe);
    let auth = Auth {
        basic: one.basic_auth.as_ref(),
        authorization: safe,
        oauth2: one.oauth2.as_ref(),
        bearer: None,
    };
    judge_auth(scope, auth)?;
    if let Some(authorization) = &one.authorization {
        judge_authorization_shape(authorization).under("authorization")?;
    }
    if let Some(tls) = &one.tls_config {
        judge_tls(scope, tls).under("tlsConfig")?;
    }
    if let Some(sigv4) = &one.sigv4 {
        judge_sigv4(scope, sigv4).under("sigv4")?;
    }
    judge_proxy(scope, &one.proxy)?;
    one.headers.keys().try_for_each(|name| judge_header_name(name)).under("headers")?;
    word("messageVersion", one.message_version.as_deref(), &["V1.0", "V2.0"], false)?;
    let queue = one.queue_config.clone().unwrap_or_default();
    for (path, text) in [
        ("remoteTimeout", one.remote_timeout.as_deref()),
        ("queueConfig.batchSendDeadline", queue.batch_send_deadline.as_deref()),
        ("queueConfig.minBackoff", queue.min_backoff.as_deref()),
        ("queueConfig.maxBackoff", queue.max_backoff.as_deref()),
        ("queueConfig.sampleAgeLimit", queue.sample_age_limit.as_deref()),
        (
            "metadataConfig.sendInterval",
            one.metadata_config.as_ref().and_then(|metadata| there(&metadata.send_interval)),
        ),
    ] {
        if let Some(text) = text {
            duration(path, text)?;
        }
    }
    judge_list("writeRelabelConfigs", settings.rules(), &one.write_relabel_configs)?;
    match &one.azure_ad {
        Some(azure) => judge_azure(settings.version, scope, azure).under("azureAd"),
        None => Ok(()),
    }
}

fn judge_azure(version: Version, scope: &Scope<'_>, azure: &AzureAd) -> Result<(), Rejection> {
    let ways = [
        ("managedIdentity", azure.managed_identity.is_some()),
        ("oauth", azure.oauth.is_some()),
        ("sdk", azure.sdk.is_some()),
        ("workloadIdentity", azure.workload_identity.is_some()),
    ];
    if ways.iter().all(|(_, there)| !there) {
        return Err(fault("", "no identity", "managedIdentity, oauth, sdk or workloadIdentity"));
    }
    at_most_one(&ways)?;
    let needs = |path: &str, at: (u64, u64)| {
        if version.at_least(at.0, at.1, 0) {
            return Ok(());
        }
        let found = format!("a value for Prometheus {version}");
        Err(fault(path, found, format!("another identity, or run Prometheus {}.{}.0 or newer", at.0, at.1)))
    };
    let uuid = |path: &str, text: &str| {
        let lengths = [8, 4, 4, 4, 12];
        let parts: Vec<&str> = text.split('-').collect();
        let sound = parts.len() == lengths.len()
            && parts
                .iter()
                .zip(lengths)
                .all(|(part, length)| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit()));
        if sound { Ok(()) } else { Err(fault(path, format!("{text:?}"), "an id such as 0000…-0000-…")) }
    };
    if let Some(identity) = &azure.managed_identity
        && !version.at_least(3, 5, 0)
        && identity.client_id.as_deref().unwrap_or_default().is_empty()
    {
        let write = "the id of the identity, or run Prometheus 3.5.0 or newer";
        return Err(fault("managedIdentity.clientId", "nothing", write));
    }
    if let Some(oauth) = &azure.oauth {
        needs("oauth", (2, 48))?;
        uuid("oauth.clientId", &oauth.client_id)?;
        scope.read("oauth.clientSecret", Holder::Secret, &oauth.client_secret)?;
    }
    if azure.sdk.is_some() {
        needs("sdk", (2, 52))?;
    }
    if let Some(identity) = &azure.workload_identity {
        needs("workloadIdentity", (3, 7))?;
        uuid("workloadIdentity.clientId", &identity.client_id)?;
        uuid("workloadIdentity.tenantId", &identity.tenant_id)?;
    }
    Ok(())
}

pub(super) fn judge_read(scope: &Scope<'_>, one: &RemoteRead) -> Result<(), Rejection> {
    url("url", &one.url, &["http", "https"])?;
    at_most_one(&[
        ("basicAuth", one.basic_auth.is_some()),
        ("oauth2", one.oauth2.is_some()),
        ("authorization", one.authorization.is_some()),
        ("bearerToken", !one.bearer_token.is_empty()),
        ("bearerTokenFile", !one.bearer_token_file.is_empty()),
    ])?;
    let safe = one.authorization.as_ref().map(|authorization| &authorization.safe);
    let auth = Auth {
        basic: one.basic_auth.as_ref(),
        authorization: safe,
        oauth2: one.oauth2.as_ref(),
        bearer: None,
    };
    judge_auth(scope, auth)?;
    if let Some(tls) = &one.tls_config {
        judge_tls(scope, tls).under("tlsConfig")?;
    }
    judge_proxy(scope, &one.proxy)?;
    one.headers.keys().try_for_each(|name| judge_header_name(name)).under("headers")?;
    one.required_matchers.keys().try_for_each(|name| key("requiredMatchers", name))?;
    match &one.remote_timeout {
        Some(text) => duration("remoteTimeout", text).map(drop),
        None => Ok(()),
    }
}

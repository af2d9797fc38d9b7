//! Discovery in Kubernetes.

use super::http::{Client, TlsView};
use super::{Job, Yaml, engine_scope};
use crate::scrape::judge::{Rejection, selector};
use crate::scrape::objects::{AttachMetadata, LabelSelector, NamespaceSelector};
use crate::scrape::settings::{Role, Settings};

/// What is discovered and how much is told about it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Discovery<'a> {
    /// `endpoints`, `endpointslice`, `pod`, `ingress`, ….
    pub(crate) role: &'a str,
    /// Metadata to attach, and the first version that can.
    pub(crate) attach: Option<(&'a AttachMetadata, (u64, u64))>,
    /// A selector that the API server applies, with the kinds of objects that it applies it to.
    pub(crate) selector: Option<(&'a LabelSelector, &'a [&'a str])>,
}

/// Namespaces that are searched; none means all of them.
pub(crate) fn namespaces<'a>(
    settings: &Settings,
    selector: &'a NamespaceSelector,
    own: &'a str,
) -> Vec<&'a str> {
    match selector {
        _ if settings.spec.ignore_namespace_selectors => vec![own],
        NamespaceSelector { any: true, .. } => Vec::new(),
        NamespaceSelector { match_names, .. } if match_names.is_empty() => vec![own],
        NamespaceSelector { match_names, .. } => match_names.iter().map(String::as_str).collect(),
    }
}

/// The one block of discovery of a job.
pub(crate) fn discover(
    y: &mut Yaml,
    client: &Client<'_>,
    namespaces: &[&str],
    discovery: Discovery<'_>,
) -> Result<(), Rejection> {
    y.list("kubernetes_sd_configs", |y| y.item(|y| fields(y, client, namespaces, discovery)))
}

fn fields(
    y: &mut Yaml,
    client: &Client<'_>,
    namespaces: &[&str],
    discovery: Discovery<'_>,
) -> Result<(), Rejection> {
    let settings = client.settings;
    y.text("role", discovery.role);
    if !namespaces.is_empty() {
        y.map("namespaces", |y| {
            y.texts("names", namespaces);
            Ok::<(), Rejection>(())
        })?;
    }
    if let Some(server) = &settings.spec.apiserver_config {
        // The engine's own settings, which refer to the engine's own namespace.
        let scope = engine_scope(settings, client.scope.namespace, client.scope.assets);
        let client = Client { settings, scope };
        y.text("api_server", &server.host);
        client.basic(y, server.basic_auth.as_ref())?;
        y.text_if("bearer_token", super::there(&server.bearer_token));
        y.text_if("bearer_token_file", super::there(&server.bearer_token_file));
        client.authorization(y, server.authorization.as_ref())?;
        client.tls(y, server.tls_config.as_ref().map(TlsView::full))?;
        client.proxy(y, &server.proxy)?;
    }
    if let Some((attach, since)) = discovery.attach
        && client.at_least(since.0, since.1)
    {
        y.map("attach_metadata", |y| {
            y.truth("node", attach.node == Some(true));
            Ok::<(), Rejection>(())
        })?;
    }
    let node =
        (settings.role == Role::NodeAgent).then(|| format!("spec.nodeName={}", settings.places.node_name));
    if node.is_none() && discovery.selector.is_none() {
        return Ok(());
    }
    y.list("selectors", |y| {
        if let Some(field) = &node {
            y.item(|y| {
                y.text("role", "pod");
                y.text("field", field);
                Ok::<(), Rejection>(())
            })?;
        }
        let Some((labels, roles)) = discovery.selector else { return Ok(()) };
        let text = selector::to_text(labels);
        roles.iter().try_for_each(|role| {
            y.item(|y| {
                y.text("role", role);
                y.text("label", &text);
                Ok::<(), Rejection>(())
            })
        })
    })
}

impl Job<'_> {
    /// Discovery in the namespaces that an object names.
    pub(crate) fn discover(
        &self,
        y: &mut Yaml,
        selector: &NamespaceSelector,
        discovery: Discovery<'_>,
    ) -> Result<(), Rejection> {
        let namespaces = namespaces(self.settings(), selector, &self.monitor.namespace);
        discover(y, &self.client, &namespaces, discovery)
    }
}

/// Whether a selector is left to the API server instead of to relabelling.
pub(crate) fn by_role(mechanism: Option<&str>) -> bool {
    mechanism == Some("RoleSelector")
}

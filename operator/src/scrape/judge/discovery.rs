//! Whether blocks of discovery of a ScrapeConfig are sound.

use serde_json::{Map, Value};

use super::http::{Auth, judge_auth, judge_proxy, judge_safe_tls};
use super::names::{bounded, key, readable_url, url, word};
use super::object::{Judge, few, optional_duration};
use super::{Rejection, Under, fault, selector};
use crate::scrape::contents::Holder;
use crate::scrape::jobs::discovery::{Field, TABLES, What, blocks, part, proxy, text, value};
use crate::scrape::objects::http::{BasicAuth, OAuth2, SafeAuthorization, SafeTls};
use crate::scrape::objects::{KeyRef, Proxy};

/// Most blocks of one kind of discovery: an engine runs each.
const MAX_BLOCKS: usize = 500;
/// Most entries of a list or a map in a block.
const MAX_ENTRIES: usize = 20_000;

/// Judges every block of an object.
pub(super) fn judge(judge: &Judge<'_>, rest: &Map<String, Value>) -> Result<(), Rejection> {
    for table in TABLES {
        let blocks = blocks(rest, table)?;
        few(table.from, blocks.len(), MAX_BLOCKS)?;
        for (index, block) in blocks.into_iter().enumerate() {
            let judge = || -> Result<(), Rejection> {
                table.fields.iter().try_for_each(|field| judge_shape(field.what, field, block))?;
                judge_rules(judge, table.from, block)?;
                judge_credentials(judge, table.fields, block)
            };
            judge().at(table.from, index)?;
        }
    }
    Ok(())
}

/// Judges that what the API requires is there.
pub(super) fn judge_required(rest: &Map<String, Value>) -> Result<(), Rejection> {
    for table in TABLES {
        for (index, block) in blocks(rest, table)?.into_iter().enumerate() {
            let required = |field: &&Field| matches!(field.what, What::Required | What::RequiredWord);
            let mut names: Vec<&str> = table.fields.iter().filter(required).map(|field| field.from).collect();
            if table.fields.iter().any(|field| field.what == What::Kubernetes) {
                names.push("role");
            }
            match names.into_iter().find(|name| text(block, name).is_none_or(str::is_empty)) {
                Some(name) => {
                    let missing = fault(name, "nothing", "a value: discovery does not work without");
                    return Err(missing).at(table.from, index);
                }
                None => continue,
            }
        }
    }
    Ok(())
}

/// Judges that a field is of the type that it has.
fn judge_shape(what: What, field: &Field, block: &Map<String, Value>) -> Result<(), Rejection> {
    let from = field.from;
    let Some(found) = value(block, from) else { return Ok(()) };
    let wrong = |write: &str| Err(fault(from, brief(found), write));
    match what {
        What::Text
        | What::Required
        | What::Word
        | What::RequiredWord
        | What::Duration
        | What::DnsType
        | What::OvhService => {
            let Some(text) = found.as_str() else { return wrong("a text") };
            bounded(from, text)?;
            match what {
                What::Duration => optional_duration(from, Some(text)),
                What::DnsType => word(from, Some(text), &["A", "AAAA", "MX", "NS", "SRV"], false),
                What::OvhService => word(from, Some(text), &["VPS", "DedicatedServer"], false),
                _ => Ok(()),
            }
        }
        What::Int => match found.as_i64() {
            Some(number) if (0..=65_535).contains(&number) => Ok(()),
            _ => wrong("a port from 0 to 65535"),
        },
        What::Bool if !found.is_boolean() => wrong("true or false"),
        What::Texts => match found.as_array() {
            Some(texts) => {
                few(from, texts.len(), MAX_ENTRIES)?;
                texts.iter().try_for_each(|text| match text.as_str() {
                    Some(text) => bounded(from, text),
                    None => wrong("a list of texts"),
                })
            }
            None => wrong("a list of texts"),
        },
        What::Pairs => match found.as_object() {
            Some(pairs) => {
                few(from, pairs.len(), MAX_ENTRIES)?;
                pairs.iter().try_for_each(|(name, text)| match text.as_str() {
                    Some(text) => key(from, name).and_then(|()| bounded(from, text)),
                    None => wrong("names with texts"),
                })
            }
            None => wrong("names with texts"),
        },
        What::Filters => match found.as_array() {
            Some(filters) => {
                few(from, filters.len(), MAX_ENTRIES)?;
                filters.iter().try_for_each(|filter| {
                    let values = filter["values"].as_array().map(|all| all.iter().all(Value::is_string));
                    match (filter["name"].is_string(), values) {
                        (true, Some(true)) => Ok(()),
                        _ => wrong("a list of names with values"),
                    }
                })
            }
            None => wrong("a list of names with values"),
        },
        _ => Ok(()),
    }
}

/// A value in a few words, without what may be secret.
fn brief(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a block",
    }
}

/// Judges how a block authenticates and encrypts, the contents of Secrets included.
fn judge_credentials(
    judge: &Judge<'_>,
    fields: &[Field],
    block: &Map<String, Value>,
) -> Result<(), Rejection> {
    let scope = &judge.scope;
    let (mut basic, mut authorization, mut oauth2) = (None, None, None);
    for field in fields {
        let what = match field.what {
            // Without credentials of its own there is nothing to judge them for.
            What::Unwritten(_) if uses_identity(block) => continue,
            What::Unwritten(what) => *what,
            what => what,
        };
        match what {
            What::Basic => basic = part::<BasicAuth>(block, field.from)?,
            What::Authorization => authorization = part::<SafeAuthorization>(block, field.from)?,
            What::OAuth2 => oauth2 = part::<OAuth2>(block, field.from)?,
            What::Proxy => {
                let proxy: Proxy = proxy(block)?;
                judge_proxy(scope, &proxy)?;
            }
            What::Tls => {
                if let Some(tls) = part::<SafeTls>(block, field.from)? {
                    judge_safe_tls(scope, &tls).under(field.from)?;
                }
            }
            What::Secret => {
                if let Some(key) = part::<KeyRef>(block, field.from)? {
                    scope.read(field.from, Holder::Secret, &key)?;
                }
            }
            What::AccessKeys => {
                for from in ["accessKey", "secretKey"] {
                    if let Some(key) = part::<KeyRef>(block, from)? {
                        scope.read(from, Holder::Secret, &key)?;
                    }
                }
            }
            _ => {}
        }
    }
    let auth = Auth {
        basic: basic.as_ref(),
        authorization: authorization.as_ref(),
        oauth2: oauth2.as_ref(),
        bearer: None,
    };
    judge_auth(scope, auth)
}

/// Whether a block of Azure's discovery takes the identity of the machine.
fn uses_identity(block: &Map<String, Value>) -> bool {
    matches!(text(block, "authenticationMethod"), Some("ManagedIdentity" | "SDK"))
}

/// Judges what is particular to a kind of discovery.
fn judge_rules(judge: &Judge<'_>, kind: &str, block: &Map<String, Value>) -> Result<(), Rejection> {
    let version = judge.settings.version;
    let needs = |from: &str, at: (u64, u64, u64)| {
        if value(block, from).is_none() || version.at_least(at.0, at.1, at.2) {
            return Ok(());
        }
        let found = format!("a value for Prometheus {version}");
        let write = format!("nothing there, or run Prometheus {}.{}.{} or newer", at.0, at.1, at.2);
        Err(fault(from, found, write))
    };
    let required = |from: &str| match text(block, from).filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => Err(fault(from, "nothing", "a value: discovery does not work without")),
    };
    let some = |from: &str| match value(block, from).and_then(Value::as_array) {
        Some(list) if !list.is_empty() => Ok(()),
        _ => Err(fault(from, "nothing", "one entry at least")),
    };
    let referenced = |from: &str| match value(block, from) {
        Some(_) => Ok(()),
        None => Err(fault(from, "nothing", "a name and a key of a Secret")),
    };
    match kind {
        "fileSDConfigs" => {
            some("files")?;
            judge_files(block)
        }
        "httpSDConfigs" => url("url", required("url")?, &["http", "https"]),
        "kubernetesSDConfigs" => judge_kubernetes(block),
        "consulSDConfigs" => {
            needs("pathPrefix", (2, 45, 0))?;
            needs("namespace", (2, 28, 0))?;
            needs("filter", (3, 0, 0))?;
            word("scheme", text(block, "scheme"), &["http", "https"], true)?;
            required("server").map(drop)
        }
        "dnsSDConfigs" => {
            some("names")?;
            match (text(block, "type"), value(block, "port")) {
                (Some(record), None) if record != "SRV" => {
                    Err(fault("port", "nothing", format!("a port: records of type {record} have none")))
                }
                _ => Ok(()),
            }
        }
        "azureSDConfigs" => {
            let method = text(block, "authenticationMethod");
            word("authenticationMethod", method, &["OAuth", "ManagedIdentity", "SDK"], false)?;
            if method == Some("SDK") {
                needs("authenticationMethod", (2, 52, 0))?;
            }
            needs("resourceGroup", (2, 35, 0))?;
            if uses_identity(block) {
                return Ok(());
            }
            required("tenantID")?;
            required("clientID")?;
            referenced("clientSecret")
        }
        "openstackSDConfigs" => {
            let roles = ["instance", "hypervisor", "loadbalancer"];
            word("role", text(block, "role"), &roles, true)?;
            word("availability", text(block, "availability"), &["public", "admin", "internal"], true)?;
            if text(block, "role").is_some_and(|role| role.eq_ignore_ascii_case("loadbalancer")) {
                needs("role", (3, 2, 0))?;
            }
            Ok(())
        }
        "kumaSDConfigs" => url("server", required("server")?, &[]),
        "dockerSDConfigs" | "dockerSwarmSDConfigs" => readable_url("host", required("host")?),
        "puppetDBSDConfigs" => url("url", required("url")?, &["http", "https"]),
        "hetznerSDConfigs" => word("role", text(block, "role"), &["hcloud", "robot"], true),
        "ovhcloudSDConfigs" => {
            referenced("applicationSecret")?;
            referenced("consumerKey")
        }
        "scalewaySDConfigs" => {
            word("role", text(block, "role"), &["instance", "baremetal"], true)?;
            referenced("secretKey")
        }
        "gceSDConfigs" => {
            required("project")?;
            required("zone").map(drop)
        }
        _ => Ok(()),
    }
}

/// Files of targets end in a way that an engine knows, with at most one star, in the last step of the path.
fn judge_files(block: &Map<String, Value>) -> Result<(), Rejection> {
    let files = value(block, "files").and_then(Value::as_array);
    let texts = files.into_iter().flatten().filter_map(Value::as_str);
    for file in texts {
        let stem = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
            .iter()
            .find_map(|ending| file.strip_suffix(ending));
        let sound = stem.is_some_and(|stem| match stem.split_once('*') {
            Some((_, after)) => !after.contains('/') && !after.contains('*'),
            None => true,
        });
        if !sound {
            return Err(fault("files", format!("{file:?}"), "a path that ends in .json, .yml or .yaml"));
        }
    }
    Ok(())
}

/// An engine takes settings of its client only for an API server that is named.
fn judge_own_client(block: &Map<String, Value>) -> Result<(), Rejection> {
    if text(block, "apiServer").is_some() {
        return Ok(());
    }
    let own = |from: &&&str| match value(block, from) {
        None => false,
        Some(Value::Bool(value)) => *value == (**from == "proxyFromEnvironment"),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    };
    const CLIENT: [&str; 10] = [
        "basicAuth",
        "authorization",
        "oauth2",
        "tlsConfig",
        "followRedirects",
        "enableHTTP2",
        "proxyUrl",
        "noProxy",
        "proxyFromEnvironment",
        "proxyConnectHeader",
    ];
    match CLIENT.iter().find(own) {
        Some(from) => Err(fault(from, "a value without apiServer", "apiServer too, or nothing there")),
        None => Ok(()),
    }
}

fn judge_kubernetes(block: &Map<String, Value>) -> Result<(), Rejection> {
    const ROLES: [&str; 6] = ["pod", "service", "endpoints", "endpointslice", "node", "ingress"];
    let role = text(block, "role").unwrap_or_default().to_ascii_lowercase();
    let selectors = value(block, "selectors");
    if !role.is_empty() || selectors.is_some_and(|all| all.as_array().is_some_and(|all| !all.is_empty())) {
        word("role", Some(&role), &ROLES, false)?;
    }
    if let Some(namespaces) = value(block, "namespaces") {
        let Some(fields) = namespaces.as_object() else {
            return Err(fault("namespaces", "no block", "names"));
        };
        if text(block, "apiServer").is_some()
            && value(fields, "ownNamespace").and_then(Value::as_bool) == Some(true)
        {
            let found = "true beside apiServer";
            return Err(fault("namespaces.ownNamespace", found, "one of both"));
        }
    }
    judge_own_client(block)?;
    let Some(selectors) = selectors else { return Ok(()) };
    let Some(selectors) = selectors.as_array() else {
        return Err(fault("selectors", "no list", "a list of selectors"));
    };
    few("selectors", selectors.len(), MAX_BLOCKS)?;
    let allowed: &[&str] = match role.as_str() {
        "endpointslice" => &["pod", "service", "endpointslice"],
        "endpoints" => &["pod", "service", "endpoints"],
        "pod" => &["pod"],
        "service" => &["service"],
        "node" => &["node"],
        _ => &["ingress"],
    };
    for (index, selector) in selectors.iter().enumerate() {
        let Some(fields) = selector.as_object() else {
            return Err(fault("", "no block", "a role with label or field")).at("selectors", index);
        };
        let judge = || -> Result<(), Rejection> {
            word("role", Some(text(fields, "role").unwrap_or_default()), allowed, true)?;
            if let Some(labels) = text(fields, "label") {
                bounded("label", labels)?;
                selector::judge_labels("label", labels)?;
            }
            if let Some(field) = text(fields, "field") {
                bounded("field", field)?;
                selector::judge_fields("field", field)?;
            }
            Ok(())
        };
        judge().at("selectors", index)?;
    }
    Ok(())
}

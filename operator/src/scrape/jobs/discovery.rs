//! Service discovery of ScrapeConfig: one table for each kind, and what its fields are to the engine.

mod tables;

use serde_json::{Map, Value};

pub(crate) use tables::TABLES;

use super::Yaml;
use super::http::{Client, TlsView};
use crate::scrape::judge::{Rejection, Under, fault};
use crate::scrape::objects::http::{BasicAuth, OAuth2, Proxy, SafeAuthorization, SafeTls};
use crate::scrape::objects::{KeyRef, typed};
use crate::scrape::version::Version;

/// One kind of discovery.
pub(crate) struct Table {
    /// Field of the object.
    pub(crate) from: &'static str,
    /// Key of the configuration.
    to: &'static str,
    pub(crate) fields: &'static [Field],
}

/// One field of a kind of discovery.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) from: &'static str,
    to: &'static str,
    pub(crate) what: What,
    /// The first version that knows it.
    since: (u64, u64, u64),
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Basic,
    Authorization,
    OAuth2,
    /// The four fields of a proxy.
    Proxy,
    Tls,
    Text,
    /// A text that is written even where it is missing: an engine refuses the block otherwise, with a better
    /// reason.
    Required,
    /// A word, in small letters.
    Word,
    RequiredWord,
    Duration,
    Int,
    Bool,
    Texts,
    Pairs,
    /// A key of a Secret, whose content is written.
    Secret,
    /// The two keys of an account, which are written only together.
    AccessKeys,
    /// Names with values.
    Filters,
    /// What [`kubernetes`] writes.
    Kubernetes,
    /// The kind of a DNS record.
    DnsType,
    /// The kind of an OVH service.
    OvhService,
    /// Judged, and not written: an engine has no use for it here.
    Unwritten(&'static What),
}

/// The blocks of one kind of discovery. What is null counts as absent.
pub(crate) fn blocks<'a>(
    rest: &'a Map<String, Value>,
    table: &Table,
) -> Result<Vec<&'a Map<String, Value>>, Rejection> {
    let list = match rest.get(table.from) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(fault(table.from, "no list", "a list of blocks")),
    };
    list.iter()
        .enumerate()
        .map(|(index, block)| {
            block.as_object().ok_or_else(|| fault("", "no block", "fields with values")).at(table.from, index)
        })
        .collect()
}

/// The value of a field; null counts as absent.
pub(crate) fn value<'a>(block: &'a Map<String, Value>, from: &str) -> Option<&'a Value> {
    block.get(from).filter(|value| !value.is_null())
}

pub(crate) fn text<'a>(block: &'a Map<String, Value>, from: &str) -> Option<&'a str> {
    value(block, from).and_then(Value::as_str)
}

/// The part of a block that is of some type.
pub(crate) fn part<T: serde::de::DeserializeOwned>(
    block: &Map<String, Value>,
    from: &str,
) -> Result<Option<T>, Rejection> {
    value(block, from).map(|value| typed(value).under(from)).transpose()
}

/// The proxy of a block.
pub(crate) fn proxy(block: &Map<String, Value>) -> Result<Proxy, Rejection> {
    const FIELDS: [&str; 4] = ["proxyUrl", "noProxy", "proxyFromEnvironment", "proxyConnectHeader"];
    let own: Map<String, Value> =
        FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), value(block, name)?.clone()))).collect();
    typed(&Value::Object(own))
}

/// Writes every block of discovery of an object.
pub(super) fn write(y: &mut Yaml, client: &Client<'_>, rest: &Map<String, Value>) -> Result<(), Rejection> {
    for table in TABLES {
        let blocks = blocks(rest, table)?;
        if blocks.is_empty() {
            continue;
        }
        y.list(table.to, |y| {
            blocks.iter().enumerate().try_for_each(|(index, block)| {
                y.item(|y| table.fields.iter().try_for_each(|field| write_field(y, client, field, block)))
                    .at(table.from, index)
            })
        })?;
    }
    Ok(())
}

fn write_field(
    y: &mut Yaml,
    client: &Client<'_>,
    field: &Field,
    block: &Map<String, Value>,
) -> Result<(), Rejection> {
    let Field { from, to, what, since } = *field;
    if !client.settings.version.at_least(since.0, since.1, since.2) {
        return Ok(());
    }
    match what {
        What::Basic => client.basic(y, part::<BasicAuth>(block, from)?.as_ref()),
        What::Authorization => client.safe_authorization(y, part::<SafeAuthorization>(block, from)?.as_ref()),
        What::OAuth2 => client.oauth2(y, part::<OAuth2>(block, from)?.as_ref()),
        What::Proxy => client.proxy(y, &proxy(block)?),
        What::Tls => client.tls(y, part::<SafeTls>(block, from)?.as_ref().map(TlsView::safe)),
        What::Secret => {
            if let Some(key) = part::<KeyRef>(block, from)? {
                y.text(to, client.scope.secret(from, &key)?);
            }
            Ok(())
        }
        What::AccessKeys => {
            let keys = (part::<KeyRef>(block, "accessKey")?, part::<KeyRef>(block, "secretKey")?);
            if let (Some(access), Some(secret)) = keys {
                y.text("access_key", client.scope.secret("accessKey", &access)?);
                y.text("secret_key", client.scope.secret("secretKey", &secret)?);
            }
            Ok(())
        }
        What::Kubernetes => kubernetes(y, client.settings.version, block),
        What::Unwritten(_) => Ok(()),
        _ => {
            write_plain(y, client.settings.version, field, block);
            Ok(())
        }
    }
}

/// Fields that are written as they stand.
fn write_plain(y: &mut Yaml, version: Version, field: &Field, block: &Map<String, Value>) {
    let Field { from, to, what, .. } = *field;
    let text = text(block, from);
    match what {
        What::Text | What::Duration => y.text_if(to, text),
        What::Required => y.text(to, text.unwrap_or_default()),
        What::Word => y.text_if(to, text.map(str::to_ascii_lowercase).as_deref()),
        What::RequiredWord => y.text(to, &text.unwrap_or_default().to_ascii_lowercase()),
        What::Int => y.plain_if(to, value(block, from).and_then(Value::as_i64)),
        What::Bool => y.plain_if(to, value(block, from).and_then(Value::as_bool)),
        What::Texts => {
            let texts = texts(block, from);
            if !texts.is_empty() || from == "files" || from == "names" {
                y.texts(to, &texts);
            }
        }
        What::Pairs => {
            let pairs = value(block, from).and_then(Value::as_object);
            let pairs = pairs.into_iter().flatten().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)));
            let pairs: Vec<(&str, &str)> = pairs.collect();
            if !pairs.is_empty() {
                y.pairs(to, pairs);
            }
        }
        What::Filters => filters(y, to, block, from),
        What::DnsType => {
            let known = match text {
                Some("NS") => version.at_least(2, 49, 0),
                Some("MX") => version.at_least(2, 38, 0),
                _ => true,
            };
            y.text_if(to, text.filter(|_| known));
        }
        What::OvhService => match text {
            Some("VPS") => y.text(to, "vps"),
            Some("DedicatedServer") => y.text(to, "dedicated_server"),
            _ => {}
        },
        _ => {}
    }
}

fn texts<'a>(block: &'a Map<String, Value>, from: &str) -> Vec<&'a str> {
    let list = value(block, from).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Filters by name, so that their order in the object changes nothing.
fn filters(y: &mut Yaml, to: &str, block: &Map<String, Value>, from: &str) {
    let list = value(block, from).and_then(Value::as_array);
    let mut all: Vec<&Map<String, Value>> = list.into_iter().flatten().filter_map(Value::as_object).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|filter| text(filter, "name").unwrap_or_default());
    let _ = y.list(to, |y| {
        all.iter().try_for_each(|filter| {
            y.item(|y| {
                y.text("name", text(filter, "name").unwrap_or_default());
                y.texts("values", &texts(filter, "values"));
                Ok::<(), ()>(())
            })
        })
    });
}

/// Role, namespaces, selectors and metadata of discovery in Kubernetes.
fn kubernetes(y: &mut Yaml, version: Version, block: &Map<String, Value>) -> Result<(), Rejection> {
    let role = text(block, "role").unwrap_or_default().to_ascii_lowercase();
    if role != "endpointslice" || version.at_least(2, 21, 0) {
        y.text("role", &role);
    }
    if let Some(namespaces) = value(block, "namespaces").and_then(Value::as_object) {
        y.map("namespaces", |y| {
            y.texts("names", &texts(namespaces, "names"));
            y.plain_if("own_namespace", value(namespaces, "ownNamespace").and_then(Value::as_bool));
            Ok::<(), Rejection>(())
        })?;
    }
    let selectors = value(block, "selectors").and_then(Value::as_array).filter(|all| !all.is_empty());
    if let Some(selectors) = selectors.filter(|_| version.at_least(2, 17, 0)) {
        y.list("selectors", |y| {
            selectors.iter().filter_map(Value::as_object).try_for_each(|selector| {
                y.item(|y| {
                    y.text("role", &text(selector, "role").unwrap_or_default().to_ascii_lowercase());
                    y.text_if("label", text(selector, "label"));
                    y.text_if("field", text(selector, "field"));
                    Ok::<(), Rejection>(())
                })
            })
        })?;
    }
    let since = match role.as_str() {
        "pod" => (2, 35),
        "endpoints" | "endpointslice" => (2, 37),
        _ => return Ok(()),
    };
    let attach = value(block, "attachMetadata").and_then(Value::as_object);
    match attach.filter(|_| version.at_least(since.0, since.1, 0)) {
        Some(attach) => y.map("attach_metadata", |y| {
            y.plain_if("node", value(attach, "node").and_then(Value::as_bool));
            Ok(())
        }),
        None => Ok(()),
    }
}

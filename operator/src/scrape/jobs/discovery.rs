//! Service discovery of ScrapeConfig: one table for each kind, and what its fields are to the engine.

use serde_json::{Map, Value};

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

const fn field(from: &'static str, to: &'static str, what: What) -> Field {
    Field { from, to, what, since: (0, 0, 0) }
}

const fn since(field: Field, major: u64, minor: u64, patch: u64) -> Field {
    Field { since: (major, minor, patch), ..field }
}

const BASIC: Field = field("basicAuth", "basic_auth", What::Basic);
const AUTHORIZATION: Field = field("authorization", "authorization", What::Authorization);
const OAUTH2: Field = field("oauth2", "oauth2", What::OAuth2);
const PROXY: Field = field("", "", What::Proxy);
const TLS: Field = field("tlsConfig", "tls_config", What::Tls);
const FOLLOW: Field = field("followRedirects", "follow_redirects", What::Bool);
const HTTP2: Field = field("enableHTTP2", "enable_http2", What::Bool);
const REFRESH: Field = field("refreshInterval", "refresh_interval", What::Duration);
const PORT: Field = field("port", "port", What::Int);
const SERVER: Field = field("server", "server", What::Required);
const REGION: Field = field("region", "region", What::Text);
const TAG_SEPARATOR: Field = field("tagSeparator", "tag_separator", What::Text);
const ACCESS_KEYS: Field = field("accessKey", "access_key", What::AccessKeys);
const ROLE_ARN: Field = field("roleARN", "role_arn", What::Text);
const FILTERS: Field = field("filters", "filters", What::Filters);
const ALLOW_STALE: Field = field("allowStale", "allow_stale", What::Bool);
const NAMESPACE: Field = field("namespace", "namespace", What::Text);
const HOST: Field = field("host", "host", What::Required);

/// Every kind of discovery.
pub(crate) const TABLES: &[Table] = &[
    Table {
        from: "fileSDConfigs",
        to: "file_sd_configs",
        fields: &[field("files", "files", What::Texts), REFRESH],
    },
    Table {
        from: "httpSDConfigs",
        to: "http_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            TLS,
            PROXY,
            OAUTH2,
            field("url", "url", What::Required),
            REFRESH,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "kubernetesSDConfigs",
        to: "kubernetes_sd_configs",
        fields: &[
            field("apiServer", "api_server", What::Text),
            field("", "", What::Kubernetes),
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            FOLLOW,
            HTTP2,
            TLS,
        ],
    },
    Table {
        from: "consulSDConfigs",
        to: "consul_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            TLS,
            SERVER,
            field("pathPrefix", "path_prefix", What::Text),
            field("tokenRef", "token", What::Secret),
            field("datacenter", "datacenter", What::Text),
            NAMESPACE,
            field("partition", "partition", What::Text),
            field("scheme", "scheme", What::Word),
            field("services", "services", What::Texts),
            field("tags", "tags", What::Texts),
            TAG_SEPARATOR,
            field("nodeMeta", "node_meta", What::Pairs),
            field("filter", "filter", What::Text),
            ALLOW_STALE,
            REFRESH,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "dnsSDConfigs",
        to: "dns_sd_configs",
        fields: &[field("names", "names", What::Texts), REFRESH, field("type", "type", What::DnsType), PORT],
    },
    Table {
        from: "ec2SDConfigs",
        to: "ec2_sd_configs",
        fields: &[
            PROXY,
            REGION,
            ACCESS_KEYS,
            ROLE_ARN,
            REFRESH,
            PORT,
            since(FILTERS, 2, 3, 0),
            since(FOLLOW, 2, 41, 0),
            since(HTTP2, 2, 41, 0),
            since(TLS, 2, 41, 0),
        ],
    },
    Table {
        from: "azureSDConfigs",
        to: "azure_sd_configs",
        fields: &[
            field("environment", "environment", What::Text),
            field("authenticationMethod", "authentication_method", What::Text),
            field("subscriptionID", "subscription_id", What::Text),
            field("tenantID", "tenant_id", What::Text),
            field("clientID", "client_id", What::Text),
            field("clientSecret", "client_secret", What::Secret),
            field("resourceGroup", "resource_group", What::Text),
            REFRESH,
            PORT,
            field("basicAuth", "", What::Unwritten(&What::Basic)),
            field("authorization", "", What::Unwritten(&What::Authorization)),
            field("oauth2", "", What::Unwritten(&What::OAuth2)),
            field("", "", What::Unwritten(&What::Proxy)),
            field("tlsConfig", "", What::Unwritten(&What::Tls)),
        ],
    },
    Table {
        from: "gceSDConfigs",
        to: "gce_sd_configs",
        fields: &[
            field("project", "project", What::Required),
            field("zone", "zone", What::Required),
            field("filter", "filter", What::Text),
            REFRESH,
            PORT,
            TAG_SEPARATOR,
        ],
    },
    Table {
        from: "openstackSDConfigs",
        to: "openstack_sd_configs",
        fields: &[
            field("role", "role", What::RequiredWord),
            field("region", "region", What::Required),
            field("identityEndpoint", "identity_endpoint", What::Text),
            field("username", "username", What::Text),
            field("userid", "userid", What::Text),
            field("password", "password", What::Secret),
            field("domainName", "domain_name", What::Text),
            field("domainID", "domain_id", What::Text),
            field("projectName", "project_name", What::Text),
            field("projectID", "project_id", What::Text),
            field("applicationCredentialName", "application_credential_name", What::Text),
            field("applicationCredentialId", "application_credential_id", What::Text),
            field("applicationCredentialSecret", "application_credential_secret", What::Secret),
            field("allTenants", "all_tenants", What::Bool),
            REFRESH,
            PORT,
            field("availability", "availability", What::Text),
            TLS,
        ],
    },
    Table {
        from: "digitalOceanSDConfigs",
        to: "digitalocean_sd_configs",
        fields: &[AUTHORIZATION, OAUTH2, PROXY, FOLLOW, HTTP2, TLS, PORT, REFRESH],
    },
    Table {
        from: "kumaSDConfigs",
        to: "kuma_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            SERVER,
            FOLLOW,
            HTTP2,
            TLS,
            REFRESH,
            field("fetchTimeout", "fetch_timeout", What::Duration),
            field("clientID", "client_id", What::Text),
        ],
    },
    Table {
        from: "eurekaSDConfigs",
        to: "eureka_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            FOLLOW,
            HTTP2,
            TLS,
            REFRESH,
            field("server", "server", What::Text),
        ],
    },
    Table {
        from: "dockerSDConfigs",
        to: "docker_sd_configs",
        fields: &[
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            BASIC,
            FILTERS,
            HOST,
            TLS,
            PORT,
            field("hostNetworkingHost", "host_networking_host", What::Text),
            since(field("matchFirstNetwork", "match_first_network", What::Bool), 2, 54, 1),
            REFRESH,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "linodeSDConfigs",
        to: "linode_sd_configs",
        fields: &[AUTHORIZATION, OAUTH2, PROXY, TLS, PORT, REGION, HTTP2, TAG_SEPARATOR, REFRESH, FOLLOW],
    },
    Table {
        from: "hetznerSDConfigs",
        to: "hetzner_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            field("role", "role", What::RequiredWord),
            FOLLOW,
            HTTP2,
            TLS,
            PORT,
            REFRESH,
            since(field("labelSelector", "label_selector", What::Text), 3, 5, 0),
        ],
    },
    Table {
        from: "nomadSDConfigs",
        to: "nomad_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            SERVER,
            ALLOW_STALE,
            NAMESPACE,
            REFRESH,
            REGION,
            TAG_SEPARATOR,
            FOLLOW,
            HTTP2,
            TLS,
        ],
    },
    Table {
        from: "dockerSwarmSDConfigs",
        to: "dockerswarm_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            FILTERS,
            HOST,
            TLS,
            field("role", "role", What::RequiredWord),
            PORT,
            REFRESH,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "puppetDBSDConfigs",
        to: "puppetdb_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            OAUTH2,
            PROXY,
            field("url", "url", What::Required),
            field("query", "query", What::Required),
            field("includeParameters", "include_parameters", What::Bool),
            PORT,
            REFRESH,
            FOLLOW,
            TLS,
            HTTP2,
        ],
    },
    Table {
        from: "lightSailSDConfigs",
        to: "lightsail_sd_configs",
        fields: &[
            BASIC,
            AUTHORIZATION,
            PROXY,
            OAUTH2,
            REGION,
            field("endpoint", "endpoint", What::Text),
            PORT,
            REFRESH,
            ACCESS_KEYS,
            ROLE_ARN,
            TLS,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "ovhcloudSDConfigs",
        to: "ovhcloud_sd_configs",
        fields: &[
            field("applicationKey", "application_key", What::Required),
            field("applicationSecret", "application_secret", What::Secret),
            field("consumerKey", "consumer_key", What::Secret),
            field("service", "service", What::OvhService),
            field("endpoint", "endpoint", What::Text),
            REFRESH,
        ],
    },
    Table {
        from: "scalewaySDConfigs",
        to: "scaleway_sd_configs",
        fields: &[
            field("accessKey", "access_key", What::Required),
            field("secretKey", "secret_key", What::Secret),
            field("projectID", "project_id", What::Required),
            field("role", "role", What::RequiredWord),
            PORT,
            field("apiURL", "api_url", What::Text),
            field("zone", "zone", What::Text),
            field("nameFilter", "name_filter", What::Text),
            field("tagsFilter", "tags_filter", What::Texts),
            REFRESH,
            PROXY,
            TLS,
            FOLLOW,
            HTTP2,
        ],
    },
    Table {
        from: "ionosSDConfigs",
        to: "ionos_sd_configs",
        fields: &[
            AUTHORIZATION,
            PROXY,
            TLS,
            field("datacenterID", "datacenter_id", What::Required),
            FOLLOW,
            HTTP2,
            PORT,
            REFRESH,
            field("oauth2", "", What::Unwritten(&What::OAuth2)),
        ],
    },
];

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

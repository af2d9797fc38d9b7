//! What each kind of discovery has, in the order in which it is written.

use super::{Field, Table, What};

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
            field("availability", "availability", What::Word),
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

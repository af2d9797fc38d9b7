//! Dashboards, filled by Grafana: stateless, all of it provisioned from files.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, KeyToPath, Probe, Secret,
    SecretVolumeSource, Volume,
};
use serde_json::{Value, json};

use super::config_volumes::{empty_dir, mount};
use super::engine::{build_service_account, probe};
use super::object::List;
use super::service::{build_disruption_budget, build_service, metadata};
use super::sizing::resources;
use super::workload::{Pod, build_template, selector};
use super::{ANNOTATION_GENERATE, DesiredError, images, security};
use crate::decide::Plan;
use crate::endpoint::Endpoint;
use crate::names::{Role, StackId};
use crate::running::digest;
use crate::validate::Valid;
use crate::yaml::emit;

const ROLE: Role = Role::Dashboards;
const DATA_PATH: &str = "/var/lib/grafana";
const PROVISIONING_PATH: &str = "/etc/obstack/provisioning";
const DASHBOARDS_PATH: &str = "/etc/obstack/dashboards";
const ADMIN_PATH: &str = "/etc/obstack/admin";
/// Key of the first user's name in its Secret.
const ADMIN_USER: &str = "admin-user";
/// Key of the generated password in its Secret.
const ADMIN_PASSWORD: &str = "admin-password";
/// Annotation of the pod template: Grafana reads its datasources at its start alone.
const ANNOTATION_PROVISIONING: &str = "obstack.io/provisioning";

/// The dashboards that every stack gets: file name and content.
pub(super) const LIBRARY: [(&str, &str); 3] = [
    ("overview.json", include_str!("../../../dashboards/overview.json")),
    ("prometheus.json", include_str!("../../../dashboards/prometheus.json")),
    ("tradeoffs.json", include_str!("../../../dashboards/tradeoffs.json")),
];

pub(super) fn build(
    valid: &Valid,
    plan: &Plan,
    roles: &BTreeSet<Role>,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    let provisioning = build_provisioning(valid, roles)?;
    let hash = digest(format!("{:?}", provisioning.data).as_bytes());
    list.add(ROLE, &build_service_account(stack, ROLE))?;
    list.add(ROLE, &provisioning)?;
    list.add(ROLE, &build_library(stack))?;
    list.add_once(ROLE, &build_admin(stack))?;
    list.add(ROLE, &build_service(stack, ROLE, false))?;
    list.add(ROLE, &build_disruption_budget(stack, ROLE))?;
    list.add(ROLE, &build_deployment(valid, plan, hash)?)
}

fn provisioning_name(stack: &StackId) -> String {
    stack.child_with(ROLE, "provisioning")
}

fn library_name(stack: &StackId) -> String {
    stack.child_with(ROLE, "library")
}

fn admin_name(stack: &StackId) -> String {
    stack.child_with(ROLE, "admin")
}

/// The password of the first user, generated once and then left alone.
fn build_admin(stack: &StackId) -> Secret {
    let mut meta = metadata(stack, ROLE, admin_name(stack));
    meta.annotations = Some(BTreeMap::from([(ANNOTATION_GENERATE.to_owned(), ADMIN_PASSWORD.to_owned())]));
    Secret {
        metadata: meta,
        data: Some(BTreeMap::from([(ADMIN_USER.to_owned(), ByteString(b"admin".to_vec()))])),
        type_: Some("Opaque".into()),
        ..Default::default()
    }
}

fn build_provisioning(valid: &Valid, roles: &BTreeSet<Role>) -> Result<ConfigMap, DesiredError> {
    let text = |value: &Value| emit(value).map_err(|e| DesiredError::Encoding(e.to_string()));
    let sources: Vec<Value> = [Role::Metrics, Role::Alerting]
        .into_iter()
        .filter(|role| roles.contains(role))
        .map(|role| build_datasource(valid, role))
        .collect();
    let provider = json!({
        "apiVersion": 1,
        "providers": [{
            "name": "obstack",
            "folder": "obstack",
            "type": "file",
            "allowUiUpdates": false,
            "disableDeletion": true,
            "options": { "path": DASHBOARDS_PATH },
        }],
    });
    let datasources = json!({ "apiVersion": 1, "prune": true, "datasources": sources });
    Ok(ConfigMap {
        metadata: metadata(&valid.id, ROLE, provisioning_name(&valid.id)),
        data: Some(BTreeMap::from([
            ("dashboards.yaml".to_owned(), text(&provider)?),
            ("datasources.yaml".to_owned(), text(&datasources)?),
        ])),
        ..Default::default()
    })
}

/// A datasource whose identity is its role: dashboards name it, whichever engine fills it.
fn build_datasource(valid: &Valid, role: Role) -> Value {
    let url = Endpoint::of(&valid.id, role).url();
    let common = json!({ "access": "proxy", "editable": false, "url": url, "uid": role.as_str() });
    let more = if role == Role::Metrics {
        json!({
            "name": "Metrics",
            "type": "prometheus",
            "isDefault": true,
            "jsonData": {
                "httpMethod": "POST",
                "prometheusType": "Prometheus",
                "timeInterval": valid.requirements.scrape_interval.to_string(),
            },
        })
    } else {
        json!({
            "name": "Alerting",
            "type": "alertmanager",
            "jsonData": { "implementation": "prometheus", "handleGrafanaManagedAlerts": false },
        })
    };
    let mut source = common;
    if let (Some(fields), Value::Object(more)) = (source.as_object_mut(), more) {
        fields.extend(more);
    }
    source
}

fn build_library(stack: &StackId) -> ConfigMap {
    let data = LIBRARY.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect();
    ConfigMap { metadata: metadata(stack, ROLE, library_name(stack)), data: Some(data), ..Default::default() }
}

fn build_deployment(valid: &Valid, plan: &Plan, provisioning: String) -> Result<Deployment, DesiredError> {
    let stack = &valid.id;
    let pod = Pod {
        role: ROLE,
        uses_api: false,
        user: security::GRAFANA,
        grace_seconds: 30,
        annotations: BTreeMap::from([(ANNOTATION_PROVISIONING.to_owned(), provisioning)]),
        init_containers: Vec::new(),
        containers: vec![build_container(valid, plan)?],
        volumes: build_volumes(stack),
    };
    Ok(Deployment {
        metadata: metadata(stack, ROLE, stack.child(ROLE)),
        spec: DeploymentSpec {
            replicas: Some(valid.dashboards_replicas()),
            selector: selector(stack, ROLE),
            template: build_template(valid, pod)?,
            ..Default::default()
        },
        ..Default::default()
    })
}

fn build_volumes(stack: &StackId) -> Vec<Volume> {
    let config_map = |name: &str, source: String, items: Option<Vec<KeyToPath>>| Volume {
        name: name.into(),
        config_map: Some(ConfigMapVolumeSource { name: source, items, ..Default::default() }),
        ..Default::default()
    };
    // Grafana looks for each kind in a folder of its own.
    let kinds = ["dashboards", "datasources"].map(|kind| KeyToPath {
        key: format!("{kind}.yaml"),
        path: format!("{kind}/obstack.yaml"),
        ..Default::default()
    });
    vec![
        empty_dir("data"),
        empty_dir("tmp"),
        config_map("provisioning", provisioning_name(stack), Some(kinds.to_vec())),
        config_map("library", library_name(stack), None),
        Volume {
            name: "admin".into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(admin_name(stack)),
                default_mode: Some(0o440),
                ..Default::default()
            }),
            ..Default::default()
        },
    ]
}

fn build_container(valid: &Valid, plan: &Plan) -> Result<Container, DesiredError> {
    let endpoint = Endpoint::of(&valid.id, ROLE);
    Ok(Container {
        name: "grafana".into(),
        image: Some(images::image(valid, ROLE)),
        env: Some(build_env(&endpoint)),
        ports: Some(vec![ContainerPort {
            name: Some("http".into()),
            container_port: i32::from(endpoint.port),
            ..Default::default()
        }]),
        resources: Some(resources(valid, plan, ROLE)?),
        volume_mounts: Some(vec![
            mount("data", DATA_PATH, false),
            mount("tmp", "/tmp", false),
            mount("provisioning", PROVISIONING_PATH, true),
            mount("library", DASHBOARDS_PATH, true),
            mount("admin", ADMIN_PATH, true),
        ]),
        startup_probe: Some(Probe { failure_threshold: Some(100), ..probe(&endpoint, "/api/health", 3) }),
        readiness_probe: Some(probe(&endpoint, "/api/health", 5)),
        liveness_probe: Some(Probe { failure_threshold: Some(6), ..probe(&endpoint, "/api/health", 10) }),
        security_context: Some(security::build_container()),
        ..Default::default()
    })
}

fn build_env(endpoint: &Endpoint) -> Vec<EnvVar> {
    let env =
        |name: &str, value: String| EnvVar { name: name.into(), value: Some(value), ..Default::default() };
    vec![
        env("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false".into()),
        env("GF_ANALYTICS_CHECK_FOR_UPDATES", "false".into()),
        env("GF_ANALYTICS_REPORTING_ENABLED", "false".into()),
        env("GF_AUTH_ANONYMOUS_ENABLED", "false".into()),
        env("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", format!("{DASHBOARDS_PATH}/overview.json")),
        env("GF_LOG_MODE", "console".into()),
        env("GF_PATHS_DATA", DATA_PATH.into()),
        env("GF_PATHS_PROVISIONING", PROVISIONING_PATH.into()),
        env("GF_PLUGINS_PREINSTALL_DISABLED", "true".into()),
        env("GF_SECURITY_ADMIN_PASSWORD__FILE", format!("{ADMIN_PATH}/{ADMIN_PASSWORD}")),
        env("GF_SECURITY_ADMIN_USER__FILE", format!("{ADMIN_PATH}/{ADMIN_USER}")),
        env("GF_SECURITY_DISABLE_GRAVATAR", "true".into()),
        env("GF_SERVER_HTTP_PORT", endpoint.port.to_string()),
        env("GF_SERVER_ROOT_URL", format!("{}/", endpoint.url())),
        env("GF_SERVER_SERVE_FROM_SUB_PATH", "true".into()),
        env("GF_USERS_ALLOW_SIGN_UP", "false".into()),
    ]
}

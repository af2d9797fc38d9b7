//! Defaults of built-in kinds: whole objects, as a create answers them.

use super::prelude::*;

cases! { "defaults":
    a_deployment_with_little_in_it,
    a_deployment_with_much_in_it,
    a_stateful_set_with_claims,
    a_daemon_set,
    a_replica_set,
    a_job_and_a_cron_job,
    a_pod_with_probes_and_volumes,
    services_of_each_kind,
    a_secret_an_account_and_a_role,
    a_budget_and_a_lease,
    a_persistent_volume,
}

/// Compares what a dry run of a create answers to what is kept: the defaults, and nothing of a controller.
async fn created(s: &Scope, name: &str, path: &str, body: Value) -> Outcome {
    let mut answer = s.post(&format!("{path}?dryRun=All"), body).await?.code(201)?;
    // Protection of volumes is a case of its own.
    if let Some(metadata) = answer["metadata"].as_object_mut() {
        metadata.remove("finalizers");
    }
    s.expect(name, &answer)
}

async fn a_deployment_with_little_in_it(s: &Scope) -> Outcome {
    created(s, "default-deployment", &s.at("apps/v1", "deployments"), deployment("a")).await
}

/// A template that uses what obstack uses: probes, volumes, environment, security.
fn rich_template() -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}, "annotations": {"x": "y"}},
        "spec": {
            "serviceAccountName": "a",
            "securityContext": {"runAsNonRoot": true, "fsGroup": 65534},
            "initContainers": [
                {"name": "first", "image": format!("registry/first@sha256:{}", "0".repeat(64))},
                {"name": "beside", "image": "registry/beside:latest", "restartPolicy": "Always"},
            ],
            "containers": [{
                "name": "main", "image": "registry/app",
                "args": ["--a", "--b=$(POD_NAME)"],
                "env": [
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "EMPTY"},
                ],
                "ports": [{"containerPort": 80}, {"name": "udp", "containerPort": 53, "protocol": "UDP"}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "livenessProbe": {"httpGet": {"port": "http"}},
                "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 3},
                "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 60},
                "lifecycle": {"preStop": {"httpGet": {"path": "/stop", "port": 80}}},
                "volumeMounts": [{"name": "config", "mountPath": "/config", "readOnly": true}],
            }],
            "volumes": [
                {"name": "config", "configMap": {"name": "c"}},
                {"name": "secret", "secret": {"secretName": "s", "optional": true}},
                {"name": "empty"},
                {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
                {"name": "info", "downwardAPI": {"items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                {"name": "all", "projected": {"sources": [
                    {"secret": {"name": "s"}}, {"configMap": {"name": "c"}},
                    {"serviceAccountToken": {"path": "token"}}]}},
                {"name": "host", "hostPath": {"path": "/x"}},
            ],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "a"}},
            }],
        },
    })
}

async fn a_deployment_with_much_in_it(s: &Scope) -> Outcome {
    let mut body = deployment("a");
    body["spec"]["template"] = rich_template();
    body["spec"]["strategy"] = json!({"rollingUpdate": {"maxUnavailable": 0}});
    created(s, "default-deployment-rich", &s.at("apps/v1", "deployments"), body).await
}

async fn a_stateful_set_with_claims(s: &Scope) -> Outcome {
    let mut body = deployment("a");
    body["kind"] = "StatefulSet".into();
    body["spec"]["serviceName"] = "a".into();
    body["spec"]["template"] = rich_template();
    body["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    body["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }]);
    created(s, "default-stateful-set", &s.at("apps/v1", "statefulsets"), body).await
}

async fn a_daemon_set(s: &Scope) -> Outcome {
    let mut body = deployment("a");
    body["kind"] = "DaemonSet".into();
    created(s, "default-daemon-set", &s.at("apps/v1", "daemonsets"), body).await
}

async fn a_replica_set(s: &Scope) -> Outcome {
    let mut body = deployment("a");
    body["kind"] = "ReplicaSet".into();
    created(s, "default-replica-set", &s.at("apps/v1", "replicasets"), body).await
}

async fn a_job_and_a_cron_job(s: &Scope) -> Outcome {
    let template = json!({"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "registry/app:1"}],
    }});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": template},
    });
    created(s, "default-job", &s.at("batch/v1", "jobs"), job).await?;
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}},
    });
    created(s, "default-cron-job", &s.at("batch/v1", "cronjobs"), cron).await
}

async fn a_pod_with_probes_and_volumes(s: &Scope) -> Outcome {
    s.equipped().await?;
    let mut template = rich_template();
    template["spec"]["serviceAccountName"] = "default".into();
    let body = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": template["spec"],
    });
    created(s, "default-pod", &s.at("v1", "pods"), body).await
}

async fn services_of_each_kind(s: &Scope) -> Outcome {
    let path = s.at("v1", "services");
    created(s, "default-service", &path, service("a")).await?;
    let mut headless = service("a");
    headless["spec"]["clusterIP"] = "None".into();
    headless["spec"]["publishNotReadyAddresses"] = true.into();
    headless["spec"]["ports"] = json!([]);
    created(s, "default-service-headless", &path, headless).await?;
    let mut sticky = service("a");
    sticky["spec"]["sessionAffinity"] = "ClientIP".into();
    sticky["spec"]["ports"] =
        json!([{"name": "a", "port": 80, "targetPort": "web"}, {"name": "b", "port": 81}]);
    created(s, "default-service-sticky", &path, sticky).await
}

async fn a_secret_an_account_and_a_role(s: &Scope) -> Outcome {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    created(s, "default-secret", &s.at("v1", "secrets"), secret).await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    created(s, "default-account", &s.at("v1", "serviceaccounts"), account).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    created(s, "default-role", &s.at("rbac.authorization.k8s.io/v1", "roles"), role).await
}

async fn a_budget_and_a_lease(s: &Scope) -> Outcome {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "maxUnavailable": 1},
    });
    created(s, "default-budget", &s.at("policy/v1", "poddisruptionbudgets"), budget).await?;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    created(s, "default-lease", &s.at("coordination.k8s.io/v1", "leases"), lease).await
}

async fn a_persistent_volume(s: &Scope) -> Outcome {
    let body = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": s.tag},
        "spec": {
            "capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"},
        },
    });
    created(s, "default-volume", "/api/v1/persistentvolumes", body).await
}

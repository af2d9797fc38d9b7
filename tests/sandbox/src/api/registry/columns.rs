//! Columns that `kubectl get` shows for built-in kinds.

use super::super::meta;
use super::cells::{
    access_modes, age, boolean, bound, bound_accounts, claim_status, containers, controller, count,
    definition_versions, endpoints, event, get, ingress_hosts, job, name, node_address, node_roles,
    node_status, number, or_absent, or_none, pairs, pod, ratio, service_ports, since, slice_addresses,
    slice_ports, text, unknown, volume_claim,
};
use super::{Column, Source};
use serde_json::Value;

type Cell = fn(&Value) -> Value;

/// Name, type, priority, and the cell.
type Row = (&'static str, &'static str, i64, Cell);

const NAME: Row = ("Name", "string", 0, name);
const CREATED: Row = ("Created At", "date", 0, |o| meta::text(o, "creationTimestamp").into());
const AGE: Row = ("Age", "string", 0, age);

/// All columns of a built-in kind.
pub(crate) fn of(kind: &str) -> Vec<Column> {
    let rows: Vec<Row> = match kind {
        "Event" => vec![
            ("Last Seen", "string", 0, event::last_seen),
            ("Type", "string", 0, |o| get(o, "/type")),
            ("Reason", "string", 0, |o| get(o, "/reason")),
            ("Object", "string", 0, event::object),
            ("Subobject", "string", 1, |o| get(o, "/involvedObject/fieldPath")),
            ("Source", "string", 1, |o| get(o, "/source/component")),
            ("Message", "string", 0, |o| text(o, "/message").trim().into()),
            ("First Seen", "string", 1, event::first_seen),
            ("Count", "string", 1, |o| number(o, "/count").max(1).into()),
            ("Name", "string", 1, name),
        ],
        "Role" | "ClusterRole" => vec![NAME, CREATED],
        "CustomResourceDefinition" => vec![
            NAME,
            ("Scope", "string", 0, |o| get(o, "/spec/scope")),
            ("Versions", "string", 0, definition_versions),
            CREATED,
        ],
        _ => {
            let mut rows = vec![NAME];
            let (before, after) = middle(kind);
            rows.extend(before);
            rows.push(AGE);
            rows.extend(after);
            rows
        }
    };
    rows.into_iter()
        .map(|(name, kind, priority, cell)| Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: if name == "Name" { "name".to_owned() } else { String::new() },
            description: String::new(),
            priority,
            source: Source::Compute(cell),
        })
        .collect()
}

/// Columns before and after the age.
fn middle(kind: &str) -> (Vec<Row>, Vec<Row>) {
    match kind {
        "Pod" => (
            vec![
                ("Ready", "string", 0, pod::ready),
                ("Status", "string", 0, pod::status),
                ("Restarts", "string", 0, pod::restarts),
            ],
            vec![
                ("IP", "string", 1, |o| or_none(text(o, "/status/podIP"))),
                ("Node", "string", 1, |o| or_none(text(o, "/spec/nodeName"))),
                ("Nominated Node", "string", 1, |o| or_none(text(o, "/status/nominatedNodeName"))),
                ("Readiness Gates", "string", 1, |_| "<none>".into()),
            ],
        ),
        "StatefulSet" => (
            vec![("Ready", "string", 0, |o| ratio(o, "/status/readyReplicas", "/spec/replicas"))],
            vec![CONTAINERS, IMAGES],
        ),
        "Deployment" => (
            vec![
                ("Ready", "string", 0, |o| ratio(o, "/status/readyReplicas", "/spec/replicas")),
                ("Up-to-date", "string", 0, |o| number(o, "/status/updatedReplicas").into()),
                ("Available", "string", 0, |o| number(o, "/status/availableReplicas").into()),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "ReplicaSet" => (
            vec![
                ("Desired", "integer", 0, |o| number(o, "/spec/replicas").into()),
                ("Current", "integer", 0, |o| number(o, "/status/replicas").into()),
                ("Ready", "integer", 0, |o| number(o, "/status/readyReplicas").into()),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "DaemonSet" => (
            vec![
                ("Desired", "integer", 0, |o| number(o, "/status/desiredNumberScheduled").into()),
                ("Current", "integer", 0, |o| number(o, "/status/currentNumberScheduled").into()),
                ("Ready", "integer", 0, |o| number(o, "/status/numberReady").into()),
                ("Up-to-date", "integer", 0, |o| number(o, "/status/updatedNumberScheduled").into()),
                ("Available", "integer", 0, |o| number(o, "/status/numberAvailable").into()),
                ("Node Selector", "string", 0, |o| pairs(o, "/spec/template/spec/nodeSelector")),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "Job" => (
            vec![
                ("Status", "string", 0, job::status),
                ("Completions", "string", 0, |o| ratio(o, "/status/succeeded", "/spec/completions")),
                ("Duration", "string", 0, job::duration),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "CronJob" => (
            vec![
                ("Schedule", "string", 0, |o| get(o, "/spec/schedule")),
                ("Timezone", "string", 0, |o| or_none(text(o, "/spec/timeZone"))),
                ("Suspend", "boolean", 0, |o| boolean(o, "/spec/suspend")),
                ("Active", "integer", 0, |o| count(o, "/status/active").into()),
                ("Last Schedule", "string", 0, |o| since(o, "/status/lastScheduleTime")),
            ],
            vec![
                ("Containers", "string", 1, |o| containers(&o["spec"]["jobTemplate"], "name")),
                ("Images", "string", 1, |o| containers(&o["spec"]["jobTemplate"], "image")),
                ("Selector", "string", 1, |o| pairs(o, "/spec/jobTemplate/spec/selector/matchLabels")),
            ],
        ),
        "Service" => (
            vec![
                ("Type", "string", 0, |o| get(o, "/spec/type")),
                ("Cluster-IP", "string", 0, |o| or_none(text(o, "/spec/clusterIP"))),
                ("External-IP", "string", 0, |o| or_none(text(o, "/spec/externalName"))),
                ("Port(s)", "string", 0, service_ports),
            ],
            vec![("Selector", "string", 1, |o| pairs(o, "/spec/selector"))],
        ),
        "Secret" => (
            vec![
                ("Type", "string", 0, |o| get(o, "/type")),
                ("Data", "string", 0, |o| count(o, "/data").into()),
            ],
            vec![],
        ),
        "ConfigMap" => {
            (vec![("Data", "string", 0, |o| (count(o, "/data") + count(o, "/binaryData")).into())], vec![])
        }
        "ServiceAccount" => (vec![], vec![]),
        "Namespace" => (vec![("Status", "string", 0, |o| get(o, "/status/phase"))], vec![]),
        "Lease" => (vec![("Holder", "string", 0, |o| get(o, "/spec/holderIdentity"))], vec![]),
        "Endpoints" => (vec![("Endpoints", "string", 0, endpoints)], vec![]),
        "EndpointSlice" => (
            vec![
                ("AddressType", "string", 0, |o| get(o, "/addressType")),
                ("Ports", "string", 0, slice_ports),
                ("Endpoints", "string", 0, slice_addresses),
            ],
            vec![],
        ),
        _ => less_used(kind),
    }
}

fn less_used(kind: &str) -> (Vec<Row>, Vec<Row>) {
    match kind {
        "Node" => (
            vec![("Status", "string", 0, node_status), ("Roles", "string", 0, node_roles)],
            vec![
                ("Version", "string", 0, |o| get(o, "/status/nodeInfo/kubeletVersion")),
                ("Internal-IP", "string", 1, |o| node_address(o, "InternalIP")),
                ("External-IP", "string", 1, |o| node_address(o, "ExternalIP")),
                ("OS-Image", "string", 1, |o| unknown(o, "/status/nodeInfo/osImage")),
                ("Kernel-Version", "string", 1, |o| unknown(o, "/status/nodeInfo/kernelVersion")),
                ("Container-Runtime", "string", 1, |o| {
                    unknown(o, "/status/nodeInfo/containerRuntimeVersion")
                }),
            ],
        ),
        "PersistentVolumeClaim" => (
            vec![
                ("Status", "string", 0, claim_status),
                ("Volume", "string", 0, |o| get(o, "/spec/volumeName")),
                ("Capacity", "string", 0, |o| get(o, "/status/capacity/storage")),
                ("Access Modes", "string", 0, |o| access_modes(o, "/status/accessModes")),
                ("StorageClass", "string", 0, |o| get(o, "/spec/storageClassName")),
                ("VolumeAttributesClass", "string", 0, |_| "<unset>".into()),
            ],
            vec![("VolumeMode", "string", 1, |o| get(o, "/spec/volumeMode"))],
        ),
        "PersistentVolume" => (
            vec![
                ("Capacity", "string", 0, |o| get(o, "/spec/capacity/storage")),
                ("Access Modes", "string", 0, |o| access_modes(o, "/spec/accessModes")),
                ("Reclaim Policy", "string", 0, |o| get(o, "/spec/persistentVolumeReclaimPolicy")),
                ("Status", "string", 0, |o| get(o, "/status/phase")),
                ("Claim", "string", 0, volume_claim),
                ("StorageClass", "string", 0, |o| get(o, "/spec/storageClassName")),
                ("VolumeAttributesClass", "string", 0, |_| "<unset>".into()),
                ("Reason", "string", 0, |o| get(o, "/status/reason")),
            ],
            vec![("VolumeMode", "string", 1, |o| get(o, "/spec/volumeMode"))],
        ),
        "StorageClass" => (
            vec![
                ("Provisioner", "string", 0, |o| get(o, "/provisioner")),
                ("ReclaimPolicy", "string", 0, |o| get(o, "/reclaimPolicy")),
                ("VolumeBindingMode", "string", 0, |o| get(o, "/volumeBindingMode")),
                ("AllowVolumeExpansion", "string", 0, |o| boolean(o, "/allowVolumeExpansion")),
            ],
            vec![],
        ),
        "PodDisruptionBudget" => (
            vec![
                ("Min Available", "string", 0, |o| or_absent(o, "/spec/minAvailable")),
                ("Max Unavailable", "string", 0, |o| or_absent(o, "/spec/maxUnavailable")),
                ("Allowed Disruptions", "integer", 0, |o| number(o, "/status/disruptionsAllowed").into()),
            ],
            vec![],
        ),
        "RoleBinding" | "ClusterRoleBinding" => (
            vec![("Role", "string", 0, |o| {
                format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name")).into()
            })],
            vec![
                ("Users", "string", 1, |o| bound(o, "User")),
                ("Groups", "string", 1, |o| bound(o, "Group")),
                ("ServiceAccounts", "string", 1, bound_accounts),
            ],
        ),
        "Ingress" => (
            vec![
                ("Class", "string", 0, |o| or_none(text(o, "/spec/ingressClassName"))),
                ("Hosts", "string", 0, ingress_hosts),
                ("Address", "string", 0, |_| "".into()),
                ("Ports", "string", 0, |o| if count(o, "/spec/tls") > 0 { "80, 443" } else { "80" }.into()),
            ],
            vec![],
        ),
        "IngressClass" => (vec![("Controller", "string", 0, |o| get(o, "/spec/controller"))], vec![]),
        "NetworkPolicy" => {
            (vec![("Pod-Selector", "string", 0, |o| pairs(o, "/spec/podSelector/matchLabels"))], vec![])
        }
        "ControllerRevision" => (
            vec![
                ("Controller", "string", 0, controller),
                ("Revision", "string", 0, |o| number(o, "/revision").into()),
            ],
            vec![],
        ),
        "PriorityClass" => (
            vec![
                ("Value", "integer", 0, |o| number(o, "/value").into()),
                ("Global-Default", "boolean", 0, |o| boolean(o, "/globalDefault")),
            ],
            vec![("PreemptionPolicy", "string", 0, |o| get(o, "/preemptionPolicy"))],
        ),
        _ => (vec![], vec![]),
    }
}

const CONTAINERS: Row = ("Containers", "string", 1, |o| containers(o, "name"));
const IMAGES: Row = ("Images", "string", 1, |o| containers(o, "image"));
const SELECTOR: Row = ("Selector", "string", 1, |o| pairs(o, "/spec/selector/matchLabels"));

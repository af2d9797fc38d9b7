//! Other built-in kinds: what may not change, what must fit together.

use super::builtin::{causes, judged, with};
use super::prelude::*;

cases! { "built-in kinds":
    claims_keep_their_spec,
    endpoint_slices_are_validated,
    endpoints_are_not_on_loopback differs "pods of the sandbox have loopback addresses",
    budgets_are_validated,
    bindings_of_roles_keep_their_role,
    events_in_both_groups_are_the_same,
    events_are_validated,
    network_policies_and_ingresses_are_completed,
    storage_classes_and_priorities_keep_their_values,
    leases_are_validated,
}

fn event(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": namespace},
        "reason": "Tested", "message": "It was tested", "type": "Normal", "count": 2,
        "source": {"component": "tester"},
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:05:05Z",
    })
}

async fn endpoint_slices_are_validated(s: &Scope) -> Outcome {
    let path = s.at("discovery.k8s.io/v1", "endpointslices");
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"port": 80}],
    });
    s.expect("endpoint-slice", &s.post(&path, slice.clone()).await?.ok()?)?;
    let refused = s.merge(&format!("{path}/a"), json!({"addressType": "IPv6"})).await?;
    let changes = [
        ("/addressType", json!("Street")),
        ("/addressType", Value::Null),
        ("/endpoints/0/addresses", json!([])),
        ("/endpoints/0/addresses", json!(["nonsense"])),
        ("/ports", json!([{"port": 80}, {"port": 81}])),
        ("/ports", json!([{"port": 0}])),
        ("/ports/0/protocol", json!("ICMP")),
    ];
    let mut found = judged(s, &path, &with(slice, "/metadata/name", json!("b")), &changes).await?;
    found["change of the type"] = brief(&refused);
    s.expect("endpoint-slice-validation", &found)
}

async fn endpoints_are_not_on_loopback(s: &Scope) -> Outcome {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"port": 80}],
    });
    let refused = s.post(&s.at("discovery.k8s.io/v1", "endpointslices"), slice).await?;
    has(&refused.error(422)?, "may not be in the loopback range")
}

async fn budgets_are_validated(s: &Scope) -> Outcome {
    let path = s.at("policy/v1", "poddisruptionbudgets");
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "maxUnavailable": 1},
    });
    let changes = [
        ("/spec/minAvailable", json!(1)),
        ("/spec/maxUnavailable", json!(-1)),
        ("/spec/maxUnavailable", json!("half")),
        ("/spec/maxUnavailable", json!("150%")),
    ];
    s.expect("budget-validation", &judged(s, &path, &budget, &changes).await?)?;
    s.post(&path, budget).await?.ok()?;
    let version = s.get(&format!("{path}/a")).await?.ok()?;
    holds(!super::prelude::version(&version).is_empty(), "it has a version")?;
    s.merge(&format!("{path}/a"), json!({"spec": {"maxUnavailable": "10%"}})).await?.ok()?;
    Ok(())
}

async fn bindings_of_roles_keep_their_role(s: &Scope) -> Outcome {
    let path = s.at("rbac.authorization.k8s.io/v1", "rolebindings");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "a"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "a", "namespace": s.namespace}, {"kind": "User", "name": "b"},
        ],
    });
    s.expect("role-binding", &s.post(&path, binding.clone()).await?.ok()?)?;
    let refused = s.merge(&format!("{path}/a"), json!({"roleRef": {"name": "y"}})).await?;
    let changes = [
        ("/roleRef", Value::Null),
        ("/roleRef/kind", json!("Group")),
        ("/subjects/0/namespace", json!("")),
        ("/subjects/0/kind", json!("Robot")),
    ];
    let mut found = judged(s, &path, &with(binding, "/metadata/name", json!("b")), &changes).await?;
    found["change of the role"] = causes(&refused);
    s.expect("role-binding-validation", &found)
}

async fn events_in_both_groups_are_the_same(s: &Scope) -> Outcome {
    let core = s.post(&s.at("v1", "events"), event("old", &s.namespace)).await?.ok()?;
    let grouped = s.get(&s.at("events.k8s.io/v1", "events/old")).await?.ok()?;
    let new = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "new"},
        "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": s.namespace},
        "reason": "Tested", "action": "Testing", "note": "It was tested", "type": "Warning",
        "reportingController": "contract.obstack.test/tester", "reportingInstance": "tester-0",
        "eventTime": "2026-01-02T03:04:05.000006Z",
    });
    let made = s.post(&s.at("events.k8s.io/v1", "events"), new).await?.ok()?;
    let read = s.get(&s.at("v1", "events/new")).await?.ok()?;
    s.expect("events", &json!({"core": core, "grouped": grouped, "made": made, "read": read}))?;
    let selected = s.get(&s.at("v1", "events?fieldSelector=reason%3DTested,type%3DWarning")).await?.ok()?;
    is(names(&selected), ["new"])
}

async fn events_are_validated(s: &Scope) -> Outcome {
    let elsewhere = event("a", "other");
    let new = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "b"},
        "reason": "x", "type": "Normal",
        "regarding": {"namespace": s.namespace},
    });
    let answers = json!({
        "another namespace": brief(&s.post(&s.at("v1", "events"), elsewhere).await?),
        "without a time": brief(&s.post(&s.at("events.k8s.io/v1", "events"), new).await?),
    });
    s.expect("event-validation", &answers)
}

async fn network_policies_and_ingresses_are_completed(s: &Scope) -> Outcome {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"},
        "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]},
    });
    let created = s.post(&s.at("networking.k8s.io/v1", "networkpolicies"), policy).await?.ok()?;
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "a", "port": {"number": 80}}}}]}}]},
    });
    let made = s.post(&s.at("networking.k8s.io/v1", "ingresses"), ingress).await?.ok()?;
    s.expect("networking", &json!({"policy": created, "ingress": made}))
}

async fn storage_classes_and_priorities_keep_their_values(s: &Scope) -> Outcome {
    let (class, priority) = (format!("class-{}", s.tag), format!("priority-{}", s.tag));
    s.delete_later(format!("/apis/storage.k8s.io/v1/storageclasses/{class}"));
    s.delete_later(format!("/apis/scheduling.k8s.io/v1/priorityclasses/{priority}"));
    let body = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "contract.obstack.test/none",
    });
    let made = s.post("/apis/storage.k8s.io/v1/storageclasses", body).await?.ok()?;
    let body = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": priority}, "value": 7,
    });
    let also = s.post("/apis/scheduling.k8s.io/v1/priorityclasses", body).await?.ok()?;
    s.expect("classes", &json!({"storage": made, "priority": also}))?;
    let class = format!("/apis/storage.k8s.io/v1/storageclasses/{class}");
    let answers = json!({
        "provisioner": brief(&s.merge(&class, json!({"provisioner": "contract.obstack.test/other"})).await?),
        "value": brief(&s.merge(&format!("/apis/scheduling.k8s.io/v1/priorityclasses/{priority}"),
            json!({"value": 8})).await?),
    });
    s.expect("classes-immutable", &answers)
}

async fn leases_are_validated(s: &Scope) -> Outcome {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15},
    });
    let changes = [
        ("/spec/leaseDurationSeconds", json!(0)),
        ("/spec/leaseTransitions", json!(-1)),
        ("/spec/holderIdentity", json!("")),
    ];
    s.expect(
        "lease-validation",
        &judged(s, &s.at("coordination.k8s.io/v1", "leases"), &lease, &changes).await?,
    )
}

async fn claims_keep_their_spec(s: &Scope) -> Outcome {
    let path = s.at("v1", "persistentvolumeclaims");
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}},
            "storageClassName": "nobody",
        },
    });
    let created = s.post(&path, claim.clone()).await?.ok()?;
    is(&created["spec"]["resources"]["requests"]["storage"], "1Gi")?;
    is(
        (&created["spec"]["volumeMode"], &created["status"]["phase"]),
        (&json!("Filesystem"), &json!("Pending")),
    )?;
    let refused = s.merge(&format!("{path}/a"), json!({"spec": {"accessModes": ["ReadOnlyMany"]}})).await?;
    is(&refused.body["details"]["causes"][0]["field"], "spec")?;
    has(&refused.error(422)?, "spec: Forbidden: spec is immutable after creation except resources.requests")?;
    let changes = [
        ("/spec/accessModes", json!([])),
        ("/spec/accessModes", json!(["Sometimes"])),
        ("/spec/resources", json!({})),
        ("/spec/resources/requests/storage", json!("0")),
    ];
    s.expect(
        "claim-validation",
        &judged(s, &path, &with(claim, "/metadata/name", json!("b")), &changes).await?,
    )
}

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::DynamicObject;
use obstack_crds::Component;
use serde_json::{Value, json};

use super::memory::{Memory, Refused, Verdict};
use super::projection::{hash, project};
use super::*;

fn owner() -> Owner {
    Owner {
        id: StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() },
        uid: "uid-1".to_owned(),
    }
}

fn object(body: Value) -> DynamicObject {
    serde_json::from_value(body).unwrap()
}

fn key() -> ObjectKey {
    ObjectKey {
        kind: "Service".to_owned(),
        namespace: Some("monitoring".to_owned()),
        name: "main-metrics".to_owned(),
    }
}

fn service(version: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "main-metrics", "namespace": "monitoring", "resourceVersion": version },
        "spec": { "ports": [{ "port": port, "protocol": "TCP" }], "clusterIP": "10.0.0.1" }
    })
}

fn wanted() -> Value {
    json!({ "metadata": { "name": "main-metrics" }, "spec": { "ports": [{ "port": 9090 }] } })
}

#[test]
fn an_object_of_the_stacks_namespace_is_owned_and_one_elsewhere_is_labelled() {
    let owner = owner();
    let own = owner.adopt(&key(), &wanted());
    assert_eq!(own["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    assert_eq!(own["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], false);
    assert_eq!(own["metadata"]["labels"], Value::Null);
    for namespace in [None, Some("apps".to_owned())] {
        let foreign = owner.adopt(&ObjectKey { namespace, ..key() }, &wanted());
        assert_eq!(foreign["metadata"]["ownerReferences"], Value::Null);
        assert_eq!(foreign["metadata"]["labels"][LABEL_STACK_UID], "uid-1");
        assert_eq!(foreign["metadata"]["labels"][LABEL_STACK_NAMESPACE], "monitoring");
    }
}

#[test]
fn only_what_is_ours_may_be_taken() {
    let ours = json!({ LABEL_MANAGED_BY: "obstack", LABEL_STACK: "main" });
    let by = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let elsewhere = json!({
        LABEL_MANAGED_BY: "obstack", LABEL_STACK: "main", LABEL_STACK_NAMESPACE: "other"
    });
    for (what, labels, owners, may) in [
        ("this stack's, without its labels", json!({}), by("ObservabilityStack", "main", "uid-1"), true),
        (
            "an earlier stack's of the same name",
            ours.clone(),
            by("ObservabilityStack", "main", "uid-0"),
            true,
        ),
        ("an orphan of the same name", ours.clone(), json!([]), true),
        ("somebody else's", json!({ "app": "theirs" }), json!([]), false),
        ("a look-alike that another controller owns", ours, by("Deployment", "x", "uid-2"), false),
        ("a stack's of that name in another namespace", elsewhere, json!([]), false),
        ("labelled with this stack's UID", json!({ LABEL_STACK_UID: "uid-1" }), json!([]), true),
    ] {
        let present = object(json!({
            "metadata": { "name": "x", "namespace": "monitoring", "labels": labels, "ownerReferences": owners }
        }));
        assert_eq!(owner().may_take(&present), may, "{what}");
    }
}

#[test]
fn a_key_has_the_stacks_namespace_where_the_object_names_none() {
    let object = |kind: &str| WantedObject {
        body: json!({ "kind": kind, "metadata": { "name": "x" } }),
        component: Component::Alerting,
        policy: Policy::Apply,
    };
    let keys = keys(&owner(), &[object("Secret"), object("ClusterRole"), object("Unknown")]);
    let shown: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(shown, BTreeSet::from(["ClusterRole/x".to_owned(), "Secret/monitoring/x".to_owned()]));
}

#[test]
fn a_generated_password_is_long_and_never_the_same() {
    let draft = json!({ "metadata": { "annotations": { GENERATE: "user, password" } } });
    let made = |mut body: Value| {
        generate(&mut body);
        ["user", "password"].map(|key| STANDARD.decode(body["data"][key].as_str().unwrap()).unwrap())
    };
    let [user, password] = made(draft.clone());
    assert!(password.len() >= 24 && password.iter().all(u8::is_ascii_alphanumeric));
    assert_ne!(user, password);
    assert_ne!(made(draft), [user, password]);
}

#[test]
fn an_object_is_left_alone_until_it_or_what_is_wanted_changes() {
    let (memory, wanted) = (Memory::default(), wanted());
    let seen = |object: Value| project(&object, &wanted);
    assert_eq!(memory.judge(&key(), &wanted, None), Verdict::Changed);
    memory.wrote(&key(), &wanted, &object(service("7", 9090)));
    assert_eq!(memory.judge(&key(), &wanted, Some(&seen(service("9", 9090)))), Verdict::InPlace);
    let drifted = memory.judge(&key(), &wanted, Some(&seen(service("9", 80))));
    assert_eq!(drifted, Verdict::Drifted(vec!["spec.ports[0]".to_owned()]));
    assert_eq!(memory.judge(&key(), &wanted, None), Verdict::Drifted(Vec::new()), "it was deleted");
    let other = json!({ "spec": { "ports": [] } });
    assert_eq!(memory.judge(&key(), &other, Some(&seen(service("9", 9090)))), Verdict::Changed);
    memory.clear();
    assert_eq!(memory.judge(&key(), &wanted, Some(&seen(service("9", 9090)))), Verdict::Changed);
}

#[test]
fn what_was_found_in_place_is_compared_again_only_where_anything_of_it_is_another() {
    let (memory, seen) = (Memory::default(), object(service("9", 9090)));
    let (one, other) = (hash(&wanted()), hash(&json!({ "spec": { "ports": [] } })));
    memory.settle(&key(), "uid-1", one, &seen);
    assert!(!memory.is_settled(&key(), "uid-1", one, &seen), "nothing is known of its last write");
    memory.wrote(&key(), &wanted(), &object(service("7", 9090)));
    memory.settle(&key(), "uid-1", one, &seen);
    assert!(memory.is_settled(&key(), "uid-1", one, &seen));
    assert!(!memory.is_settled(&key(), "uid-2", one, &seen), "a later stack of that name");
    assert!(!memory.is_settled(&key(), "uid-1", other, &seen), "something else is wanted");
    assert!(!memory.is_settled(&key(), "uid-1", one, &object(service("10", 9090))), "somebody wrote it");
    memory.wrote(&key(), &wanted(), &object(service("11", 9090)));
    assert!(!memory.is_settled(&key(), "uid-1", one, &seen), "we wrote it");
}

#[test]
fn a_view_from_before_our_own_write_is_not_believed() {
    let memory = Memory::default();
    memory.wrote(&key(), &wanted(), &object(service("100", 9090)));
    assert!(memory.is_ahead_of(&key(), &object(service("99", 9090))));
    assert!(!memory.is_ahead_of(&key(), &object(service("100", 9090))));
    assert!(!memory.is_ahead_of(&key(), &object(service("not-a-number", 9090))));
}

#[test]
fn a_refusal_is_not_asked_for_again_while_nothing_changes() {
    let (memory, wanted) = (Memory::default(), wanted());
    let refused = Refused { code: 422, message: "no".to_owned() };
    let seen = project(&service("7", 9090), &wanted);
    memory.refused(&key(), &wanted, Some(&seen), refused.clone());
    assert_eq!(memory.judge(&key(), &wanted, Some(&seen)), Verdict::Refused(refused));
    assert_eq!(memory.judge(&key(), &wanted, None), Verdict::Changed, "it was deleted meanwhile");
    let other = json!({ "spec": {} });
    assert_eq!(memory.judge(&key(), &other, Some(&seen)), Verdict::Changed);
}

#[test]
fn a_deleted_object_is_not_deleted_twice_and_its_successor_is() {
    let memory = Memory::default();
    memory.deleted(&key(), Some("uid-1"));
    assert!(memory.is_deleted(&key(), Some("uid-1")));
    assert!(!memory.is_deleted(&key(), Some("uid-2")));
}

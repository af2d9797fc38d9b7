//! What a user reads who writes a value that the API types do not take: one object per bound and per rule,
//! and the message of the API server. `refusals.txt` has them all, from a real API server; the sandbox's
//! gives the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use obstack_tests::breaches::breaches;
use obstack_tests::server::Server;
use obstack_tests::world::{NAMESPACE, repository};
use serde_json::{Value, json};

const DRY: PostParams = PostParams { dry_run: true, field_manager: None };

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("obstack.io", "v1alpha1", kind));
    Api::namespaced_with(client.clone(), NAMESPACE, &kind)
}

fn object(kind: &str, name: &str, spec: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec
    });
    serde_json::from_value(object).unwrap()
}

/// What the server says to an object, cause by cause, in a fixed order: the server's own order varies.
fn said(answer: Result<DynamicObject, kube::Error>) -> Vec<String> {
    let status = match answer {
        Ok(_) => return vec!["accepted".to_owned()],
        Err(kube::Error::Api(status)) => status,
        Err(other) => panic!("{other}"),
    };
    let details = status.details.iter().flat_map(|details| &details.causes);
    let mut causes: Vec<_> = details.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    if causes.is_empty() {
        causes.push(status.message.clone());
    }
    causes.sort();
    causes
}

/// Asks a server that has the API types.
pub(super) async fn each_bound_and_rule_is_refused_with_its_message(server: &Server) {
    let client = server.client();
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let mut table = String::new();
    let mut row = |kind: &str, what: &str, causes: Vec<String>| {
        writeln!(table, "{kind} {what}\n  {}", causes.join("\n  ")).unwrap();
        assert_ne!(causes, ["accepted"], "{kind} {what}");
    };
    for definition in obstack_crds::all() {
        let definition = serde_json::to_value(&definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for breach in breaches(schema) {
            let answer = api(&client, kind).create(&DRY, &object(kind, "x", &breach.spec)).await;
            row(kind, &breach.what, said(answer));
        }
    }
    let stacks = api(&client, "ObservabilityStack");
    for (what, name) in [("of 37 characters", "a".repeat(37)), ("with a dot", "a.b".to_owned())] {
        let answer = stacks.create(&DRY, &object("ObservabilityStack", &name, &json!({}))).await;
        row("ObservabilityStack", &format!("name {what}"), said(answer));
    }
    row("DecisionRecord", "spec: changed", changed_record(&client).await);

    let golden: PathBuf = repository("tests/tests/e2e/world/refusals.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    let (found, wanted) = (rows(&table), rows(&expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "the same bounds");
    let differ = found.iter().filter(|(what, causes)| wanted[*what] != **causes);
    let differ: Vec<_> = differ.map(|(what, causes)| (what, causes, &wanted[what])).take(10).collect();
    assert!(differ.is_empty(), "not as in {} (found, wanted): {differ:#?}", golden.display());
}

/// The causes of a table by what was tried.
fn rows(table: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut what = String::new();
    for line in table.lines() {
        match line.strip_prefix("  ") {
            Some(cause) => rows.entry(what.clone()).or_default().push(cause.to_owned()),
            None => what = line.to_owned(),
        }
    }
    rows
}

/// What the server says to a change of a record that exists.
async fn changed_record(client: &Client) -> Vec<String> {
    let definition = obstack_crds::all().into_iter().map(|one| serde_json::to_value(one).unwrap());
    let definition = definition.into_iter().find(|one| one["spec"]["names"]["kind"] == "DecisionRecord");
    let schema =
        &definition.unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let spec = obstack_tests::breaches::smallest(schema);
    let records = api(client, "DecisionRecord");
    records.create(&PostParams::default(), &object("DecisionRecord", "x", &spec)).await.unwrap();
    let field = spec.as_object().unwrap().iter().find(|(_, value)| value.is_string()).unwrap().0.clone();
    let other = spec[&field].as_str().unwrap().to_owned() + "a";
    let change = Patch::Merge(json!({ "spec": { field: other } }));
    said(records.patch("x", &PatchParams { dry_run: true, ..PatchParams::default() }, &change).await)
}

//! The forms in which a client can have objects: tables, and metadata alone.

use super::prelude::*;
use obstack_sandbox::raw::TABLE;

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

cases! { "views":
    a_table_of_config_maps,
    a_table_of_pods_says_how_they_do,
    tables_of_workloads,
    tables_of_services_and_claims,
    an_empty_table_has_its_columns,
    a_table_can_leave_objects_out,
    one_object_can_be_a_table,
    metadata_alone,
    the_first_form_that_is_served_is_taken,
    a_form_that_does_not_fit_is_refused,
}

/// Columns without their descriptions, which no client shows.
fn plain(columns: &Value) -> Value {
    let mut columns = columns.clone();
    for column in columns.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        column.remove("description");
    }
    columns
}

/// A table with what differs from run to run put aside: the last cell of most tables is an age.
fn without_age(mut table: Value) -> Value {
    let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let ages: Vec<usize> = (0..columns.len())
        .filter(|i| columns[*i]["name"] == "Age" || columns[*i]["name"] == "Cluster-IP")
        .collect();
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        ages.iter().for_each(|index| row["cells"][*index] = "PASSING".into());
    }
    table["columnDefinitions"] = plain(&table["columnDefinitions"]);
    table
}

async fn a_table_of_config_maps(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({"a": "1", "b": "2"}));
    body["metadata"]["labels"] = json!({"own": "yes"});
    s.post(&s.maps(), body).await?.ok()?;
    let path = format!("{}?labelSelector=own%3Dyes", s.maps());
    let table = s.get_as(&path, TABLE).await?.ok()?;
    s.expect("table-config-maps", &without_age(table))
}

async fn a_table_of_pods_says_how_they_do(s: &Scope) -> Outcome {
    s.equipped().await?;
    let pods = s.at("v1", "pods");
    s.post(&pods, pod("a")).await?.ok()?;
    let status = json!({"status": {"phase": "Running", "containerStatuses": [
        {"name": "main", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "image": "", "imageID": ""},
    ]}});
    s.strategic(&format!("{pods}/a/status"), status).await?.ok()?;
    let table = s.get_as(&pods, TABLE).await?.ok()?;
    let row = table["rows"][0]["cells"].as_array().cloned().unwrap_or_default();
    is(&row[..4], &[json!("a"), json!("0/1"), json!("CrashLoopBackOff"), json!(2)][..])
        .or_else(|_| is(&row[..4], &[json!("a"), json!("0/1"), json!("CrashLoopBackOff"), json!("2")][..]))?;
    s.expect("table-pods-columns", &plain(&table["columnDefinitions"]))
}

async fn tables_of_workloads(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for plural in ["deployments", "statefulsets", "daemonsets", "replicasets"] {
        let table = s.get_as(&s.at("apps/v1", plural), TABLE).await?.ok()?;
        found.insert(plural.to_owned(), plain(&table["columnDefinitions"]));
    }
    for (version, plural) in
        [("batch/v1", "jobs"), ("batch/v1", "cronjobs"), ("policy/v1", "poddisruptionbudgets")]
    {
        let table = s.get_as(&s.at(version, plural), TABLE).await?.ok()?;
        found.insert(plural.to_owned(), plain(&table["columnDefinitions"]));
    }
    s.expect("table-workloads", &Value::Object(found))
}

async fn tables_of_services_and_claims(s: &Scope) -> Outcome {
    s.post(&s.at("v1", "services"), service("a")).await?.ok()?;
    let table = s.get_as(&s.at("v1", "services"), TABLE).await?.ok()?;
    s.expect("table-services", &without_age(table))?;
    let mut found = serde_json::Map::new();
    for (version, plural) in [
        ("v1", "secrets"),
        ("v1", "serviceaccounts"),
        ("v1", "persistentvolumeclaims"),
        ("v1", "events"),
        ("coordination.k8s.io/v1", "leases"),
        ("discovery.k8s.io/v1", "endpointslices"),
        ("rbac.authorization.k8s.io/v1", "roles"),
        ("rbac.authorization.k8s.io/v1", "rolebindings"),
        ("networking.k8s.io/v1", "ingresses"),
        ("networking.k8s.io/v1", "networkpolicies"),
    ] {
        let table = s.get_as(&s.at(version, plural), TABLE).await?.ok()?;
        found.insert(plural.to_owned(), plain(&table["columnDefinitions"]));
    }
    s.expect("table-others", &Value::Object(found))
}

async fn an_empty_table_has_its_columns(s: &Scope) -> Outcome {
    let table = s.get_as(&s.at("apps/v1", "deployments"), TABLE).await?.ok()?;
    is(&table["kind"], "Table")?;
    is(&table["rows"], &json!([]))?;
    holds(table["columnDefinitions"].as_array().is_some_and(|list| list.len() > 3), "it has columns")
}

async fn a_table_can_leave_objects_out(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let found = json!({
        "None": s.get_as(&format!("{path}?includeObject=None"), TABLE).await?.ok()?["rows"][0]["object"],
        "Metadata": s.get_as(&format!("{path}?includeObject=Metadata"), TABLE).await?.ok()?["rows"][0]["object"],
        "Object": s.get_as(&format!("{path}?includeObject=Object"), TABLE).await?.ok()?["rows"][0]["object"],
    });
    s.expect("table-objects", &found)
}

async fn one_object_can_be_a_table(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let table = s.get_as(&format!("{}/a", s.maps()), TABLE).await?.ok()?;
    s.expect("table-of-one", &without_age(table))
}

async fn metadata_alone(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({"k": "v"}));
    body["metadata"]["labels"] = json!({"own": "yes"});
    s.post(&s.maps(), body).await?.ok()?;
    let one = s.get_as(&format!("{}/a", s.maps()), METADATA).await?.ok()?;
    let list = s.get_as(&format!("{}?labelSelector=own", s.maps()), METADATA_LIST).await?.ok()?;
    s.expect("metadata-alone", &json!({"one": one, "list": list}))
}

async fn the_first_form_that_is_served_is_taken(s: &Scope) -> Outcome {
    let unknown = "application/json;as=Nothing;g=meta.k8s.io;v=v1,application/json";
    is(&s.get_as(&s.maps(), unknown).await?.ok()?["kind"], "ConfigMapList")?;
    let older = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                 application/json";
    let table = s.get_as(&s.maps(), older).await?.ok()?;
    is((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")))
}

async fn a_form_that_does_not_fit_is_refused(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let answers = json!({
        "a list as one": brief(&s.get_as(&s.maps(), METADATA).await?),
        "one as a list": brief(&s.get_as(&format!("{}/a", s.maps()), METADATA_LIST).await?),
        "nothing known": brief(&s.get_as(&s.maps(), "application/json;as=Nothing;g=meta.k8s.io;v=v1").await?),
    });
    s.expect("forms-that-do-not-fit", &answers)
}

//! What a refused request is answered: code, reason, message, details.

use super::prelude::*;
use obstack_sandbox::raw::{APPLY, Ask, JSON, JSON_PATCH, MERGE, STRATEGIC};

cases! { "errors":
    what_is_missing_is_404_with_its_name,
    a_resource_that_nobody_serves_is_404,
    what_is_there_is_not_created_again,
    a_namespace_must_be_there,
    a_bad_name_is_invalid,
    labels_and_annotations_are_checked,
    a_method_that_a_resource_has_not_is_405,
    a_body_that_cannot_be_read_is_400,
    a_body_in_an_unknown_format_is_415,
    an_answer_in_an_unknown_format_is_406,
    a_patch_that_cannot_be_read_is_refused,
    unknown_fields_fail_where_validation_is_strict,
    unknown_fields_warn_where_that_is_asked_for,
    unknown_fields_are_dropped_where_that_is_asked_for,
    fields_that_come_twice_are_refused_where_validation_is_strict
        differs "the last of several fields with one name counts, and nobody is told",
    values_of_the_wrong_type_are_400,
    yaml_is_read_too,
}

async fn what_is_missing_is_404_with_its_name(s: &Scope) -> Outcome {
    let missing = s.get(&format!("{}/a", s.maps())).await?;
    is(&missing.body["reason"], "NotFound")?;
    is(&missing.body["details"], &json!({"name": "a", "kind": "configmaps"}))?;
    is(missing.error(404)?, "configmaps \"a\" not found")?;
    let missing = s.get(&s.at("apps/v1", "deployments/a")).await?;
    is(&missing.body["details"], &json!({"name": "a", "group": "apps", "kind": "deployments"}))?;
    is(missing.error(404)?, "deployments.apps \"a\" not found")?;
    is(s.delete(&format!("{}/a", s.maps())).await?.error(404)?, "configmaps \"a\" not found")?;
    is(s.merge(&format!("{}/a", s.maps()), json!({})).await?.error(404)?, "configmaps \"a\" not found")
}

async fn a_resource_that_nobody_serves_is_404(s: &Scope) -> Outcome {
    let answers = json!({
        "group": brief(&s.get("/apis/nothing.contract.obstack.test/v1/things").await?),
        "resource": brief(&s.get(&s.at("v1", "nonsense")).await?),
        "version": brief(&s.get(&s.at("apps/v9", "deployments")).await?),
    });
    for (_, answer) in answers.as_object().into_iter().flatten() {
        is(&answer["code"], 404)?;
    }
    Ok(())
}

async fn what_is_there_is_not_created_again(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let again = s.post(&s.maps(), config_map("a", json!({}))).await?;
    is(&again.body["reason"], "AlreadyExists")?;
    is(&again.body["details"], &json!({"name": "a", "kind": "configmaps"}))?;
    is(again.error(409)?, "configmaps \"a\" already exists")
}

async fn a_namespace_must_be_there(s: &Scope) -> Outcome {
    let path = format!("/api/v1/namespaces/{}-none/configmaps", s.tag);
    let refused = s.post(&path, config_map("a", json!({}))).await?;
    s.expect("namespace-not-found", &brief(&refused))?;
    is(s.get(&path).await?.ok()?["items"].clone(), json!([]))
}

async fn a_bad_name_is_invalid(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for name in ["Not_A_Name", "-a", "a..b", &"a".repeat(254)] {
        let answer = s.post(&s.maps(), config_map(name, json!({}))).await?;
        found.insert(name.to_owned(), brief(&answer));
    }
    for name in ["1a", "a.b", &"a".repeat(64)] {
        let answer = s.post(&s.at("v1", "services"), service(name)).await?;
        found.insert(format!("service {name}"), brief(&answer));
    }
    s.expect("bad-names", &Value::Object(found))
}

async fn labels_and_annotations_are_checked(s: &Scope) -> Outcome {
    let with = |field: &str, value: Value| {
        let mut body = config_map("a", json!({}));
        body["metadata"][field] = value;
        body
    };
    let answers = json!({
        "label value": brief(&s.post(&s.maps(), with("labels", json!({"a": "b c"}))).await?),
        "label key": brief(&s.post(&s.maps(), with("labels", json!({"a b": "c"}))).await?),
        "label prefix": brief(&s.post(&s.maps(), with("labels", json!({"A_/b": "c"}))).await?),
        "annotation key": brief(&s.post(&s.maps(), with("annotations", json!({"a b": "c"}))).await?),
        "finalizer": brief(&s.post(&s.maps(), with("finalizers", json!(["x y"]))).await?),
        "owner": brief(&s.post(&s.maps(), with("ownerReferences", json!([{"kind": "ConfigMap"}]))).await?),
    });
    s.expect("bad-metadata", &answers)
}

async fn a_method_that_a_resource_has_not_is_405(s: &Scope) -> Outcome {
    let answers = json!({
        "get of a review": brief(&s.get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").await?),
        "put of a collection": brief(&s.put(&s.maps(), config_map("a", json!({}))).await?),
        "create without a namespace": brief(&s.post("/api/v1/configmaps", config_map("a", json!({}))).await?),
        "post to an object": brief(&s.post(&format!("{}/a", s.maps()), config_map("a", json!({}))).await?),
    });
    s.expect("methods", &answers)
}

async fn a_body_that_cannot_be_read_is_400(s: &Scope) -> Outcome {
    for body in ["{", "[]", "\"text\"", "{\"apiVersion\": 1}", ""] {
        let answer = s.text("POST", &s.maps(), JSON, body).await?;
        is(&answer.body["reason"], "BadRequest")?;
        answer.error(400)?;
    }
    Ok(())
}

async fn a_body_in_an_unknown_format_is_415(s: &Scope) -> Outcome {
    let posted = s.text("POST", &s.maps(), "text/plain", "a").await?;
    is(&posted.body["reason"], "UnsupportedMediaType")?;
    posted.error(415)?;
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let patched = s.text("PATCH", &format!("{}/a", s.maps()), JSON, "{}").await?;
    s.expect("patch-in-an-unknown-format", &brief(&patched))
}

async fn an_answer_in_an_unknown_format_is_406(s: &Scope) -> Outcome {
    let answer = s.get_as(&s.maps(), "text/plain").await?;
    is(&answer.body["reason"], "NotAcceptable")?;
    answer.error(406)?;
    let either = s.get_as(&s.maps(), "text/plain, */*").await?;
    either.ok()?;
    Ok(())
}

async fn a_patch_that_cannot_be_read_is_refused(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    for (kind, body) in [(MERGE, "{"), (STRATEGIC, "{"), (JSON_PATCH, "{"), (JSON_PATCH, "{}")] {
        s.text("PATCH", &path, kind, body).await?.error(400)?;
    }
    let failing = json!([{"op": "test", "path": "/data/k", "value": "other"}]);
    s.json(&path, failing).await?.error(422)?;
    let missing = json!([{"op": "replace", "path": "/data/none/deep", "value": "other"}]);
    s.json(&path, missing).await?.error(422)?;
    s.text("PATCH", &format!("{path}?fieldManager=x"), APPLY, "a: [").await?.error(400)?;
    Ok(())
}

fn with_unknown_fields() -> Value {
    let mut body = deployment("a");
    body["spec"]["nonsense"] = 1.into();
    body["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    body["metadata"]["label"] = json!({"a": "b"});
    body
}

async fn unknown_fields_fail_where_validation_is_strict(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments");
    let refused = s.post(&format!("{path}?fieldValidation=Strict"), with_unknown_fields()).await?;
    s.expect("unknown-fields-strict", &brief(&refused))?;
    s.post(&path, deployment("b")).await?.ok()?;
    let patch = json!({"spec": {"nonsense": 1}});
    let refused = s.merge(&format!("{path}/b?fieldValidation=Strict"), patch).await?;
    is(&refused.body["details"]["causes"][0]["field"], "patch")?;
    has(&refused.error(422)?, "strict decoding error: unknown field \"spec.nonsense\"")
}

async fn unknown_fields_warn_where_that_is_asked_for(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments");
    let created = s.post(&format!("{path}?fieldValidation=Warn"), with_unknown_fields()).await?;
    s.expect("unknown-fields-warn", &brief(&created))?;
    holds(created.ok()?["spec"].get("nonsense").is_none(), "it is dropped")?;
    let mut other = with_unknown_fields();
    other["metadata"]["name"] = "b".into();
    let unasked = s.post(&path, other).await?;
    holds(!unasked.warnings.is_empty(), "to warn is what is done unasked")
}

async fn unknown_fields_are_dropped_where_that_is_asked_for(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments?fieldValidation=Ignore");
    let created = s.post(&path, with_unknown_fields()).await?;
    is(&created.warnings, &Vec::<String>::new())?;
    holds(created.ok()?["spec"].get("nonsense").is_none(), "it is dropped")
}

async fn fields_that_come_twice_are_refused_where_validation_is_strict(s: &Scope) -> Outcome {
    let twice =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"},"data":{"k":"2"}}"#;
    let refused = s.text("POST", &format!("{}?fieldValidation=Strict", s.maps()), JSON, twice).await?;
    s.expect("duplicate-fields-strict", &brief(&refused))?;
    let warned = s.text("POST", &format!("{}?fieldValidation=Warn", s.maps()), JSON, twice).await?;
    s.expect("duplicate-fields-warn", &brief(&warned))?;
    is(&warned.ok()?["data"], &json!({"k": "2"}))
}

async fn values_of_the_wrong_type_are_400(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments");
    let mut found = serde_json::Map::new();
    for (pointer, value) in [
        ("/spec/replicas", json!("many")),
        ("/spec/replicas", json!(1.5)),
        ("/spec/paused", json!("yes")),
        ("/spec/template/spec/containers/0/image", json!(5)),
        ("/spec/template/spec/containers", json!({"name": "main"})),
        ("/metadata/labels", json!(["a"])),
        ("/spec/template/spec/containers/0/ports", json!([{"containerPort": "80"}])),
    ] {
        let mut body = deployment("a");
        set(&mut body, pointer, value.clone());
        let answer = s.post(&path, body).await?;
        found.insert(format!("{pointer} {value}"), brief(&answer));
    }
    s.expect("wrong-types", &Value::Object(found))
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = object.pointer_mut(parent) {
        parent[name] = value;
    }
}

async fn yaml_is_read_too(s: &Scope) -> Outcome {
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: |\n    text\n";
    let created = s.text("POST", &s.maps(), "application/yaml", body).await?.code(201)?;
    is(&created["data"]["k"], "text\n")?;
    let headers = [("accept", "application/yaml")];
    let path = format!("{}/a", s.maps());
    let shown = s.ask(Ask { method: "GET", path: &path, headers: &headers, body: Vec::new() }).await?;
    is(shown.content_type.as_str(), "application/yaml")?;
    has(&shown.text, "\n  k: |\n    text\n")
}

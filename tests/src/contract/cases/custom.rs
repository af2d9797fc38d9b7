//! Custom resources: pruning, defaults, validation, rules, columns.

use super::definitions::{install, rich, thing};
use super::prelude::*;
use obstack_sandbox::raw::TABLE;

cases! { "custom resources":
    unknown_fields_are_pruned_and_warned_of,
    unknown_fields_are_refused_where_validation_is_strict,
    defaults_are_filled_in_at_every_depth,
    a_null_where_there_is_a_default_is_the_default,
    what_may_be_anything_is_kept,
    numbers_and_texts_are_both_kept,
    bad_objects_are_refused_with_their_fields,
    several_faults_come_in_one_answer,
    rules_see_names,
    rules_see_old_values,
    rules_have_messages_reasons_and_paths,
    a_status_is_changed_alone,
    a_status_write_is_validated_too,
    columns_make_a_table,
    an_update_needs_a_version,
    generations_count_changes_of_the_spec,
}

async fn unknown_fields_are_pruned_and_warned_of(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let spec = json!({"size": "small", "nonsense": 1, "ports": [{"port": 1, "y": 2}]});
    let created = s.post(&things, thing(s, "a", spec)).await?;
    s.expect("custom-unknown-warnings", &json!(created.warnings))?;
    let spec = &created.ok()?["spec"];
    is(spec.get("nonsense"), None::<&Value>)?;
    is(&spec["ports"], &json!([{"port": 1, "protocol": "TCP"}]))
}

async fn unknown_fields_are_refused_where_validation_is_strict(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let path = format!("{things}?fieldValidation=Strict");
    let spec = json!({"size": "small", "nonsense": 1, "ports": [{"port": 1, "y": 2}]});
    s.expect("custom-unknown-strict", &brief(&s.post(&path, thing(s, "a", spec)).await?))
}

async fn defaults_are_filled_in_at_every_depth(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let spec = json!({"size": "small", "ports": [{"port": 1}]});
    let created = s.post(&things, thing(s, "a", spec)).await?.ok()?;
    s.expect("custom-defaults", &created)
}

async fn a_null_where_there_is_a_default_is_the_default(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let spec = json!({"size": "small", "defaulted": null, "maybe": null});
    let created = s.post(&things, thing(s, "a", spec)).await?.ok()?;
    is(&created["spec"]["defaulted"], "x")?;
    is(created["spec"].get("maybe"), Some(&Value::Null))
}

async fn what_may_be_anything_is_kept(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let free = json!({"kept": {"x": [1, "two", {"three": null}]}});
    let created = s.post(&things, thing(s, "a", json!({"size": "small", "free": free}))).await?.ok()?;
    is(&created["spec"]["free"], &free)
}

async fn numbers_and_texts_are_both_kept(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    for (name, value) in [("a", json!(5)), ("b", json!("50%"))] {
        let created = s.post(&things, thing(s, name, json!({"size": "small", "any": value}))).await?.ok()?;
        is(&created["spec"]["any"], &value)?;
    }
    let refused = s.post(&things, thing(s, "c", json!({"size": "small", "any": true}))).await?;
    s.expect("int-or-string", &brief(&refused))
}

async fn bad_objects_are_refused_with_their_fields(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let mut found = serde_json::Map::new();
    for spec in [
        json!({}),
        json!({"size": "huge"}),
        json!({"size": 5}),
        json!({"size": "small", "replicas": 10}),
        json!({"size": "small", "count": "x"}),
        json!({"size": "small", "ratio": 0.75}),
        json!({"size": "small", "name": "A1"}),
        json!({"size": "small", "name": "abcdef"}),
        json!({"size": "small", "name": "a"}),
        json!({"size": "small", "on": "yes"}),
        json!({"size": "small", "time": "yesterday"}),
        json!({"size": "small", "limits": []}),
        json!({"size": "small", "ports": [{"port": 1}, {"port": 2}, {"port": 3}]}),
        json!({"size": "small", "ports": [{"port": 1}, {"port": 1}]}),
        json!({"size": "small", "ports": [{"protocol": "UDP"}]}),
        json!({"size": "small", "tags": ["a", "a"]}),
        json!({"size": "small", "tags": []}),
        json!({"size": "small", "tags": [1]}),
        json!({"size": "small", "map": {"a": "x"}}),
        json!({"size": "small", "map": {"a": 1, "b": 2, "c": 3}}),
        json!({"size": "small", "name": null}),
        json!({"size": null}),
    ] {
        let answer = s.post(&things, thing(s, "a", spec.clone())).await?;
        found.insert(spec.to_string(), brief(&answer));
    }
    let whole = json!({"apiVersion": format!("{}/v1", super::definitions::group(s)), "kind": "Thing",
        "metadata": {"name": "a"}});
    found.insert("no spec".to_owned(), brief(&s.post(&things, whole).await?));
    s.expect("custom-validation", &Value::Object(found))
}

async fn several_faults_come_in_one_answer(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let spec = json!({"size": "huge", "replicas": 10, "name": "A1", "ports": [{"port": 1}, {"port": 1}]});
    let answer = s.post(&things, thing(s, "a", spec)).await?;
    // The server takes fields in no order.
    let mut causes = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
    causes.sort_by_key(Value::to_string);
    s.expect("custom-several-faults", &json!(causes))
}

async fn rules_see_names(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let answer = s.post(&things, thing(s, "bad", json!({"size": "small"}))).await?;
    s.expect("rule-on-a-name", &brief(&answer))
}

async fn rules_see_old_values(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    s.post(&things, thing(s, "a", json!({"size": "small", "count": 3}))).await?.ok()?;
    let path = format!("{things}/a");
    s.merge(&path, json!({"spec": {"count": 4}})).await?.ok()?;
    let answers = json!({
        "immutable": brief(&s.merge(&path, json!({"spec": {"size": "large"}})).await?),
        "shrinking": brief(&s.merge(&path, json!({"spec": {"count": 2}})).await?),
    });
    s.expect("transition-rules", &answers)?;
    // Without an old value there is nothing to compare to.
    s.merge(&path, json!({"spec": {"count": null}})).await?.ok()?;
    s.merge(&path, json!({"spec": {"count": 1}})).await?.ok()?;
    Ok(())
}

async fn rules_have_messages_reasons_and_paths(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let answers = json!({
        "expression": brief(&s.post(&things, thing(s, "a", json!({"size": "small", "name": "small"}))).await?),
        "reason": brief(&s.post(&things, thing(s, "a", json!({"size": "small", "reason": "forbidden"}))).await?),
    });
    s.expect("rule-messages", &answers)
}

async fn a_status_is_changed_alone(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let mut body = thing(s, "a", json!({"size": "small"}));
    body["status"] = json!({"x": 1});
    let created = s.post(&things, body).await?.ok()?;
    is(created.get("status"), None::<&Value>)?;
    let change = json!({"status": {"x": 1}, "spec": {"size": "large"}, "metadata": {"labels": {"a": "b"}}});
    let got = s.merge(&format!("{things}/a/status"), change).await?.ok()?;
    is((&got["status"], &got["spec"]["size"]), (&json!({"x": 1}), &json!("small")))?;
    holds(got["metadata"].get("labels").is_none(), "labels stay as they were")?;
    is(&got["metadata"]["generation"], 1)?;
    let ignored = s.merge(&format!("{things}/a"), json!({"status": {"x": 2}})).await?.ok()?;
    is(&ignored["status"], &json!({"x": 1}))?;
    is(version(&ignored), version(&got))
}

async fn a_status_write_is_validated_too(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    s.post(&things, thing(s, "a", json!({"size": "small"}))).await?.ok()?;
    let refused = s.merge(&format!("{things}/a/status"), json!({"status": "well"})).await?;
    is(&refused.body["details"]["causes"][0]["reason"], "FieldValueTypeInvalid")?;
    has(&refused.error(422)?, "in body must be of type object: \"string\"")
}

async fn columns_make_a_table(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    s.post(&things, thing(s, "a", json!({"size": "small"}))).await?.ok()?;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    s.merge(&format!("{things}/a/status"), status).await?.ok()?;
    let mut table = s.get_as(&things, TABLE).await?.ok()?;
    table["rows"][0]["cells"][4] = "PASSING".into();
    // No client shows the description of the name.
    table["columnDefinitions"][0]["description"] = "PASSING".into();
    s.expect("table-custom", &table)
}

async fn an_update_needs_a_version(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    s.post(&things, thing(s, "a", json!({"size": "small"}))).await?.ok()?;
    let answer = s.put(&format!("{things}/a"), thing(s, "a", json!({"size": "small"}))).await?;
    s.expect("custom-update-without-version", &brief(&answer))
}

async fn generations_count_changes_of_the_spec(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    let path = format!("{things}/a");
    is(&s.post(&things, thing(s, "a", json!({"size": "small"}))).await?.ok()?["metadata"]["generation"], 1)?;
    let labelled = s.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?;
    is(&labelled["metadata"]["generation"], 1)?;
    let changed = s.merge(&path, json!({"spec": {"replicas": 2}})).await?.ok()?;
    is(&changed["metadata"]["generation"], 2)?;
    let same = s.merge(&path, json!({"spec": {"replicas": 2}})).await?.ok()?;
    is(version(&same), version(&changed))
}

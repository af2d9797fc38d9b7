//! JSON patch, merge patch, strategic merge patch.

use super::prelude::*;

cases! { "patches":
    a_merge_patch_sets_and_removes,
    a_merge_patch_replaces_lists,
    a_json_patch_does_one_after_the_other,
    a_json_patch_that_fails_changes_nothing,
    a_strategic_patch_merges_lists_by_their_keys,
    a_strategic_patch_deletes_by_key,
    a_strategic_patch_replaces_where_told,
    a_strategic_patch_deletes_from_lists_of_values,
    a_strategic_patch_orders_lists,
    a_strategic_patch_keeps_only_named_keys,
    a_strategic_patch_that_is_wrong_is_refused,
    custom_resources_have_no_strategic_patch,
    a_patch_with_a_version_needs_that_version,
}

async fn a_merge_patch_sets_and_removes(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"a": "1", "b": "2"}))).await?.ok()?;
    let patch = json!({"data": {"a": null, "c": "3"}, "metadata": {"annotations": {"x": "y"}}});
    let patched = s.merge(&format!("{}/a", s.maps()), patch).await?.ok()?;
    is(&patched["data"], &json!({"b": "2", "c": "3"}))?;
    is(&patched["metadata"]["annotations"], &json!({"x": "y"}))
}

async fn a_merge_patch_replaces_lists(s: &Scope) -> Outcome {
    let path = s.at("apps/v1", "deployments");
    s.post(&path, deployment("a")).await?.ok()?;
    let containers = json!([{"name": "other", "image": "registry/other:1"}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let patched = s.merge(&format!("{path}/a"), patch).await?.ok()?;
    is(container_names(&patched), ["other"])
}

fn container_names(object: &Value) -> Vec<String> {
    let list = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    list.map(|container| container["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn a_json_patch_does_one_after_the_other(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({"a": "1"}));
    body["metadata"]["annotations"] = json!({"b/c": "2", "d/e": "3"});
    s.post(&s.maps(), body).await?.ok()?;
    let patch = json!([
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "add", "path": "/data/new", "value": "4"},
        {"op": "copy", "from": "/data/new", "path": "/data/copy"},
        {"op": "move", "from": "/data/a", "path": "/data/moved"},
        {"op": "replace", "path": "/metadata/annotations/b~1c", "value": "5"},
        {"op": "remove", "path": "/metadata/annotations/d~1e"},
    ]);
    let patched = s.json(&format!("{}/a", s.maps()), patch).await?.ok()?;
    is(&patched["data"], &json!({"new": "4", "copy": "4", "moved": "1"}))?;
    is(&patched["metadata"]["annotations"], &json!({"b/c": "5"}))
}

async fn a_json_patch_that_fails_changes_nothing(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({"a": "1"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let first = json!({"op": "add", "path": "/data/b", "value": "2"});
    for second in [
        json!({"op": "test", "path": "/data/a", "value": "other"}),
        json!({"op": "remove", "path": "/data/none"}),
    ] {
        let answer = s.json(&path, json!([first, second])).await?;
        has(&answer.error(422)?, "the server rejected our request due to an error in our request")?;
    }
    is(s.get(&path).await?.ok()?, created)?;
    // To replace what is not there is to add it.
    let missing = json!([{"op": "replace", "path": "/data/none", "value": "x"}]);
    is(&s.json(&path, missing).await?.ok()?["data"], &json!({"a": "1", "none": "x"}))
}

async fn two_containers(s: &Scope) -> Result<String, Failure> {
    let path = s.at("apps/v1", "deployments");
    let mut body = deployment("a");
    let containers = &mut body["spec"]["template"]["spec"]["containers"];
    containers[0]["env"] = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    containers[0]["args"] = json!(["one", "two"]);
    let side = json!({"name": "side", "image": "registry/side:1"});
    containers.as_array_mut().ok_or("no list").map_err(str::to_owned)?.push(side);
    body["metadata"]["finalizers"] = json!(["contract.obstack.test/a", "contract.obstack.test/b"]);
    s.post(&path, body).await?.ok()?;
    Ok(format!("{path}/a"))
}

/// A patch of the first container.
fn of_main(mut change: Value) -> Value {
    change["name"] = "main".into();
    json!({"spec": {"template": {"spec": {"containers": [change]}}}})
}

async fn end(s: &Scope, path: &str) -> Outcome {
    s.merge(path, json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

async fn a_strategic_patch_merges_lists_by_their_keys(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let change =
        json!({"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}], "args": ["three"]});
    let patched = s.strategic(&path, of_main(change)).await?.ok()?;
    is(container_names(&patched), ["main", "side"])?;
    let main = &patched["spec"]["template"]["spec"]["containers"][0];
    is(&main["args"], &json!(["three"]))?;
    let env = json!([{"name": "B", "value": "3"}, {"name": "C", "value": "4"}, {"name": "A", "value": "1"}]);
    let mut found = main["env"].as_array().cloned().unwrap_or_default();
    let mut wanted = env.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].to_string();
    found.sort_by_key(name);
    wanted.sort_by_key(name);
    is(found, wanted)?;
    s.expect("strategic-order", &main["env"])?;
    end(s, &path).await
}

async fn a_strategic_patch_deletes_by_key(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let change = json!({"env": [{"name": "A", "$patch": "delete"}]});
    let patched = s.strategic(&path, of_main(change)).await?.ok()?;
    let main = &patched["spec"]["template"]["spec"]["containers"][0];
    is(&main["env"], &json!([{"name": "B", "value": "2"}]))?;
    let side =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    is(container_names(&s.strategic(&path, side).await?.ok()?), ["main"])?;
    end(s, &path).await
}

async fn a_strategic_patch_replaces_where_told(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let change = json!({"env": [{"name": "Z", "value": "9"}, {"$patch": "replace"}]});
    let patched = s.strategic(&path, of_main(change)).await?.ok()?;
    let main = &patched["spec"]["template"]["spec"]["containers"][0];
    is(&main["env"], &json!([{"name": "Z", "value": "9"}]))?;
    let labels = json!({"metadata": {"labels": {"only": "one", "$patch": "replace"}}});
    s.merge(&path, json!({"metadata": {"labels": {"first": "x"}}})).await?.ok()?;
    let patched = s.strategic(&path, labels).await?.ok()?;
    is(&patched["metadata"]["labels"], &json!({"only": "one"}))?;
    end(s, &path).await
}

async fn a_strategic_patch_deletes_from_lists_of_values(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let change = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["contract.obstack.test/a"],
        "finalizers": ["contract.obstack.test/c"],
    }});
    let patched = s.strategic(&path, change).await?.ok()?;
    let mut found: Vec<&str> = patched["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    found.sort_unstable();
    is(found, ["contract.obstack.test/b", "contract.obstack.test/c"])?;
    end(s, &path).await
}

async fn a_strategic_patch_orders_lists(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "new"}, {"name": "main"}],
        "containers": [{"name": "new", "image": "registry/new:1"}],
    }}}});
    is(container_names(&s.strategic(&path, patch).await?.ok()?), ["side", "new", "main"])?;
    end(s, &path).await
}

async fn a_strategic_patch_keeps_only_named_keys(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let patched = s.strategic(&path, patch).await?.ok()?;
    is(&patched["spec"]["strategy"], &json!({"type": "Recreate"}))?;
    end(s, &path).await
}

async fn a_strategic_patch_that_is_wrong_is_refused(s: &Scope) -> Outcome {
    let path = two_containers(s).await?;
    let nameless = json!({"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}});
    let message = s.strategic(&path, nameless).await?.error(500)?;
    has(&message, "does not contain declared merge key: name")?;
    end(s, &path).await
}

async fn custom_resources_have_no_strategic_patch(s: &Scope) -> Outcome {
    let things = super::definitions::install(s, super::definitions::plain(s)).await?;
    s.post(&things, super::definitions::thing(s, "a", json!({}))).await?.ok()?;
    let answer = s.strategic(&format!("{things}/a"), json!({"spec": {"x": 1}})).await?;
    s.expect("strategic-custom", &brief(&answer))
}

async fn a_patch_with_a_version_needs_that_version(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let patch = json!({"metadata": {"resourceVersion": version(&created)}, "data": {"k": "v"}});
    s.merge(&path, patch.clone()).await?.ok()?;
    let refused = s.merge(&path, patch.clone()).await?;
    is(&refused.body["reason"], "Conflict")?;
    refused.error(409)?;
    s.strategic(&path, patch).await?.error(409)?;
    Ok(())
}

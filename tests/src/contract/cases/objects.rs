//! Create, read, update; what changes nothing; dry runs; names that the server makes.

use super::prelude::*;
use obstack_sandbox::raw::APPLY;

cases! { "objects":
    a_created_object_is_read_as_it_was_answered,
    writes_that_change_nothing_keep_the_version,
    an_update_needs_the_version_that_it_replaces,
    an_update_without_a_version_replaces_what_is_there,
    what_the_server_sets_cannot_be_set,
    a_dry_run_of_a_create_keeps_nothing,
    a_dry_run_of_a_change_keeps_nothing,
    a_dry_run_of_a_deletion_keeps_nothing,
    a_dry_run_is_judged_like_the_write,
    a_name_is_made_from_its_prefix,
    a_prefix_is_cut_to_fit_a_name,
    a_name_is_needed,
    names_on_the_path_and_in_the_object_must_agree,
    leases_are_put_in_place,
    a_put_of_what_is_missing_is_refused,
    times_are_kept_in_their_precision,
    an_immutable_config_map_stays,
    text_of_a_secret_becomes_data,
    the_type_of_a_secret_stays,
    keys_and_sizes_of_data_are_bounded,
}

async fn a_created_object_is_read_as_it_was_answered(s: &Scope) -> Outcome {
    let body = config_map("a", json!({"k": "v"}));
    let answer = s.post(&s.maps(), body).await?;
    let created = answer.code(201)?;
    is(&s.get(&format!("{}/a", s.maps())).await?.code(200)?, &created)?;
    s.expect("config-map", &created)
}

async fn writes_that_change_nothing_keep_the_version(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    // A later second would show in what a no-op write stamps.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    is(s.put(&path, created.clone()).await?.ok()?, created.clone())?;
    is(s.merge(&path, json!({"data": {"k": "v"}})).await?.ok()?, created.clone())?;
    is(s.strategic(&path, json!({"metadata": {"labels": null}})).await?.ok()?, created.clone())?;
    let same = json!([{"op": "replace", "path": "/data/k", "value": "v"}]);
    is(s.json(&path, same).await?.ok()?, created.clone())?;
    let changed = s.merge(&path, json!({"data": {"k": "w"}})).await?.ok()?;
    holds(version(&changed) != version(&created), "a change has a new version")
}

async fn an_update_needs_the_version_that_it_replaces(s: &Scope) -> Outcome {
    let mut stale = s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    s.merge(&path, json!({"data": {"k": "w"}})).await?.ok()?;
    stale["data"]["k"] = "x".into();
    let conflict = s.put(&path, stale).await?;
    is(&conflict.body["reason"], "Conflict")?;
    is(&conflict.body["details"], &json!({"name": "a", "kind": "configmaps"}))?;
    is(
        conflict.error(409)?,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your \
         changes to the latest version and try again",
    )
}

async fn an_update_without_a_version_replaces_what_is_there(s: &Scope) -> Outcome {
    let first = s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let second = s.put(&format!("{}/a", s.maps()), config_map("a", json!({"other": "w"}))).await?.ok()?;
    is(&second["data"], &json!({"other": "w"}))?;
    is(&second["metadata"]["uid"], &first["metadata"]["uid"])?;
    is(&second["metadata"]["creationTimestamp"], &first["metadata"]["creationTimestamp"])
}

async fn what_the_server_sets_cannot_be_set(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({}));
    let uid = "11111111-2222-4333-8444-555555555555";
    body["metadata"]["uid"] = uid.into();
    body["metadata"]["creationTimestamp"] = "2001-02-03T04:05:06Z".into();
    body["metadata"]["generation"] = 7.into();
    body["metadata"]["deletionTimestamp"] = "2001-02-03T04:05:06Z".into();
    body["metadata"]["selfLink"] = "/somewhere".into();
    let created = s.post(&s.maps(), body).await?.ok()?;
    holds(created["metadata"]["uid"] != uid, "the server gives the UID")?;
    s.expect("config-map-with-server-fields", &created)?;
    let mut body = config_map("b", json!({}));
    body["metadata"]["resourceVersion"] = "7".into();
    let message = s.post(&s.maps(), body).await?.error(500)?;
    is(message, "resourceVersion should not be set on objects to be created")
}

async fn a_dry_run_of_a_create_keeps_nothing(s: &Scope) -> Outcome {
    let path = format!("{}?dryRun=All", s.maps());
    let body = s.post(&path, config_map("a", json!({"k": "v"}))).await?.code(201)?;
    holds(body["metadata"]["uid"].is_string(), "the answer has a UID")?;
    holds(body["metadata"].get("resourceVersion").is_none(), "the answer has no version")?;
    s.get(&format!("{}/a", s.maps())).await?.error(404)?;
    Ok(())
}

async fn a_dry_run_of_a_change_keeps_nothing(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let dry = format!("{path}?dryRun=All");
    let mut other = created.clone();
    other["data"]["k"] = "w".into();
    let answers = [
        s.put(&dry, other).await?.ok()?,
        s.merge(&dry, json!({"data": {"k": "w"}})).await?.ok()?,
        s.strategic(&dry, json!({"data": {"k": "w"}})).await?.ok()?,
        s.json(&dry, json!([{"op": "replace", "path": "/data/k", "value": "w"}])).await?.ok()?,
        s.send(
            "PATCH",
            &format!("{dry}&fieldManager=m&force=true"),
            APPLY,
            Some(&config_map("a", json!({"k": "w"}))),
        )
        .await?
        .ok()?,
    ];
    for answer in &answers {
        is(&answer["data"]["k"], "w")?;
        is(version(answer), version(&created))?;
    }
    is(s.get(&path).await?.ok()?, created)
}

async fn a_dry_run_of_a_deletion_keeps_nothing(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    s.delete(&format!("{path}?dryRun=All")).await?.code(200)?;
    s.delete_with(&path, json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}))
        .await?
        .code(200)?;
    s.delete(&format!("{}?dryRun=All", s.maps())).await?.code(200)?;
    is(s.get(&path).await?.ok()?, created)
}

async fn a_dry_run_is_judged_like_the_write(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let dry = format!("{}?dryRun=All", s.maps());
    let answers = json!({
        "exists": brief(&s.post(&dry, config_map("a", json!({}))).await?),
        "invalid": brief(&s.post(&dry, config_map("A_b", json!({}))).await?),
        "another word": brief(&s.post(&format!("{}?dryRun=Some", s.maps()), config_map("b", json!({}))).await?),
    });
    s.expect("dry-run-refusals", &answers)
}

async fn a_name_is_made_from_its_prefix(s: &Scope) -> Outcome {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "part-"}});
    let first = s.post(&s.maps(), body.clone()).await?.code(201)?;
    let second = s.post(&s.maps(), body).await?.code(201)?;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for name in [name(&first), name(&second)] {
        let end = name.strip_prefix("part-").unwrap_or_default();
        let letters = "bcdfghjklmnpqrstvwxz2456789";
        holds(
            end.len() == 5 && end.chars().all(|c| letters.contains(c)),
            format!("{name} has five letters"),
        )?;
    }
    is(&first["metadata"]["generateName"], "part-")?;
    holds(name(&first) != name(&second), "two names differ")
}

async fn a_prefix_is_cut_to_fit_a_name(s: &Scope) -> Outcome {
    let prefix = "a".repeat(100);
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": prefix}});
    let created = s.post(&s.maps(), body).await?.code(201)?;
    let name = created["metadata"]["name"].as_str().unwrap_or_default();
    is(name.len(), 63)?;
    is(&created["metadata"]["generateName"], &json!(prefix))
}

async fn a_name_is_needed(s: &Scope) -> Outcome {
    let answer = s.post(&s.maps(), json!({"apiVersion": "v1", "kind": "ConfigMap"})).await?;
    s.expect("no-name", &brief(&answer))
}

async fn names_on_the_path_and_in_the_object_must_agree(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    let mut elsewhere = config_map("a", json!({}));
    elsewhere["metadata"]["namespace"] = "other".into();
    let mut of_other_kind = config_map("a", json!({}));
    of_other_kind["kind"] = "Secret".into();
    let mut of_other_version = config_map("a", json!({}));
    of_other_version["apiVersion"] = "v2".into();
    let answers = json!({
        "put another name": brief(&s.put(&path, config_map("b", json!({}))).await?),
        "put another namespace": brief(&s.put(&path, elsewhere.clone()).await?),
        "post another namespace": brief(&s.post(&s.maps(), elsewhere).await?),
        "patch the name": brief(&s.merge(&path, json!({"metadata": {"name": "b"}})).await?),
    });
    s.expect("names-disagree", &answers)?;
    // The messages tell of the server's insides.
    s.post(&s.maps(), of_other_kind).await?.error(400)?;
    s.post(&s.maps(), of_other_version).await?.error(400)?;
    Ok(())
}

async fn leases_are_put_in_place(s: &Scope) -> Outcome {
    let lease = |holder: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {"holderIdentity": holder},
        })
    };
    let path = s.at("coordination.k8s.io/v1", "leases/l");
    s.put(&path, lease("a")).await?.code(201)?;
    let message = s.put(&path, lease("b")).await?.error(422)?;
    is(
        message,
        "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be \
         specified for an update",
    )
}

async fn a_put_of_what_is_missing_is_refused(s: &Scope) -> Outcome {
    let message = s.put(&format!("{}/none", s.maps()), config_map("none", json!({}))).await?.error(404)?;
    is(message, "configmaps \"none\" not found")
}

async fn times_are_kept_in_their_precision(s: &Scope) -> Outcome {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"renewTime": "2026-01-02T03:04:05.123456+01:00"},
    });
    let created = s.post(&s.at("coordination.k8s.io/v1", "leases"), lease.clone()).await?.ok()?;
    is(&created["spec"]["renewTime"], "2026-01-02T02:04:05.123456Z")?;
    let mut finer = lease.clone();
    finer["spec"]["renewTime"] = "2026-01-02T03:04:05.123456789+01:00".into();
    let answer = s.post(&s.at("coordination.k8s.io/v1", "leases"), finer).await?;
    s.expect("time-that-is-too-fine", &brief(&answer))?;
    let mut wrong = lease;
    wrong["spec"]["renewTime"] = "yesterday".into();
    s.post(&s.at("coordination.k8s.io/v1", "leases"), wrong).await?.error(400)?;
    Ok(())
}

async fn an_immutable_config_map_stays(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({"k": "v"}));
    body["immutable"] = true.into();
    s.post(&s.maps(), body).await?.ok()?;
    let path = format!("{}/a", s.maps());
    s.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await?.ok()?;
    let answers = json!({
        "data": brief(&s.merge(&path, json!({"data": {"k": "w"}})).await?),
        "the mark": brief(&s.merge(&path, json!({"immutable": false})).await?),
        "binary data": brief(&s.merge(&path, json!({"binaryData": {"b": "AAEC"}})).await?),
    });
    s.expect("immutable-config-map", &answers)
}

async fn text_of_a_secret_becomes_data(s: &Scope) -> Outcome {
    let path = s.at("v1", "secrets");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new", "c": "d"},
    });
    let created = s.post(&path, secret).await?.ok()?;
    is(&created["data"], &json!({"a": "bmV3", "b": "Yg==", "c": "ZA=="}))?;
    is(&created["type"], "Opaque")?;
    holds(created.get("stringData").is_none(), "the text itself is not kept")?;
    let changed = s.merge(&format!("{path}/a"), json!({"stringData": {"b": "x"}})).await?.ok()?;
    is(&changed["data"]["b"], "eA==")
}

async fn the_type_of_a_secret_stays(s: &Scope) -> Outcome {
    let path = s.at("v1", "secrets");
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "example.com/x"});
    s.post(&path, secret).await?.ok()?;
    let answer = s.merge(&format!("{path}/a"), json!({"type": "Opaque"})).await?;
    s.expect("secret-type", &brief(&answer))
}

async fn keys_and_sizes_of_data_are_bounded(s: &Scope) -> Outcome {
    let large = json!({"k": "x".repeat(1_048_577)});
    let mut text = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    text["stringData"] = large.clone();
    let answers = json!({
        "a key with a slash": brief(&s.post(&s.maps(), config_map("a", json!({"a/b": "c"}))).await?),
        "a large config map": brief(&s.post(&s.maps(), config_map("a", large)).await?),
        "a large secret": brief(&s.post(&s.at("v1", "secrets"), text).await?),
    });
    s.expect("data-bounds", &answers)
}

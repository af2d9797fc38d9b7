//! Watches: resuming, selectors, bookmarks, initial events, the end.

use super::prelude::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use obstack_sandbox::raw::{TABLE, Watch};

cases! { "watches":
    a_watch_goes_on_from_a_version,
    a_watch_of_one_object_sees_nothing_else,
    selectors_turn_changes_into_additions_and_deletions,
    a_deletion_shows_the_object_as_it_was,
    a_watch_from_any_version_begins_with_what_is_there,
    initial_events_end_with_a_bookmark,
    initial_events_need_their_parameters,
    bookmarks_carry_the_version_on,
    a_watch_ends_with_its_time,
    a_version_from_before_the_history_is_expired,
    a_watch_shows_tables_and_metadata,
    a_watch_that_cannot_be_is_refused,
    watchers_of_both_kinds_see_every_change,
}

/// The next event as type and name.
async fn next(watch: &mut Watch) -> Result<String, Failure> {
    let (kind, object) = watch.next().await?.ok_or_else(|| Failure::new("the watch ended"))?;
    Ok(format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default()))
}

async fn event(watch: &mut Watch) -> Result<(String, Value), Failure> {
    watch.next().await?.ok_or_else(|| Failure::new("the watch ended"))
}

async fn a_watch_goes_on_from_a_version(s: &Scope) -> Outcome {
    let secrets = s.at("v1", "secrets");
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    let first = s.post(&secrets, secret("a")).await?.ok()?;
    s.post(&secrets, secret("b")).await?.ok()?;
    s.merge(&format!("{secrets}/a"), json!({"stringData": {"k": "v"}})).await?.ok()?;
    let mut watch = s.watch(&format!("{secrets}?watch=true&resourceVersion={}", version(&first))).await?;
    is(next(&mut watch).await?, "ADDED b")?;
    is(next(&mut watch).await?, "MODIFIED a")?;
    s.delete(&format!("{secrets}/b")).await?.ok()?;
    is(next(&mut watch).await?, "DELETED b")?;
    s.post(&secrets, secret("c")).await?.ok()?;
    let (kind, object) = event(&mut watch).await?;
    is(kind, "ADDED")?;
    is(&object, &s.get(&format!("{secrets}/c")).await?.ok()?)
}

async fn a_watch_of_one_object_sees_nothing_else(s: &Scope) -> Outcome {
    let list = s.get(&s.maps()).await?.ok()?;
    let query = format!("watch=true&fieldSelector=metadata.name%3Db&resourceVersion={}", version(&list));
    let mut watch = s.watch(&format!("{}?{query}", s.maps())).await?;
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    s.post(&s.maps(), config_map("b", json!({}))).await?.ok()?;
    is(next(&mut watch).await?, "ADDED b")
}

async fn selectors_turn_changes_into_additions_and_deletions(s: &Scope) -> Outcome {
    let list = s.get(&s.maps()).await?.ok()?;
    let query = format!("watch=true&resourceVersion={}&labelSelector=on%3Dyes", version(&list));
    let mut watch = s.watch(&format!("{}?{query}", s.maps())).await?;
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    let path = format!("{}/a", s.maps());
    s.merge(&path, json!({"metadata": {"labels": {"on": "yes"}}})).await?.ok()?;
    is(next(&mut watch).await?, "ADDED a")?;
    s.merge(&path, json!({"data": {"k": "v"}})).await?.ok()?;
    is(next(&mut watch).await?, "MODIFIED a")?;
    let off = s.merge(&path, json!({"metadata": {"labels": {"on": "no"}}})).await?.ok()?;
    let (kind, object) = event(&mut watch).await?;
    is(kind, "DELETED")?;
    is(&object["metadata"]["labels"]["on"], "yes")?;
    is(version(&object), version(&off))
}

async fn a_deletion_shows_the_object_as_it_was(s: &Scope) -> Outcome {
    let created = s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let mut watch =
        s.watch(&format!("{}?watch=true&resourceVersion={}", s.maps(), version(&created))).await?;
    s.delete(&format!("{}/a", s.maps())).await?.ok()?;
    let (kind, object) = loop {
        let (kind, object) = event(&mut watch).await?;
        if object["metadata"]["name"] == "a" {
            break (kind, object);
        }
    };
    is(kind, "DELETED")?;
    is(&object["data"], &json!({"k": "v"}))?;
    is(&object["metadata"]["uid"], &created["metadata"]["uid"])?;
    holds(version(&object) != version(&created), "it has the version of the deletion")
}

async fn a_watch_from_any_version_begins_with_what_is_there(s: &Scope) -> Outcome {
    let mut body = config_map("a", json!({}));
    body["metadata"]["labels"] = json!({"on": "yes"});
    s.post(&s.maps(), body).await?.ok()?;
    for query in ["watch=true&labelSelector=on", "watch=1&resourceVersion=0&labelSelector=on"] {
        let mut watch = s.watch(&format!("{}?{query}", s.maps())).await?;
        is(next(&mut watch).await?, "ADDED a")?;
    }
    Ok(())
}

async fn initial_events_end_with_a_bookmark(s: &Scope) -> Outcome {
    let secrets = s.at("v1", "secrets");
    s.post(&secrets, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})).await?.ok()?;
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = s.watch(&format!("{secrets}?{query}")).await?;
    is(next(&mut watch).await?, "ADDED a")?;
    let (kind, bookmark) = event(&mut watch).await?;
    is(kind, "BOOKMARK")?;
    is(&bookmark["kind"], "Secret")?;
    is(&bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true")?;
    holds(!version(&bookmark).is_empty(), "a bookmark has a version")?;
    s.expect("initial-events-bookmark", &bookmark)?;
    s.post(&secrets, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}})).await?.ok()?;
    is(next(&mut watch).await?, "ADDED b")
}

async fn initial_events_need_their_parameters(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for query in [
        "watch=true&sendInitialEvents=true",
        "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
        "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1",
        "sendInitialEvents=true",
    ] {
        let answer = s.get(&format!("{}?{query}", s.maps())).await?;
        found.insert(query.to_owned(), brief(&answer));
    }
    s.expect("initial-events-parameters", &Value::Object(found))
}

async fn bookmarks_carry_the_version_on(s: &Scope) -> Outcome {
    let secrets = s.at("v1", "secrets");
    let list = s.get(&secrets).await?.ok()?;
    let query = format!(
        "watch=true&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion={}&fieldSelector=metadata.name%3Dnone",
        version(&list)
    );
    let mut watch = s.watch(&format!("{secrets}?{query}")).await?;
    // What the watch does not show moves its version all the same.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "another"}});
    let made = s.post(&secrets, secret).await?.ok()?;
    let mut last = None;
    while let Some((kind, object)) = watch.next().await? {
        is(kind, "BOOKMARK")?;
        last = Some(object);
    }
    let last = last.ok_or_else(|| Failure::new("no bookmark came before the end"))?;
    is(&last["kind"], "Secret")?;
    let number = |object: &Value| version(object).parse::<u64>().unwrap_or_default();
    holds(number(&last) >= number(&made), "a bookmark is as far as the last change")
}

async fn a_watch_ends_with_its_time(s: &Scope) -> Outcome {
    let list = s.get(&s.maps()).await?.ok()?;
    let query = format!(
        "watch=true&timeoutSeconds=1&resourceVersion={}&fieldSelector=metadata.name%3Dnone",
        version(&list)
    );
    let mut watch = s.watch(&format!("{}?{query}", s.maps())).await?;
    is(watch.next().await?.map(|(kind, _)| kind), None::<String>)
}

async fn a_version_from_before_the_history_is_expired(s: &Scope) -> Outcome {
    // The history of a custom resource begins with its definition.
    let things = super::definitions::install(s, super::definitions::plain(s)).await?;
    let mut watch = s.watch(&format!("{things}?watch=true&resourceVersion=1")).await?;
    let (kind, status) = event(&mut watch).await?;
    is(kind, "ERROR")?;
    is((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")))?;
    has(status["message"].as_str().unwrap_or_default(), "too old resource version: 1 (")
}

async fn a_watch_shows_tables_and_metadata(s: &Scope) -> Outcome {
    s.post(&s.maps(), config_map("a", json!({"k": "v"}))).await?.ok()?;
    let query = "watch=true&fieldSelector=metadata.name%3Da";
    let mut watch = s.watch_as(&format!("{}?{query}", s.maps()), TABLE).await?;
    let (_, first) = event(&mut watch).await?;
    s.merge(&format!("{}/a", s.maps()), json!({"data": {"l": "w"}})).await?.ok()?;
    let (_, second) = event(&mut watch).await?;
    holds(first["columnDefinitions"].is_array(), "the first table has columns")?;
    holds(second["columnDefinitions"].is_null(), "the next one has none")?;
    is(&second["rows"][0]["cells"][1], 2)?;
    let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut watch = s.watch_as(&format!("{}?{query}", s.maps()), metadata).await?;
    is(&event(&mut watch).await?.1["kind"], "PartialObjectMetadata")
}

async fn a_watch_that_cannot_be_is_refused(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for query in
        ["watch=true&resourceVersion=x", "watch=true&labelSelector=%3D%3D", "watch=true&fieldSelector=a%3Db"]
    {
        let answer = s.get(&format!("{}?{query}", s.maps())).await?;
        found.insert(query.to_owned(), brief(&answer));
    }
    s.expect("bad-watches", &Value::Object(found))
}

async fn watchers_of_both_kinds_see_every_change(s: &Scope) -> Outcome {
    for strategy in [watcher::InitialListStrategy::ListWatch, watcher::InitialListStrategy::StreamingList] {
        let config = watcher::Config { initial_list_strategy: strategy, ..watcher::Config::default() };
        let maps: kube::Api<ConfigMap> = kube::Api::namespaced(s.client(), &s.namespace);
        let mut stream = watcher(maps, config).default_backoff().applied_objects().boxed();
        for number in 0..3 {
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}});
            let wanted = s.post(&s.maps(), body).await?.ok()?["metadata"]["name"].clone();
            let seen = async {
                while let Some(found) = stream.try_next().await.map_err(|e| e.to_string())? {
                    if found.metadata.name.as_deref() == wanted.as_str() {
                        return Ok(());
                    }
                }
                Err(Failure::new("the watcher ended"))
            };
            let bound = std::time::Duration::from_secs(15);
            tokio::time::timeout(bound, seen)
                .await
                .map_err(|_| format!("object {number} was not seen"))??;
        }
    }
    Ok(())
}

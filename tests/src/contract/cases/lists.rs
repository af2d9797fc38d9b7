//! Lists: selectors, pages, versions.

use super::prelude::*;

cases! { "lists":
    items_come_by_namespace_and_name,
    labels_select,
    fields_select,
    selectors_that_cannot_be_read_are_400,
    each_kind_has_its_fields_to_select_by,
    a_list_comes_in_pages,
    pages_belong_to_one_version,
    a_continue_that_is_none_is_400,
    a_list_at_an_exact_version_is_that_of_then,
    a_list_is_not_older_than_asked_for,
    versions_that_cannot_be_asked_for_are_refused,
    an_empty_list_has_a_version,
    a_collection_is_deleted_by_selector,
}

async fn fill(s: &Scope, all: &[(&str, Value)]) -> Outcome {
    for (name, labels) in all {
        let mut body = config_map(name, json!({"v": "old"}));
        body["metadata"]["labels"] = labels.clone();
        s.post(&s.maps(), body).await?.ok()?;
    }
    Ok(())
}

/// Names of what is listed, but for what each namespace gets.
async fn listed(s: &Scope, query: &str) -> Result<String, Failure> {
    let list = s.get(&format!("{}?{query}", s.maps())).await?.ok()?;
    Ok(names(&list).into_iter().filter(|name| name != "kube-root-ca.crt").collect::<Vec<_>>().join(","))
}

async fn items_come_by_namespace_and_name(s: &Scope) -> Outcome {
    fill(s, &[("b", json!({"mark": s.tag})), ("a.b", json!({"mark": s.tag})), ("a", json!({"mark": s.tag}))])
        .await?;
    let list = s.get(&format!("/api/v1/configmaps?labelSelector=mark%3D{}", s.tag)).await?.ok()?;
    is(names(&list), ["a", "a.b", "b"])?;
    is(&list["kind"], "ConfigMapList")?;
    is(&list["apiVersion"], "v1")?;
    holds(list["items"][0].get("kind").is_none(), "items of a built-in list carry no kind")?;
    holds(!version(&list).is_empty(), "a list has a version")
}

async fn labels_select(s: &Scope) -> Outcome {
    fill(
        s,
        &[
            ("a", json!({"app": "x", "tier": "1"})),
            ("b", json!({"app": "x", "tier": "20"})),
            ("c", json!({"app": "y"})),
            ("d", json!({})),
        ],
    )
    .await?;
    for (selector, wanted) in [
        ("app=x", "a,b"),
        ("app==x", "a,b"),
        ("app!=x", "c,d"),
        ("app", "a,b,c"),
        ("!app", "d"),
        ("app in (x,y)", "a,b,c"),
        ("app in (x),tier=1", "a"),
        ("app notin (x)", "c,d"),
        ("app,tier notin (1)", "b,c"),
        ("tier>5", "b"),
        ("tier<5", "a"),
        ("app=", ""),
        ("app in (x, )", "a,b"),
    ] {
        let query: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        is((selector, listed(s, &format!("labelSelector={query}")).await?), (selector, wanted.to_owned()))?;
    }
    Ok(())
}

async fn fields_select(s: &Scope) -> Outcome {
    fill(s, &[("a", json!({})), ("b", json!({})), ("c", json!({}))]).await?;
    let own = format!("metadata.namespace%3D{}", s.namespace);
    for (selector, wanted) in [
        ("metadata.name%3Db", "b"),
        ("metadata.name%3D%3Db", "b"),
        ("metadata.name!%3Db", "a,c"),
        ("metadata.name!%3Db,metadata.name!%3Dc", "a"),
        ("metadata.namespace%3Dother", ""),
        (own.as_str(), "a,b,c"),
    ] {
        is(
            (selector, listed(s, &format!("fieldSelector={selector}")).await?),
            (selector, wanted.to_owned()),
        )?;
    }
    Ok(())
}

async fn selectors_that_cannot_be_read_are_400(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for query in [
        "labelSelector=a%20b",
        "labelSelector=%3D%3D",
        "labelSelector=a%20in%20x",
        "labelSelector=a%3Db%2F%2F",
        "labelSelector=a%3Ex",
        "fieldSelector=spec.foo%3Db",
        "fieldSelector=metadata.name",
        "limit=x",
    ] {
        let answer = s.get(&format!("{}?{query}", s.maps())).await?;
        found.insert(query.to_owned(), brief(&answer));
    }
    s.expect("bad-selectors", &Value::Object(found))
}

async fn each_kind_has_its_fields_to_select_by(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for (version, plural, field) in [
        ("v1", "pods", "spec.nodeName"),
        ("v1", "pods", "status.phase"),
        ("v1", "pods", "spec.restartPolicy"),
        ("v1", "pods", "status.podIP"),
        ("v1", "pods", "spec.containers"),
        ("v1", "events", "involvedObject.name"),
        ("v1", "events", "involvedObject.uid"),
        ("v1", "events", "reason"),
        ("v1", "events", "type"),
        ("v1", "events", "reportingComponent"),
        ("events.k8s.io/v1", "events", "regarding.name"),
        ("events.k8s.io/v1", "events", "reason"),
        ("v1", "secrets", "type"),
        ("v1", "services", "spec.clusterIP"),
        ("v1", "services", "spec.type"),
        ("batch/v1", "jobs", "status.successful"),
        ("apps/v1", "replicasets", "status.replicas"),
        ("apps/v1", "deployments", "status.replicas"),
        ("v1", "configmaps", "data"),
    ] {
        let answer = s.get(&format!("{}?fieldSelector={field}%3Dx", s.at(version, plural))).await?;
        found.insert(format!("{version} {plural} {field}"), brief(&answer));
    }
    s.expect("selectable-fields", &Value::Object(found))
}

async fn a_list_comes_in_pages(s: &Scope) -> Outcome {
    let all = ["a", "b", "c", "d"];
    fill(s, &all.map(|name| (name, json!({"page": "yes"})))).await?;
    let path = s.maps();
    s.becomes(&format!("{path}/kube-root-ca.crt"), "what each namespace gets", |_| true).await?;
    let first = s.get(&format!("{path}?limit=2")).await?.ok()?;
    is(names(&first), ["a", "b"])?;
    is(&first["metadata"]["remainingItemCount"], 3)?;
    let token = first["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    let second = s.get(&format!("{path}?limit=9&continue={token}")).await?.ok()?;
    is(names(&second), ["c", "d", "kube-root-ca.crt"])?;
    holds(second["metadata"].get("continue").is_none(), "the last page is the last")?;
    is(version(&second), version(&first))?;
    let selected = s.get(&format!("{path}?limit=2&labelSelector=page")).await?.ok()?;
    holds(selected["metadata"].get("remainingItemCount").is_none(), "with a selector nobody counts the rest")
}

async fn pages_belong_to_one_version(s: &Scope) -> Outcome {
    fill(s, &["a", "b", "c"].map(|name| (name, json!({})))).await?;
    let path = s.maps();
    let first = s.get(&format!("{path}?limit=1")).await?.ok()?;
    let token = first["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    s.delete(&format!("{path}/b")).await?.ok()?;
    s.merge(&format!("{path}/c"), json!({"data": {"v": "new"}})).await?.ok()?;
    fill(s, &[("bb", json!({}))]).await?;
    let rest = s.get(&format!("{path}?limit=2&continue={token}")).await?.ok()?;
    is(names(&rest), ["b", "c"])?;
    is(&rest["items"][1]["data"]["v"], "old")
}

async fn a_continue_that_is_none_is_400(s: &Scope) -> Outcome {
    let answer = s.get(&format!("{}?limit=1&continue=nonsense", s.maps())).await?;
    is(&answer.body["reason"], "BadRequest")?;
    has(&answer.error(400)?, "continue key is not valid")?;
    fill(s, &[("a", json!({})), ("b", json!({}))]).await?;
    let first = s.get(&format!("{}?limit=1", s.maps())).await?.ok()?;
    let token = first["metadata"]["continue"].as_str().unwrap_or_default();
    let both =
        s.get(&format!("{}?limit=1&continue={token}&resourceVersion={}", s.maps(), version(&first))).await?;
    s.expect("continue-with-a-version", &brief(&both))
}

async fn a_list_at_an_exact_version_is_that_of_then(s: &Scope) -> Outcome {
    fill(s, &[("a", json!({})), ("b", json!({}))]).await?;
    let before = s.get(&s.maps()).await?.ok()?;
    s.delete(&format!("{}/a", s.maps())).await?.ok()?;
    let query = format!("resourceVersion={}&resourceVersionMatch=Exact", version(&before));
    is(listed(s, &query).await?, "a,b".to_owned())?;
    is(listed(s, "").await?, "b".to_owned())
}

async fn a_list_is_not_older_than_asked_for(s: &Scope) -> Outcome {
    fill(s, &[("a", json!({}))]).await?;
    let now = s.get(&s.maps()).await?.ok()?;
    let version = version(&now);
    for query in [
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={version}"),
        format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan"),
    ] {
        s.get(&format!("{}?{query}", s.maps())).await?.ok()?;
    }
    is(listed(s, &format!("resourceVersion={version}")).await?, "a".to_owned())
}

async fn versions_that_cannot_be_asked_for_are_refused(s: &Scope) -> Outcome {
    let answers = json!({
        "not a number": brief(&s.get(&format!("{}?resourceVersion=x", s.maps())).await?),
        "match alone": brief(&s.get(&format!("{}?resourceVersionMatch=Exact", s.maps())).await?),
        "exactly any": brief(&s.get(&format!("{}?resourceVersion=0&resourceVersionMatch=Exact", s.maps())).await?),
        "another match": brief(&s.get(&format!("{}?resourceVersion=1&resourceVersionMatch=Best", s.maps())).await?),
    });
    s.expect("list-versions", &answers)?;
    let future =
        s.get(&format!("{}?resourceVersion=99999999&resourceVersionMatch=NotOlderThan", s.maps())).await?;
    is(&future.body["reason"], "Timeout")?;
    is(&future.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge")?;
    has(&future.error(504)?, "Too large resource version: 99999999, current: ")
}

async fn an_empty_list_has_a_version(s: &Scope) -> Outcome {
    let list = s.get(&s.at("apps/v1", "statefulsets")).await?.ok()?;
    s.expect("empty-list", &list)
}

async fn a_collection_is_deleted_by_selector(s: &Scope) -> Outcome {
    fill(s, &[("a", json!({"go": "yes"})), ("b", json!({"go": "no"})), ("c", json!({"go": "yes"}))]).await?;
    let answer = s.delete(&format!("{}?labelSelector=go%3Dyes", s.maps())).await?.code(200)?;
    is(&answer["kind"], "ConfigMapList")?;
    is(names(&answer), ["a", "c"])?;
    is(listed(s, "").await?, "b".to_owned())
}

//! Garbage collection by owner references.

use super::prelude::*;

cases! { "garbage collection":
    dependents_follow_their_last_owner,
    a_chain_of_owners_goes_as_a_whole,
    an_owner_with_another_uid_is_no_owner,
    orphans_stay,
    foreground_waits_for_dependents_that_block,
    foreground_does_not_wait_for_those_that_do_not_block,
    an_owner_in_another_namespace_is_no_owner,
    a_custom_resource_owns_what_it_made,
    policies_can_be_asked_for_in_the_query,
}

async fn owned(s: &Scope, name: &str, owners: &[&Value]) -> Result<Value, Failure> {
    let mut body = config_map(name, json!({}));
    let references = owners.iter().map(|owner| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
        })
    });
    body["metadata"]["ownerReferences"] = references.collect();
    s.post(&s.maps(), body).await?.ok()
}

fn path(s: &Scope, name: &str) -> String {
    format!("{}/{name}", s.maps())
}

async fn delete(s: &Scope, name: &str, policy: &str) -> Outcome {
    s.delete_with(&path(s, name), json!({"propagationPolicy": policy})).await?.ok()?;
    Ok(())
}

async fn dependents_follow_their_last_owner(s: &Scope) -> Outcome {
    let a = owned(s, "a", &[]).await?;
    let b = owned(s, "b", &[]).await?;
    owned(s, "only-a", &[&a]).await?;
    let both = owned(s, "both", &[&a, &b]).await?;
    delete(s, "a", "Background").await?;
    s.gone(&path(s, "only-a")).await?;
    let one =
        |found: &Value| found["metadata"]["ownerReferences"].as_array().is_some_and(|list| list.len() == 1);
    let left = s.becomes(&path(s, "both"), "one owner left", one).await?;
    is(&left["metadata"]["uid"], &both["metadata"]["uid"])?;
    is(&left["metadata"]["ownerReferences"][0]["name"], "b")?;
    delete(s, "b", "Background").await?;
    s.gone(&path(s, "both")).await
}

async fn a_chain_of_owners_goes_as_a_whole(s: &Scope) -> Outcome {
    let first = owned(s, "first", &[]).await?;
    let second = owned(s, "second", &[&first]).await?;
    owned(s, "third", &[&second]).await?;
    delete(s, "first", "Background").await?;
    s.gone(&path(s, "second")).await?;
    s.gone(&path(s, "third")).await
}

async fn an_owner_with_another_uid_is_no_owner(s: &Scope) -> Outcome {
    let mut a = owned(s, "a", &[]).await?;
    a["metadata"]["uid"] = "11111111-2222-4333-8444-555555555555".into();
    owned(s, "child", &[&a]).await?;
    s.gone(&path(s, "child")).await?;
    s.get(&path(s, "a")).await?.ok()?;
    Ok(())
}

async fn orphans_stay(s: &Scope) -> Outcome {
    let a = owned(s, "a", &[]).await?;
    owned(s, "child", &[&a]).await?;
    delete(s, "a", "Orphan").await?;
    s.gone(&path(s, "a")).await?;
    let child = s.get(&path(s, "child")).await?.ok()?;
    holds(child["metadata"].get("ownerReferences").is_none(), "it has no owner any more")
}

async fn foreground_waits_for_dependents_that_block(s: &Scope) -> Outcome {
    let a = owned(s, "a", &[]).await?;
    let child = owned(s, "child", &[&a]).await?;
    let held = json!({"metadata": {"finalizers": ["contract.obstack.test/hold"]}});
    s.merge(&path(s, "child"), held).await?.ok()?;
    delete(s, "a", "Foreground").await?;
    let marked = |found: &Value| found["metadata"]["deletionTimestamp"].is_string();
    let going = s.becomes(&path(s, "child"), "the dependent's mark", marked).await?;
    is(&going["metadata"]["uid"], &child["metadata"]["uid"])?;
    let owner = s.get(&path(s, "a")).await?.ok()?;
    is(&owner["metadata"]["finalizers"], &json!(["foregroundDeletion"]))?;
    s.merge(&path(s, "child"), json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(&path(s, "a")).await
}

async fn foreground_does_not_wait_for_those_that_do_not_block(s: &Scope) -> Outcome {
    let a = owned(s, "a", &[]).await?;
    owned(s, "child", &[&a]).await?;
    let change = json!([
        {"op": "add", "path": "/metadata/finalizers", "value": ["contract.obstack.test/hold"]},
        {"op": "replace", "path": "/metadata/ownerReferences/0/blockOwnerDeletion", "value": false},
    ]);
    s.json(&path(s, "child"), change).await?.ok()?;
    delete(s, "a", "Foreground").await?;
    s.gone(&path(s, "a")).await?;
    s.merge(&path(s, "child"), json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(&path(s, "child")).await
}

async fn an_owner_in_another_namespace_is_no_owner(s: &Scope) -> Outcome {
    let default = s.get("/api/v1/namespaces/default/configmaps/kube-root-ca.crt").await?.ok()?;
    owned(s, "child", &[&default]).await?;
    s.gone(&path(s, "child")).await
}

async fn a_custom_resource_owns_what_it_made(s: &Scope) -> Outcome {
    let things = super::definitions::install(s, super::definitions::plain(s)).await?;
    let owner = s.post(&things, super::definitions::thing(s, "a", json!({}))).await?.ok()?;
    let mut body = config_map("child", json!({}));
    body["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": "Thing", "name": "a", "uid": owner["metadata"]["uid"],
        "controller": true,
    }]);
    s.post(&s.maps(), body).await?.ok()?;
    s.delete(&format!("{things}/a")).await?.ok()?;
    s.gone(&path(s, "child")).await
}

async fn policies_can_be_asked_for_in_the_query(s: &Scope) -> Outcome {
    let a = owned(s, "a", &[]).await?;
    owned(s, "child", &[&a]).await?;
    s.delete(&format!("{}?propagationPolicy=Orphan", path(s, "a"))).await?.ok()?;
    s.gone(&path(s, "a")).await?;
    s.get(&path(s, "child")).await?.ok()?;
    Ok(())
}

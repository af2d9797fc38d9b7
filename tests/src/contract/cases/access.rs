//! Authorization: rules, names, the guard against granting more than one holds, reviews, impersonation.

use super::prelude::*;
use obstack_sandbox::raw::Ask;

cases! { "access":
    an_account_without_rights_is_told_what_it_may_not,
    an_account_may_do_what_its_rules_say,
    names_limit_a_right,
    subresources_are_rights_of_their_own,
    an_apply_of_what_is_missing_needs_to_create,
    everybody_may_discover,
    nobody_grants_what_they_do_not_hold,
    nobody_binds_what_they_do_not_hold,
    reviews_answer_by_the_same_rules,
    a_holder_asks_what_he_may_in_each_namespace,
    rules_are_shown_to_their_holder,
    a_user_can_be_impersonated,
    impersonation_is_a_right,
    who_has_no_token_is_anonymous,
    a_wrong_token_is_401,
    who_one_is,
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn binding(s: &Scope, account: &str, kind: &str, role: &str) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": format!("{account}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": s.namespace}],
    })
}

fn role(name: &str, rules: Value) -> Value {
    json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": name}, "rules": rules})
}

/// Grants rules to an account, and waits until a request that needs them is let through.
async fn grant(s: &Scope, account: &str, name: &str, rules: Value) -> Outcome {
    let ask = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{}:{account}", s.namespace),
            "groups": ["system:authenticated", "system:serviceaccounts"],
            "resourceAttributes": {
                "namespace": s.namespace, "verb": rules[0]["verbs"][0], "group": rules[0]["apiGroups"][0],
                "resource": rules[0]["resources"][0], "name": rules[0]["resourceNames"][0],
            },
        },
    });
    s.post(&s.at(RBAC, "roles"), role(name, rules)).await?.ok()?;
    s.post(&s.at(RBAC, "rolebindings"), binding(s, account, "Role", name)).await?.ok()?;
    s.until("the rights to be known", async || {
        let answer = s.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", ask.clone()).await?.ok()?;
        Ok((answer["status"]["allowed"] == true).then_some(()))
    })
    .await
}

async fn an_account_without_rights_is_told_what_it_may_not(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let answers = json!({
        "list": brief(&me.get(&s.maps()).await?),
        "get": brief(&me.get(&format!("{}/a", s.maps())).await?),
        "everywhere": brief(&me.get("/api/v1/configmaps").await?),
        "cluster-scoped": brief(&me.get("/api/v1/nodes").await?),
        "of a group": brief(&me.post(&s.at("apps/v1", "deployments"), deployment("a")).await?),
        "subresource": brief(&me.get(&s.at("apps/v1", "deployments/a/scale")).await?),
        "path": brief(&me.get("/metrics").await?),
    });
    s.expect("forbidden", &answers)
}

async fn an_account_may_do_what_its_rules_say(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "create"]}]);
    grant(s, "me", "maps", rules).await?;
    me.get(&s.maps()).await?.code(200)?;
    me.post(&s.maps(), config_map("a", json!({}))).await?.code(201)?;
    me.get(&format!("{}/a", s.maps())).await?.error(403)?;
    me.delete(&format!("{}/a", s.maps())).await?.error(403)?;
    me.get("/api/v1/configmaps").await?.error(403)?;
    me.get(&format!("{}?watch=true", s.maps())).await?.error(403)?;
    Ok(())
}

async fn names_limit_a_right(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([{
        "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"], "resourceNames": ["mine"],
    }]);
    grant(s, "me", "mine", rules).await?;
    me.get(&format!("{}/mine", s.maps())).await?.error(404)?;
    me.get(&format!("{}?fieldSelector=metadata.name%3Dmine", s.maps())).await?.code(200)?;
    let message = me.get(&format!("{}/other", s.maps())).await?.error(403)?;
    holds(message.starts_with("configmaps \"other\" is forbidden: User \"system:serviceaccount:"), &message)?;
    me.get(&s.maps()).await?.error(403)?;
    Ok(())
}

async fn subresources_are_rights_of_their_own(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["statefulsets/status"], "verbs": ["*"]},
    ]);
    s.post(&s.at(RBAC, "roles"), role("sub", rules)).await?.ok()?;
    s.post(&s.at(RBAC, "rolebindings"), binding(s, "me", "Role", "sub")).await?.ok()?;
    let scale = s.at("apps/v1", "deployments/x/scale");
    s.until("the rights to be known", async || Ok((me.get(&scale).await?.code == 404).then_some(()))).await?;
    me.get(&s.at("apps/v1", "deployments/x")).await?.error(403)?;
    me.get(&s.at("apps/v1", "statefulsets/x/status")).await?.error(404)?;
    me.get(&s.at("apps/v1", "statefulsets/x")).await?.error(403)?;
    Ok(())
}

async fn an_apply_of_what_is_missing_needs_to_create(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    grant(s, "me", "patch", rules).await?;
    let path = format!("{}/a", s.maps());
    let message = me.apply(&path, "me", config_map("a", json!({}))).await?.error(403)?;
    has(&message, "cannot create resource \"configmaps\"")?;
    s.post(&s.maps(), config_map("a", json!({}))).await?.ok()?;
    me.apply(&path, "me", config_map("a", json!({"a": "b"}))).await?.code(200)?;
    Ok(())
}

async fn everybody_may_discover(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    for path in ["/version", "/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v3", "/healthz"] {
        me.get(path).await?.code(200)?;
    }
    Ok(())
}

async fn nobody_grants_what_they_do_not_hold(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
            "verbs": ["create", "patch", "get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ]);
    grant(s, "me", "granter", rules).await?;
    let of = |verbs: Value| json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
    let roles = s.at(RBAC, "roles");
    me.post(&roles, role("fine", of(json!(["get", "list"])))).await?.code(201)?;
    let more = me.post(&roles, role("more", of(json!(["get", "watch"])))).await?;
    let all = me.post(&roles, role("all", of(json!(["*"])))).await?;
    let change = json!({"rules": of(json!(["delete"]))});
    let changed = me.merge(&format!("{roles}/fine"), change).await?;
    s.expect("escalation", &json!({"more": brief(&more), "all": brief(&all), "changed": brief(&changed)}))
}

async fn nobody_binds_what_they_do_not_hold(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]);
    grant(s, "me", "binder", rules).await?;
    let of = |verbs: Value| json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
    s.post(&s.at(RBAC, "roles"), role("held", of(json!(["get"])))).await?.ok()?;
    s.post(&s.at(RBAC, "roles"), role("more", of(json!(["delete"])))).await?.ok()?;
    let bindings = s.at(RBAC, "rolebindings");
    // The guard sees roles through a cache.
    s.until("the role to be known", async || {
        let answer = me.post(&format!("{bindings}?dryRun=All"), binding(s, "me", "Role", "held")).await?;
        Ok((answer.code == 201).then_some(()))
    })
    .await?;
    let refused = me.post(&bindings, binding(s, "me", "Role", "more")).await?;
    has(&refused.error(403)?, "is attempting to grant RBAC permissions not currently held:")?;
    me.post(&bindings, binding(s, "me", "ClusterRole", "cluster-admin")).await?.error(403)?;
    me.post(&bindings, binding(s, "me", "Role", "missing")).await?.error(404)?;
    Ok(())
}

async fn reviews_answer_by_the_same_rules(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let ask = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": s.namespace}},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let denied = me.post(path, ask.clone()).await?.code(201)?;
    let admin = s.post(path, ask.clone()).await?.ok()?;
    is(&admin["status"]["allowed"], true)?;
    grant(s, "me", "pods", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}])).await?;
    let allowed = me.post(path, ask).await?.ok()?;
    s.expect("reviews", &json!({"denied": denied, "allowed": allowed}))
}

/// What the decisions page asks with the token of whoever reads it.
async fn a_holder_asks_what_he_may_in_each_namespace(s: &Scope) -> Outcome {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let ask = |namespace: &str| {
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": "obstack.io", "resource": "observabilitystacks", "verb": "get", "namespace": namespace,
            }},
        })
    };
    let me = s.account("me").await?;
    let stacks =
        json!([{"apiGroups": ["obstack.io"], "resources": ["observabilitystacks"], "verbs": ["get"]}]);
    grant(s, "me", "stacks", stacks).await?;
    let answer = me.post(path, ask(&s.namespace)).await?.code(201)?;
    is(&answer["status"]["allowed"], true)?;
    for other in ["default", ""] {
        let answer = me.post(path, ask(other)).await?.code(201)?;
        is(&answer["status"], &json!({"allowed": false}))?;
    }
    s.with_token(Some("broken")).await?.post(path, ask(&s.namespace)).await?.error(401)?;
    s.with_token(None).await?.post(path, ask(&s.namespace)).await?.error(403)?;
    Ok(())
}

async fn rules_are_shown_to_their_holder(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    grant(s, "me", "pods", rules.clone()).await?;
    let ask = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": s.namespace},
    });
    let shown = me.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", ask).await?.code(201)?;
    let found = shown["status"]["resourceRules"].as_array().cloned().unwrap_or_default();
    holds(
        found.iter().any(|rule| rule["resources"] == json!(["pods"]) && rule["verbs"] == json!(["get"])),
        &shown,
    )?;
    is(&shown["status"]["incomplete"], false)
}

async fn a_user_can_be_impersonated(s: &Scope) -> Outcome {
    let path = s.maps();
    let user = format!("system:serviceaccount:{}:default", s.namespace);
    let headers = [("impersonate-user", user.as_str()), ("accept", "application/json")];
    let ask = || Ask { method: "GET", path: &path, headers: &headers, body: Vec::new() };
    let refused = s.ask(ask()).await?;
    s.expect("impersonated", &brief(&refused))?;
    let masters = [("impersonate-user", "somebody"), ("impersonate-group", "system:masters")];
    s.ask(Ask { method: "GET", path: &path, headers: &masters, body: Vec::new() }).await?.code(200)?;
    let group = [("impersonate-group", "system:masters")];
    s.ask(Ask { method: "GET", path: &path, headers: &group, body: Vec::new() }).await?.error(400)?;
    Ok(())
}

async fn impersonation_is_a_right(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let path = s.maps();
    let headers = [("impersonate-user", "somebody")];
    let refused = me.ask(Ask { method: "GET", path: &path, headers: &headers, body: Vec::new() }).await?;
    is(&refused.body["reason"], "Forbidden")?;
    has(&refused.error(403)?, "cannot impersonate")
}

async fn who_has_no_token_is_anonymous(s: &Scope) -> Outcome {
    let nobody = s.with_token(None).await?;
    nobody.get("/livez").await?.code(200)?;
    let refused = nobody.get(&s.maps()).await?;
    s.expect("anonymous", &brief(&refused))
}

async fn a_wrong_token_is_401(s: &Scope) -> Outcome {
    let nobody = s.with_token(Some("nonsense")).await?;
    s.expect("unauthorized", &brief(&nobody.get(&s.maps()).await?))
}

async fn who_one_is(s: &Scope) -> Outcome {
    let me = s.account("me").await?;
    let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let found = me.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", ask).await?.code(201)?;
    let user = &found["status"]["userInfo"];
    is(&user["username"], &json!(format!("system:serviceaccount:{}:me", s.namespace)))?;
    is(
        &user["groups"],
        &json!([
            "system:serviceaccounts",
            format!("system:serviceaccounts:{}", s.namespace),
            "system:authenticated"
        ]),
    )
}

//! Tokens of accounts.

use super::prelude::*;

cases! { "tokens":
    a_token_is_made_for_an_account,
    a_token_names_its_account,
    a_token_can_be_for_others,
    a_token_ends_with_its_account,
    a_token_lives_ten_minutes_at_least,
    a_token_for_nobody_is_404,
    a_review_of_nonsense_says_no,
}

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

fn request(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

fn review(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
}

async fn account(s: &Scope) -> Result<String, Failure> {
    let path = s.at("v1", "serviceaccounts");
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    s.post(&path, object).await?.ok()?;
    Ok(format!("{path}/a/token"))
}

async fn a_token_is_made_for_an_account(s: &Scope) -> Outcome {
    let path = account(s).await?;
    let answer = s.post(&path, request(json!({"expirationSeconds": 3600}))).await?.code(201)?;
    is((&answer["kind"], &answer["spec"]["expirationSeconds"]), (&json!("TokenRequest"), &json!(3600)))?;
    is((&answer["metadata"]["name"], &answer["metadata"]["namespace"]), (&json!("a"), &json!(s.namespace)))?;
    let token = answer["status"]["token"].as_str().unwrap_or_default();
    is(token.split('.').count(), 3)?;
    holds(answer["status"]["expirationTimestamp"].is_string(), "it says when it ends")
}

async fn a_token_names_its_account(s: &Scope) -> Outcome {
    let token = s.token("a").await?;
    let status = s.post(REVIEWS, review(json!({"token": token}))).await?.code(201)?["status"].clone();
    is(&status["authenticated"], true)?;
    is(&status["user"]["username"], &json!(format!("system:serviceaccount:{}:a", s.namespace)))?;
    let account = s.get(&s.at("v1", "serviceaccounts/a")).await?.ok()?;
    is(&status["user"]["uid"], &account["metadata"]["uid"])
}

async fn a_token_can_be_for_others(s: &Scope) -> Outcome {
    let path = account(s).await?;
    let answer = s.post(&path, request(json!({"audiences": ["vault"]}))).await?.code(201)?;
    is(&answer["spec"]["audiences"], &json!(["vault"]))?;
    let token = answer["status"]["token"].as_str().unwrap_or_default();
    let with = s.post(REVIEWS, review(json!({"token": token, "audiences": ["vault", "x"]}))).await?.ok()?;
    is((&with["status"]["authenticated"], &with["status"]["audiences"]), (&json!(true), &json!(["vault"])))?;
    let without = s.post(REVIEWS, review(json!({"token": token}))).await?.ok()?;
    holds(without["status"]["authenticated"] != true, "it is not for the server")?;
    s.with_token(Some(token)).await?.get("/version").await?.error(401)?;
    Ok(())
}

async fn a_token_ends_with_its_account(s: &Scope) -> Outcome {
    let me = s.account("a").await?;
    me.get("/version").await?.code(200)?;
    s.delete(&s.at("v1", "serviceaccounts/a")).await?.ok()?;
    // A real server remembers for some seconds that a token was good.
    s.until("the end of the token", async || Ok((me.get("/version").await?.code == 401).then_some(()))).await
}

async fn a_token_lives_ten_minutes_at_least(s: &Scope) -> Outcome {
    let path = account(s).await?;
    s.expect("token-too-short", &brief(&s.post(&path, request(json!({"expirationSeconds": 10}))).await?))
}

async fn a_token_for_nobody_is_404(s: &Scope) -> Outcome {
    let path = s.at("v1", "serviceaccounts/none/token");
    is(s.post(&path, request(json!({}))).await?.error(404)?, "serviceaccounts \"none\" not found")
}

async fn a_review_of_nonsense_says_no(s: &Scope) -> Outcome {
    let status = s.post(REVIEWS, review(json!({"token": "nonsense"}))).await?.code(201)?["status"].clone();
    holds(status["authenticated"] != true, "it is not good")?;
    holds(status["error"].is_string(), "it says why")?;
    let empty = s.post(REVIEWS, review(json!({}))).await?;
    s.expect("review-of-nothing", &brief(&empty))
}

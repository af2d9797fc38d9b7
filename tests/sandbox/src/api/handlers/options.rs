//! What the query of a request may say.

use super::super::errors::{ApiError, ApiResult, Cause};
use super::super::server::Context;
use serde_json::{Value, json};

/// Longest name of a manager of fields, in bytes.
const LONGEST_MANAGER: usize = 128;

/// Refuses parameters that cannot be, alone or together.
pub(super) fn check(ctx: &Context) -> ApiResult<()> {
    if ctx.query.get("fieldManager").len() > LONGEST_MANAGER {
        let text = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
        let cause = Cause::new("FieldValueTooLong", "fieldManager", text);
        return Err(ApiError::options(ctx.info.options(), vec![cause]));
    }
    match ctx.info.verb.as_str() {
        "list" => numbers(ctx).and_then(|()| refuse(list(ctx))),
        "watch" => numbers(ctx).and_then(|()| refuse(watch(ctx))),
        _ => Ok(()),
    }
}

fn refuse(causes: Vec<Cause>) -> ApiResult<()> {
    if causes.is_empty() { Ok(()) } else { Err(ApiError::options("ListOptions", causes)) }
}

fn numbers(ctx: &Context) -> ApiResult<()> {
    for name in ["limit", "timeoutSeconds"] {
        let found = ctx.query.get(name);
        if !found.is_empty() && found.parse::<i64>().is_err() {
            return Err(ApiError::bad_request(format!(
                "strconv.ParseInt: parsing {found:?}: invalid syntax"
            )));
        }
    }
    Ok(())
}

fn list(ctx: &Context) -> Vec<Cause> {
    let (version, matching) = (ctx.query.get("resourceVersion"), ctx.query.get("resourceVersionMatch"));
    let mut causes = Vec::new();
    if !ctx.query.get("sendInitialEvents").is_empty() {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if matching.is_empty() {
        return causes;
    }
    if version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        causes.push(Cause::forbidden("resourceVersionMatch", why));
    }
    if !matches!(matching, "Exact" | "NotOlderThan") {
        let supported = ["Exact", "NotOlderThan", ""].map(str::to_owned);
        causes.push(Cause::not_supported("resourceVersionMatch", &Value::from(matching), &supported));
    } else if matching == "Exact" && version == "0" {
        let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        causes.push(Cause::forbidden("resourceVersionMatch", why));
    }
    causes
}

fn watch(ctx: &Context) -> Vec<Cause> {
    let (initial, matching) = (ctx.query.get("sendInitialEvents"), ctx.query.get("resourceVersionMatch"));
    let mut causes = Vec::new();
    if initial.is_empty() {
        if !matching.is_empty() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden("resourceVersionMatch", why));
        }
    } else if matching != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden("resourceVersionMatch", why));
        if !matching.is_empty() {
            let supported = ["NotOlderThan".to_owned()];
            causes.push(Cause::not_supported("resourceVersionMatch", &json!(matching), &supported));
        }
    }
    causes
}

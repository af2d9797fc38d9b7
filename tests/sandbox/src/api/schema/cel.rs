//! CEL rules of custom resource definitions.

use super::super::errors::Cause;
use kube::core::cel::{CompiledSchema, RootContext, Validator, compile_schema};
use serde_json::Value;

/// Compiled rules of one schema.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    /// Whether there is any.
    any: bool,
    context: RootContext,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

impl Rules {
    pub(crate) fn compile(schema: &Value, group: &str, version: &str, kind: &str) -> Self {
        let context = RootContext {
            api_version: format!("{group}/{version}"),
            api_group: group.to_owned(),
            kind: kind.to_owned(),
        };
        Self { compiled: compile_schema(schema), any: has_rules(schema), context }
    }

    /// Rules that cannot be compiled, for the validation of a definition.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.compiled.compilation_errors().into_iter().map(ToString::to_string).collect()
    }

    /// Checks an object in which these faults were found already: some kinds of fault hold the rules up.
    pub(crate) fn check_after(&self, found: &[Cause], object: &Value, old: Option<&Value>) -> Vec<Cause> {
        if found.iter().any(|cause| BLOCKING.contains(&cause.reason)) {
            return self.any.then(not_checked).into_iter().collect();
        }
        self.check(object, old)
    }

    /// Checks an object; `old` is the stored one, for rules that compare.
    fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let outcome =
            Validator::new().validate_compiled_with_context(&self.compiled, object, old, Some(&self.context));
        let Err(errors) = outcome else { return Vec::new() };
        errors
            .into_vec()
            .into_iter()
            .map(|error| {
                let field = if error.field_path.is_empty() { "<nil>" } else { error.field_path.as_str() };
                match error.reason.as_deref() {
                    Some("FieldValueForbidden") => Cause::forbidden(field, &error.message),
                    Some("FieldValueRequired") => Cause::required(field, &error.message),
                    // The server shows no value beside a rule's own message.
                    _ => Cause::new("FieldValueInvalid", field, format!("Invalid value: {}", error.message)),
                }
            })
            .collect()
    }
}

/// Faults of an object that has to be mended before rules are worth looking at.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];

fn not_checked() -> Cause {
    let why = "some validation rules were not checked because the object was invalid; \
               correct the existing errors to complete validation";
    Cause::new("FieldValueInvalid", "<nil>", format!("Invalid value: null: {why}"))
}

/// Whether a schema, or one below it, has a rule.
fn has_rules(schema: &Value) -> bool {
    let below = |name: &str| schema.get(name).filter(|below| below.is_object());
    schema.get("x-kubernetes-validations").is_some()
        || ["items", "additionalProperties"].into_iter().filter_map(below).any(has_rules)
        || schema["properties"].as_object().is_some_and(|fields| fields.values().any(has_rules))
}

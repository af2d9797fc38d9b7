//! Pure: everything that is wrong with an object of ours, at once. The shape comes from the CRD's own schema,
//! the meaning from [`crate::validate`], so that nothing passes here that the API server or the operator
//! refuses.

mod cel;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::{CompiledSchema, compile_schema};
use obstack_crds::stack::ObservabilityStackSpec;
use obstack_crds::{Component, ObservabilityStack};
use serde_json::{Value, json};

use crate::decide::Catalog;
use crate::names::StackId;
use crate::scrape::authored;
use crate::validate::{Fault, Valid, all_faults, quoted, validate};
use crate::yaml::marked::Node;

/// Kind of a stack.
pub const STACK: &str = "ObservabilityStack";
/// Kind of a decision record.
pub const RECORD: &str = "DecisionRecord";

/// What an object turned out to be.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The object as the API server would take it: no empty fields, nothing that has no place in it.
    pub body: Value,
    /// What is wrong with its form: unknown fields, wrong types, bounds, rules of the schema.
    pub shape: Vec<Fault>,
    /// What is wrong with its meaning, broken rule groups included.
    pub meaning: Vec<Fault>,
}

impl Checked {
    /// Every fault; of two at one path, the one that knows more.
    pub fn faults(&self) -> Vec<Fault> {
        let told: BTreeSet<&str> = self.meaning.iter().map(|fault| fault.path.as_str()).collect();
        let shape = self.shape.iter().filter(|fault| !told.contains(fault.path.as_str()));
        shape.chain(&self.meaning).cloned().collect()
    }
}

/// Checks a stack. What people choose must be an option of this catalog; without one, of the embedded one.
pub fn check_stack(node: &Node, id: &StackId, catalog: Option<&Catalog>) -> Checked {
    let (mut checked, replaced) = check_shape(node, STACK);
    let spec = checked.body.get("spec").cloned().unwrap_or_else(|| json!({}));
    checked.shape.extend(opaque_faults(&spec));
    let Ok(spec) = serde_json::from_value::<ObservabilityStackSpec>(spec) else { return checked };
    let mut meaning = all_faults(id.clone(), &spec);
    meaning.extend(authored::faults(id, &spec));
    meaning.extend(catalog_faults(&spec, catalog));
    meaning.extend(library_faults(&spec));
    // Where a stand-in took the place of something, its form is at fault and not its meaning.
    meaning.retain(|fault| {
        !replaced.iter().any(|path| fault.path.strip_prefix(path.as_str()).is_some_and(starts_step))
    });
    // A rule of the schema and the validation can say the same of a name.
    checked.meaning = meaning;
    checked
}

/// A stack that means something. What is wrong with the fields that have the peers' names only the builder of jobs can
/// say, so this stands above it; `validate` alone is for one whose fields have been judged.
///
/// # Errors
/// Everything that is wrong with it.
pub fn judge_stack(
    id: StackId,
    spec: &ObservabilityStackSpec,
    pinned_defaults: Option<u32>,
) -> Result<Valid, Vec<Fault>> {
    let authored = authored::faults(&id, spec);
    match validate(id, spec, pinned_defaults) {
        Ok(valid) if authored.is_empty() => Ok(valid),
        Ok(_) => Err(authored),
        Err(mut faults) => {
            faults.extend(authored);
            Err(faults)
        }
    }
}

fn starts_step(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}

/// Checks a decision record: its form only, since the operator writes it.
pub fn check_record(node: &Node) -> Checked {
    check_shape(node, RECORD).0
}

/// The stack of an object without faults of form.
///
/// # Errors
/// The reader's, which only a schema that differs from the types can cause.
pub fn to_stack(checked: &Checked) -> Result<ObservabilityStack, Fault> {
    serde_json::from_value(checked.body.clone()).map_err(|error| Fault {
        path: "spec".to_owned(),
        found: error.to_string(),
        write: "what the reference of the field says".to_owned(),
    })
}

/// The form of an object, and the paths at which a stand-in took the place of what was there.
fn check_shape(node: &Node, kind: &str) -> (Checked, Vec<String>) {
    let Some((schema, rules)) = SCHEMAS.get(kind) else { return (Checked::default(), Vec::new()) };
    let mut walk = schema::Walk::default();
    let body = walk.read(schema, node, "").unwrap_or_else(|| json!({}));
    let broken: BTreeSet<String> = walk.faults.iter().map(|fault| fault.path.clone()).collect();
    let rules = cel::faults(rules, &body).into_iter().filter(|fault| !broken.contains(&fault.path));
    walk.faults.extend(rules);
    (Checked { body, shape: walk.faults, meaning: Vec::new() }, walk.replaced)
}

/// The schema of each kind with its rules, read once: a folder of stacks is checked in one go.
static SCHEMAS: LazyLock<BTreeMap<&str, (Value, CompiledSchema)>> = LazyLock::new(|| {
    let schemas = [STACK, RECORD].into_iter().filter_map(|kind| Some((kind, schema_of(kind)?)));
    schemas.map(|(kind, schema)| (kind, (schema.clone(), compile_schema(&schema)))).collect()
});

/// The structural schema of a kind, with what the API server knows of every object.
fn schema_of(kind: &str) -> Option<Value> {
    let has_kind = |crd: &CustomResourceDefinition| crd.spec.names.kind == kind;
    let crd = obstack_crds::all().into_iter().find(has_kind)?;
    let version = crd.spec.versions.into_iter().next()?;
    let mut schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
    let properties = schema.get_mut("properties")?.as_object_mut()?;
    properties.insert("apiVersion".into(), json!({ "type": "string" }));
    properties.insert("kind".into(), json!({ "type": "string" }));
    properties.insert("metadata".into(), metadata());
    let required = schema.get_mut("required").and_then(Value::as_array_mut);
    match required {
        Some(required) => required.push("metadata".into()),
        None => schema["required"] = json!(["metadata"]),
    }
    Some(schema)
}

/// The part of `metadata` that people write, and the names of what the API server adds.
fn metadata() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let any = json!({ "x-kubernetes-preserve-unknown-fields": true });
    let mut schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string" }, "namespace": { "type": "string" },
            "labels": texts, "annotations": texts,
        }
    });
    for added in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        schema["properties"][added] = any.clone();
    }
    schema
}

/// Objects of Kubernetes' own, which the schema takes as they are and the operator reads.
fn opaque_faults(spec: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for workload in ["metrics", "alerting", "dashboards"] {
        let path = |field: &str| format!("spec.{workload}.{field}");
        let knobs = &spec[workload];
        if let Some(value) = knobs.get("affinity") {
            reads::<Affinity>(&path("affinity"), value, "an Affinity", &mut faults);
        }
        for (index, value) in knobs["tolerations"].as_array().into_iter().flatten().enumerate() {
            reads::<Toleration>(&path(&format!("tolerations[{index}]")), value, "a Toleration", &mut faults);
        }
        for (index, value) in knobs["topologySpread"].as_array().into_iter().flatten().enumerate() {
            let path = path(&format!("topologySpread[{index}]"));
            reads::<TopologySpreadConstraint>(&path, value, "a TopologySpreadConstraint", &mut faults);
        }
    }
    faults
}

fn reads<T: serde::de::DeserializeOwned>(path: &str, value: &Value, what: &str, faults: &mut Vec<Fault>) {
    if let Err(error) = serde_json::from_value::<T>(value.clone()) {
        faults.push(Fault {
            path: path.to_owned(),
            found: format!(
                "what is no {} ({error})",
                what.trim_start_matches("an ").trim_start_matches("a ")
            ),
            write: format!("{what} as Kubernetes defines it"),
        });
    }
}

/// Choices of people that the catalog does not have.
fn catalog_faults(spec: &ObservabilityStackSpec, catalog: Option<&Catalog>) -> Vec<Fault> {
    static EMBEDDED: LazyLock<Option<Catalog>> = LazyLock::new(|| Catalog::embedded().ok());
    let Some(catalog) = catalog.or(EMBEDDED.as_ref()) else { return Vec::new() };
    let mut faults = Vec::new();
    for component in Component::ALL {
        let Some(choice) = spec.decisions.get(component) else { continue };
        if choice.choose.is_empty() || catalog.option(component, &choice.choose).is_some() {
            continue;
        }
        let known: Vec<&str> = catalog.options(component).iter().map(|option| option.id.as_str()).collect();
        faults.push(Fault {
            path: format!("spec.decisions.{component}.choose"),
            found: format!("{}, which is no option of {}", quoted(&choice.choose), component.title()),
            write: one_of(&choice.choose, &known),
        });
    }
    faults
}

/// Alerts to leave out that the library does not have.
fn library_faults(spec: &ObservabilityStackSpec) -> Vec<Fault> {
    let Ok(alerts) = crate::rules::library_alerts() else { return Vec::new() };
    let known: Vec<&str> = alerts.iter().map(String::as_str).collect();
    let unknown = spec.rules.disabled.iter().enumerate().filter(|(_, name)| !alerts.contains(*name));
    unknown
        .map(|(index, name)| Fault {
            path: format!("spec.rules.disabled[{index}]"),
            found: format!("{}, which is no alert of the library", quoted(name)),
            write: one_of(name, &known),
        })
        .collect()
}

/// The name that was most likely meant, or a list of those that there are.
fn one_of(written: &str, known: &[&str]) -> String {
    const MOST: usize = 16;
    match crate::text::nearest(written, known.iter().copied()) {
        Some(near) => near.to_owned(),
        None if known.is_empty() => "nothing here".to_owned(),
        None if known.len() > MOST => format!("one of {}, …", known[..MOST].join(", ")),
        None => format!("one of {}", known.join(", ")),
    }
}

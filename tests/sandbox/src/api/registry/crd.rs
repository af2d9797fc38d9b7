//! From a CustomResourceDefinition to the resources that it serves.

use super::super::errors::Cause;
use super::super::meta;
use super::super::schema::cel::Rules;
use super::super::schema::{Schema, structural, validate};
use super::{Column, Custom, Resource, ScalePaths, Source};
use serde_json::{Value, json};
use std::sync::Arc;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// The resources of a definition, one for each served version.
pub(crate) fn resources(definition: &Value) -> Vec<Resource> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    versions
        .into_iter()
        .flatten()
        .filter(|v| v.get("served").and_then(Value::as_bool).unwrap_or(false))
        .map(|version| resource(definition, version))
        .collect()
}

fn resource(definition: &Value, version: &Value) -> Resource {
    let group = text(definition, "/spec/group").to_owned();
    let name = text(version, "/name").to_owned();
    let kind = text(definition, "/spec/names/kind").to_owned();
    let plural = text(definition, "/spec/names/plural").to_owned();
    let or = |found: &str, fallback: String| if found.is_empty() { fallback } else { found.to_owned() };
    let mut schema_json = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_else(|| json!({}));
    if !schema_json["properties"]["metadata"].is_object() && schema_json["properties"].is_object() {
        schema_json["properties"]["metadata"] = json!({"type": "object"});
    }
    let rules = Rules::compile(&schema_json, &group, &name, &kind);
    let mut schema = structural::parse(&schema_json);
    // Ownership of metadata follows its built-in type, whatever the definition says about it.
    let object_meta = super::types::reference("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    schema.properties.insert("metadata".to_owned(), object_meta);
    for field in ["apiVersion", "kind"] {
        let string = structural::parse(&json!({"type": "string"}));
        schema.properties.insert(field.to_owned(), Arc::new(string));
    }
    let scale = version.pointer("/subresources/scale").map(|scale| ScalePaths {
        spec: text(scale, "/specReplicasPath").trim_start_matches('.').to_owned(),
        status: text(scale, "/statusReplicasPath").trim_start_matches('.').to_owned(),
        selector: scale
            .get("labelSelectorPath")
            .and_then(Value::as_str)
            .map(|p| p.trim_start_matches('.').to_owned()),
    });
    let has_status = version.pointer("/subresources/status").is_some();
    Resource {
        list_kind: or(text(definition, "/spec/names/listKind"), format!("{kind}List")),
        singular: or(text(definition, "/spec/names/singular"), kind.to_lowercase()),
        short_names: texts(definition, "/spec/names/shortNames"),
        categories: texts(definition, "/spec/names/categories"),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        has_status,
        scale,
        has_generation: true,
        create_only: false,
        storage: super::super::errors::qualified(&group, &plural),
        columns: columns(version),
        custom: Some(Custom {
            definition_uid: meta::uid(definition).to_owned(),
            terminating: meta::is_deleting(definition),
            stored: stored(definition, version),
            schema_json,
            rules,
        }),
        schema: Arc::new(schema),
        version: name,
        group,
        kind,
        plural,
    }
}

/// The schema of the version in which objects are stored, unless this one is it.
fn stored(definition: &Value, version: &Value) -> Option<Arc<Schema>> {
    if version["storage"] == true {
        return None;
    }
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array)?;
    let storage = versions.iter().find(|version| version["storage"] == true)?;
    Some(Arc::new(structural::parse(storage.pointer("/schema/openAPIV3Schema")?)))
}

fn columns(version: &Value) -> Vec<Column> {
    let list = version.get("additionalPrinterColumns").and_then(Value::as_array);
    let own = list.into_iter().flatten().map(|column| Column {
        name: text(column, "/name").to_owned(),
        kind: text(column, "/type").to_owned(),
        format: text(column, "/format").to_owned(),
        description: match text(column, "/description") {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                text(column, "/jsonPath")
            ),
            own => own.to_owned(),
        },
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        source: Source::Path(text(column, "/jsonPath").to_owned()),
    });
    let mut columns = vec![Column {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name".to_owned(),
        description: "Name must be unique within a namespace.".to_owned(),
        priority: 0,
        source: Source::Path(".metadata.name".to_owned()),
    }];
    columns.extend(own);
    if columns.len() == 1 {
        columns.push(Column {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: "Time since the object was created.".to_owned(),
            priority: 0,
            source: Source::Path(".metadata.creationTimestamp".to_owned()),
        });
    }
    columns
}

/// Keeps a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Notes that a definition is being deleted.
pub(crate) fn terminating(definition: &mut Value) {
    let condition = json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
        "message": "CustomResource deletion is pending", "lastTransitionTime": meta::now(),
    });
    let status = meta::map_at(definition, "status");
    if let Some(Value::Array(list)) = status.get_mut("conditions") {
        list.push(condition);
    }
    let mut finalizers: Vec<String> =
        meta::list(definition, "finalizers").into_iter().map(str::to_owned).collect();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
        meta::set(definition, "finalizers", Some(json!(finalizers)));
    }
}

/// What is wrong with a definition.
pub(crate) fn faults(definition: &Value, new: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let (group, plural) = (text(definition, "/spec/group"), text(definition, "/spec/names/plural"));
    if new && meta::name(definition) != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &definition["metadata"]["name"], why));
    }
    for name in ["singular", "kind", "listKind"] {
        if text(definition, "/spec/names/kind").is_empty() {
            causes.push(Cause::required(format!("spec.names.{name}"), ""));
        }
    }
    if !matches!(text(definition, "/spec/scope"), "Namespaced" | "Cluster") {
        let supported = ["Cluster".to_owned(), "Namespaced".to_owned()];
        causes.push(Cause::not_supported("spec.scope", &definition["spec"]["scope"], &supported));
    }
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let versions = versions.map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|v| v["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &definition["spec"]["versions"], why));
    }
    for (index, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(at, "")),
            Some(schema) => {
                // Where all versions have the same schema, the server speaks of it as that of the definition.
                let at = if versions.len() == 1 { "spec.validation.openAPIV3Schema".to_owned() } else { at };
                if schema["type"] != "object" {
                    let why = "must be object at the root";
                    causes.push(Cause::invalid(format!("{at}.type"), &schema["type"], why));
                }
                typed(schema, &at, &mut causes);
                let rules = Rules::compile(
                    schema,
                    group,
                    text(version, "/name"),
                    text(definition, "/spec/names/kind"),
                );
                defaults(&at, schema, &mut causes);
                causes.extend(rules.faults().into_iter().map(|fault| {
                    Cause::invalid(
                        at.clone(),
                        &Value::String("rule".to_owned()),
                        format!("compilation failed: {fault}"),
                    )
                }));
            }
        }
    }
    causes
}

/// Finds default values that their own schema refuses.
fn defaults(at: &str, schema: &Value, causes: &mut Vec<Cause>) {
    if let Some(value) = schema.get("default") {
        let found = validate::check(value, &structural::parse(schema));
        causes.extend(found.into_iter().map(|cause| Cause { field: format!("{at}.default"), ..cause }));
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        defaults(&format!("{at}.properties[{name}]"), below, causes);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(below) = schema.get(name).filter(|below| below.is_object()) {
            defaults(&format!("{at}.{name}"), below, causes);
        }
    }
}

/// Fields of an object that say nothing of their type.
fn typed(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.properties[{name}]");
        let free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
        if field["type"].is_null() && free.iter().all(|mark| field[*mark] != true) {
            causes
                .push(Cause::required(format!("{at}.type"), "must not be empty for specified object fields"));
        }
        typed(field, &at, causes);
    }
}

/// Fills in what the server adds to a definition: names, stored versions and conditions.
pub(crate) fn complete(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    if kind.is_empty() {
        return;
    }
    let names = &mut definition["spec"]["names"];
    if names.get("singular").and_then(Value::as_str).unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names.get("listKind").and_then(Value::as_str).unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    if definition["spec"].get("conversion").is_none() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
}

/// The status of an accepted definition; conditions that hold already keep their time.
pub(crate) fn status(definition: &Value) -> Value {
    let old = definition.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut stored = texts(&old, "/storedVersions");
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    for version in versions.into_iter().flatten() {
        let name = text(version, "/name").to_owned();
        if version.get("storage").and_then(Value::as_bool).unwrap_or(false) && !stored.contains(&name) {
            stored.push(name);
        }
    }
    let now = meta::now();
    let condition = |kind: &str, reason: &str, message: &str| {
        let list = old.get("conditions").and_then(Value::as_array);
        let known = list.into_iter().flatten().find(|c| c["type"] == kind && c["status"] == "True");
        known.cloned().unwrap_or_else(|| {
            json!({"type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": now})
        })
    };
    json!({
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    })
}

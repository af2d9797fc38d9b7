//! `obstack decide` as a process: same inputs, same bytes; JSON as its published schema says; a catalog and
//! records of one's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod generated;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use obstack::names::StackId;
use obstack::validate::validate;
use obstack_crds::ObservabilityStackSpec;
use serde_json::{Value, json};

const STACKS: usize = 500;

fn obstack(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_obstack")).args(args).output().unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = obstack(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn stack(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "obstack.io/v1alpha1",
        "kind": "ObservabilityStack",
        "metadata": { "name": name, "namespace": "monitoring" },
        "spec": spec,
    })
}

/// Generated stacks that are valid.
fn stacks() -> Vec<Value> {
    let good = |spec: &Value| {
        let spec: ObservabilityStackSpec = serde_json::from_value(spec.clone()).unwrap();
        validate(StackId { namespace: "monitoring".into(), name: "main".into() }, &spec, None).is_ok()
    };
    let specs = generated::specs(2 * STACKS).into_iter().filter(good).take(STACKS);
    let stacks: Vec<Value> = specs.enumerate().map(|(i, spec)| stack(&format!("s{i:03}"), &spec)).collect();
    assert_eq!(stacks.len(), STACKS);
    stacks
}

fn write(folder: &Path, name: &str, stacks: &[Value]) -> String {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": stacks });
    let path = folder.join(name);
    std::fs::write(&path, list.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_another_process_as_the_schema_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut stacks = stacks();
    let forward = write(folder.path(), "forward.json", &stacks);
    stacks.reverse();
    let backward = write(folder.path(), "backward.json", &stacks);
    let decide = |file: &str| printed(&["decide", "-f", file, "-o", "json"]);
    let (once, again, reversed) = std::thread::scope(|scope| {
        let (once, again) = (scope.spawn(|| decide(&forward)), scope.spawn(|| decide(&forward)));
        let reversed = scope.spawn(|| decide(&backward));
        (once.join().unwrap(), again.join().unwrap(), reversed.join().unwrap())
    });
    assert!(once == again, "the same input gave other bytes");
    let of = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let (forward, mut backward) = (of(&once), of(&reversed));
    backward.reverse();
    assert_eq!(forward.len(), STACKS);
    assert!(forward == backward, "the order of the stacks changed a decision");

    let schema = published();
    let whole = serde_json::from_str(&once).unwrap();
    Schema { root: &schema }.check(&schema, &whole, "").unwrap();
}

fn schema_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/decisions/decide.schema.json")
}

fn published() -> Value {
    serde_json::from_str(&std::fs::read_to_string(schema_file()).unwrap()).unwrap()
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let made = printed(&["decide", "--schema"]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(schema_file(), &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(schema_file()).unwrap_or_default() == made,
        "docs/decisions/decide.schema.json has drifted: obstack decide --schema > docs/decisions/decide.schema.json"
    );
}

#[test]
fn the_schema_refuses_what_is_no_decision() {
    let schema = published();
    let check = |value: &Value| Schema { root: &schema }.check(&schema, value, "");
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "one.json", &[stack("main", &json!({}))]);
    let good: Value = serde_json::from_str(&printed(&["decide", "-f", &file, "-o", "json"])).unwrap();
    check(&good).unwrap();
    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil); 7] = [
        ("no list", |v| *v = v[0].take()),
        ("no name", |v| drop(v[0].as_object_mut().unwrap().remove("name"))),
        ("a number for a choice", |v| v[0]["decisions"][0]["chosen"] = json!(7)),
        ("nobody chose", |v| v[0]["decisions"][0]["chosenBy"] = json!("nobody")),
        ("an unknown component", |v| v[0]["decisions"][0]["component"] = json!("logs")),
        ("a total without an end", |v| {
            drop(v[0]["decisions"][0]["ranking"][0]["total"].as_object_mut().unwrap().remove("high"));
        }),
        ("a field that is not there", |v| v[0]["decisions"][0]["shoeSize"] = json!(43)),
    ];
    for (what, spoil) in spoils {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(check(&bad).is_err(), "{what}");
    }
}

/// As much of JSON Schema as is published, and nothing passed over: an unknown keyword is a failure, and so is a
/// field that the schema does not name.
struct Schema<'a> {
    root: &'a Value,
}

impl Schema<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let fail = |what: &str| Err(format!("{at}: {what}: {value}"));
        let Some(keywords) = schema.as_object() else { return fail("no schema") };
        for (keyword, rule) in keywords {
            match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
                "$ref" => {
                    let pointer = rule.as_str().unwrap().trim_start_matches('#');
                    self.check(self.root.pointer(pointer).expect("a definition"), value, at)?;
                }
                "type" => {
                    let is = |kind: &str| match kind {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "number" => value.is_number(),
                        "integer" => value.is_u64() || value.is_i64(),
                        "boolean" => value.is_boolean(),
                        "null" => value.is_null(),
                        other => panic!("the type {other}"),
                    };
                    let kinds = match rule {
                        Value::Array(kinds) => kinds.iter().map(|k| k.as_str().unwrap()).collect(),
                        kind => vec![kind.as_str().unwrap()],
                    };
                    if !kinds.iter().any(|kind| is(kind)) {
                        return fail("another type");
                    }
                }
                "enum" if !rule.as_array().unwrap().contains(value) => return fail("none of the values"),
                "const" if rule != value => return fail("another value"),
                "enum" | "const" => {}
                "oneOf" | "anyOf" => {
                    let fits = rule.as_array().unwrap().iter().filter(|s| self.check(s, value, at).is_ok());
                    let count = fits.count();
                    if count == 0 || (keyword == "oneOf" && count > 1) {
                        return fail("not one of the alternatives");
                    }
                }
                "properties" => {
                    for (key, inner) in value.as_object().into_iter().flatten() {
                        match rule.get(key) {
                            Some(rule) => self.check(rule, inner, &format!("{at}/{key}"))?,
                            None => return fail(&format!("the field {key} is not in the schema")),
                        }
                    }
                }
                "additionalProperties" => {
                    for (key, inner) in value.as_object().into_iter().flatten() {
                        self.check(rule, inner, &format!("{at}/{key}"))?;
                    }
                }
                "required" => {
                    for key in rule.as_array().unwrap() {
                        if value.get(key.as_str().unwrap()).is_none() {
                            return fail(&format!("{key} is missing"));
                        }
                    }
                }
                "items" => {
                    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, inner, &format!("{at}/{index}"))?;
                    }
                }
                "maxLength" => {
                    let length = value.as_str().map_or(0, |text| text.chars().count() as u64);
                    if length > rule.as_u64().unwrap() {
                        return fail("too long");
                    }
                }
                "maxItems" | "maxProperties" => {
                    let list = value.as_array().map(Vec::len).or(value.as_object().map(|o| o.len()));
                    if list.unwrap_or(0) as u64 > rule.as_u64().unwrap() {
                        return fail("too many");
                    }
                }
                other => return fail(&format!("the keyword {other} is not known to this test")),
            }
        }
        Ok(())
    }
}

#[test]
fn a_catalog_and_records_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let input = write(folder.path(), "stack.json", &[stack("main", &json!({}))]);
    let store = |more: &[&str]| {
        let text = printed(&[&["decide", "-f", input.as_str(), "-o", "json"], more].concat());
        let all: Value = serde_json::from_str(&text).unwrap();
        all[0]["decisions"][0]["chosen"].as_str().unwrap().to_owned()
    };
    assert_eq!(store(&[]), "Prometheus");

    // A number of one's own rules the winner out, and the version says that it was there.
    let own = file(
        "own.yaml",
        "sources: { nodes: { title: 'what our nodes took', date: '2026-10', who: independent } }
components:
  metricsStore:
    change:
      - id: Prometheus
        limits:
          - { of: activeSeries, requirement: requirements.activeSeries, text: series here, low: 1000, high: 2000,
              unit: series, source: nodes, quote: '2,000 series' }
",
    );
    assert_ne!(store(&["--catalog", &own]), "Prometheus");
    let madr = printed(&["decide", "-f", &input, "-o", "madr", "--catalog", &own]);
    assert!(madr.contains("what our nodes took") && madr.contains("catalog 2026.11.2+"), "{madr}");

    // What is at fault is told with file, entry and what to write.
    let bad = file("bad.yaml", "components: { metricsStore: { change: [ { id: Prometeus } ] } }");
    for command in ["decide", "check", "render", "config"] {
        let output = obstack(&[command, "-f", &input, "--catalog", &bad]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command}: {error}");
        assert!(error.contains("bad.yaml: metricsStore.Prometeus is not in the catalog; write"), "{error}");
    }
    let output = obstack(&["operator", "--catalog", &bad]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    // An option of one's own can be chosen by a person, and only with its catalog.
    let chosen = json!({ "decisions": { "delivery": { "choose": "Pigeon", "because": "they are fast" } } });
    let pigeons = write(folder.path(), "pigeons.json", &[stack("main", &chosen)]);
    let scores: String = [
        "reliability",
        "performanceEfficiency",
        "compatibility",
        "maintainability",
        "security",
        "flexibility",
    ]
    .map(|q| format!("{q}: {{ low: 10, high: 60, judgement: true, basis: weather }}"))
    .join(", ");
    let loft = file(
        "loft.yaml",
        &format!(
            "components: {{ delivery: {{ add: [ {{ id: Pigeon, title: pigeons, summary: by air, deployable: false,
             licence: none, copies: {{ single: 1, replicated: 2 }}, burden: 3, burdenBasis: a loft, scores: {{ {scores} }},
             tradeoffs: [ {{ id: hawks, quality: reliability, source: ours, text: Hawks. }} ] }} ] }} }}"
        ),
    );
    assert_eq!(obstack(&["check", "-f", &pigeons]).status.code(), Some(1));
    printed(&["check", "-f", &pigeons, "--catalog", &loft]);

    // Records: the choice in force is the previous one, and stays where it ties with the best.
    let records = file(
        "records.yaml",
        "apiVersion: v1
kind: List
items:
  - apiVersion: obstack.io/v1alpha1
    kind: DecisionRecord
    metadata: { name: main-metrics-store-0001, namespace: monitoring }
    spec: { stack: main, component: metricsStore, number: 1, decidedAt: '', catalog: 2026.11.1,
            chosen: VictoriaMetricsSingle, chosenBy: engine, statement: '' }
    status: { phase: Accepted }
",
    );
    assert_eq!(store(&["--previous", &records]), "VictoriaMetricsSingle");
    let worked = printed(&["decide", "-f", &input, "-o", "worked", "--previous", &records]);
    assert!(worked.contains("is the previous choice and stays"), "{worked}");
    let output = obstack(&["decide", "-f", &input, "--previous", &input]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds no DecisionRecord"));
}

//! `obstack render`: the manifests that the operator would apply, without a cluster.

use std::collections::BTreeMap;

use clap::Args;
use obstack_crds::ObservabilityStack;
use obstack_crds::workload::SecretKey;
use serde_json::{Map, Value, json};

use super::catalog::CatalogArgs;
use super::input::{Input, InputArgs, Loaded};
use super::objects::{self, Secrets};
use super::{CliError, Output};
use crate::decide::{Catalog, DecideFacts, Plan, Previous, decide, records};
use crate::desired::{Context, Wanted, desired};
use crate::running::Packing;
use crate::scrape::{Configs, Given, configs, deployed_roles, option_of};
use crate::validate::{effective, secret_refs};
use crate::yaml::emit;

/// Namespace of the operator as `deploy/install.yaml` has it.
const OPERATOR_NAMESPACE: &str = "obstack-system";

/// Arguments of `obstack render`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack render -f stack.yaml
  obstack render -f stacks/ | kubectl diff -f -
  obstack render -f stack.yaml --effective

Secrets that a stack refers to are taken from the files; for one that is not among them a stand-in is used.")]
pub struct RenderArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Print the stacks themselves, with every value that is in force written out, instead of the manifests.
    #[arg(long)]
    effective: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What a rendering needs to know of the operator.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// Namespace of the operator.
    #[arg(long, value_name = "NAME", default_value = OPERATOR_NAMESPACE)]
    operator_namespace: String,
    /// Image that the reloader is taken from.
    #[arg(long, value_name = "IMAGE", default_value = concat!("ghcr.io/obstack/obstack:", env!("CARGO_PKG_VERSION")))]
    operator_image: String,
    #[command(flatten)]
    pub(super) catalog: CatalogArgs,
}

impl Default for OperatorArgs {
    fn default() -> Self {
        Self {
            operator_namespace: OPERATOR_NAMESPACE.to_owned(),
            operator_image: concat!("ghcr.io/obstack/obstack:", env!("CARGO_PKG_VERSION")).to_owned(),
            catalog: CatalogArgs::default(),
        }
    }
}

/// Runs `obstack render`.
///
/// # Errors
/// [`CliError`] where the input is at fault.
pub fn run(args: RenderArgs, output: &Output) -> Result<(), CliError> {
    let catalog = args.operator.catalog.load()?;
    let input = Input::read(&args.input)?.with_catalog(&catalog);
    let stacks = input.stacks(output)?;
    let mut text = String::new();
    for loaded in &stacks {
        if args.effective {
            push_document(&mut text, &with_effective(loaded)?)?;
            continue;
        }
        let built = Built::of(loaded, &input, &args.operator, &catalog, Secrets::Used)?;
        for note in &built.notes {
            output.note(note);
        }
        text.push_str(&built.manifests()?);
    }
    output.print(&text)
}

/// A stack with all that is built from it.
#[derive(Clone, Debug)]
pub struct Built {
    /// What was decided.
    pub plan: Plan,
    /// The configuration of its engines.
    pub configs: Configs,
    /// Its objects.
    pub wanted: Wanted,
    /// What a person should know, each a line.
    pub notes: Vec<String>,
}

impl Built {
    /// Builds a stack as the operator would that sees it for the first time.
    ///
    /// # Errors
    /// [`CliError::Input`] where the stack cannot be built.
    pub fn of(
        loaded: &Loaded,
        input: &Input,
        operator: &OperatorArgs,
        catalog: &Catalog,
        shown: Secrets,
    ) -> Result<Self, CliError> {
        let id = &loaded.id;
        let fault = |e: &dyn std::fmt::Display| CliError::Input(format!("{id}: {e}"));
        let plan = decide(&loaded.valid, &DecideFacts::offline(), &Previous::default(), catalog);
        let mut notes = not_deployed(loaded, &plan);
        let secrets = secrets(loaded, input, &mut notes);
        let namespace = Some(operator.operator_namespace.as_str());
        let records = records::first(&plan, &loaded.valid);
        let objects = objects::build(input, &loaded.valid, shown).map_err(|e| fault(&e))?;
        let missing = objects::missing(input, &loaded.valid).map_err(|e| fault(&e))?;
        notes.extend(
            missing.into_iter().map(|what| {
                format!("note: {id}: {what} is not among the files; its content is stood in for")
            }),
        );
        let given =
            Given { records: &records, secrets: &secrets, operator_namespace: namespace, objects: &objects };
        let configs = configs(&loaded.valid, &plan, &given, &Packing::default()).map_err(|e| fault(&e))?;
        let context = Context {
            operator_image: operator.operator_image.clone(),
            operator_namespace: Some(operator.operator_namespace.clone()),
            pinned: BTreeMap::new(),
            configuration: true,
            namespace_labels: BTreeMap::new(),
        };
        let wanted = desired(&loaded.valid, &plan, &context, &configs).map_err(|e| fault(&e))?;
        let rejected = loaded.valid.rejected.iter().chain(&configs.rejected).chain(&wanted.rejected);
        notes.extend(rejected.map(|r| format!("note: {id}: {}: {}", r.object, r.reason)));
        Ok(Self { plan, configs, wanted, notes })
    }

    /// The objects as YAML documents, in the order in which they are applied.
    ///
    /// # Errors
    /// [`CliError::Outside`] where an object cannot be written, which no input causes.
    pub fn manifests(&self) -> Result<String, CliError> {
        let mut text = String::new();
        for object in &self.wanted.objects {
            push_document(&mut text, &object.body)?;
        }
        Ok(text)
    }
}

/// Appends a YAML document.
pub(super) fn push_document(text: &mut String, value: &Value) -> Result<(), CliError> {
    text.push_str("---\n");
    text.push_str(&emit(value).map_err(|e| CliError::Outside(e.to_string()))?);
    Ok(())
}

/// What was chosen and cannot be deployed, or could not be chosen at all: never passed over in silence.
fn not_deployed(loaded: &Loaded, plan: &Plan) -> Vec<String> {
    let roles = deployed_roles(plan);
    let missing = crate::names::Role::ALL.into_iter().filter(|role| !roles.contains(role));
    missing
        .filter_map(|role| {
            let decision = plan.get(role.component())?;
            let component = decision.component;
            let id = &loaded.id;
            match decision.in_force.as_deref() {
                Some("None") => None,
                Some(option) => Some(format!(
                    "note: {id}: {component} is {option}, which this operator cannot deploy (it deploys {}): \
                     nothing is rendered for it",
                    option_of(role)
                )),
                None => {
                    Some(format!("note: {id}: {component}: every option is eliminated, nothing is rendered"))
                }
            }
        })
        .collect()
}

/// Contents of the Secrets that a stack refers to, from the files; a stand-in for what is not among them.
fn secrets(loaded: &Loaded, input: &Input, notes: &mut Vec<String>) -> BTreeMap<SecretKey, Vec<u8>> {
    let found: Vec<(String, Value)> = input
        .of_kind("v1", "Secret")
        .filter(|(document, _)| document.id().namespace == loaded.id.namespace)
        .map(|(document, value)| (document.id().name, value))
        .collect();
    let mut contents = BTreeMap::new();
    for key in secret_refs(&loaded.valid) {
        let Some((_, secret)) = found.iter().rev().find(|(name, _)| *name == key.name) else {
            notes.push(format!(
                "note: {}: Secret {} is not among the files; its content is stood in for",
                loaded.id, key.name
            ));
            let stand_in = format!("https://secret.invalid/{}/{}", key.name, key.key);
            contents.insert(key, stand_in.into_bytes());
            continue;
        };
        // A Secret that is there and lacks the key is as wrong here as in a cluster.
        if let Some(content) = content(secret, &key.key) {
            contents.insert(key, content);
        }
    }
    contents
}

/// The content of a key of a Secret; `stringData` goes before `data`, as in the API server.
fn content(secret: &Value, key: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    if let Some(text) = secret["stringData"][key].as_str() {
        return Some(text.as_bytes().to_vec());
    }
    base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str()?).ok()
}

/// The stack as it was written, with every value that is in force written out.
fn with_effective(loaded: &Loaded) -> Result<Value, CliError> {
    let fault = |e: serde_json::Error| CliError::Outside(e.to_string());
    let mut stack = serde_json::to_value(&loaded.stack).map_err(fault)?;
    stack["metadata"]["namespace"] = json!(loaded.id.namespace);
    for (path, text) in effective(&loaded.valid) {
        let steps: Vec<&str> = std::iter::once("spec").chain(path.split('.')).collect();
        // The value's text does not say its type; the first that the API's types take is it.
        let list: Vec<&str> = text.split(',').collect();
        let readings = [serde_json::from_str(&text).unwrap_or(Value::Null), json!(text), json!(list)];
        let taken = readings.into_iter().filter(|value| !value.is_null()).find_map(|value| {
            let mut candidate = stack.clone();
            set(&mut candidate, &steps, value);
            serde_json::from_value::<ObservabilityStack>(candidate.clone()).ok().map(|_| candidate)
        });
        stack = taken.unwrap_or(stack);
    }
    // By way of the type, so that what is the same as nothing is left out.
    let stack: ObservabilityStack = serde_json::from_value(stack).map_err(fault)?;
    serde_json::to_value(stack).map_err(fault)
}

/// Sets a value at a path where nothing is written yet.
fn set(value: &mut Value, steps: &[&str], new: Value) {
    let [step, rest @ ..] = steps else { return };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(fields) = value.as_object_mut() else { return };
    let field = fields.entry(*step).or_insert(Value::Null);
    if rest.is_empty() {
        if field.is_null() {
            *field = new;
        }
    } else {
        set(field, rest, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (Input, Loaded) {
        let mut input = Input::default();
        input.add("stack.yaml", text);
        let stacks = input.stacks(&Output::stdio(clap::ColorChoice::Never)).unwrap();
        (input, stacks.into_iter().next().unwrap())
    }

    const STACK: &str = "apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
";

    fn built(text: &str) -> Built {
        let (input, loaded) = load(text);
        Built::of(&loaded, &input, &OperatorArgs::default(), &Catalog::embedded().unwrap(), Secrets::Used)
            .unwrap()
    }

    #[test]
    fn an_empty_stack_becomes_documents_of_every_role() {
        let text = built(&format!("{STACK}spec: {}\n", "{}")).manifests().unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for (kind, name) in [
            ("StatefulSet", "main-metrics"),
            ("StatefulSet", "main-alerting"),
            ("Deployment", "main-dashboards"),
        ] {
            assert!(
                documents.iter().any(|d| d["kind"] == kind && d["metadata"]["name"] == name),
                "{kind} {name}"
            );
        }
    }

    #[test]
    fn what_cannot_be_deployed_is_said() {
        let built = built(&format!("{STACK}spec: {{ requirements: {{ activeSeries: 50M }} }}\n"));
        let note = built.notes.iter().find(|n| n.contains("metricsStore"));
        assert!(note.is_some_and(|n| n.contains("nothing is rendered")), "{:?}", built.notes);
        assert!(!built.manifests().unwrap().contains("main-metrics"));
        assert!(built.manifests().unwrap().contains("main-alerting"));
    }

    #[test]
    fn secrets_come_from_the_files_or_are_stood_in_for() {
        let stack = format!(
            "{STACK}spec: {{ alerting: {{ route: {{ receiver: a }}, receivers: [{{ name: a, slack: [{{ apiUrl: {{ name: s, key: url }} }}] }}] }} }}\n"
        );
        let file = |built: &Built| {
            built.configs.generations[&crate::names::Role::Alerting].file("secrets/s/key.url").unwrap()
        };
        let alone = built(&stack);
        assert_eq!(file(&alone), "https://secret.invalid/s/url");
        assert!(alone.notes.iter().any(|n| n.contains("Secret s is not among the files")));
        let secret = "kind: Secret\napiVersion: v1\nmetadata: { name: s, namespace: monitoring }\ndata: { url: aHR0cHM6Ly9o }\n";
        let both = built(&format!("{stack}---\n{secret}"));
        assert_eq!(file(&both), "https://h");
        let lacks = built(&format!("{stack}---\n{}", secret.replace("url:", "other:")));
        assert!(lacks.notes.iter().any(|n| n.contains("does not exist; create it")), "{:?}", lacks.notes);
    }

    #[test]
    fn effective_values_are_written_out_and_those_of_the_person_stay() {
        let (_, loaded) = load(&format!(
            "{STACK}spec: {{ environment: prod, requirements: {{ retention: 14d, budget: {{ monthlyCost: '500' }} }} }}\n"
        ));
        let stack = with_effective(&loaded).unwrap();
        let spec = &stack["spec"];
        assert_eq!(spec["requirements"]["retention"], "14d");
        assert_eq!(spec["requirements"]["availability"], "Replicated");
        assert_eq!((&spec["metrics"]["replicas"], &spec["defaultsVersion"]), (&json!(2), &json!(1)));
        assert_eq!(spec["collection"]["namespaces"], json!(["monitoring"]));
        assert_eq!(spec["requirements"]["budget"]["monthlyCost"], "500");
        // What is printed is a stack, and the same one.
        let mut text = String::new();
        push_document(&mut text, &stack).unwrap();
        let (_, again) = load(&text);
        assert_eq!(again.valid.requirements, loaded.valid.requirements);
        assert_eq!(with_effective(&again).unwrap(), stack);
    }
}

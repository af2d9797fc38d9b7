//! `obstack why`: whether an object of others is in the configuration of a stack, and if not, which selector, rule
//! or error keeps it out.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, ResourceExt};
use obstack_crds::ObservabilityStack;

use super::input::{Input, InputArgs};
use super::objects::{self, Secrets};
use super::{CliError, Output, Style, runtime};
use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::check::judge_stack;
use crate::controller::start;
use crate::names::StackId;
use crate::observe::contents::Contents;
use crate::observe::foreign::resource;
use crate::reconcile::object_settings;
use crate::scrape::contents::Known;
use crate::scrape::sources::{
    Namespaces, ObjectSettings, Source, SourceKey, SourceKind, Verdict, judge, judge_object, unknown_of,
};
use crate::validate::Valid;

/// How long an answer of the API server may take until it begins.
const ANSWER: Duration = Duration::from_secs(10);
/// Most stacks that are asked about.
const MOST_STACKS: u32 = 500;
/// How often contents are read: what an object refers to is known only once it is built.
const ROUNDS: usize = 4;

/// Arguments of `obstack why`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack why ServiceMonitor/shop/web
  obstack why prometheusrules/shop/web --stack monitoring/main
  obstack why ServiceMonitor/shop/web -f stack.yaml -f monitors/     the same of files; no cluster is asked

A line for each stack: whether it takes the object, and if not, what to change.
Exit code 1 if no stack has it in its configuration.")]
pub(super) struct WhyArgs {
    /// The object: KIND/NAMESPACE/NAME.
    #[arg(value_name = "KIND/NAMESPACE/NAME", value_parser = parse_key)]
    object: SourceKey,
    /// Only this stack: NAMESPACE/NAME.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = parse_stack)]
    stack: Option<StackId>,
    /// Files, folders or - for standard input, in place of a cluster.
    #[arg(short = 'f', long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<std::path::PathBuf>,
}

pub(super) fn run(args: WhyArgs, output: &Output) -> Result<(), CliError> {
    let found = if args.files.is_empty() {
        runtime(1)?.block_on(of_cluster(&args.object))?
    } else {
        of_files(&args, output)?
    };
    let mut text = format!("{}\n", output.style(Style::Strong, &args.object.to_string()));
    let mut taken = false;
    let wanted = |stack: &Stack| args.stack.as_ref().is_none_or(|only| *only == stack.id);
    let stacks: Vec<Stack> = found.into_iter().filter(wanted).collect();
    if stacks.is_empty() {
        let which = args.stack.map_or_else(|| "no stack".to_owned(), |id| format!("no stack {id}"));
        return Err(CliError::Input(format!(
            "there is {which}; write kind ObservabilityStack, and ask again"
        )));
    }
    for stack in stacks {
        let (style, line) = match stack.verdict {
            Ok(()) => {
                taken = true;
                (Style::Good, stack.told.map_or_else(|| "taken".to_owned(), |told| format!("taken; {told}")))
            }
            Err(why) => (Style::Bad, why),
        };
        text.push_str(&format!("  {}: {}\n", stack.id, output.style(style, &line)));
    }
    output.print(&text)?;
    if taken { Ok(()) } else { Err(CliError::Reported) }
}

/// What one stack makes of the object.
struct Stack {
    id: StackId,
    /// Why the object is not in its configuration.
    verdict: Result<(), String>,
    /// What its status says beside.
    told: Option<String>,
}

fn of_files(args: &WhyArgs, output: &Output) -> Result<Vec<Stack>, CliError> {
    let input = Input::read(&InputArgs { files: args.files.clone() })?;
    let sources = objects::sources(&input);
    let Some(source) = sources.iter().find(|source| source.key == args.object) else {
        return Err(CliError::Input(format!("{} is not in the files", args.object)));
    };
    let (namespaces, known) = (objects::namespaces(&input), objects::contents(&input, Secrets::Used));
    let one = |loaded: super::input::Loaded| Stack {
        verdict: verdict(&loaded.valid, source, &namespaces, &known),
        id: loaded.id,
        told: None,
    };
    Ok(input.stacks(output)?.into_iter().map(one).collect())
}

fn verdict(valid: &Valid, source: &Source, namespaces: &Namespaces, known: &Known) -> Result<(), String> {
    if let Verdict::Left(why) = judge(valid, source, namespaces) {
        return Err(format!("not taken: {why}"));
    }
    let settings = object_settings(valid)?;
    judge_object(&settings, source, known).map_err(|fault| format!("kept out: {fault}"))
}

async fn of_cluster(key: &SourceKey) -> Result<Vec<Stack>, CliError> {
    let clients = start::clients(ANSWER).await.map_err(|error| CliError::Outside(error.to_string()))?;
    let client = clients.own;
    let source = read_source(&client, key).await?;
    let namespaces = read_namespace(&client, &key.namespace).await?;
    let api: Api<ObservabilityStack> = Api::all(client.clone());
    let params = ListParams::default().limit(MOST_STACKS);
    let list = within(READ_TIMEOUT, api.list(&params)).await.map_err(|error| outside("stacks", &error))?;
    let contents = Contents::new(client);
    let mut stacks = Vec::new();
    for stack in list.items {
        let id = StackId { namespace: stack.namespace().unwrap_or_default(), name: stack.name_any() };
        let status = stack.status.unwrap_or_default();
        let verdict = match judge_stack(id.clone(), &stack.spec, status.defaults_version) {
            Err(faults) => Err(format!("the stack itself is at fault: {}", first(&faults))),
            Ok(valid) => match known_for(&valid, &source, &contents).await {
                Err(why) => Err(why),
                Ok(known) => verdict(&valid, &source, &namespaces, &known),
            },
        };
        // What the engine refuses is known to the status alone.
        let name = key.to_string();
        let refused = status.rejected.iter().find(|rejected| rejected.object == name);
        let verdict = match (verdict, refused) {
            (Ok(()), Some(refused)) => Err(format!("kept out: {}", refused.reason)),
            (verdict, _) => verdict,
        };
        let live = status.conditions.iter().find(|c| c.type_ == obstack_crds::status::CONFIGURATION_LIVE);
        let told = live.map(|condition| match condition.status.as_str() {
            "True" => "every engine runs the configuration".to_owned(),
            _ => format!("the configuration is not live yet: {}", condition.message),
        });
        stacks.push(Stack { id, verdict, told });
    }
    Ok(stacks)
}

fn first(faults: &[crate::validate::Fault]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// What the object refers to, read with the rights of who asks.
async fn known_for(valid: &Valid, source: &Source, contents: &Contents) -> Result<Known, String> {
    let settings: ObjectSettings = object_settings(valid)?;
    for _ in 0..ROUNDS {
        let known = contents.known();
        let unknown: BTreeSet<_> = unknown_of(&settings, source, &known);
        if unknown.is_empty() {
            return Ok(Known::clone(&known));
        }
        contents.read(unknown).await?;
    }
    Err("what the object refers to changes faster than it is read".to_owned())
}

async fn read_source(client: &Client, key: &SourceKey) -> Result<Source, CliError> {
    let kind = key.kind;
    for version in kind.versions() {
        let resource = resource(kind, version);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &resource);
        match within(READ_TIMEOUT, api.get(&key.name)).await {
            Ok(object) => {
                let value = serde_json::to_value(object).unwrap_or_default();
                let source = Source::of(kind, version, &value);
                return source.ok_or_else(|| CliError::Outside(format!("{key} cannot be read")));
            }
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(outside(&key.to_string(), &error)),
        }
    }
    Err(CliError::Input(format!(
        "there is no {key} in the cluster; look at kubectl get {} -A",
        kind.plural()
    )))
}

/// Labels of one namespace. Who may not read them is told what the operator would say that may not either.
async fn read_namespace(client: &Client, name: &str) -> Result<Namespaces, CliError> {
    let api: Api<Namespace> = Api::all(client.clone());
    match within(READ_TIMEOUT, api.get_opt(name)).await {
        Ok(Some(namespace)) => Ok(Namespaces::from([(name.to_owned(), namespace.labels().clone())])),
        Ok(None) => Ok(Namespaces::new()),
        Err(error) if error.code() == Some(403) => Ok(Namespaces::new()),
        Err(error) => Err(outside("the namespace", &error)),
    }
}

fn outside(what: &str, error: &RequestError) -> CliError {
    CliError::Outside(format!("{what}: {error}"))
}

fn parse_key(text: &str) -> Result<SourceKey, String> {
    let kinds = || SourceKind::ALL.map(SourceKind::as_str).join(", ");
    let parts: Vec<&str> = text.split('/').collect();
    let [kind, namespace, name] = parts.as_slice() else {
        return Err("write KIND/NAMESPACE/NAME, such as ServiceMonitor/shop/web".to_owned());
    };
    let kind = SourceKind::of(kind).ok_or_else(|| format!("write one of {} as the kind", kinds()))?;
    if namespace.is_empty() || name.is_empty() {
        return Err("write KIND/NAMESPACE/NAME, such as ServiceMonitor/shop/web".to_owned());
    }
    Ok(SourceKey { kind, namespace: (*namespace).to_owned(), name: (*name).to_owned() })
}

fn parse_stack(text: &str) -> Result<StackId, String> {
    let (namespace, name) = text.split_once('/').ok_or("write NAMESPACE/NAME, such as monitoring/main")?;
    Ok(StackId { namespace: namespace.to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_says_what_it_makes_of_an_object() {
        let text = "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: near, namespace: shop }
spec: {}
---
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: far, namespace: monitoring }
spec: {}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: { name: web, namespace: shop }
spec: { selector: {}, endpoints: [{ port: http, interval: INTERVAL }] }
";
        let asked = |interval: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("all.yaml");
            std::fs::write(&file, text.replace("INTERVAL", interval)).unwrap();
            let object = parse_key("ServiceMonitor/shop/web").unwrap();
            let args = WhyArgs { object, stack: None, files: vec![file] };
            let found = of_files(&args, &Output::stdio(clap::ColorChoice::Never)).unwrap();
            found.into_iter().map(|stack| (stack.id.to_string(), stack.verdict)).collect::<Vec<_>>()
        };
        let good = asked("30s");
        assert_eq!(good[0], ("shop/near".to_owned(), Ok(())));
        let (far, why) = &good[1];
        assert_eq!(far, "monitoring/far");
        let why = why.clone().unwrap_err();
        assert!(why.starts_with("not taken: spec.collection.objects.namespaceSelector is left out"), "{why}");
        let why = asked("soon")[0].1.clone().unwrap_err();
        assert!(why.starts_with("kept out: spec.endpoints[0].interval: found \"soon\"; write "), "{why}");
    }

    #[test]
    fn an_object_is_named_by_kind_namespace_and_name() {
        let key = parse_key("servicemonitors/shop/web").unwrap();
        assert_eq!(key.to_string(), "ServiceMonitor/shop/web");
        assert_eq!(parse_key("ServiceMonitor/shop/web").unwrap(), key);
        for (text, wanted) in [
            ("web", "write KIND/NAMESPACE/NAME"),
            ("ServiceMonitor//web", "write KIND/NAMESPACE/NAME"),
            ("Service/shop/web", "write one of ServiceMonitor, PodMonitor"),
        ] {
            assert!(parse_key(text).unwrap_err().starts_with(wanted), "{text}");
        }
    }
}

//! `obstack check`: every fault of every file at once, each with its line; of objects of others the first fault of
//! each. No cluster is asked.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::collection::ScrapeClass;

use super::catalog::CatalogArgs;
use super::input::{Document, Finding, Input, InputArgs};
use super::objects::{self, Secrets};
use super::{CliError, Output, Style};
use crate::check::{self, RECORD, STACK};
use crate::decide::Catalog;
use crate::names::StackId;
use crate::reconcile::object_settings;
use crate::scrape::contents::{Known, Lookup};
use crate::scrape::judge::Rejection;
use crate::scrape::sources::{Namespaces, ObjectSettings, Source, Verdict, judge, judge_object};
use crate::validate::{Fault, Valid, validate};

/// Arguments of `obstack check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack check -f stack.yaml
  obstack check -f stacks/ -f more.yaml
  kustomize build overlays/prod | obstack check -f -

Each fault is a line: FILE:LINE: PATH: found …; write …
Exit code 1 if there is any.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
}

pub(super) fn run(args: CheckArgs, output: &Output) -> Result<(), CliError> {
    let input = Input::read(&args.input)?.with_catalog(&args.catalog.load()?);
    let report = Report::of(&input);
    let lines: Vec<String> = report.findings.iter().map(|finding| line(finding, output)).collect();
    output.print(&lines.concat())?;
    let (objects, others) = (counted(report.ours, "object"), counted(report.others, "document"));
    if !report.findings.is_empty() {
        let faults = counted(report.findings.len(), "fault");
        output.note(&output.paint(Style::Bad, &format!("{faults} in {objects}")));
        return Err(CliError::Reported);
    }
    if report.ours == 0 {
        let message = format!(
            "there is nothing to check: {others} of other kinds, and none of {}/{}; write an object of kind {STACK}",
            obstack_crds::GROUP,
            obstack_crds::VERSION
        );
        return Err(CliError::Input(message));
    }
    let left =
        if report.others > 0 { format!("; {others} of other kinds left alone") } else { String::new() };
    output.note(&format!("{}: {objects}{left}", output.paint(Style::Good, "no fault")));
    Ok(())
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn line(finding: &Finding, output: &Output) -> String {
    let place = output.style(Style::Strong, &format!("{}:{}:", finding.file, finding.line));
    let path = if finding.path.is_empty() { "." } else { &finding.path };
    format!("{place} {path}: found {}; write {}\n", finding.found, finding.write)
}

/// Judges objects of others as the stacks among the files would that take them; an object that none of them takes,
/// as a stack would that says nothing of objects.
struct Judge {
    stacks: Vec<(Valid, ObjectSettings)>,
    none: Option<ObjectSettings>,
    namespaces: Namespaces,
    known: Known,
}

impl Judge {
    fn of(input: &Input) -> Self {
        let catalog = input.catalog.as_ref();
        let valid = |document: &Document| {
            let checked = check::check_stack(&document.node, &document.id(), catalog);
            let stack = Some(checked).filter(|checked| checked.shape.is_empty());
            check::judge_stack(document.id(), &check::to_stack(&stack?).ok()?.spec, None).ok()
        };
        let stacks = input.documents.iter().filter(|document| document.is_stack()).filter_map(valid);
        let with_settings = |valid: Valid| Some((object_settings(&valid).ok()?, valid));
        let id = StackId { namespace: "default".to_owned(), name: "main".to_owned() };
        // A class can be defined by a stack that is not among the files.
        let classes: BTreeSet<String> = input.documents.iter().filter_map(class_of).collect();
        let mut spec = ObservabilityStackSpec::default();
        let class = |name| ScrapeClass { name, ..ScrapeClass::default() };
        spec.collection.scrape_classes = classes.into_iter().map(class).collect();
        let none = validate(id, &spec, None).ok();
        Self {
            stacks: stacks.filter_map(with_settings).map(|(settings, valid)| (valid, settings)).collect(),
            none: none.and_then(|valid| object_settings(&valid).ok()),
            namespaces: objects::namespaces(input),
            known: objects::contents(input, Secrets::Used),
        }
    }

    fn fault(&self, document: &Document, source: &Source) -> Option<Finding> {
        let takes =
            |(valid, _): &&(Valid, ObjectSettings)| judge(valid, source, &self.namespaces) == Verdict::Taken;
        let mut takers = self.stacks.iter().filter(takes).map(|(_, settings)| settings).peekable();
        let none = if takers.peek().is_none() { self.none.as_ref() } else { None };
        let fault =
            takers.chain(none).find_map(|settings| judge_object(settings, source, &self.known).err())?;
        Some(document.finding(&fault.path, fault.found, fault.write))
    }

    /// What a stack refers to and the files show to be wrong. A Secret that is not among them can be in the cluster.
    fn references(&self, document: &Document) -> Vec<Finding> {
        let Some((_, settings)) = self.stacks.iter().find(|(valid, _)| valid.id == document.id()) else {
            return Vec::new();
        };
        let additions = settings.additions(&Lookup::new(&self.known));
        let finding = |fault: Rejection| document.finding(&fault.path, fault.found, fault.write);
        additions.faults.into_iter().map(finding).collect()
    }
}

/// The scrape class that an object chooses.
fn class_of(document: &Document) -> Option<String> {
    document.text(&["spec", "scrapeClass"]).filter(|name| !name.is_empty())
}

/// What a check comes to.
struct Report {
    findings: Vec<Finding>,
    /// Objects of our kinds, and those of others that become configuration.
    ours: usize,
    /// Objects of other kinds.
    others: usize,
}

impl Report {
    fn of(input: &Input) -> Self {
        let mut report = Self { findings: input.problems.clone(), ours: 0, others: 0 };
        let mut stacks: BTreeMap<StackId, &Document> = BTreeMap::new();
        let judge = Judge::of(input);
        for document in &input.documents {
            if let Some(source) = objects::source_of(document) {
                report.ours += 1;
                report.findings.extend(judge.fault(document, &source));
                continue;
            }
            report.document(document, input.catalog.as_ref());
            if document.is_stack() {
                report.findings.extend(judge.references(document));
            }
            if document.is_stack()
                && let Some(first) = stacks.insert(document.id(), document)
            {
                let found = format!("{} a second time", document.id());
                let write = format!("each stack once; the first is at {}:{}", first.file, first.node.line);
                report.findings.push(document.finding("metadata.name", found, write));
            }
        }
        // Files stay in the order in which they were named.
        let mut order: Vec<&str> = Vec::new();
        let files = input.documents.iter().map(|d| &d.file).chain(input.problems.iter().map(|p| &p.file));
        for file in files {
            if !order.contains(&file.as_str()) {
                order.push(file);
            }
        }
        let place = |file: &str| order.iter().position(|known| *known == file);
        report.findings.sort_by(|a, b| {
            (place(&a.file), a.line, &a.path, &a.found).cmp(&(place(&b.file), b.line, &b.path, &b.found))
        });
        report.findings.dedup();
        report
    }

    fn document(&mut self, document: &Document, catalog: Option<&Catalog>) {
        let wanted = format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION);
        let (version, kind) = (document.text(&["apiVersion"]), document.text(&["kind"]));
        let (Some(version), Some(kind)) = (&version, &kind) else {
            let like_an_object = ["apiVersion", "kind", "metadata", "spec"].map(|key| document.node.get(key));
            // A folder also holds values of charts and settings of tools.
            if like_an_object.iter().all(Option::is_none) {
                self.others += 1;
                return;
            }
            self.ours += 1;
            let missing = if version.is_none() { "apiVersion" } else { "kind" };
            let write = if version.is_none() { wanted } else { STACK.to_owned() };
            self.findings.push(document.finding(missing, "nothing", format!("{missing}: {write}")));
            return;
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if group != obstack_crds::GROUP {
            // A slip in the group would otherwise pass in silence.
            if kind == STACK || kind == RECORD {
                self.ours += 1;
                let found = crate::validate::quoted(version);
                self.findings.push(document.finding("apiVersion", found, wanted));
            } else {
                self.others += 1;
            }
            return;
        }
        self.ours += 1;
        if *version != wanted {
            let found = crate::validate::quoted(version);
            self.findings.push(document.finding("apiVersion", found, wanted));
        }
        let checked = match kind.as_str() {
            STACK => check::check_stack(&document.node, &document.id(), catalog),
            RECORD => check::check_record(&document.node),
            other => {
                let write = crate::text::nearest(other, [STACK, RECORD]).unwrap_or(STACK);
                let found = format!("the unknown kind {}", crate::validate::quoted(other));
                self.findings.push(document.finding("kind", found, write));
                return;
            }
        };
        let place = |fault: Fault| document.finding(&fault.path, fault.found, fault.write);
        self.findings.extend(checked.faults().into_iter().map(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let mut input = Input::default();
        for (name, text) in files {
            input.add(name, text);
        }
        Report::of(&input).findings.iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStack\nmetadata: {name: main}\n";

    #[test]
    fn a_good_stack_has_no_fault_and_other_kinds_are_left_alone() {
        let mut input = Input::default();
        input
            .add("a.yaml", &format!("{HEAD}spec: {{}}\n---\napiVersion: v1\nkind: ConfigMap\nwhatever: 1\n"));
        input.add("values.yaml", "replicas: 3\n");
        let report = Report::of(&input);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.ours, report.others), (1, 2));
    }

    #[test]
    fn an_object_of_others_is_judged_as_the_operator_would() {
        let monitor = |interval: &str| {
            format!(
                "apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {{ name: web }}
spec:
  selector: {{}}
  endpoints:
    - port: http
      interval: {interval}
      basicAuth: {{ username: {{ name: elsewhere, key: user }} }}
"
            )
        };
        assert_eq!(lines(&[("a.yaml", &monitor("30s"))]), [""; 0], "the Secret can be in the cluster");
        let found = lines(&[("a.yaml", &monitor("soon"))]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("a.yaml:8: spec.endpoints[0].interval: found \"soon\"; write "),
            "{found:?}"
        );
    }

    #[test]
    fn what_a_stack_says_of_objects_is_told_by_its_line_and_holds_for_them() {
        let stack = |classes: &str| {
            format!(
                "{HEAD}spec:
  collection:
    scrapeClasses:
{classes}
  metrics:
    remoteWrite:
      - url: https://a.example
        basicAuth:
          username: {{ name: login, key: user }}
          password: {{ name: login, key: word }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: login }}
stringData: {{ user: me }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {{ name: web }}
spec: {{ selector: {{}}, endpoints: [{{ port: http }}], scrapeClass: gold }}
"
            )
        };
        let found = lines(&[("a.yaml", &stack("      - name: gold"))]);
        let key = "a.yaml:13: spec.metrics.remoteWrite[0].basicAuth.password: found key \"word\", which Secret \
                   default/login does not have; write a key that it has";
        assert_eq!(found, [key], "the class of the stack is known to the object");

        let found = lines(&[("a.yaml", &stack("      - name: silver"))]);
        let class = "a.yaml:23: spec.scrapeClass: found \"gold\", which is not defined; write one of silver";
        assert_eq!(found, [key, class]);
        let alone = stack("").split("---").last().unwrap().to_owned();
        assert_eq!(lines(&[("a.yaml", &alone)]), [""; 0], "a stack that is not in the files may define it");

        let two = "      - { name: gold, default: true }
      - name: other
        default: true
        relabelings: [{ regex: '(', targetLabel: a }]";
        let found = lines(&[("a.yaml", &stack(two))]);
        assert!(
            found[0].starts_with("a.yaml:6: spec.collection.scrapeClasses: found 2 defaults"),
            "{found:#?}"
        );
        let regex = "a.yaml:10: spec.collection.scrapeClasses[1].relabelings[0].regex: found \"(\": ";
        assert!(found[1].starts_with(regex), "{found:#?}");
    }

    #[test]
    fn every_fault_has_its_line_in_every_document() {
        let text = format!(
            "{HEAD}spec:
  requirements:
    retentoin: 15d
    activeSeries: lots
  rules:
    groups:
      - name: g
        rules:
          - alert: A
            expr: |
              sum(
                up
          - {{alert: B,
             exprs: up}}
---
{HEAD}spec: {{metrics: {{replicas: two,
  storage: {{size: 5}}}},
  decisions: {{alerting: {{choose: Alertmanger, because: x}}}}}}
"
        );
        let found = lines(&[("s.yaml", &text)]);
        let starts = [
            "s.yaml:6: spec.requirements.retentoin: found the unknown field \"retentoin\"; write retention",
            "s.yaml:7: spec.requirements.activeSeries: found \"lots\"; write a number of series",
            "s.yaml:13: spec.rules.groups[0].rules[0].expr: found \"sum(",
            "s.yaml:16: spec.rules.groups[0].rules[1].expr: found nothing; write expr: with a text",
            "s.yaml:17: spec.rules.groups[0].rules[1].exprs: found the unknown field \"exprs\"; write expr",
            "s.yaml:21: metadata.name: found default/main a second time",
            "s.yaml:22: spec.metrics.replicas: found the text \"two\"; write a whole number",
            "s.yaml:23: spec.metrics.storage.size: found the number 5; write it in quotes: \"5\"",
            "s.yaml:24: spec.decisions.alerting.choose: found \"Alertmanger\", which is no option of alerting; \
             write Alertmanager",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (line, start) in found.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}\nis not\n{start}");
        }
    }

    #[test]
    fn kinds_and_versions_that_are_nearly_ours_are_told() {
        let found = lines(&[
            ("a.yaml", "kind: ObservabilityStack\n"),
            (
                "b.yaml",
                "apiVersion: obstack.io/v1\nkind: ObservabilityStack\nmetadata: {name: a}\nspec: {}\n",
            ),
            ("c.yaml", "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStak\nmetadata: {name: a}\n"),
            ("d.yaml", "apiVersion: obstack.dev/v1alpha1\nkind: ObservabilityStack\n"),
            ("e.yaml", "a: [1\n"),
        ]);
        let starts = [
            "a.yaml:1: apiVersion: found nothing; write apiVersion: obstack.io/v1alpha1",
            "b.yaml:1: apiVersion: found \"obstack.io/v1\"; write obstack.io/v1alpha1",
            "c.yaml:2: kind: found the unknown kind \"ObservabilityStak\"; write ObservabilityStack",
            "d.yaml:1: apiVersion: found \"obstack.dev/v1alpha1\"; write obstack.io/v1alpha1",
            "e.yaml:",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (line, start) in found.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}\nis not\n{start}");
        }
    }
}

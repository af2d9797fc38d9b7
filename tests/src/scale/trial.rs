//! The operator at many objects on a real control plane: starts, settles, takes changes, rests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::load::{api, create};
use super::objects;
use super::operator::{Candidate, Carried, Measured, Sample, carried, kubeconfig_file};
use super::report::{mib, quantile, seconds, table, thousands};
use crate::control_plane::{AuditEvent, ControlPlane, Options};
use crate::plane::{ACCOUNT, HOME};
use crate::world::{NAMESPACE, repository};

/// Namespaces that the objects are spread over.
const NAMESPACES: usize = 50;
/// How long nothing may be asked of the API server until the operator counts as settled.
const QUIET: Duration = Duration::from_secs(15);
/// How long it may take until then.
const SETTLE: Duration = Duration::from_secs(600);
/// From one change to the next.
const PACE: Duration = Duration::from_secs(2);
/// How long a change may take.
const CHANGE: Duration = Duration::from_secs(60);

/// What is tried.
#[derive(Clone, Debug)]
pub struct Load {
    /// The operator's program.
    pub operator: PathBuf,
    /// ServiceMonitors.
    pub monitors: usize,
    /// PrometheusRules.
    pub rules: usize,
    /// Secrets that nothing refers to.
    pub secrets: usize,
    /// Changes, one each two seconds.
    pub changes: usize,
    /// How long it is watched at rest.
    pub rest: Duration,
    /// A program that is run with the operator's process id once it is settled; its end is not waited for.
    pub settled_hook: Option<PathBuf>,
}

/// What came of it.
struct Outcome {
    settled: Sample,
    wall: Duration,
    first_requests: usize,
    carried: Carried,
    at_rest: u64,
    rest_cpu: f64,
    rest_requests: BTreeMap<String, usize>,
    rest_watches: usize,
    changes: BTreeMap<&'static str, Changes>,
    peak: u64,
}

/// What changes of one kind took.
#[derive(Default)]
struct Changes {
    latencies: Vec<Duration>,
    cpu: f64,
    requests: Vec<usize>,
}

/// Runs the trial and gives its table.
///
/// # Errors
/// What broke: no control plane, an operator that does not settle, a change that is not written.
pub async fn run(load: &Load) -> Result<String, String> {
    let plane = ControlPlane::start(Options::default()).await.map_err(text)?;
    let admin = plane.admin().await.map_err(text)?;
    fill(&admin, load).await?;
    let kubeconfig = plane.kubeconfig_for_account(HOME, "obstack").await.map_err(text)?;
    let kubeconfig = kubeconfig_file(plane.folder(), &kubeconfig).map_err(text)?;
    let log = plane.folder().join("operator.log");
    let mut candidate = Candidate::watch(admin.clone());
    let begun = (Timestamp::now(), plane.audit_position().map_err(text)?);
    let operator = Measured::start(&load.operator, &kubeconfig, &log).map_err(text)?;
    let trial = Trial { plane: &plane, admin: &admin, operator: &operator, load };
    let outcome = trial.outcome(begun, &mut candidate).await;
    let outcome = outcome.map_err(|error| {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{error}; the operator's log ends: {}", lines[lines.len().saturating_sub(8)..].join("\n"))
    })?;
    drop(operator);
    plane.stop().await.map_err(text)?;
    Ok(told(load, &outcome))
}

async fn fill(admin: &Client, load: &Load) -> Result<(), String> {
    let install = obstack_sandbox::manifests::load(&[repository("crds"), repository("deploy/install.yaml")]);
    let mut install = install.map_err(text)?;
    // The operator runs here, and not in a pod.
    install.retain(|object| object.types.as_ref().is_some_and(|types| types.kind != "Deployment"));
    obstack_sandbox::manifests::apply(admin, &install).await.map_err(text)?;
    let others = crate::coreos::definitions().into_iter().map(serde_json::from_value);
    let others: Vec<_> = others.collect::<Result<_, _>>().map_err(text)?;
    obstack_sandbox::manifests::apply(admin, &others).await.map_err(text)?;
    let named =
        |name: String| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let namespaces = (0..NAMESPACES).map(|index| named(objects::namespace(index, NAMESPACES)));
    create(admin, "namespaces", "namespaces", namespaces.chain([named(NAMESPACE.to_owned())]))
        .await
        .map_err(text)?;
    let all = |count: usize, one: fn(usize) -> Value| (0..count).map(one);
    let secrets = all(load.secrets, |index| objects::secret(index, NAMESPACES));
    create(admin, "foreign Secrets", "secrets", secrets).await.map_err(text)?;
    let rules = all(load.rules, |index| objects::rule(index, NAMESPACES, 0));
    create(admin, "PrometheusRules", "prometheusrules", rules).await.map_err(text)?;
    let monitors = all(load.monitors, |index| objects::monitor(index, NAMESPACES, 0));
    create(admin, "ServiceMonitors", "servicemonitors", monitors).await.map_err(text)?;
    let everywhere = json!({ "objects": { "namespaceSelector": {} } });
    let stack = json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
        "metadata": { "name": "main", "namespace": NAMESPACE },
        "spec": { "collection": everywhere, "rules": everywhere },
    });
    create(admin, "stacks", "observabilitystacks", [stack].into_iter()).await.map_err(text)
}

struct Trial<'a> {
    plane: &'a ControlPlane,
    admin: &'a Client,
    operator: &'a Measured,
    load: &'a Load,
}

impl Trial<'_> {
    async fn outcome(&self, begun: (Timestamp, u64), candidate: &mut Candidate) -> Result<Outcome, String> {
        let (start, mark) = begun;
        let last = self.settled(mark, candidate).await?;
        let settled = self.operator.after(last);
        let wall = Duration::try_from(last - start).unwrap_or_default();
        eprintln!("settled after {:.1} s: {settled:?}", wall.as_secs_f64());
        let first_requests = self.requests(mark)?.len();
        let carried = carried(self.admin).await?;
        if carried.jobs != 2 * self.load.monitors || carried.rules != self.load.rules {
            return Err(format!("the configuration is not that of the objects: {carried:?}"));
        }
        if let Some(hook) = &self.load.settled_hook {
            let mut hook = tokio::process::Command::new(hook);
            hook.arg(self.operator.process().to_string()).spawn().map_err(text)?;
        }

        let (mark, from) = (self.plane.audit_position().map_err(text)?, self.operator.now());
        tokio::time::sleep(self.load.rest).await;
        let rested = self.operator.now();
        let (mut rest_requests, mut rest_watches) = (BTreeMap::new(), 0);
        for event in self.requests(mark)? {
            if event.verb == "watch" {
                rest_watches += 1;
            } else {
                *rest_requests.entry(name(&event)).or_default() += 1;
            }
        }
        eprintln!("at rest: {rest_requests:?} and {rest_watches} watches, {rested:?}");

        let mut changes: BTreeMap<&'static str, Changes> = BTreeMap::new();
        for number in 0..self.load.changes {
            self.change(number, candidate, &mut changes).await?;
        }
        Ok(Outcome {
            settled,
            wall,
            first_requests,
            carried,
            at_rest: self.operator.most(from.at, rested.at),
            rest_cpu: rested.cpu - from.cpu,
            rest_requests,
            rest_watches,
            changes,
            peak: self.operator.now().peak,
        })
    }

    /// Waits until the candidate is there and nothing was asked for a while; gives when it was asked last.
    async fn settled(&self, mark: u64, candidate: &mut Candidate) -> Result<Timestamp, String> {
        candidate.other_than(None, SETTLE).await?;
        let end = Instant::now() + SETTLE;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let requests = self.requests(mark)?;
            // What is read from time to time is no sign that something is on its way.
            let writes = requests.iter().filter(|event| event.is_write());
            let last = writes.map(|event| event.received).max().unwrap_or(Timestamp::UNIX_EPOCH);
            let quiet = Duration::try_from(Timestamp::now() - last).unwrap_or_default();
            if quiet > QUIET && carried(self.admin).await.is_ok_and(|carried| carried.jobs > 0) {
                return Ok(last);
            }
            if Instant::now() > end {
                return Err(format!("not settled within {SETTLE:?}; last write {last}"));
            }
        }
    }

    async fn change(
        &self,
        number: usize,
        candidate: &mut Candidate,
        changes: &mut BTreeMap<&'static str, Changes>,
    ) -> Result<(), String> {
        let of_rule = number % 2 == 1 && self.load.rules > 0;
        let (kind, plural, object) = if of_rule {
            let place = (number * 37) % self.load.rules;
            ("PrometheusRule", "prometheusrules", objects::rule(place, NAMESPACES, number + 1))
        } else {
            let place = (number * 37) % self.load.monitors;
            ("ServiceMonitor", "servicemonitors", objects::monitor(place, NAMESPACES, number + 1))
        };
        let next = Instant::now() + PACE;
        let before = candidate.generation();
        let (mark, from) = (self.plane.audit_position().map_err(text)?, self.operator.now());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let merge = Patch::Merge(json!({ "spec": object["spec"] }));
        let patched = api(self.admin, plural, &object).patch(&name, &PatchParams::default(), &merge).await;
        patched.map_err(text)?;
        let returned = Instant::now();
        let written = candidate.other_than(before.as_deref(), CHANGE).await;
        let written = written.map_err(|error| format!("change {number}: {error}"))?;
        tokio::time::sleep_until(next.into()).await;
        let of_kind = changes.entry(kind).or_default();
        of_kind.latencies.push(written.saturating_duration_since(returned));
        of_kind.cpu += self.operator.now().cpu - from.cpu;
        of_kind.requests.push(self.requests(mark)?.iter().filter(|event| event.verb != "watch").count());
        Ok(())
    }

    /// What the operator asked from a place of the audit log on: each once, without its Lease.
    fn requests(&self, mark: u64) -> Result<Vec<AuditEvent>, String> {
        let (events, _) = self.plane.audit_since(mark).map_err(text)?;
        let mut told = std::collections::BTreeSet::new();
        let ours = events.into_iter().filter(|event| event.user == ACCOUNT && event.resource != "leases");
        Ok(ours.filter(|event| told.insert(event.id.clone())).collect())
    }
}

/// A request as the table names it.
fn name(event: &AuditEvent) -> String {
    let path = event.uri.split('?').next().unwrap_or_default();
    let of = if event.resource.is_empty() { path } else { event.resource.as_str() };
    let sub = if event.subresource.is_empty() { String::new() } else { format!("/{}", event.subresource) };
    format!("{} {of}{sub}", event.verb)
}

fn told(load: &Load, outcome: &Outcome) -> String {
    let Outcome { settled, carried, changes, .. } = outcome;
    let minutes = load.rest.as_secs_f64() / 60.0;
    let at_rest: usize = outcome.rest_requests.values().sum();
    let mut rows = vec![
        row(
            "CPU seconds from start to settled",
            "5",
            format!("{:.2}", settled.cpu),
            "191 (44 without rules)",
        ),
        row("seconds from start to settled", "", format!("{:.1}", outcome.wall.as_secs_f64()), ""),
        row("requests until settled", "", outcome.first_requests.to_string(), ""),
        row("RSS settled, MiB", "150", mib(settled.resident), "2,930"),
        row("RSS at rest, the most, MiB", "150", mib(outcome.at_rest), "2,880"),
        row("RSS peak with updates, MiB", "200", mib(outcome.peak), "3,376 (3,820 without rules)"),
        row("CPU seconds a minute at rest", "", format!("{:.3}", outcome.rest_cpu / minutes), "0.1"),
        row("API requests a minute at rest", "0", format!("{:.2}", at_rest as f64 / minutes), "2"),
    ];
    for (kind, taken) in changes {
        let count = taken.latencies.len();
        let (most, sum) =
            (taken.requests.iter().max().copied().unwrap_or(0), taken.requests.iter().sum::<usize>());
        let of = |what: &str| format!("a changed {kind}: {what}");
        let p50 = seconds(quantile(&taken.latencies, 0.5));
        let p99 = seconds(quantile(&taken.latencies, 0.99));
        rows.extend([
            row(&of("CPU seconds"), "0.03", format!("{:.4}", taken.cpu / count as f64), "28.2"),
            row(&of("seconds to the written pointer, p50"), "", p50, "49.9 (8.9 without rules)"),
            row(&of("seconds to the written pointer, p99"), "0.2", p99, "53.9 (19.0 without rules)"),
            row(
                &of("API requests, mean (most)"),
                "6",
                format!("{:.1} ({most})", sum as f64 / count as f64),
                "28",
            ),
        ]);
    }
    let asked: Vec<String> =
        outcome.rest_requests.iter().map(|(name, count)| format!("`{name}` {count}")).collect();
    let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
    format!(
        "{} ServiceMonitors, {} PrometheusRules of 5 rules, {} foreign Secrets in {NAMESPACES} namespaces; {} \
         changes, one each {} s.\n\n{}\n\
         The configuration: {} jobs and {} rule files, {} bytes, in {} parts of {} bytes compressed, the largest \
         {}. At rest for {:.0} s, Leases aside, it asked {asked}; {} watches that the API server had ended were \
         started again.\n",
        thousands(load.monitors),
        thousands(load.rules),
        thousands(load.secrets),
        load.changes,
        PACE.as_secs(),
        table(&["measure", "goal", "obstack", "prometheus-operator 0.87.1"], &rows),
        thousands(carried.jobs),
        thousands(carried.rules),
        thousands(carried.bytes),
        carried.parts,
        thousands(carried.compressed),
        thousands(carried.largest),
        load.rest.as_secs_f64(),
        outcome.rest_watches,
    )
}

fn row(measure: &str, goal: &str, ours: String, anchor: &str) -> Vec<String> {
    vec![measure.to_owned(), goal.to_owned(), ours, anchor.to_owned()]
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

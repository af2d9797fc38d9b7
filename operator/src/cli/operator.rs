//! `obstack operator`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use obstack_crds::Component;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::catalog::CatalogArgs;
use super::logging::LogArgs;
use super::{CliError, Output, runtime};
use crate::controller::{self, Options, TripwireDivisor};
use crate::decide::Catalog;
use crate::http::decisions::DecisionsAccess;
use crate::observe::stores::Scope;
use crate::units::PromDuration;

/// Threads of the runtime: the operator waits more than it computes.
const THREADS: usize = 2;

const AFTER_HELP: &str = "\
Examples:
  obstack operator                                     in a cluster, or with KUBECONFIG
  obstack operator --watch-namespaces team-a,team-b    without cluster-wide rights
  obstack operator --catalog /etc/obstack/catalog      with options and numbers of one's own
  obstack operator --listen 127.0.0.1:8080 --leader-election=false --log debug";

/// Runs the operator until it is told to stop.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct OperatorArgs {
    /// Address for /metrics, /healthz, /readyz and /decisions.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = address)]
    listen: SocketAddr,
    /// Who may read /decisions.
    #[arg(long, value_name = "ACCESS", default_value = "token", env = "OBSTACK_DECISIONS_ACCESS")]
    decisions_access: Access,
    /// Namespaces to watch, separated by commas, with rights in each. Left out: all, with cluster-wide rights.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', env = "WATCH_NAMESPACES")]
    watch_namespaces: Vec<String>,
    /// Whether one of several operators is elected to write.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    leader_election: bool,
    /// Namespace of the Lease. Left out: the operator's own.
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// Image of this operator, from which the engines' reloader is taken.
    #[arg(long, value_name = "IMAGE", env = "OBSTACK_IMAGE", default_value = concat!("ghcr.io/obstack/obstack:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Time between two looks at a stack that is as wanted.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    resync: Duration,
    /// How long the API server may take to answer at first.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    startup_timeout: Duration,
    /// How long an answer of the API server may take until it begins.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, hide = true)]
    answer_timeout: Duration,
    /// How long the watches may take to list before stacks are looked at all the same.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, hide = true)]
    sync_timeout: Duration,
    /// For trials and tests: divides all durations of one tripwire's rules by N, those of its bound included.
    /// Records and rules of every stack then carry the divided text.
    #[arg(long = "tripwire-divisor", value_name = "COMPONENT/TRIPWIRE=N", value_parser = divisor, hide = true)]
    tripwire_divisors: Vec<TripwireDivisor>,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    logging: LogArgs,
    /// Name of the pod.
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide = true)]
    pod_name: Option<String>,
    /// Namespace of the pod.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", hide = true)]
    pod_namespace: Option<String>,
}

/// Who may read the decisions page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Access {
    /// Whoever brings a token of the cluster, of those namespaces whose stacks the token may get.
    Token,
    /// Everybody, of every namespace: for a sandbox on a loopback address.
    Open,
}

impl From<Access> for DecisionsAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Token => Self::Token,
            Access::Open => Self::Open,
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| "write an address and a port, such as 0.0.0.0:8080 or :8080".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: PromDuration = text.parse().map_err(|error: crate::units::UnitError| error.to_string())?;
    Ok(Duration::from_millis(duration.as_millis()))
}

/// `metricsStore/memory=60`.
fn divisor(text: &str) -> Result<TripwireDivisor, String> {
    const WRITE: &str =
        "write a component, a tripwire and a whole number from 1 to 1000000, such as metricsStore/memory=60";
    let parts = text.split_once('=').and_then(|(wire, number)| Some((wire.split_once('/')?, number)));
    let ((component, tripwire), number) = parts.ok_or(WRITE)?;
    let component = Component::from_id(component).ok_or_else(|| {
        let ids: Vec<&str> = Component::ALL.iter().map(|c| c.id()).collect();
        format!("{component:?} is no component; write one of {}", ids.join(", "))
    })?;
    let divisor: u32 = number.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or(WRITE)?;
    Ok(TripwireDivisor { component, tripwire: tripwire.to_owned(), divisor })
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the files of `--catalog` are at fault, and 3 where something outside is missing: the
/// address is taken, no cluster is configured, or it does not answer.
pub fn run(args: OperatorArgs, _output: &Output) -> Result<(), CliError> {
    args.logging.init();
    let catalog = args.catalog.load()?;
    let options = options(args, catalog);
    runtime(THREADS)?.block_on(async {
        let stop = CancellationToken::new();
        let signals = stop.clone();
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            signals.cancel();
        });
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            scope = ?options.scope,
            catalog = options.catalog.version,
            "obstack operator"
        );
        controller::run(options, stop).await.map_err(|error| CliError::Outside(error.to_string()))
    })
}

fn no_signals(error: std::io::Error) -> CliError {
    CliError::Outside(format!("signals cannot be waited for: {error}"))
}

fn options(args: OperatorArgs, catalog: Catalog) -> Options {
    let mut namespaces = args.watch_namespaces;
    namespaces.retain(|namespace| !namespace.is_empty());
    namespaces.sort();
    namespaces.dedup();
    let scope = if namespaces.is_empty() { Scope::Cluster } else { Scope::Namespaces(namespaces) };
    let lease_namespace =
        args.lease_namespace.or_else(|| args.pod_namespace.clone()).unwrap_or_else(|| "default".to_owned());
    // A pod's name is its own; elsewhere something random keeps two processes apart.
    let identity = args
        .pod_name
        .unwrap_or_else(|| format!("obstack-{}-{:08x}", std::process::id(), rand::random::<u32>()));
    Options {
        listen: args.listen,
        decisions_access: args.decisions_access.into(),
        scope,
        lease_namespace: args.leader_election.then_some(lease_namespace),
        identity,
        namespace: args.pod_namespace,
        image: args.image,
        catalog,
        resync: args.resync,
        startup_timeout: args.startup_timeout,
        answer_timeout: args.answer_timeout,
        sync_timeout: args.sync_timeout,
        tripwire_divisors: args.tripwire_divisors,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: OperatorArgs,
    }

    fn parse(args: &[&str]) -> Result<Options, clap::Error> {
        Command::try_parse_from([&["operator"], args].concat())
            .map(|command| options(command.args, Catalog::embedded().unwrap()))
    }

    #[test]
    fn namespaces_narrow_the_scope() {
        let options = parse(&["--watch-namespaces", "b,a,b"]).unwrap();
        assert_eq!(options.scope, Scope::Namespaces(vec!["a".to_owned(), "b".to_owned()]));
        assert!(options.scope.covers("a"));
        assert!(!options.scope.covers("c"));
        assert_eq!(parse(&[]).unwrap().scope, Scope::Cluster);
    }

    #[test]
    fn election_is_on_and_can_be_turned_off() {
        let options = parse(&["--lease-namespace", "ops", "--listen", ":9000", "--resync", "1m30s"]).unwrap();
        assert_eq!(options.lease_namespace.as_deref(), Some("ops"));
        assert_eq!(options.listen, SocketAddr::from(([0, 0, 0, 0], 9000)));
        assert_eq!(options.resync, Duration::from_secs(90));
        assert_eq!(parse(&["--leader-election=false"]).unwrap().lease_namespace, None);
    }

    #[test]
    fn tripwires_are_divided_by_name() {
        let wires = [
            "--tripwire-divisor",
            "metricsStore/memory=60",
            "--tripwire-divisor",
            "collection/sample-limit=2",
        ];
        let options = parse(&wires).unwrap();
        let of = |component, tripwire: &str, divisor| TripwireDivisor {
            component,
            tripwire: tripwire.to_owned(),
            divisor,
        };
        let wanted =
            [of(Component::MetricsStore, "memory", 60), of(Component::Collection, "sample-limit", 2)];
        assert_eq!(options.tripwire_divisors, wanted);
    }

    #[test]
    fn the_decisions_page_is_closed_unless_it_is_opened() {
        assert_eq!(parse(&[]).unwrap().decisions_access, DecisionsAccess::Token);
        let open = parse(&["--decisions-access", "open"]).unwrap();
        assert_eq!(open.decisions_access, DecisionsAccess::Open);
        assert!(parse(&["--decisions-access", "all"]).unwrap_err().to_string().contains("token, open"));
    }

    #[test]
    fn a_bad_value_says_what_to_write() {
        for (args, words) in [
            (["--resync", "30"], "Prometheus duration"),
            (["--listen", "8080"], "an address and a port"),
            (["--log-format", "xml"], "json"),
            (["--tripwire-divisor", "metricsStore/memory"], "such as metricsStore/memory=60"),
            (["--tripwire-divisor", "metricsStore/memory=0"], "from 1 to 1000000"),
            (["--tripwire-divisor", "metrics/memory=2"], "one of metricsStore, "),
        ] {
            let error = parse(&args).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

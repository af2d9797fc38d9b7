//! `obstack reloader`: the sidecar of an engine.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::reloader::{self, LiveSettings, Settings};
use crate::running::Engine;
use crate::units::PromDuration;

use super::{CliError, Output, logging};

/// How long an engine that does not answer has to start with the proven generation.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `obstack reloader`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack reloader --engine prometheus --engine-url http://10.0.0.7:9090/prometheus \\
      --slot /etc/obstack/slots/a --slot /etc/obstack/slots/b --target /var/lib/obstack/config
  obstack reloader --once --wait 5m --engine alertmanager \\
      --slot /etc/obstack/slots/a --slot /etc/obstack/slots/b --target /var/lib/obstack/config")]
pub(super) struct ReloaderArgs {
    /// The engine in the same pod.
    #[arg(long, value_parser = parse_engine, value_name = "prometheus|alertmanager")]
    engine: Engine,
    /// URL of the engine with its prefix; not needed with --once.
    #[arg(long, value_name = "URL", required_unless_present = "once")]
    engine_url: Option<String>,
    /// Folder that a slot is mounted at; slot a first, then slot b.
    #[arg(long = "slot", value_name = "DIR", required = true)]
    slots: Vec<PathBuf>,
    /// Folder that the generations and the link `current` are written to.
    #[arg(long, value_name = "DIR", default_value = crate::running::TARGET)]
    target: PathBuf,
    /// Address of /healthz, /readyz, /status and /metrics: HOST:PORT, or :PORT for every address.
    #[arg(long, value_name = "ADDRESS", default_value = ":9533", value_parser = parse_listen)]
    listen: SocketAddr,
    /// Lay down the first generation and end: what an init container does.
    #[arg(long)]
    once: bool,
    /// Longest wait for the first generation, a Prometheus duration.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    wait: Duration,
    /// Time between two looks at the slots, a Prometheus duration.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = parse_duration)]
    poll: Duration,
    /// The engine's own tool (promtool, amtool). Left out: looked for on the PATH.
    #[arg(long, value_name = "PATH")]
    checker: Option<PathBuf>,
    /// Namespace of the pod, for delivery over the API.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Secret of the candidate's pointer, for delivery over the API.
    #[arg(long, value_name = "NAME")]
    pointer: Option<String>,
    /// Secret of the proven pointer, for delivery over the API.
    #[arg(long, value_name = "NAME")]
    proven: Option<String>,
    #[command(flatten)]
    logging: logging::LogArgs,
}

pub(super) fn run(args: ReloaderArgs, _: &Output) -> Result<(), CliError> {
    args.logging.init();
    if args.slots.len() > 2 {
        return Err(CliError::Usage("there are two slots; name --slot at most twice".to_owned()));
    }
    let runtime = super::runtime(1)?;
    let live = runtime.block_on(live(&args));
    let settings = Settings {
        gather: gather(args.engine),
        engine: args.engine,
        engine_url: args.engine_url.unwrap_or_default(),
        slots: args.slots,
        target: args.target,
        listen: args.listen,
        checker: args.checker,
        poll: args.poll,
        live,
        patience: PATIENCE,
    };
    runtime.block_on(async {
        if args.once {
            let digest = reloader::run_once(&settings, args.wait).await.map_err(outside)?;
            tracing::info!(generation = %digest, "the first configuration is laid down");
            return Ok(());
        }
        reloader::run(settings, terminated()?).await.map_err(outside)
    })
}

/// How the API is reached, where the pod has what it takes.
async fn live(args: &ReloaderArgs) -> Option<LiveSettings> {
    let (namespace, candidate, proven) = (&args.namespace, &args.pointer, &args.proven);
    let (Some(namespace), Some(candidate), Some(proven)) = (namespace, candidate, proven) else {
        tracing::info!("without --namespace, --pointer and --proven the mounted slots have to do");
        return None;
    };
    match kube::Config::infer().await {
        Ok(config) => Some(LiveSettings {
            config,
            namespace: namespace.clone(),
            candidate: candidate.clone(),
            proven: proven.clone(),
        }),
        Err(error) => {
            tracing::warn!(%error, "the API cannot be reached from here; the mounted slots have to do");
            None
        }
    }
}

/// How long changes are gathered. Each reload of Alertmanager makes its groups anew and can notify again, so that
/// a burst of changes is to cost one; Prometheus goes on where it was.
fn gather(engine: Engine) -> Duration {
    match engine {
        Engine::Prometheus => Duration::ZERO,
        Engine::Alertmanager => Duration::from_secs(5),
    }
}

fn outside(error: reloader::ReloaderError) -> CliError {
    CliError::Outside(error.to_string())
}

/// Ends at SIGTERM and at SIGINT.
fn terminated() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let listen =
        |kind| signal(kind).map_err(|e| CliError::Outside(format!("no signal can be received: {e}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn parse_engine(text: &str) -> Result<Engine, String> {
    match text {
        "prometheus" => Ok(Engine::Prometheus),
        "alertmanager" => Ok(Engine::Alertmanager),
        _ => Err("write prometheus or alertmanager".to_owned()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: PromDuration = text.parse().map_err(|e: crate::units::UnitError| e.to_string())?;
    Ok(Duration::from_millis(duration.as_millis()))
}

/// `HOST:PORT`, or `:PORT` for every address of the pod, IPv4 and IPv6.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    text.parse().map_err(|_| "write HOST:PORT with an address, such as 10.0.0.7:9533, or :9533".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(parse_listen(":9533").unwrap().to_string(), "[::]:9533");
        assert_eq!(parse_listen("127.1.2.3:9533").unwrap().to_string(), "127.1.2.3:9533");
        for text in ["9533", "localhost:1", ":x", ""] {
            assert!(parse_listen(text).is_err(), "{text:?}");
        }
    }
}

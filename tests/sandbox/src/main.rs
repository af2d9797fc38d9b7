//! The command line of the sandbox.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use obstack_sandbox::cluster::Options;
use obstack_sandbox::up::{self, Up};

/// A cluster on this machine, for trying obstack out: API server, controllers, and pods as processes.
#[derive(Debug, Parser)]
#[command(
    name = "obstack-sandbox",
    version,
    after_help = "Exit codes: 0 done, 1 the input is at fault or a stack is not ready, 2 usage, 3 something outside is missing."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, apply manifests, and stay until Ctrl-C.
    #[command(after_help = UP_HELP)]
    Up(UpArgs),
}

const UP_HELP: &str = "\
Examples:
  obstack-sandbox up -f crds -f deploy/install.yaml -f stack.yaml
  obstack-sandbox up --demo -f crds -f deploy/install.yaml -f deploy/examples/quickstart.yaml
  kubectl kustomize . | obstack-sandbox up -f -

Images run as binaries of this machine, matched by the last part of their name: prometheus, alertmanager,
obstack, example-app. They are looked for in the folders of --binaries and OBSTACK_PARTS, in the cache of
scripts/parts, beside this program and on the PATH. Other images leave their pods Pending, with that reason.";

#[derive(Debug, Args)]
struct UpArgs {
    /// Manifests: a file, a folder, or - for standard input. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for volumes, logs and the kubeconfig. Left out: a temporary one that is removed at the end.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Port of the API server; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Folder with binaries of images. May be given several times.
    #[arg(long, value_name = "DIR")]
    binaries: Vec<PathBuf>,
    /// Wait until the stacks are ready, and print where they are reached.
    #[arg(long)]
    demo: bool,
    /// End this many seconds after the start is done. Left out: stay until Ctrl-C.
    #[arg(long, value_name = "SECONDS", env = "DEMO_SECONDS")]
    seconds: Option<u64>,
    /// What to log: a level, or a filter by module.
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "OBSTACK_LOG")]
    log: String,
}

fn main() -> ExitCode {
    let Command::Up(args) = Cli::parse().command;
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log).unwrap_or_else(|error| {
        eprintln!("--log {:?}: {error}; logging warnings", args.log);
        tracing_subscriber::EnvFilter::new("warn")
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let up = Up {
        paths: args.paths,
        cluster: Options {
            state: args.state,
            port: args.port,
            binaries: args.binaries,
            ..Options::default()
        },
        demo: args.demo,
        stay: args.seconds.map(Duration::from_secs),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(up::run(up)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

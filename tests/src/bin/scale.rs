//! Trials of size on this machine: the operator on a real control plane, and a real Prometheus with as many jobs.
//! `make bench-scale` runs them; tables go to standard output, progress to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use obstack_tests::scale::{engine, trial};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Subcommand)]
enum Trial {
    /// The operator at many objects, on a real control plane.
    Operator(OperatorArgs),
    /// A real Prometheus with the jobs of many monitors.
    Engine,
}

#[derive(clap::Args)]
struct OperatorArgs {
    /// The operator's program, from a release build.
    #[arg(long)]
    operator: PathBuf,
    /// ServiceMonitors.
    #[arg(long, default_value_t = 10_000)]
    monitors: usize,
    /// PrometheusRules of five rules each.
    #[arg(long, default_value_t = 5_000)]
    rules: usize,
    /// Secrets that nothing refers to.
    #[arg(long, default_value_t = 16_000)]
    secrets: usize,
    /// Changes, one each two seconds, of monitors and of rules in turn.
    #[arg(long, default_value_t = 100)]
    changes: usize,
    /// Seconds to watch it at rest.
    #[arg(long, default_value_t = 300)]
    rest: u64,
    /// Runs this with the operator's process id when it is settled, such as `perf record -p`.
    #[arg(long)]
    settled_hook: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::from(3) };
    let told = runtime.block_on(async {
        match args.trial {
            Trial::Operator(args) => {
                trial::run(&trial::Load {
                    operator: args.operator,
                    monitors: args.monitors,
                    rules: args.rules,
                    secrets: args.secrets,
                    changes: args.changes,
                    rest: std::time::Duration::from_secs(args.rest),
                    settled_hook: args.settled_hook,
                })
                .await
            }
            Trial::Engine => engine::run().await,
        }
    });
    match told {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

//! The command line: what each command takes, and what its exit code means.
//!
//! A command is a module with `struct XArgs: clap::Args` and `fn run(args, &Output) -> Result<(), CliError>`,
//! and one line each in [`Command`] and [`dispatch`].

mod calibrate;
pub mod catalog;
mod check;
mod completion;
pub mod config;
mod config_routing;
mod config_rules;
mod crds;
mod decide;
pub mod input;
mod install;
pub mod logging;
pub mod objects;
pub mod operator;
mod output;
#[cfg(test)]
mod reference;
mod reloader;
pub mod render;
mod why;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

pub use output::{CliError, Output, Style};

const ABOUT: &str = "One ObservabilityStack becomes a running metrics stack, and every choice in it carries a \
                     record of why it was made";

const AFTER_HELP: &str = "\
Examples:
  obstack check -f stack.yaml               every fault at once, with file and line
  obstack decide -f stack.yaml              what would be chosen, and why
  obstack render -f stack.yaml              the manifests that the operator would apply
  obstack crds | kubectl apply -f -         install the API types
  obstack operator                          run the operator

Exit codes: 0 done, 1 the input is at fault, 2 usage, 3 something outside is missing.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "obstack", version, about = ABOUT, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to use colour; NO_COLOR turns it off too.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report everything that is wrong with stacks, each fault with file and line; asks no cluster.
    Check(check::CheckArgs),
    /// Decide what fills each component of a stack, and say why; asks no cluster.
    Decide(decide::DecideArgs),
    /// Say whether an object of others is in the configuration of a stack, and if not, what keeps it out.
    Why(why::WhyArgs),
    /// Measure a Prometheus or a VictoriaMetrics that runs, and hold the catalog's figures against it.
    Calibrate(calibrate::CalibrateArgs),
    /// Print the manifests that the operator would apply.
    Render(render::RenderArgs),
    /// Print the configuration of the engines, the parts joined.
    Config(config::ConfigArgs),
    /// Print the custom resource definitions.
    Crds(crds::CrdsArgs),
    /// Print the completion script of a shell.
    Completion(completion::CompletionArgs),
    /// Run the operator.
    Operator(operator::OperatorArgs),
    /// Bring configuration into the engine of the same pod, and prove it.
    Reloader(reloader::ReloaderArgs),
    /// Copy this executable into a folder that the containers of a pod share.
    #[command(hide = true)]
    Install(install::InstallArgs),
}

/// The command line of the executable that runs in the engines' pods: the sidecar of [`Cli`], under the same name.
#[derive(Debug, Parser)]
#[command(name = "obstack", version, about = "The sidecar of obstack", max_term_width = 110)]
struct SidecarCli {
    #[command(subcommand)]
    command: SidecarCommand,
    /// When to use colour; NO_COLOR turns it off too.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum SidecarCommand {
    /// Bring configuration into the engine of the same pod, and prove it.
    Reloader(reloader::ReloaderArgs),
}

fn dispatch(command: Command, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Check(args) => check::run(args, output),
        Command::Decide(args) => decide::run(args, output),
        Command::Calibrate(args) => calibrate::run(args, output),
        Command::Why(args) => why::run(args, output),
        Command::Render(args) => render::run(args, output),
        Command::Config(args) => config::run(args, output),
        Command::Crds(args) => crds::run(args, output),
        Command::Completion(args) => completion::run(args, output),
        Command::Operator(args) => operator::run(args, output),
        Command::Reloader(args) => reloader::run(args, output),
        Command::Install(args) => install::run(args, output),
    }
}

/// The definition of the command line, for completion and for the documentation.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    run(|cli: Cli| (cli.color, move |output: &Output| dispatch(cli.command, output)))
}

/// As [`main`], with the sidecar for its only command.
pub fn sidecar() -> ExitCode {
    run(|cli: SidecarCli| {
        let SidecarCommand::Reloader(args) = cli.command;
        (cli.color, move |output: &Output| reloader::run(args, output))
    })
}

/// Parses the arguments as `C`, and runs what `of` makes of them.
fn run<C: Parser, R: FnOnce(&Output) -> Result<(), CliError>>(
    of: impl FnOnce(C) -> (ColorChoice, R),
) -> ExitCode {
    crate::tls::install_provider();
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap picks the stream. A closed stream changes nothing.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (color, command) = of(cli);
    let output = Output::stdio(color);
    match command(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(message) = error.message() {
                output.note(&format!("{}: {message}", output.paint(Style::Bad, "error")));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// A runtime for commands that talk to others. One thread is enough where little happens at once.
///
/// # Errors
/// [`CliError::Outside`] where the system gives no threads or descriptors.
pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().map_err(|e| CliError::Outside(format!("no runtime can be started: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        definition().debug_assert();
        SidecarCli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in definition().get_subcommands().filter(|c| !c.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example in its help", command.get_name());
        }
    }
}

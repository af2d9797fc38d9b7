//! `obstack completion`: the completion script of a shell.

use clap::Args;
use clap_complete::Shell;

use super::{CliError, Output};

/// Arguments of `obstack completion`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack completion bash > /etc/bash_completion.d/obstack
  obstack completion zsh > \"${fpath[1]}/_obstack\"
  obstack completion fish > ~/.config/fish/completions/obstack.fish")]
pub(super) struct CompletionArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: CompletionArgs, output: &Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::definition(), "obstack", &mut script);
    output.print(&String::from_utf8_lossy(&script))
}

//! How a long-running command logs.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How a long-running command logs.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Form of the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT", env = "OBSTACK_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What is logged, as in `info` or `info,obstack=debug`.
    #[arg(long, default_value = "info", value_name = "FILTER", env = "OBSTACK_LOG")]
    pub log: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogArgs {
    /// Starts logging to standard error. A filter that cannot be read becomes `info`, with a warning.
    pub fn init(&self) {
        let (filter, broken) = match EnvFilter::try_new(&self.log) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("info"), Some(error)),
        };
        // The client's own warnings can hold what a server answered, contents of Secrets included.
        let filter = match "kube_client::client=error".parse() {
            Ok(quiet) => filter.add_directive(quiet),
            Err(_) => filter,
        };
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // It fails only where a subscriber is set already, as in tests.
        let _ = match self.log_format {
            LogFormat::Text => builder.with_ansi(colour).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        if let Some(error) = broken {
            tracing::warn!(%error, filter = self.log, "the filter of the log cannot be read; info is logged");
        }
    }
}

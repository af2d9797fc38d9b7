//! What a command prints, and how it ends.

use std::io::{ErrorKind, IsTerminal, Write};

use clap::ColorChoice;

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CliError {
    /// The input is at fault: exit code 1.
    Input(String),
    /// The input is at fault, and every fault was printed already: exit code 1.
    Reported,
    /// The arguments make no sense together: exit code 2.
    Usage(String),
    /// Something outside is missing, such as a cluster or a binary: exit code 3.
    Outside(String),
}

impl CliError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Reported => 1,
            Self::Usage(_) => 2,
            Self::Outside(_) => 3,
        }
    }

    /// What is left to say.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Input(text) | Self::Usage(text) | Self::Outside(text) => Some(text),
            Self::Reported => None,
        }
    }
}

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    colour_out: bool,
    colour_err: bool,
}

/// A meaning that is shown by colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Something is wrong.
    Bad,
    /// Something is fine.
    Good,
    /// A heading.
    Strong,
    /// Of less weight.
    Faint,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bad => "31",
            Self::Good => "32",
            Self::Strong => "1",
            Self::Faint => "2",
        }
    }

    fn apply(self, colour: bool, text: &str) -> String {
        if colour { format!("\x1b[{}m{text}\x1b[0m", self.code()) } else { text.to_owned() }
    }
}

impl Output {
    /// Standard output and standard error; in colour where each is a terminal and `NO_COLOR` is not set,
    /// or where it was asked for.
    pub fn stdio(choice: ColorChoice) -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !forbidden,
        };
        Self {
            colour_out: wanted(std::io::stdout().is_terminal()),
            colour_err: wanted(std::io::stderr().is_terminal()),
        }
    }

    /// Prints the result, as it stands. A reader that has seen enough (`| head`) is no error.
    ///
    /// # Errors
    /// [`CliError::Outside`] where standard output cannot be written, such as on a full disk.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(CliError::Outside(format!("standard output cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Prints a line for the person in front, on standard error.
    pub fn note(&self, line: &str) {
        // There is nobody left to tell where standard error is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Text for [`Output::print`] in colour, where standard output takes it.
    pub fn style(&self, style: Style, text: &str) -> String {
        style.apply(self.colour_out, text)
    }

    /// Text for [`Output::note`] in colour, where standard error takes it.
    pub fn paint(&self, style: Style, text: &str) -> String {
        style.apply(self.colour_err, text)
    }
}

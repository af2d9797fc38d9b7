//! `obstack reloader` alone, as the engines' pods run it: nothing of the operator is linked into it.

use std::process::ExitCode;

fn main() -> ExitCode {
    obstack::cli::sidecar()
}

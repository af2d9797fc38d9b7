//! The one binary of obstack; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    obstack::cli::main()
}

//! The golden cases of the peers' operator, run through the builder that `obstack config` uses.
//!
//! Arguments: words, of which one must be in the folder and name of a case; `--folder PATH` for other data of the
//! same layout (else `OBSTACK_CONFORMANCE`, else `tests/conformance`); `--promtool PATH`, which can be repeated (else
//! `promtool` and `promtool-oldest` of `OBSTACK_PARTS` and of the PATH, which must be there with `CI=true`), or `--no-promtool`; `-v` to print every difference in full. The last
//! line is `conformance: N cases, N pass, N on purpose, N fail`.

mod alertmanager;
mod data;
mod differences;
mod prometheus;
mod promtool;
mod report;
mod selection;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use data::Data;
use differences::Differences;
use report::Report;

/// One folder of cases.
pub(crate) struct Suite {
    /// The folder's name in the data.
    pub(crate) folder: &'static str,
    /// Runs its cases; a suite leaves alone what another suite of the same folder takes.
    pub(crate) run: fn(&Data) -> Vec<Outcome>,
}

/// What became of one case.
pub(crate) struct Outcome {
    /// The case's name: that of its folder, or of its entry.
    pub(crate) case: String,
    /// What it is about, as the data say: `remote-write`, `ScrapeConfig`, ….
    pub(crate) kind: String,
    /// Nothing where it is as expected, else what differs, in a few lines.
    pub(crate) differs: Option<String>,
}

/// Every suite. One for the folders of Alertmanager's cases is added here.
const SUITES: &[Suite] = &[
    prometheus::PROMETHEUS,
    prometheus::EXTRA,
    prometheus::ERRORS,
    selection::SELECTION,
    Suite { folder: "alertmanager", run: alertmanager::run },
    Suite { folder: "errors", run: alertmanager::errors },
];

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("conformance: {message}");
            return ExitCode::from(2);
        }
    };
    if !options.folder.is_dir() {
        println!("conformance: skipped: there is no folder {}", options.folder.display());
        return ExitCode::from(3);
    }
    let data = Data { folder: options.folder.clone(), filters: options.filters.clone() };
    let differences = Differences::read(&root().join("conformance/differences.yaml"));
    let mut report = Report::new(differences, options.verbose);
    for suite in SUITES {
        report.add(suite.folder, (suite.run)(&data));
    }
    let accepted = promtool::check(&data, &options.promtools);
    if report.print() && accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The folder of the crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Options {
    folder: PathBuf,
    filters: Vec<String>,
    verbose: bool,
    /// Tools that judge what is built.
    promtools: Vec<PathBuf>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let folder = std::env::var_os("OBSTACK_CONFORMANCE").filter(|folder| !folder.is_empty());
        let mut options = Self {
            folder: folder.map_or_else(|| root().join("conformance"), PathBuf::from),
            filters: Vec::new(),
            verbose: false,
            promtools: Vec::new(),
        };
        let mut judge = true;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--folder" => {
                    options.folder = arguments.next().ok_or("--folder takes a path")?.into();
                }
                "--promtool" => {
                    options.promtools.push(arguments.next().ok_or("--promtool takes a path")?.into());
                }
                "--no-promtool" => judge = false,
                "-v" | "--verbose" => options.verbose = true,
                // What cargo hands to every test program.
                "--nocapture" | "--quiet" | "-q" | "--exact" => {}
                flag if flag.starts_with('-') => return Err(format!("unknown argument {flag}")),
                word => options.filters.push(word.to_owned()),
            }
        }
        if judge && options.promtools.is_empty() {
            options.promtools.extend(obstack_tests::parts::promtools());
        }
        Ok(options)
    }
}

//! The same requests, with the same assertions, against the sandbox and a real API server.

use obstack_tests::contract::{Report, Target, cases, listed_without_text, run, shapes, updating};
use std::process::ExitCode;

const HELP: &str = "\
The same requests, with the same assertions, against the sandbox and a real API server.

Usage: contract [--list] [FILTER]

  FILTER   only cases whose name or group contains this text
  --list   print the cases and end
  --help   print this text and end

OBSTACK_TEST_KUBECONFIG   kubeconfig of a cluster that is there for tests, to be asked as the real server
UPDATE_GOLDEN=1           write the kept answers anew from those of the real server

Ends with 0 when all is as it should be, 1 when a case fails, 2 for wrong arguments, 3 without a server.";

/// What the command line asks for.
struct Asked {
    list: bool,
    filter: String,
}

fn asked() -> Result<Option<Asked>, String> {
    let mut asked = Asked { list: false, filter: String::new() };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--list" => asked.list = true,
            // What `cargo test` hands to every suite.
            "--nocapture" | "--no-capture" | "--quiet" | "-q" => {}
            flag if flag.starts_with('-') => return Err(format!("{flag} is no argument of this suite")),
            filter => filter.clone_into(&mut asked.filter),
        }
    }
    Ok(Some(asked))
}

#[tokio::main]
async fn main() -> ExitCode {
    let asked = match asked() {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let cases = cases(&asked.filter);
    if asked.list {
        cases.iter().for_each(|case| println!("{}: {}", case.group, case.name));
        return ExitCode::SUCCESS;
    }
    match compare(&asked.filter, &cases).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("contract: {why}");
            ExitCode::from(3)
        }
    }
}

async fn compare(filter: &str, cases: &[obstack_tests::contract::Case]) -> Result<bool, String> {
    let real = match Target::real().await {
        Ok(real) => Some(real),
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") || updating() => {
            return Err(format!("there is no real API server: {why}"));
        }
        Err(why) => {
            println!("The real API server is skipped: {why}");
            None
        }
    };
    // The oracle comes first: where kept answers are written anew, the sandbox is compared to the new ones.
    let real = match real {
        Some(real) => Some(run(real, cases).await),
        None => None,
    };
    let sandbox = Target::sandbox().await?;
    let handle = sandbox.handle().cloned();
    let sandbox = run(sandbox, cases).await;
    let report = Report::new(cases, &sandbox, real.as_ref());
    print!("{}\n{}", report.table(), report.failures());
    let mut good = report.failed() == 0;
    if filter.is_empty() {
        let uncovered = handle.map(|handle| shapes::uncovered(&handle)).unwrap_or_default();
        for shape in &uncovered {
            println!("no case sends {shape}");
        }
        let texts = listed_without_text(cases);
        texts.iter().for_each(|text| println!("{text}"));
        good &= uncovered.is_empty() && texts.is_empty();
    }
    for ran in [Some(&sandbox), real.as_ref()].into_iter().flatten() {
        println!("{}: {:.1} s", ran.name, ran.time.as_secs_f64());
    }
    println!("{}", report.summary());
    Ok(good)
}

//! `obstack install`: copies the sidecar's executable, which lies beside this one, to where the containers of a pod
//! share it; this one, which can do the same and more, where there is none.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Args;

use super::{CliError, Output};

/// The sidecar alone: an engine's pod holds its pages, and has no use for the operator's.
const SIDECAR: &str = "obstack-reloader";

/// Arguments of `obstack install`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  obstack install --to /obstack/bin")]
pub(super) struct InstallArgs {
    /// Folder that the executable is copied into, under the name obstack.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn run(args: InstallArgs, _: &Output) -> Result<(), CliError> {
    let outside = |what: &str, error: std::io::Error| CliError::Outside(format!("{what}: {error}"));
    let own = std::env::current_exe().map_err(|e| outside("this executable cannot be found", e))?;
    let beside = own.with_file_name(SIDECAR);
    let own = if beside.is_file() { beside } else { own };
    std::fs::create_dir_all(&args.to)
        .map_err(|e| outside(&format!("{} cannot be made", args.to.display()), e))?;
    // Renamed into place, so that nobody ever runs half of it, and one that runs already stays whole.
    let (part, done) = (args.to.join(".obstack"), args.to.join("obstack"));
    let copied = std::fs::copy(&own, &part)
        .and_then(|_| std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&part, &done));
    copied.map_err(|e| outside(&format!("{} cannot be written", done.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_whole_and_can_be_run_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a/b");
        for _ in 0..2 {
            run(InstallArgs { to: to.clone() }, &Output::stdio(clap::ColorChoice::Never)).unwrap();
        }
        let about = std::fs::metadata(to.join("obstack")).unwrap();
        let own = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(about.len(), own.len());
        assert_eq!(about.permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1);
    }
}

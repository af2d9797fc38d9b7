//! Where the programs of a control plane are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::Error;

/// The programs that a control plane is made of.
const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// How long the script that knows the cache folder may take.
const ASK_BOUND: Duration = Duration::from_secs(60);

/// The folder that has all programs: that of `KUBEBUILDER_ASSETS`, or the one that `scripts/control-plane`
/// builds.
pub(super) async fn find() -> Result<PathBuf, Error> {
    if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from)
        && missing(&folder).is_none()
    {
        return Ok(folder);
    }
    let folder = cache_folder().await?;
    match missing(&folder) {
        None => Ok(folder),
        Some(name) => Err(Error::Missing(format!(
            "{name} is neither in KUBEBUILDER_ASSETS nor in {}: run `make control-plane`",
            folder.display()
        ))),
    }
}

/// The program that makes a process end with its parent; util-linux has it.
pub(super) fn setpriv() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("setpriv"));
    found.find(|program| program.is_file()).ok_or_else(|| {
        Error::Missing("setpriv is not on the PATH: install the package util-linux".to_owned())
    })
}

fn missing(folder: &Path) -> Option<&'static str> {
    NAMES.into_iter().find(|name| !folder.join(name).is_file())
}

/// The script is the one place that knows how the folder is named; the shell undoes its quoting.
async fn cache_folder() -> Result<PathBuf, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/control-plane");
    let ask = Command::new("bash")
        .args(["-c", r#"set -e; out=$("$0" --env); eval "$out"; printf %s "$KUBEBUILDER_ASSETS""#])
        .arg(&script)
        .kill_on_drop(true)
        .output();
    let failed = |why: String| Error::Missing(format!("{} --env: {why}", script.display()));
    match tokio::time::timeout(ASK_BOUND, ask).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(Ok(output)) => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {ASK_BOUND:?}"))),
    }
}

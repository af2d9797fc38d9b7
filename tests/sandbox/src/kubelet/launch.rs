//! How a container becomes a process: the arguments of bubblewrap, as a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::volumes::Bind;

/// Everything that one run of a container needs.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Name of the pod: the host name inside.
    pub(crate) hostname: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Environment, the whole of it.
    pub(crate) variables: BTreeMap<String, String>,
    /// Working directory inside.
    pub(crate) directory: String,
    /// Folder of this machine that is `/etc` inside.
    pub(crate) etc: PathBuf,
    /// Files of the image and volumes.
    pub(crate) binds: Vec<Bind>,
    /// User and group to be seen inside; none where the machine does not allow user namespaces.
    pub(crate) user: Option<(i64, i64)>,
    /// Whether the root file system cannot be written to.
    pub(crate) read_only_root: bool,
}

/// Read-only folders of this machine that every container sees: its programs and libraries stand for the
/// base layer of an image.
const BASE: &[&str] = &[
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
];
/// Programs that images have under `/bin`, where the binaries of the image itself go.
const SHELL: &[&str] =
    &["sh", "bash", "cat", "cp", "env", "false", "ls", "mkdir", "rm", "sleep", "test", "true"];

/// What runs before the command, and becomes it. bubblewrap ties the container to the life of the kubelet late
/// in its start; a kubelet that is killed before that would leave the container behind. So the container says an
/// empty line when it is tied, and goes on only when the kubelet, still alive, answers with one.
const GUARD: &[&str] = &["/usr/bin/bash", "-c", "echo && read -r && exec \"$@\" </dev/null", "container"];

/// Whether containers start with the guard: bash is part of nearly every machine, not of all.
pub(crate) fn is_guarded() -> bool {
    Path::new(GUARD[0]).exists()
}

/// The arguments of bubblewrap for a container.
pub(crate) fn build_arguments(launch: &Launch) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    // The container is process 1 of its own namespace, as in a cluster: it gets the signals itself, and
    // nothing of it is left when it ends or when the kubelet dies.
    arguments.flags(&["--die-with-parent", "--new-session", "--as-pid-1"]);
    arguments.flags(&["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    arguments.flags(&["--hostname", &launch.hostname, "--cap-drop", "ALL"]);
    if let Some((user, group)) = launch.user {
        arguments.flags(&["--unshare-user", "--uid", &user.to_string(), "--gid", &group.to_string()]);
    }
    for folder in BASE.iter().filter(|folder| Path::new(folder).is_dir()) {
        arguments.bind("--ro-bind", Path::new(folder), folder);
    }
    for library in ["lib", "lib32", "lib64", "libx32", "sbin"] {
        let path = Path::new("/").join(library);
        match std::fs::read_link(&path) {
            Ok(target) => arguments.flags(&["--symlink", &target.to_string_lossy(), &path.to_string_lossy()]),
            Err(_) if path.is_dir() => arguments.bind("--ro-bind", &path, &path.to_string_lossy()),
            Err(_) => (),
        }
    }
    let taken: BTreeSet<_> = launch.binds.iter().map(|bind| bind.target.as_str()).collect();
    for program in SHELL {
        let path = format!("/bin/{program}");
        if !taken.contains(path.as_str()) {
            arguments.flags(&["--symlink", &format!("/usr/bin/{program}"), &path]);
        }
    }
    arguments.flags(&["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--dir", "/tmp"]);
    arguments.flags(&["--dir", "/run", "--symlink", "../run", "/var/run"]);
    arguments.bind("--ro-bind", &launch.etc, "/etc");
    for folder in ["/etc/ssl", "/etc/alternatives"].iter().filter(|folder| Path::new(folder).is_dir()) {
        arguments.bind("--ro-bind", Path::new(folder), folder);
    }
    for bind in &launch.binds {
        // The link /var/run is not followed by bubblewrap when it makes the place of a mount.
        let target = bind.target.strip_prefix("/var/run/").map(|rest| format!("/run/{rest}"));
        let target = target.as_deref().unwrap_or(&bind.target);
        arguments.bind(if bind.read_only { "--ro-bind" } else { "--bind" }, &bind.source, target);
    }
    let mounted = |path: &str| launch.binds.iter().any(|bind| path == bind.target);
    if launch.directory != "/" && !mounted(&launch.directory) {
        arguments.flags(&["--dir", &launch.directory]);
    }
    if launch.read_only_root {
        arguments.flags(&["--remount-ro", "/"]);
    }
    arguments.flags(&["--chdir", &launch.directory, "--"]);
    if is_guarded() {
        arguments.flags(GUARD);
    }
    arguments.0.extend(launch.command.iter().map(OsString::from));
    arguments.0
}

/// Places under `/etc` that must exist in the folder that is bound there, because it is read-only inside.
pub(crate) fn prepare_etc(etc: &Path, binds: &[Bind]) -> std::io::Result<()> {
    let inside = binds.iter().filter_map(|bind| Some((bind, bind.target.strip_prefix("/etc/")?)));
    for (bind, below) in inside {
        let place = etc.join(below);
        if bind.source.is_dir() {
            std::fs::create_dir_all(place)?;
        } else if !place.exists() {
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(place, "")?;
        }
    }
    for folder in ["ssl", "alternatives"] {
        std::fs::create_dir_all(etc.join(folder))?;
    }
    Ok(())
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn bind(&mut self, kind: &str, source: &Path, target: &str) {
        self.0.push(kind.into());
        self.0.push(source.into());
        self.0.push(target.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        Launch {
            hostname: "web-0".into(),
            command: vec!["/bin/prometheus".into(), "--x".into()],
            variables: BTreeMap::new(),
            directory: "/prometheus".into(),
            etc: "/state/etc".into(),
            binds: vec![
                Bind { source: "/b/prometheus".into(), target: "/bin/prometheus".into(), read_only: true },
                Bind { source: "/v/data".into(), target: "/prometheus".into(), read_only: false },
                Bind { source: "/v/token".into(), target: "/var/run/secrets/x".into(), read_only: true },
            ],
            user: Some((65534, 65534)),
            read_only_root: true,
        }
    }

    fn text(launch: &Launch) -> String {
        let arguments = build_arguments(launch);
        arguments.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_container_dies_with_the_kubelet_and_sees_its_volumes_only() {
        let text = text(&launch());
        for part in [
            "--die-with-parent",
            "--as-pid-1",
            "--unshare-pid",
            "--unshare-user --uid 65534 --gid 65534",
            "--ro-bind /b/prometheus /bin/prometheus",
            "--bind /v/data /prometheus",
            "--ro-bind /v/token /run/secrets/x",
            "--remount-ro / --chdir /prometheus -- ",
            "/bin/prometheus --x",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains("--dir /prometheus"));
    }

    #[test]
    fn a_root_that_may_be_written_is_not_locked() {
        let text = text(&Launch { read_only_root: false, user: None, ..launch() });
        assert!(!text.contains("--remount-ro") && !text.contains("--unshare-user"));
    }
}

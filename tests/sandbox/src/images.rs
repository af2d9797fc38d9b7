//! The images that this machine has binaries for, and what a container made from one contains.
//!
//! An image is matched by the last segment of its repository, so that mirrors, tags and digests do not matter.
//! Binaries are looked for in the folders of `OBSTACK_PARTS`, in the cache folder of `scripts/parts`, and on
//! the PATH, in this order.

use std::path::{Path, PathBuf};

/// One kind of image.
#[derive(Debug)]
pub struct Image {
    /// Last segment of the repository.
    pub repository: &'static str,
    /// Binaries, the first of which must be on this machine.
    pub files: &'static [File],
    /// What is run where the container gives no command.
    pub entrypoint: &'static [&'static str],
    /// Arguments where the container gives neither a command nor arguments.
    pub arguments: &'static [&'static str],
    /// Read-only data of the package: folder beside the binary's own, and where it is in the container.
    pub shares: &'static [(&'static str, &'static str)],
    /// Working directory.
    pub directory: &'static str,
    /// User that the image names.
    pub user: i64,
    /// Variable by which a program that asks its control group for its memory limit is told of it here, where it
    /// has none, and the share of the limit that it would take, in percent.
    pub memory: Option<(&'static str, u64)>,
}

/// One binary of an image.
#[derive(Debug)]
pub struct File {
    /// Names that the binary has on a host.
    pub names: &'static [&'static str],
    /// Where it is in the container.
    pub path: &'static str,
}

/// The images that can run here, given their binaries.
pub const IMAGES: &[Image] = &[
    Image {
        repository: "prometheus",
        files: &[
            File { names: &["prometheus"], path: "/bin/prometheus" },
            File { names: &["promtool"], path: "/bin/promtool" },
        ],
        entrypoint: &["/bin/prometheus"],
        arguments: &["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        shares: &[],
        directory: "/prometheus",
        user: 65534,
        // As `--auto-gomemlimit` and its ratio are by default.
        memory: Some(("GOMEMLIMIT", 90)),
    },
    Image {
        repository: "alertmanager",
        files: &[
            File { names: &["prometheus-alertmanager", "alertmanager"], path: "/bin/alertmanager" },
            File { names: &["amtool"], path: "/bin/amtool" },
        ],
        entrypoint: &["/bin/alertmanager"],
        arguments: &["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        // Debian's build reads its default template from here.
        shares: &[("share/prometheus/alertmanager", "/usr/share/prometheus/alertmanager")],
        directory: "/alertmanager",
        user: 65534,
        memory: None,
    },
    Image {
        repository: "obstack",
        files: &[
            File { names: &["obstack"], path: "/usr/local/bin/obstack" },
            File { names: &["obstack-reloader"], path: "/usr/local/bin/obstack-reloader" },
        ],
        entrypoint: &["/usr/local/bin/obstack"],
        arguments: &[],
        shares: &[],
        directory: "/",
        user: 65534,
        memory: None,
    },
    Image {
        repository: "example-app",
        files: &[File { names: &["example-app"], path: "/usr/local/bin/example-app" }],
        entrypoint: &["/usr/local/bin/example-app"],
        arguments: &[],
        shares: &[],
        directory: "/",
        user: 65534,
        memory: None,
    },
];

/// An image whose binaries are on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row of the table.
    pub image: &'static Image,
    /// Files and folders of this machine, and where they are in the container.
    pub binds: Vec<(PathBuf, String)>,
}

/// Why a container cannot be made from an image here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The table has no such image.
    #[error("no binary for image {0} on this machine")]
    Unknown(String),
    /// The table has the image, and the machine lacks its binary.
    #[error(
        "no binary for image {image} on this machine: none of {names} is in OBSTACK_PARTS, in the cache of scripts/parts or on the PATH"
    )]
    Missing {
        /// The image as the container names it.
        image: String,
        /// The names that were looked for.
        names: String,
    },
}

/// Last segment of the repository of an image reference: `prometheus` of `quay.io/prometheus/prometheus:v3`.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// Folders in which binaries are looked for, first come first served.
#[derive(Clone, Debug, Default)]
pub struct Folders(Vec<PathBuf>);

impl Folders {
    /// Exactly these folders.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self(folders)
    }

    /// The folders of `extra`, of `OBSTACK_PARTS`, of the cache of `scripts/parts`, those beside the running
    /// executable, and the PATH.
    pub fn of_machine(extra: &[PathBuf]) -> Self {
        let mut folders = extra.to_vec();
        let listed = |name: &str| std::env::var_os(name).unwrap_or_default();
        folders.extend(std::env::split_paths(&listed("OBSTACK_PARTS")));
        let cache = |name: &str, rest: &str| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| Path::new(&value).join(rest))
        };
        folders.extend(
            cache("OBSTACK_CACHE", "parts/bin")
                .or_else(|| cache("XDG_CACHE_HOME", "obstack/parts/bin"))
                .or_else(|| cache("HOME", ".cache/obstack/parts/bin")),
        );
        if let Ok(executable) = std::env::current_exe() {
            // A test's executable is one folder below those of its package's binaries.
            folders.extend(executable.ancestors().skip(1).take(2).map(Path::to_path_buf));
        }
        folders.extend(std::env::split_paths(&listed("PATH")));
        folders.retain(|folder| folder.is_absolute());
        Self(folders)
    }

    /// The binary of one of these names, links followed, so that what lies beside it is found too.
    pub fn find(&self, names: &[&str]) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        self.0.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name))).find_map(|path| {
            let meta = path.metadata().ok()?;
            (meta.is_file() && meta.permissions().mode() & 0o111 != 0).then(|| path.canonicalize().ok())?
        })
    }

    /// What a container of an image contains.
    ///
    /// # Errors
    /// The table has no such image, or the machine lacks its first binary.
    pub fn resolve(&self, reference: &str) -> Result<Found, ImageError> {
        let name = repository(reference);
        let image = IMAGES
            .iter()
            .find(|image| image.repository == name)
            .ok_or_else(|| ImageError::Unknown(reference.to_owned()))?;
        let mut binds = Vec::new();
        for (index, file) in image.files.iter().enumerate() {
            match self.find(file.names) {
                Some(path) => binds.push((path, file.path.to_owned())),
                None if index == 0 => {
                    let names = file.names.join(", ");
                    return Err(ImageError::Missing { image: reference.to_owned(), names });
                }
                None => (),
            }
        }
        let beside = binds.first().and_then(|(path, _)| path.parent()?.parent()).map(Path::to_path_buf);
        for (folder, path) in image.shares {
            let source = beside.as_ref().map(|beside| beside.join(folder)).filter(|source| source.is_dir());
            binds.extend(source.map(|source| (source, (*path).to_owned())));
        }
        Ok(Found { image, binds })
    }
}

/// A flag by which a program is told where to listen, and its default.
struct Listen {
    program: &'static str,
    /// First argument that must be there, such as a subcommand; empty for any.
    subcommand: &'static str,
    flag: &'static str,
    /// What the program does without the flag; none where it then does not listen.
    default: Option<&'static str>,
}

const LISTENS: &[Listen] = &[
    Listen { program: "prometheus", subcommand: "", flag: "--web.listen-address", default: Some(":9090") },
    Listen { program: "alertmanager", subcommand: "", flag: "--web.listen-address", default: Some(":9093") },
    Listen {
        program: "alertmanager",
        subcommand: "",
        flag: "--cluster.listen-address",
        default: Some("0.0.0.0:9094"),
    },
    Listen { program: "obstack", subcommand: "operator", flag: "--listen", default: Some(":8080") },
    Listen { program: "obstack", subcommand: "reloader", flag: "--listen", default: Some(":9533") },
    Listen { program: "example-app", subcommand: "", flag: "--listen", default: Some(":8080") },
];

/// Rewrites a command so that its program listens at the pod's address and not at every address of the
/// machine, which the pods of the sandbox share. Only addresses without a host are touched.
pub fn listen_at(address: &str, command: &[String]) -> Vec<String> {
    let mut command = command.to_vec();
    let Some(program) = command.first().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
    else {
        return command;
    };
    let first = command.get(1).cloned().unwrap_or_default();
    for rule in LISTENS.iter().filter(|rule| rule.program == program) {
        if rule.subcommand.is_empty() || rule.subcommand == first {
            apply(rule, address, &mut command);
        }
    }
    command
}

fn apply(rule: &Listen, address: &str, command: &mut Vec<String>) {
    let short = &rule.flag[1..];
    let mut found = false;
    let mut index = 1;
    while index < command.len() {
        let argument = command[index].clone();
        if argument == rule.flag || argument == short {
            if let Some(value) = command.get_mut(index + 1) {
                found = true;
                *value = at(address, value);
            }
            index += 1;
        } else if let Some((flag, value)) = argument.split_once('=')
            && (flag == rule.flag || flag == short)
        {
            found = true;
            command[index] = format!("{flag}={}", at(address, value));
        }
        index += 1;
    }
    if let (false, Some(default)) = (found, rule.default) {
        command.push(format!("{}={}", rule.flag, at(address, default)));
    }
}

/// The address with a host where it has none.
fn at(address: &str, value: &str) -> String {
    let every = ["", "0.0.0.0", "[::]", "::", "*"];
    match value.rsplit_once(':') {
        Some((host, port)) if every.contains(&host) => format!("{address}:{port}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_matched_by_the_end_of_their_repository() {
        for (reference, name) in [
            ("quay.io/prometheus/prometheus:v3.5.0", "prometheus"),
            ("prometheus", "prometheus"),
            ("localhost:5000/mirror/prometheus@sha256:00", "prometheus"),
            ("localhost:5000/mirror/alertmanager:v1@sha256:00", "alertmanager"),
            ("quay.io/x/prometheus-config-reloader:v1", "prometheus-config-reloader"),
        ] {
            assert_eq!(repository(reference), name);
        }
    }

    #[test]
    fn an_image_contains_the_binaries_and_the_data_beside_them() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("usr/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(root.path().join("usr/share/prometheus/alertmanager")).unwrap();
        let binary = bin.join("prometheus-alertmanager");
        std::fs::write(&binary, "").unwrap();
        let folders = Folders::new(vec![bin]);
        let image = "quay.io/prometheus/alertmanager:v1";
        assert!(matches!(folders.resolve(image), Err(ImageError::Missing { .. })), "not executable");
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = folders.resolve(image).unwrap();
        let paths: Vec<_> = found.binds.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["/bin/alertmanager", "/usr/share/prometheus/alertmanager"]);
        let error = folders.resolve("docker.io/grafana/grafana:12").unwrap_err().to_string();
        assert!(error.contains("no binary for image docker.io/grafana/grafana:12"), "{error}");
    }

    #[test]
    fn programs_listen_at_the_address_of_their_pod() {
        let table: &[(&[&str], &[&str])] = &[
            (&["/bin/prometheus"], &["/bin/prometheus", "--web.listen-address=127.42.1.1:9090"]),
            (
                &["prometheus", "--web.listen-address=:9091", "--x=:1"],
                &["prometheus", "--web.listen-address=127.42.1.1:9091", "--x=:1"],
            ),
            (
                &["prometheus", "--web.listen-address", "0.0.0.0:9091"],
                &["prometheus", "--web.listen-address", "127.42.1.1:9091"],
            ),
            (
                &["alertmanager", "--cluster.listen-address=", "-web.listen-address=[::]:80"],
                &["alertmanager", "--cluster.listen-address=", "-web.listen-address=127.42.1.1:80"],
            ),
            (
                &[
                    "alertmanager",
                    "--cluster.listen-address=[127.42.1.1]:9094",
                    "--web.listen-address=1.2.3.4:1",
                ],
                &[
                    "alertmanager",
                    "--cluster.listen-address=[127.42.1.1]:9094",
                    "--web.listen-address=1.2.3.4:1",
                ],
            ),
            (&["/obstack/bin/obstack", "install"], &["/obstack/bin/obstack", "install"]),
            (
                &["/obstack/bin/obstack", "reloader", "--listen", ":9533"],
                &["/obstack/bin/obstack", "reloader", "--listen", "127.42.1.1:9533"],
            ),
            (&["sleep", "--listen", ":1"], &["sleep", "--listen", ":1"]),
        ];
        for (command, expected) in table {
            let command: Vec<_> = command.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(listen_at("127.42.1.1", &command), *expected);
        }
    }
}

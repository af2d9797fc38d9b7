//! The folder that the engine reads: `generations/<digest>/…` and the link `current`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

const GENERATIONS: &str = "generations";
const CURRENT: &str = "current";
/// The engine runs under another name in the same group; others have no business with receivers' secrets.
const DIR_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// The folder that the engine reads.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    target: PathBuf,
}

impl Layout {
    pub(super) fn new(target: PathBuf) -> Self {
        Self { target }
    }

    /// Prefix of every path in a configuration that leads into the generation.
    pub(super) fn current_prefix(&self) -> String {
        format!("{}/{CURRENT}/", self.target.display())
    }

    /// Folder of a generation.
    pub(super) fn dir(&self, digest: &str) -> PathBuf {
        self.target.join(GENERATIONS).join(digest)
    }

    /// Folder for whatever a check needs, empty.
    pub(super) fn scratch(&self) -> io::Result<PathBuf> {
        let dir = self.target.join(GENERATIONS).join(".check");
        remove(&dir)?;
        make_dir(&dir)?;
        Ok(dir)
    }

    /// Whether a generation was written in full.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.dir(digest).is_dir()
    }

    /// The generation that `current` leads to.
    pub(super) fn current(&self) -> Option<String> {
        let target = std::fs::read_link(self.target.join(CURRENT)).ok()?;
        let digest = target.file_name()?.to_str()?.to_owned();
        self.has(&digest).then_some(digest)
    }

    /// Writes a generation. Its folder appears under its name only when it is complete.
    pub(super) fn write(&self, digest: &str, files: &BTreeMap<String, String>) -> io::Result<()> {
        let done = self.dir(digest);
        if done.is_dir() {
            return Ok(());
        }
        let part = self.target.join(GENERATIONS).join(format!(".{digest}"));
        remove(&part)?;
        make_dir(&part)?;
        for (path, text) in files {
            let path = part.join(path);
            if let Some(parent) = path.parent() {
                make_dir(parent)?;
            }
            write_file(&path, text)?;
        }
        std::fs::rename(&part, &done)
    }

    /// Lets `current` lead to a generation, from one moment to the next.
    pub(super) fn switch(&self, digest: &str) -> io::Result<()> {
        let next = self.target.join(format!(".{CURRENT}"));
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(Path::new(GENERATIONS).join(digest), &next)?;
        std::fs::rename(&next, self.target.join(CURRENT))
    }

    /// Removes every generation but those to keep, and what an end at a bad moment left behind.
    pub(super) fn prune(&self, keep: &[&str]) -> io::Result<()> {
        for entry in std::fs::read_dir(self.target.join(GENERATIONS))? {
            let entry = entry?;
            let kept = entry.file_name().to_str().is_some_and(|name| keep.contains(&name));
            if !kept {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

pub(super) fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())
}

pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_is_switched_and_old_generations_go() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        assert_eq!(layout.current(), None);
        for digest in ["one", "two", "three"] {
            let files = BTreeMap::from([("rules/a.yaml".to_owned(), digest.to_owned())]);
            layout.write(digest, &files).unwrap();
            layout.switch(digest).unwrap();
            assert_eq!(layout.current().as_deref(), Some(digest));
            let text = std::fs::read_to_string(dir.path().join("current/rules/a.yaml")).unwrap();
            assert_eq!(text, digest);
        }
        layout.prune(&["two", "three"]).unwrap();
        assert!(!layout.has("one") && layout.has("two") && layout.has("three"));
        layout.switch("two").unwrap();
        assert_eq!(layout.current().as_deref(), Some("two"));
    }

    #[test]
    fn a_half_written_generation_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        make_dir(&dir.path().join("generations/.one/rules")).unwrap();
        assert!(!layout.has("one"));
        layout.write("one", &BTreeMap::from([("main.yaml".to_owned(), "x".to_owned())])).unwrap();
        assert!(layout.has("one") && !dir.path().join("generations/one/rules").exists());
    }
}

//! The folder that the engine reads: `generations/<digest>/…` and the link `current`.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
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

    /// Begins a generation in a folder of its own, empty. It appears under its name when it is complete.
    pub(super) fn begin(&self, digest: &str) -> io::Result<()> {
        let draft = self.draft(digest);
        remove(&draft)?;
        make_dir(&draft)
    }

    fn draft(&self, digest: &str) -> PathBuf {
        self.target.join(GENERATIONS).join(format!(".{digest}"))
    }

    /// Adds a file to a generation that was begun.
    pub(super) fn add(&self, digest: &str, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.place(digest, path)?;
        write_file(&path, content)
    }

    /// Adds a file that is the same as in another generation, as one more name of it, and gives its size.
    pub(super) fn link(&self, from: &str, digest: &str, path: &str) -> io::Result<u64> {
        let (old, new) = (self.dir(from).join(path), self.place(digest, path)?);
        std::fs::hard_link(&old, &new)?;
        Ok(std::fs::metadata(&new)?.len())
    }

    fn place(&self, digest: &str, path: &str) -> io::Result<PathBuf> {
        let path = self.draft(digest).join(path);
        if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
            make_dir(parent)?;
        }
        Ok(path)
    }

    /// Paths of the files of a generation, what it says of itself aside.
    pub(super) fn files(&self, digest: &str) -> io::Result<Vec<String>> {
        let (home, mut files) = (self.dir(digest), Vec::new());
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(home.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if let Some(path) = path.to_str().filter(|path| !path.starts_with('.')) {
                    files.push(path.to_owned());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Whether a generation has a file of just this content.
    pub(super) fn holds(&self, digest: &str, path: &str, content: &[u8]) -> bool {
        let path = self.dir(digest).join(path);
        let as_long = std::fs::metadata(&path).is_ok_and(|about| about.len() == content.len() as u64);
        as_long && std::fs::read(&path).is_ok_and(|held| held == content)
    }

    /// Paths of the files of a generation that another one lacks or has otherwise, sorted.
    pub(super) fn changes(&self, before: &str, digest: &str) -> io::Result<Vec<String>> {
        let differs = |path: &String| {
            let (old, new) = (self.dir(before).join(path), self.dir(digest).join(path));
            let (Ok(was), Ok(is)) = (std::fs::metadata(&old), std::fs::metadata(&new)) else { return true };
            // What did not change is most often one file with two names.
            let same = (was.dev(), was.ino()) == (is.dev(), is.ino());
            !same && !std::fs::read(&new).is_ok_and(|content| self.holds(before, path, &content))
        };
        let mut files = self.files(digest)?;
        files.retain(differs);
        Ok(files)
    }

    /// Puts a generation under its name: all of it is there.
    pub(super) fn complete(&self, digest: &str) -> io::Result<()> {
        let done = self.dir(digest);
        remove(&done)?;
        std::fs::rename(self.draft(digest), done)
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

pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)
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
            layout.begin(digest).unwrap();
            layout.add(digest, "rules/a.yaml", digest.as_bytes()).unwrap();
            assert!(!layout.has(digest), "it is not complete");
            layout.complete(digest).unwrap();
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
    fn a_file_that_stays_is_another_name_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        layout.begin("one").unwrap();
        layout.add("one", "rules/a.yaml", b"x").unwrap();
        layout.complete("one").unwrap();
        assert!(layout.holds("one", "rules/a.yaml", b"x"));
        assert!(!layout.holds("one", "rules/a.yaml", b"y") && !layout.holds("one", "rules/b.yaml", b"x"));
        layout.begin("two").unwrap();
        assert_eq!(layout.link("one", "two", "rules/a.yaml").unwrap(), 1);
        layout.complete("two").unwrap();
        let inode = |digest: &str| std::fs::metadata(layout.dir(digest).join("rules/a.yaml")).unwrap().ino();
        assert_eq!(inode("one"), inode("two"));
    }

    #[test]
    fn what_changed_is_what_differs_in_content() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        for (digest, b) in [("one", "b"), ("two", "other")] {
            layout.begin(digest).unwrap();
            layout.add(digest, "rules/a.yaml", b"a").unwrap();
            layout.add(digest, "rules/b.yaml", b.as_bytes()).unwrap();
            layout.add(digest, &format!("rules/{digest}.yaml"), b"").unwrap();
            layout.complete(digest).unwrap();
        }
        assert_eq!(layout.changes("one", "two").unwrap(), ["rules/b.yaml", "rules/two.yaml"]);
        assert_eq!(layout.changes("two", "two").unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn a_half_written_generation_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        layout.begin("one").unwrap();
        layout.add("one", "rules/old.yaml", b"").unwrap();
        assert!(!layout.has("one"));
        layout.begin("one").unwrap();
        layout.add("one", "main.yaml", b"x").unwrap();
        layout.complete("one").unwrap();
        assert!(layout.has("one") && !dir.path().join("generations/one/rules").exists());
    }
}

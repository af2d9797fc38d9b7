//! Writes a set of files into a folder so that a reader sees either all of the old ones or all of the new.
//!
//! As the kubelet does it: the files lie in a folder of their own, `..data` is a link to that folder, and each
//! visible name is a link through `..data`. One rename of the link is the swap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path};

/// Content and permission bits of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Content.
    pub(crate) content: Vec<u8>,
    /// Permission bits, such as 0o644.
    pub(crate) mode: u32,
}

/// Files by their path inside of the volume.
pub(crate) type Files = BTreeMap<String, File>;

const DATA: &str = "..data";

/// Brings a folder to hold exactly these files. Tells whether anything changed.
///
/// # Errors
/// The file system's, and a path that leads out of the folder.
pub(crate) fn write(folder: &Path, files: &Files) -> io::Result<bool> {
    if let Some(path) = files.keys().find(|path| !is_inside(path)) {
        let message = format!("{path:?} is no path inside of a volume");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    fs::create_dir_all(folder)?;
    let old = fs::read_link(folder.join(DATA)).ok();
    if old.as_ref().is_some_and(|old| same(&folder.join(old), files)) {
        return Ok(false);
    }
    let number = old.as_ref().and_then(|old| old.to_str()?.strip_prefix("..")?.parse::<u64>().ok());
    let next = format!("..{}", number.unwrap_or(0) + 1);
    let staging = folder.join(&next);
    remove(&staging)?;
    fs::DirBuilder::new().mode(0o755).create(&staging)?;
    for (path, file) in files {
        let path = staging.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut handle = options.write(true).create_new(true).mode(file.mode).open(&path)?;
        io::Write::write_all(&mut handle, &file.content)?;
    }
    let link = folder.join("..data_tmp");
    remove(&link)?;
    symlink(&next, &link)?;
    fs::rename(&link, folder.join(DATA))?;
    link_names(folder, files)?;
    if let Some(old) = old {
        remove(&folder.join(old))?;
    }
    Ok(true)
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with("..")
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Keeps one link for each first segment of the paths, and no others.
fn link_names(folder: &Path, files: &Files) -> io::Result<()> {
    let first = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let wanted: BTreeSet<_> = files.keys().map(first).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            remove(&entry.path())?;
        }
    }
    for name in wanted {
        let link = folder.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("{DATA}/{name}"), link)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Whether a folder holds exactly these files.
fn same(folder: &Path, files: &Files) -> bool {
    fn count(folder: &Path) -> io::Result<usize> {
        let mut number = 0;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            number += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
        }
        Ok(number)
    }
    count(folder).is_ok_and(|number| number == files.len())
        && files.iter().all(|(path, file)| fs::read(folder.join(path)).is_ok_and(|old| old == file.content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        let file = |text: &str| File { content: text.as_bytes().to_vec(), mode: 0o644 };
        pairs.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn visible(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with(".."))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_change_and_go() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("volume");
        assert!(write(&folder, &files(&[("a", "1"), ("d/b", "2")])).unwrap());
        assert_eq!(fs::read_to_string(folder.join("d/b")).unwrap(), "2");
        assert!(!write(&folder, &files(&[("a", "1"), ("d/b", "2")])).unwrap(), "nothing changed");
        assert!(write(&folder, &files(&[("a", "3")])).unwrap());
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "3");
        assert_eq!(visible(&folder), ["a"]);
        assert!(write(&folder, &Files::new()).unwrap());
        assert_eq!(visible(&folder), [""; 0]);
        let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(left.len(), 2, "only the link and its folder are left: {left:?}");
    }

    #[test]
    fn a_reader_that_holds_the_link_never_sees_a_mixed_set() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("volume");
        write(&folder, &files(&[("a", "0"), ("b", "0")])).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) || seen == 0 {
                    // As the reloader reads: resolve the link once, then read both files beneath it.
                    let Ok(data) = folder.join(DATA).canonicalize() else { continue };
                    let (Ok(a), Ok(b)) = (fs::read(data.join("a")), fs::read(data.join("b"))) else {
                        continue;
                    };
                    assert_eq!(a, b);
                    seen += 1;
                }
            });
            for round in 1..200 {
                let text = round.to_string();
                write(&folder, &files(&[("a", &text), ("b", &text)])).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for path in ["../a", "/a", "a/../b", "..data", ""] {
            assert!(write(root.path(), &files(&[(path, "1")])).is_err(), "{path}");
        }
    }
}

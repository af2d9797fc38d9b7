//! Options and numbers of one's own, for every command that decides.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::CliError;
use crate::decide::Catalog;
use crate::decide::catalog::{MAX_BYTES, OverlayFile};

/// Most files of a folder.
const MAX_FILES: usize = 64;

/// Where options and numbers of one's own lie.
#[derive(Clone, Debug, Default, Args)]
pub struct CatalogArgs {
    /// Options and numbers of one's own, added to the catalog: a file, or a folder's *.yaml, *.yml and *.json (a
    /// mounted ConfigMap is one; an empty folder adds nothing).
    #[arg(long = "catalog", value_name = "PATH")]
    path: Option<PathBuf>,
}

impl CatalogArgs {
    /// The catalog of this binary, with what the arguments add.
    ///
    /// # Errors
    /// [`CliError::Input`] with the file, the entry and what to write.
    pub fn load(&self) -> Result<Catalog, CliError> {
        let catalog = Catalog::embedded().map_err(|e| CliError::Outside(e.to_string()))?;
        let Some(path) = &self.path else { return Ok(catalog) };
        let files = files(path)?.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        catalog.with_files(&files).map_err(|e| CliError::Input(e.to_string()))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Input(format!("the catalog {} cannot be read: {error}", path.display()))
}

/// The files that a path leads to, by name. The hidden ones are how a kubelet switches a volume's content.
fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !std::fs::metadata(path).map_err(|e| unreadable(path, &e))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let hidden = |p: &Path| p.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    let yaml = |p: &Path| p.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    let mut files: Vec<PathBuf> = entries
        .map_err(|e| unreadable(path, &e))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|p| !hidden(p) && yaml(p) && p.is_file())
        .collect();
    files.sort();
    if files.len() > MAX_FILES {
        let found = files.len();
        return Err(CliError::Input(format!("{}: {found} files; write {MAX_FILES} at most", path.display())));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<OverlayFile, CliError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| unreadable(path, &e))?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| CliError::Input(format!("{name} is no UTF-8; save it as UTF-8")))?;
    Ok(OverlayFile { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: &str =
        "prices: { cpu: { low: 1, high: 2, unit: USD per core and month, source: ours, quote: owned } }";

    fn load(path: &Path) -> Result<Catalog, CliError> {
        CatalogArgs { path: Some(path.to_owned()) }.load()
    }

    #[test]
    fn a_mounted_config_map_is_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let embedded = CatalogArgs::default().load().unwrap();
        assert_eq!(load(dir.path()).unwrap(), embedded, "an empty folder adds nothing");
        // As a kubelet lays a volume out.
        let data = dir.path().join("..2026");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("prices.yaml"), PRICE).unwrap();
        std::os::unix::fs::symlink("..2026", dir.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/prices.yaml", dir.path().join("prices.yaml")).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "not for us").unwrap();
        let own = load(dir.path()).unwrap();
        assert_eq!(own.prices.cpu.high, 2.0);
        assert_eq!(
            load(&dir.path().join("prices.yaml")).unwrap().version,
            own.version,
            "a name is no content"
        );
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.yaml");
        for (text, words) in [
            (b"prices: { gpu: {} }".to_vec(), "gpu"),
            (vec![0xff, 0xfe], "UTF-8"),
            (vec![b' '; MAX_BYTES + 1], "write less"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = load(dir.path()).unwrap_err();
            let message = error.message().unwrap_or_default();
            assert!(message.contains("own.yaml") && message.contains(words), "{message}");
            assert_eq!(error.exit_code(), 1);
        }
        let error = load(&dir.path().join("missing")).unwrap_err();
        assert!(error.message().unwrap().contains("cannot be read"), "{error:?}");
    }
}

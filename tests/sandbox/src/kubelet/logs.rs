//! Logs of containers: one file per run, in the form that container runtimes write, bounded by rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Size at which a file is put aside; one file put aside is kept beside it.
const LIMIT: u64 = 10 * 1024 * 1024;
/// Longest line that is written in one piece.
const LINE: usize = 16 * 1024;

/// File of a run of a container.
pub(crate) fn path(folder: &Path, container: &str, run: i32) -> PathBuf {
    folder.join(container).join(format!("{run}.log"))
}

/// File that an older part of a run's log was put aside to.
pub(crate) fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Writes the log of one run of a container.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: Mutex<(File, u64)>,
    limit: u64,
}

impl LogWriter {
    /// Opens the log of a run, and removes those of all runs but the one before.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(folder: &Path, container: &str, run: i32) -> io::Result<Arc<Self>> {
        Self::with_limit(folder, container, run, LIMIT)
    }

    fn with_limit(folder: &Path, container: &str, run: i32, limit: u64) -> io::Result<Arc<Self>> {
        let path = path(folder, container, run);
        let parent = folder.join(container);
        fs::create_dir_all(&parent)?;
        for entry in fs::read_dir(&parent)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.split('.').next().and_then(|number| number.parse::<i32>().ok());
            if number.is_some_and(|number| number + 1 < run) {
                fs::remove_file(entry.path())?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Arc::new(Self { path, file: Mutex::new((file, size)), limit }))
    }

    /// Writes one line, or a part of one where `whole` is false.
    pub(crate) fn line(&self, stream: &str, text: &[u8], whole: bool) {
        let mut record =
            format!("{} {stream} {} ", Timestamp::now(), if whole { "F" } else { "P" }).into_bytes();
        record.extend_from_slice(text);
        record.push(b'\n');
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, size) = &mut *guard;
        if *size > 0 && *size + record.len() as u64 > self.limit {
            let fresh = fs::rename(&self.path, older(&self.path))
                .and_then(|()| OpenOptions::new().create(true).append(true).open(&self.path));
            if let Ok(fresh) = fresh {
                *file = fresh;
                *size = 0;
            }
        }
        // A full disk must not end the container: its lines are lost, as they are in a cluster.
        if file.write_all(&record).is_ok() {
            *size += record.len() as u64;
        }
    }

    /// Copies a stream of a container until its end.
    pub(crate) async fn copy(self: Arc<Self>, stream: &'static str, mut source: impl AsyncRead + Unpin) {
        let mut pending = Vec::new();
        let mut buffer = vec![0; 8192];
        while let Ok(read) = source.read(&mut buffer).await {
            if read == 0 {
                break;
            }
            pending.extend_from_slice(&buffer[..read]);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                self.line(stream, &pending[..end], true);
                pending.drain(..=end);
            }
            while pending.len() > LINE {
                self.line(stream, &pending[..LINE], false);
                pending.drain(..LINE);
            }
        }
        if !pending.is_empty() {
            self.line(stream, &pending, true);
        }
    }
}

/// One record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// When it was written.
    pub(crate) time: &'a str,
    /// The text, with its line's end where the line is whole.
    pub(crate) text: String,
}

/// Reads a record back; none for a line in another form.
pub(crate) fn parse(line: &str) -> Option<Record<'_>> {
    let mut parts = line.splitn(4, ' ');
    let (time, _, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let end = if tag == "F" { "\n" } else { "" };
    Some(Record { time, text: format!("{text}{end}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_stamped_split_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let log = LogWriter::open(root.path(), "c", 0).unwrap();
        let long = "x".repeat(LINE + 1);
        let text = format!("one\ntwo\n{long}\nlast");
        log.copy("stdout", text.as_bytes()).await;
        let written = fs::read_to_string(path(root.path(), "c", 0)).unwrap();
        let records: Vec<_> = written.lines().map(|line| parse(line).unwrap()).collect();
        assert!(records[0].time.parse::<Timestamp>().is_ok());
        let joined: String = records.iter().map(|record| record.text.as_str()).collect();
        assert_eq!(joined, format!("one\ntwo\n{long}\nlast\n"));
    }

    #[test]
    fn a_log_is_bounded_and_old_runs_go() {
        let root = tempfile::tempdir().unwrap();
        LogWriter::open(root.path(), "c", 0).unwrap();
        LogWriter::open(root.path(), "c", 1).unwrap();
        let log = LogWriter::with_limit(root.path(), "c", 2, 1000).unwrap();
        for _ in 0..100 {
            log.line("stdout", b"some text", true);
        }
        let path = path(root.path(), "c", 2);
        assert!(fs::metadata(&path).unwrap().len() <= 1000);
        assert!(fs::metadata(older(&path)).unwrap().len() <= 1000);
        assert!(!root.path().join("c/0.log").exists() && root.path().join("c/1.log").exists());
    }
}

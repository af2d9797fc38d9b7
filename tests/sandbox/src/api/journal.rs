//! The store on disk: a file of changes, one JSON value a line, written behind the requests and read at start.

use super::lock;
use super::server::Server;
use super::store::{Change, Event, Store};
use super::tls::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

/// Size at which the file is written anew from the store, in bytes.
const REWRITE_AT: u64 = 64 * 1024 * 1024;

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Resource version of the change.
    version: u64,
    /// Storage; empty for a line that only states a version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    storage: String,
    /// The object; for a deletion as it was last.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    object: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

/// What must stay the same between runs, so that kubeconfigs and tokens stay valid.
#[derive(Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) identity: Identity,
    /// Secret that tokens are signed with, hex.
    pub(crate) secret: String,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, rcgen::Error> {
        let secret: [u8; 32] = rand::random();
        let secret = secret.iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { identity: Identity::generate()?, secret })
    }
}

/// Changes on their way to the file.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Sender<(String, Event)>);

impl Journal {
    pub(crate) fn record(&self, storage: &str, event: &Event) {
        // The writer is gone only when the server is stopping.
        let _ = self.0.send((storage.to_owned(), event.clone()));
    }
}

/// A folder that holds a store.
pub(crate) struct Folder {
    path: PathBuf,
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

impl Folder {
    /// Opens or makes the folder.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// The keys of the last run, or new ones.
    pub(crate) fn keys(&self) -> std::io::Result<Keys> {
        let path = self.path.join("keys.json");
        if let Ok(bytes) = std::fs::read(&path) {
            return serde_json::from_slice(&bytes).map_err(std::io::Error::other);
        }
        let keys = Keys::generate().map_err(std::io::Error::other)?;
        let mut file = private(&path)?;
        file.write_all(&serde_json::to_vec(&keys)?)?;
        Ok(keys)
    }

    fn file(&self) -> PathBuf {
        self.path.join("store.jsonl")
    }

    /// Fills the store with what the last run left. A last line that was cut off by a crash is dropped.
    pub(crate) fn restore(&self, store: &mut Store) -> std::io::Result<()> {
        let file = match File::open(self.file()) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut version = 0;
        let mut lines = BufReader::new(file).lines().peekable();
        while let Some(line) = lines.next() {
            let line: Line = match serde_json::from_str(&line?) {
                Ok(line) => line,
                Err(_) if lines.peek().is_none() => break,
                Err(error) => return Err(std::io::Error::other(error)),
            };
            version = version.max(line.version);
            match (line.storage.as_str(), line.deleted) {
                ("", _) => {}
                (storage, false) => store.restore(storage, line.object),
                (storage, true) => store.forget(storage, &line.object),
            }
        }
        store.restored(version);
        Ok(())
    }

    /// A journal for the store, and the writer's half of it.
    pub(crate) fn journal() -> (Journal, Receiver<(String, Event)>) {
        let (sender, receiver) = channel();
        (Journal(sender), receiver)
    }

    /// Writes changes until the journal's last sender is gone. Runs on a thread of its own.
    pub(crate) fn write(
        &self,
        server: &Weak<Server>,
        changes: &Receiver<(String, Event)>,
    ) -> std::io::Result<()> {
        let (mut file, mut size, mut from) = self.rewrite(server)?;
        loop {
            let Ok(first) = changes.recv() else { return file.flush() };
            let mut next = Some(first);
            while let Some((storage, event)) = next {
                if event.version > from {
                    let line = Line {
                        version: event.version,
                        storage,
                        object: Value::clone(&event.object),
                        deleted: event.change == Change::Deleted,
                    };
                    size += put(&mut file, &line)?;
                }
                next = changes.try_recv().ok();
            }
            file.flush()?;
            if size > REWRITE_AT {
                (file, size, from) = self.rewrite(server)?;
            }
        }
    }

    /// Writes the whole store into a new file, which then takes the place of the old one.
    fn rewrite(&self, server: &Weak<Server>) -> std::io::Result<(BufWriter<File>, u64, u64)> {
        let (version, objects) = {
            let server = server.upgrade().ok_or_else(|| std::io::Error::other("the server is gone"))?;
            let store = lock(&server.store);
            let storages = store.storages();
            let objects: Vec<(String, Arc<Value>)> = storages
                .into_iter()
                .flat_map(|s| store.list(&s, None).map(|o| (s.clone(), o.clone())).collect::<Vec<_>>())
                .collect();
            (store.version(), objects)
        };
        let fresh = self.path.join("store.jsonl.new");
        let mut file = BufWriter::new(private(&fresh)?);
        let head = Line { version, storage: String::new(), object: Value::Null, deleted: false };
        let mut size = put(&mut file, &head)?;
        for (storage, object) in objects {
            let line = Line { version, storage, object: Value::clone(&object), deleted: false };
            size += put(&mut file, &line)?;
        }
        file.flush()?;
        std::fs::rename(&fresh, self.file())?;
        Ok((file, size, version))
    }
}

fn put(file: &mut BufWriter<File>, line: &Line) -> std::io::Result<u64> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    Ok(bytes.len() as u64)
}

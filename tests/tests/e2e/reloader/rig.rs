//! A slot that is synced as a kubelet does it, an engine as a process, and a reloader between them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use obstack::reloader::{LiveSettings, Settings, run, run_once};
use obstack::running::{
    Engine, Fragment, Generation, POINTER_KEY, PROVEN_FILE, Pointer, Slot, generation_glob, part_file,
};
use obstack_tests::{ask, parts, ports, wait::until};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A binary of the real parts: in a folder of `OBSTACK_PARTS`, or on the PATH.
pub(crate) fn part(names: &[&str]) -> PathBuf {
    let listed = std::env::var_os("OBSTACK_PARTS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&listed).chain(std::env::split_paths(&path)).collect();
    let mut found = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    found.find(|path| path.is_file()).unwrap_or_else(|| panic!("{} is missing", names[0]))
}

/// Names under which packages install an engine.
fn names(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Prometheus => &["prometheus"],
        Engine::Alertmanager => &["alertmanager", "prometheus-alertmanager"],
    }
}

fn tool(engine: Engine) -> PathBuf {
    match engine {
        Engine::Prometheus => part(&["promtool"]),
        Engine::Alertmanager => part(&["amtool"]),
    }
}

/// How a rig is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// With the engine's own tool.
    Tool,
    /// As in an image that lacks it: the engine itself has to say.
    None,
}

/// A slot, an engine and a reloader.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    dir: TempDir,
    syncs: AtomicUsize,
    port: u16,
    listen: u16,
    checker: PathBuf,
    process: Option<Child>,
    stop: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// How the reloader reaches the API; none where the mounts have to do.
    pub(crate) live: Option<LiveSettings>,
    /// How long changes are gathered.
    pub(crate) gather: Duration,
}

impl Rig {
    /// A rig with nothing in its slot, nothing running.
    pub(crate) fn new(engine: Engine, check: Check) -> Self {
        parts::require();
        let checker = match check {
            Check::Tool => tool(engine),
            Check::None => PathBuf::from("/nonexistent/tool"),
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("slot")).unwrap();
        let (port, listen) = (ports::loopback().unwrap(), ports::loopback().unwrap());
        Self {
            engine,
            dir,
            syncs: AtomicUsize::new(0),
            port,
            listen,
            checker,
            process: None,
            stop: None,
            live: None,
            gather: Duration::ZERO,
        }
    }

    /// A rig whose engine runs a first generation that the reloader has confirmed.
    pub(crate) async fn live(engine: Engine, check: Check, files: &[(&str, &str)]) -> Self {
        let mut rig = Self::new(engine, check);
        let first = rig.generation(files);
        rig.deliver(&first);
        run_once(&rig.settings(), BOUND).await.unwrap();
        rig.start_engine();
        rig.start_reloader();
        rig.confirmed(&first).await;
        rig
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.dir.path().join("running")
    }

    pub(crate) fn slot(&self) -> PathBuf {
        self.dir.path().join("slot")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            engine: self.engine,
            engine_url: self.url(),
            slots: vec![self.slot(), self.dir.path().join("slot-b")],
            target: self.target(),
            listen: ([127, 0, 0, 1], self.listen).into(),
            checker: Some(self.checker.clone()),
            poll: Duration::from_millis(50),
            live: self.live.clone(),
            gather: self.gather,
            patience: Duration::from_secs(2),
        }
    }

    pub(crate) fn url(&self) -> String {
        let prefix = match self.engine {
            Engine::Prometheus => "prometheus",
            Engine::Alertmanager => "alertmanager",
        };
        format!("http://127.0.0.1:{}/{prefix}", self.port)
    }

    /// A generation of these files and a main file that leads to them.
    pub(crate) fn generation(&self, files: &[(&str, &str)]) -> Generation {
        let current = self.target().join("current");
        let main = match self.engine {
            Engine::Prometheus => format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files:\n- {}/rules/*.yaml\n- {}\n",
                current.display(),
                generation_glob()
            ),
            Engine::Alertmanager => format!("templates:\n- {}\n", generation_glob()),
        };
        let mut fragments: Vec<Fragment> = Vec::new();
        for (path, text) in files {
            if *path == self.engine.main_file() {
                fragments.push(fragment("main", path, &format!("{main}{text}")));
            } else {
                fragments.push(fragment(path, path, text));
            }
        }
        if !files.iter().any(|(path, _)| *path == self.engine.main_file()) {
            fragments.push(fragment("main", self.engine.main_file(), &main));
        }
        Generation::build(self.engine, fragments).unwrap()
    }

    /// Syncs a generation into the slot at once, as a kubelet does: a new folder, and a link that is switched.
    pub(crate) fn deliver(&self, generation: &Generation) {
        self.sync(&[(POINTER_KEY, pointer(generation))], generation);
    }

    /// Syncs a pointer with the parts of a generation that need not be the one it names.
    pub(crate) fn sync(&self, pointers: &[(&str, Vec<u8>)], parts: &Generation) {
        let parts = parts.parts.iter().map(|part| (part_file(part.index), part.gzip.to_vec()));
        let pointers = pointers.iter().map(|(file, bytes)| ((*file).to_owned(), bytes.clone()));
        self.mount(Slot::A, &parts.chain(pointers).collect::<Vec<_>>());
    }

    /// Syncs a slot with just these files.
    pub(crate) fn mount(&self, slot: Slot, files: &[(String, Vec<u8>)]) {
        let slot = match slot {
            Slot::A => self.slot(),
            _ => self.dir.path().join("slot-b"),
        };
        let name = format!("..sync-{}", self.syncs.fetch_add(1, Ordering::SeqCst));
        std::fs::create_dir_all(slot.join(&name)).unwrap();
        for (file, bytes) in files {
            std::fs::write(slot.join(&name).join(file), bytes).unwrap();
        }
        symlink(&name, slot.join("..next")).unwrap();
        std::fs::rename(slot.join("..next"), slot.join("..data")).unwrap();
    }

    pub(crate) fn start_engine(&mut self) {
        let mut command = self.command(&part(names(self.engine)));
        let main = self.target().join("current").join(self.engine.main_file());
        let data = self.dir.path().join("data");
        let address = format!("127.0.0.1:{}", self.port);
        command.arg(format!("--config.file={}", main.display()));
        command.arg(format!("--web.listen-address={address}"));
        command.arg(format!("--web.external-url={}", self.url()));
        match self.engine {
            Engine::Prometheus => {
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command.args(["--web.route-prefix=/prometheus", "--web.enable-lifecycle"]);
            }
            Engine::Alertmanager => {
                command.arg(format!("--storage.path={}", data.display()));
                command.args(["--web.route-prefix=/alertmanager", "--cluster.listen-address="]);
            }
        }
        let log = std::fs::File::create(self.dir.path().join("engine.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// The engine's command. An Alertmanager that was unpacked and not installed looks for its templates where
    /// its package would have put them, so it gets them there.
    fn command(&self, binary: &Path) -> Command {
        let templates = Path::new("/usr/share/prometheus/alertmanager");
        let unpacked =
            binary.canonicalize().unwrap().parent().unwrap().join("../share/prometheus/alertmanager");
        if self.engine == Engine::Prometheus || templates.exists() || !unpacked.exists() {
            return Command::new(binary);
        }
        let mut command = Command::new("bwrap");
        command.args(["--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        command.arg("--bind").args([self.dir.path(), self.dir.path()]);
        command.args(["--tmpfs", "/usr/share", "--ro-bind"]).args([&unpacked, templates]).arg(binary);
        command
    }

    pub(crate) fn stop_engine(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn start_reloader(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let settings = self.settings();
        let stopped = async move { drop(stopped.await) };
        let running = tokio::spawn(async move { run(settings, stopped).await.unwrap() });
        self.stop = Some((stop, running));
    }

    pub(crate) async fn stop_reloader(&mut self) {
        let Some((stop, running)) = self.stop.take() else { return };
        drop(stop);
        tokio::time::timeout(BOUND, running).await.expect("the reloader ends").unwrap();
    }

    fn status_url(&self) -> String {
        format!("http://127.0.0.1:{}/status", self.listen)
    }

    /// What the reloader says of itself.
    pub(crate) async fn status(&self) -> Result<Value, String> {
        ask::json(&self.status_url()).await
    }

    pub(crate) async fn metrics(&self) -> String {
        ask::text(&format!("http://127.0.0.1:{}/metrics", self.listen)).await.unwrap()
    }

    pub(crate) async fn ready(&self) -> bool {
        ask::text(&format!("http://127.0.0.1:{}/readyz", self.listen)).await.is_ok()
    }

    /// Waits until the state is as a check wants it, and returns it.
    pub(crate) async fn state(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        until(what, BOUND, || async {
            let state = self.status().await?;
            if check(&state) { Ok(state) } else { Err(state.to_string()) }
        })
        .await
    }

    /// Waits until the reloader says that the engine runs a generation, and asks the engine.
    pub(crate) async fn confirmed(&self, generation: &Generation) {
        let digest = generation.digest.as_str();
        self.state("the generation to be confirmed", |s| s["confirmed"] == digest && s["current"] == digest)
            .await;
        assert_eq!(self.engine_says().await.as_deref(), Some(digest));
    }

    /// Removes what was laid down, as when a pod is replaced.
    pub(crate) fn empty(&self) {
        std::fs::remove_dir_all(self.target()).unwrap();
    }

    /// Waits until the engine's process has ended by itself.
    pub(crate) async fn engine_ends(&mut self) {
        let process = self.process.as_mut().unwrap();
        let start = std::time::Instant::now();
        while process.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < BOUND, "the engine goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.process = None;
    }

    /// Waits until a generation is refused, and returns the reason.
    pub(crate) async fn refused(&self, generation: &Generation, running: &Generation) -> String {
        let (bad, good) = (generation.digest.as_str(), running.digest.as_str());
        let state = self
            .state("the generation to be refused", |s| {
                // While parts of the change are tried the engine runs these.
                let tries = s["waiting"].as_str().is_some_and(|what| what.contains("tried part by part"));
                s["refused"]["generation"] == bad && s["current"] == good && s["confirmed"] == good && !tries
            })
            .await;
        assert_eq!(self.engine_says().await.as_deref(), Some(good));
        assert!(self.ready().await, "what ran before still answers");
        state["refused"]["reason"].as_str().unwrap().to_owned()
    }

    /// The generation that the engine itself names.
    pub(crate) async fn engine_says(&self) -> Option<String> {
        let (path, pointer) = match self.engine {
            Engine::Prometheus => ("/api/v1/status/config", "/data/yaml"),
            Engine::Alertmanager => ("/api/v2/status", "/config/original"),
        };
        let answer = ask::json(&format!("{}{path}", self.url())).await.unwrap();
        let config = answer.pointer(pointer)?.as_str()?;
        obstack::running::generation_in(config).map(str::to_owned)
    }

    /// Names of the generations on disk, the one that `current` leads to included.
    pub(crate) fn generations(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.target().join("generations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("engine.log")).unwrap_or_default();
            eprintln!("the engine's log:\n{log}");
        }
        self.stop_engine();
    }
}

/// The pointer to a generation, as it is mounted.
pub(crate) fn pointer(generation: &Generation) -> Vec<u8> {
    let pointer = Pointer::to(generation, |index| (Slot::A, format!("main-metrics-a-{index}")));
    serde_json::to_vec(&pointer).unwrap()
}

/// The pointers of a slot that has both.
pub(crate) fn both(candidate: &Generation, proven: &Generation) -> [(&'static str, Vec<u8>); 2] {
    [(POINTER_KEY, pointer(candidate)), (PROVEN_FILE, pointer(proven))]
}

fn fragment(key: &str, path: &str, text: &str) -> Fragment {
    Fragment::new(key, path, text.as_bytes())
}

/// Writes a slot file by file, without a link: as a volume plugin that is not atomic would.
pub(crate) fn write_plain(slot: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(slot.join(name), bytes).unwrap();
}

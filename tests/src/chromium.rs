//! A headless Chromium, driven over a pipe: what a page looks like and says in a browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long any one step may take, on a busy machine; most take milliseconds.
const STEP: Duration = Duration::from_secs(90);
/// Names that it goes by.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// The browser reads commands at its descriptor 3 and answers at 4: here they are its input and output.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A running browser; it is killed when it is dropped.
pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: u64,
    events: Vec<Value>,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Width of the window in CSS pixels; below 600 it is a phone.
    pub width: u32,
    /// Whether the user prefers dark.
    pub dark: bool,
}

/// A page that was loaded.
pub struct Page {
    session: String,
    /// Everything that the browser complained of: its log, the console, exceptions.
    pub complaints: Vec<Value>,
}

impl Chromium {
    /// Starts it. Where it is missing, that is said and there is none; with `CI=true` it is a failure.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        let Some(program) = find() else {
            let message = "chromium is missing: run scripts/parts chromium";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
            eprintln!("skipped: {message}");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let mut child = Command::new("sh")
            .args(["-c", PIPES])
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars"])
            // Pages here are ours and on loopback; a container that runs as root has no room for its sandbox.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            // It talks to nobody but the tests.
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--no-pings", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
            .args(["--proxy-server=direct://", "--disable-extensions"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut browser = Self { child, to, from, next: 0, events: Vec::new(), _profile: profile };
        browser.call("Browser.getVersion", json!({}), None).await;
        Some(browser)
    }

    /// Loads a page in a tab of its own.
    ///
    /// # Panics
    /// When the browser refuses, or takes too long.
    pub async fn open(&mut self, url: &str, look: Look) -> Page {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }), None).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach, None).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({}), Some(&session)).await;
        }
        let size = json!({
            "width": look.width, "height": 844, "deviceScaleFactor": 1, "mobile": look.width < 600
        });
        self.call("Emulation.setDeviceMetricsOverride", size, Some(&session)).await;
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media, Some(&session)).await;
        self.events.clear();
        let navigated = self.call("Page.navigate", json!({ "url": url }), Some(&session)).await;
        assert!(navigated.get("errorText").is_none(), "{url}: {navigated}");
        self.wait_for("Page.loadEventFired", &session).await;
        // Whatever is to be complained of has been by the time that this is answered.
        self.call("Runtime.evaluate", json!({ "expression": "0" }), Some(&session)).await;
        let is_complaint = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            event["sessionId"] == session.as_str()
                && ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"].contains(&method)
        };
        let complaints = self.events.iter().filter(is_complaint).map(|event| event["params"].clone());
        let complaints = complaints.collect();
        Page { session, complaints }
    }

    /// What an expression is in the page. The page's own policy does not hold for it.
    ///
    /// # Panics
    /// When it throws.
    pub async fn evaluate(&mut self, page: &Page, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", ask, Some(&page.session)).await;
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Writes the whole page as a PNG.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn screenshot(&mut self, page: &Page, file: &Path) {
        let how = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", how, Some(&page.session)).await;
        let png = STANDARD.decode(answer["data"].as_str().unwrap_or_default()).expect("base64");
        assert!(png.starts_with(b"\x89PNG"), "no picture");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for pictures");
        std::fs::write(file, png).expect("the picture is written");
    }

    /// Ends it.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }

    async fn call(&mut self, method: &str, params: Value, session: Option<&str>) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.expect("the browser runs");
        loop {
            let answer = self.read(method).await;
            if answer["id"] == id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    async fn wait_for(&mut self, method: &str, session: &str) {
        let is_it = |event: &Value| event["method"] == method && event["sessionId"] == session;
        while !self.events.iter().any(is_it) {
            let event = self.read(method).await;
            self.events.push(event);
        }
    }

    async fn read(&mut self, what: &str) -> Value {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(STEP, self.from.read_until(0, &mut bytes)).await;
        let count = read.unwrap_or_else(|_| panic!("no answer to {what} within {STEP:?}")).expect("a pipe");
        assert!(count > 0, "the browser ended at {what}");
        bytes.pop();
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

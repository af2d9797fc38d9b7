//! The health of a running container: hooks and probes, and what follows from them.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Probe};

use super::container::PodRun;
use super::probe::{Judge, Prober, Verdict};
use super::process::ProcessHandle;

impl PodRun {
    /// How a running container is asked.
    pub(crate) fn prober(&self, process: ProcessHandle) -> Prober {
        Prober {
            address: self.addresses.pod.clone(),
            process,
            http: self.context.http.clone(),
            nsenter: self.context.nsenter.clone(),
            users: self.context.users,
        }
    }

    /// Asks the probes; returns only when the container has to be restarted, with the reason.
    pub(crate) async fn watch_health(&self, container: &Container, prober: &Prober) -> String {
        let name = &container.name;
        if let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
            && let Err(error) = run_hook(container, prober, hook).await
        {
            return format!("postStart hook: {error}");
        }
        if let Some(probe) = &container.startup_probe {
            let failed = self.until(container, prober, "Startup", probe, Verdict::Passing).await;
            if let Some(error) = failed {
                return format!("startup probe: {error}");
            }
        }
        self.board.set(name, |view| view.started = true);
        let readiness = async {
            let Some(probe) = &container.readiness_probe else {
                self.board.set(name, |view| view.ready = true);
                return std::future::pending::<()>().await;
            };
            delay(probe).await;
            let mut judge = Judge::new(probe);
            loop {
                let answer = prober.ask(container, probe).await;
                if let Err(error) = &answer {
                    tracing::debug!(container = %name, %error, "readiness probe failed");
                }
                match judge.take(answer.is_ok()) {
                    Verdict::Passing => self.board.set(name, |view| view.ready = true),
                    Verdict::Failing => {
                        self.board.set(name, |view| view.ready = false);
                        let message = format!("Readiness probe failed: {}", answer.err().unwrap_or_default());
                        self.context.warn(&self.current(), "Unhealthy", message);
                    }
                    Verdict::Undecided => (),
                }
                tokio::time::sleep(judge.pause()).await;
            }
        };
        let liveness = async {
            match &container.liveness_probe {
                None => std::future::pending().await,
                Some(probe) => self.until(container, prober, "Liveness", probe, Verdict::Failing).await,
            }
        };
        tokio::select! {
            () = readiness => String::new(),
            error = liveness => format!("liveness probe: {}", error.unwrap_or_default()),
        }
    }

    /// Asks a probe until it fails for good (the last error), or passes where that is waited for.
    async fn until(
        &self,
        container: &Container,
        prober: &Prober,
        kind: &str,
        probe: &Probe,
        wanted: Verdict,
    ) -> Option<String> {
        delay(probe).await;
        let mut judge = Judge::new(probe);
        loop {
            let answer = prober.ask(container, probe).await;
            let verdict = judge.take(answer.is_ok());
            if verdict == Verdict::Failing {
                let error = answer.err().unwrap_or_default();
                let message = format!("{kind} probe failed: {error}");
                self.context.warn(&self.current(), "Unhealthy", message);
                return Some(error);
            }
            if verdict == wanted {
                return None;
            }
            tokio::time::sleep(judge.pause()).await;
        }
    }
}

/// Runs a hook of a container.
///
/// # Errors
/// What was wrong, as a person would read it.
pub(crate) async fn run_hook(
    container: &Container,
    prober: &Prober,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        prober.exec(exec.command.as_deref().unwrap_or_default()).await
    } else if let Some(get) = &hook.http_get {
        prober.http_get(container, get).await
    } else {
        let seconds = hook.sleep.as_ref().map_or(0, |sleep| u64::try_from(sleep.seconds).unwrap_or(0));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    }
}

async fn delay(probe: &Probe) {
    let seconds = u64::try_from(probe.initial_delay_seconds.unwrap_or(0)).unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

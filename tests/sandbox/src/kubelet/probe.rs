//! Probes of containers: what to ask, and what a row of answers means.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::process::ProcessHandle;

/// While a probe has not succeeded yet it is asked this often, so that a stack is ready as soon as it can
/// be. Such early questions count when they succeed, and never as failures.
const EAGER: Duration = Duration::from_millis(400);

/// How a container is reached by its probes.
#[derive(Clone)]
pub(crate) struct Prober {
    /// Address of the pod.
    pub(crate) address: String,
    /// The container's process.
    pub(crate) process: ProcessHandle,
    /// Client that accepts any certificate and follows no redirect.
    pub(crate) http: reqwest::Client,
    /// The program that runs a command inside of a container.
    pub(crate) nsenter: PathBuf,
    /// Whether containers have a user namespace of their own.
    pub(crate) users: bool,
}

impl Prober {
    /// Asks once, within the time-out of the probe.
    ///
    /// # Errors
    /// What was wrong, as a person would read it.
    pub(crate) async fn ask(&self, container: &Container, probe: &Probe) -> Result<(), String> {
        let seconds = u64::try_from(probe.timeout_seconds.unwrap_or(1)).unwrap_or(1).max(1);
        let asking = async {
            if let Some(get) = &probe.http_get {
                self.http_get(container, get).await
            } else if let Some(tcp) = &probe.tcp_socket {
                let host = tcp.host.clone().unwrap_or_else(|| self.address.clone());
                let port = port(container, &tcp.port)?;
                let connected = tokio::net::TcpStream::connect((host.as_str(), port)).await;
                connected.map(|_| ()).map_err(|error| format!("dial tcp {host}:{port}: {error}"))
            } else if let Some(exec) = &probe.exec {
                self.exec(exec.command.as_deref().unwrap_or_default()).await
            } else {
                Err("this kind of probe is not served by the sandbox".to_owned())
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds), asking)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {seconds} s")))
    }

    /// One GET; any answer from 200 to 399 is a success.
    ///
    /// # Errors
    /// What was wrong.
    pub(crate) async fn http_get(&self, container: &Container, get: &HTTPGetAction) -> Result<(), String> {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = get.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| self.address.clone());
        let port = port(container, &get.port)?;
        let path = get.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut request = self.http.get(format!("{scheme}://{host}:{port}{slash}{path}"));
        for header in get.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status().as_u16();
        if (200..400).contains(&status) {
            Ok(())
        } else {
            Err(format!("HTTP probe failed with statuscode: {status}"))
        }
    }

    /// One command inside of the container; its exit code 0 is a success.
    ///
    /// # Errors
    /// What was wrong.
    pub(crate) async fn exec(&self, command: &[String]) -> Result<(), String> {
        let mut inside = self
            .process
            .inside(&self.nsenter, self.users, command)
            .ok_or_else(|| "the container is not running".to_owned())?;
        let output = inside.output().await.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text: String = String::from_utf8_lossy(&output.stderr).chars().take(512).collect();
        Err(format!("command ended with {}: {}", output.status, text.trim()))
    }
}

/// A port by number, or by its name in the container.
fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).map_err(|_| format!("{number} is no port")),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref() == Some(name))
            .and_then(|port| u16::try_from(port.container_port).ok())
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("the container has no port named {name}")),
    }
}

/// What the answers of a probe amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not enough answers of one kind yet.
    Undecided,
    /// Enough successes in a row.
    Passing,
    /// Enough failures in a row.
    Failing,
}

/// Counts the answers of one probe.
#[derive(Debug)]
pub(crate) struct Judge {
    period: Duration,
    failure_threshold: i32,
    success_threshold: i32,
    successes: i32,
    failures: i32,
    since_counted: Duration,
    verdict: Verdict,
}

impl Judge {
    /// A judge for a probe that has given no answer yet.
    pub(crate) fn new(probe: &Probe) -> Self {
        let seconds = u64::try_from(probe.period_seconds.unwrap_or(10)).unwrap_or(10).max(1);
        Self {
            period: Duration::from_secs(seconds),
            failure_threshold: probe.failure_threshold.unwrap_or(3).max(1),
            success_threshold: probe.success_threshold.unwrap_or(1).max(1),
            successes: 0,
            failures: 0,
            since_counted: Duration::ZERO,
            verdict: Verdict::Undecided,
        }
    }

    /// How long to wait before the next question.
    pub(crate) fn pause(&self) -> Duration {
        if self.verdict == Verdict::Passing { self.period } else { self.period.min(EAGER) }
    }

    /// Takes one answer, asked after [`Self::pause`].
    pub(crate) fn take(&mut self, success: bool) -> Verdict {
        self.since_counted += self.pause();
        if success {
            self.failures = 0;
            self.successes += 1;
            if self.successes >= self.success_threshold {
                self.verdict = Verdict::Passing;
                self.since_counted = Duration::ZERO;
            }
        } else {
            self.successes = 0;
            // Only one failure a period counts, however often was asked.
            if self.verdict == Verdict::Passing || self.since_counted >= self.period {
                self.since_counted = Duration::ZERO;
                self.failures += 1;
            }
            if self.failures >= self.failure_threshold {
                self.failures = 0;
                self.verdict = Verdict::Failing;
                return Verdict::Failing;
            }
        }
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(period: i32, failures: i32) -> Probe {
        Probe { period_seconds: Some(period), failure_threshold: Some(failures), ..Probe::default() }
    }

    #[test]
    fn early_questions_never_count_as_failures() {
        let mut judge = Judge::new(&probe(2, 3));
        let mut asked = Duration::ZERO;
        let mut verdict = Verdict::Undecided;
        while verdict == Verdict::Undecided {
            asked += judge.pause();
            verdict = judge.take(false);
        }
        assert_eq!(verdict, Verdict::Failing);
        assert_eq!(asked, Duration::from_secs(6), "three periods of two seconds");
    }

    #[test]
    fn a_passing_probe_fails_after_its_threshold_and_recovers() {
        let mut judge = Judge::new(&probe(5, 2));
        assert_eq!(judge.take(true), Verdict::Passing);
        assert_eq!(judge.pause(), Duration::from_secs(5));
        assert_eq!(judge.take(false), Verdict::Passing);
        assert_eq!(judge.take(true), Verdict::Passing);
        assert_eq!(judge.take(false), Verdict::Passing);
        assert_eq!(judge.take(false), Verdict::Failing);
        assert_eq!(judge.pause(), EAGER);
        assert_eq!(judge.take(true), Verdict::Passing);
    }

    #[test]
    fn ports_are_found_by_name() {
        let container: Container =
            serde_json::from_str(r#"{"name": "c", "ports": [{"name": "web", "containerPort": 9090}]}"#)
                .unwrap();
        assert_eq!(port(&container, &IntOrString::String("web".into())), Ok(9090));
        assert_eq!(port(&container, &IntOrString::Int(80)), Ok(80));
        assert!(port(&container, &IntOrString::String("other".into())).is_err());
    }
}

//! Gives the logs of containers to whoever asks for them through the API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::context::Context;
use super::logs::{older, parse};
use crate::api::{LogOptions, LogSource, LogStream};

/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(200);

/// The logs of the pods of one node.
pub(crate) struct Logs(pub(crate) Arc<Context>);

impl LogSource for Logs {
    fn logs(&self, namespace: &str, pod: &str, options: &LogOptions) -> Result<LogStream, String> {
        let pod = self
            .0
            .caches
            .pods
            .get(namespace, pod)
            .ok_or_else(|| format!("pod {pod:?} is not on a node yet"))?;
        let container = container(&pod, &options.container)?;
        let folder = self.0.log_folder(&pod.uid().unwrap_or_default()).join(&container);
        let waiting = || format!("container {container:?} in pod {:?} is waiting to start", pod.name_any());
        let runs = runs(&folder);
        let newest = *runs.last().ok_or_else(waiting)?;
        let run = match options.previous {
            false => newest,
            true => *runs.iter().rev().find(|run| **run < newest).ok_or_else(|| {
                format!("previous terminated container {container:?} in pod {:?} not found", pod.name_any())
            })?,
        };
        let path = folder.join(format!("{run}.log"));
        let since = since(options)?;
        let reader = Reader {
            context: self.0.clone(),
            pod,
            container,
            path,
            offset: 0,
            options: options.clone(),
            since,
            left: options.limit_bytes.unwrap_or(u64::MAX),
            first: true,
        };
        Ok(futures::stream::unfold(reader, Reader::next).boxed())
    }
}

/// The container that is meant, which must be named where there are several.
fn container(pod: &Pod, asked: &str) -> Result<String, String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.unwrap_or_default();
    let names: Vec<_> = spec.containers.iter().map(|container| container.name.clone()).collect();
    let known = names.iter().chain(inits.iter().map(|container| &container.name)).any(|name| name == asked);
    match (asked, names.as_slice()) {
        ("", [only]) => Ok(only.clone()),
        ("", _) => Err(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            pod.name_any(),
            names.join(" ")
        )),
        _ if known => Ok(asked.to_owned()),
        _ => Err(format!("container {asked} is not valid for pod {}", pod.name_any())),
    }
}

/// Numbers of the runs that have a log, lowest first.
fn runs(folder: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut runs: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse::<i32>().ok())
        .collect();
    runs.sort_unstable();
    runs
}

fn since(options: &LogOptions) -> Result<Option<Timestamp>, String> {
    if let Some(text) = &options.since_time {
        return text.parse().map(Some).map_err(|_| format!("sinceTime {text:?} is no time; write RFC 3339"));
    }
    let ago = options.since_seconds.and_then(|seconds| i64::try_from(seconds).ok());
    Ok(ago.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds)))
}

struct Reader {
    context: Arc<Context>,
    pod: Arc<Pod>,
    container: String,
    path: PathBuf,
    offset: u64,
    options: LogOptions,
    since: Option<Timestamp>,
    /// Bytes that may still be sent.
    left: u64,
    first: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(std::io::Result<Vec<u8>>, Self)> {
        loop {
            if self.left == 0 {
                return None;
            }
            let running = self.is_running();
            let text = match self.read().await {
                Ok(text) => text,
                Err(error) => {
                    return (self.first).then(|| {
                        self.left = 0;
                        (Err(error), self)
                    });
                }
            };
            let mut bytes = self.select(&text).into_bytes();
            self.first = false;
            bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= bytes.len() as u64;
            let more = self.options.follow && running;
            if !bytes.is_empty() {
                if !more {
                    self.left = 0;
                }
                return Some((Ok(bytes), self));
            }
            if !more {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the run that is read still runs.
    fn is_running(&self) -> bool {
        let (namespace, name) = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let Some(pod) = self.context.caches.pods.get(&namespace, &name) else { return false };
        let newest = self.path.parent().map(runs).and_then(|runs| runs.last().copied());
        let this = self.path.file_stem().and_then(|stem| stem.to_str()?.parse::<i32>().ok());
        let status = pod.status.clone().unwrap_or_default();
        let mut statuses =
            status.container_statuses.iter().chain(status.init_container_statuses.iter()).flatten();
        let state =
            statuses.find(|status| status.name == self.container).and_then(|status| status.state.clone());
        pod.uid() == self.pod.uid() && newest == this && state.is_none_or(|state| state.terminated.is_none())
    }

    /// What was written since the last look, whole lines only. The first look includes what was put aside.
    async fn read(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        if self.first
            && let Ok(aside) = tokio::fs::read(older(&self.path)).await
        {
            text.push_str(&String::from_utf8_lossy(&aside));
        }
        let bytes = tokio::fs::read(&self.path).await?;
        // A shorter file is a new one: the old one was put aside.
        if (bytes.len() as u64) < self.offset {
            self.offset = 0;
        }
        let start = usize::try_from(self.offset).unwrap_or(0);
        let fresh = &bytes[start..];
        let end = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.offset += end as u64;
        text.push_str(&String::from_utf8_lossy(&fresh[..end]));
        Ok(text)
    }

    /// The lines that were asked for, in the form that was asked for.
    fn select(&self, text: &str) -> String {
        let records: Vec<_> = text
            .lines()
            .filter_map(parse)
            .filter(|record| {
                self.since
                    .is_none_or(|since| record.time.parse::<Timestamp>().is_ok_and(|time| time >= since))
            })
            .collect();
        let skip = match (self.first, self.options.tail_lines) {
            (true, Some(lines)) => records.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX)),
            _ => 0,
        };
        let line = |record: &super::logs::Record<'_>| match self.options.timestamps {
            true => format!("{} {}", record.time, record.text),
            false => record.text.clone(),
        };
        records[skip..].iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_container_must_be_named_where_there_are_several() {
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": {
            "initContainers": [{ "name": "init" }], "containers": [{ "name": "a" }, { "name": "b" }],
        } }))
        .unwrap();
        assert_eq!(container(&pod, "init").as_deref(), Ok("init"));
        assert!(container(&pod, "").unwrap_err().contains("[a b]"));
        assert!(container(&pod, "c").is_err());
    }
}

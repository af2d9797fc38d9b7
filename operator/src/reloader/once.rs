//! The first generation of a pod, laid down before the engine starts.

use std::time::{Duration, Instant};

use crate::running::Which;

use super::checker::{self, Verdict};
use super::layout::Layout;
use super::slots::Slots;
use super::{ReloaderError, Settings};

/// Lays down the proven generation where it is complete, else the candidate, waiting for at most `wait`, and
/// returns its digest. A generation that the engine's tool refuses is not laid down: the engine would not
/// start with it.
///
/// # Errors
/// [`ReloaderError::NotInTime`] with what was missing last.
pub async fn run_once(settings: &Settings, wait: Duration) -> Result<String, ReloaderError> {
    let start = Instant::now();
    let slots = Slots::new(settings.slots.clone());
    let layout = Layout::new(settings.target.clone());
    let tool = checker::find(settings.engine, settings.checker.as_deref());
    let mut seen = None;
    let mut reason = String::new();
    loop {
        let stamp = slots.stamp();
        if seen.as_ref() != Some(&stamp) {
            seen = Some(stamp);
            let mut reasons = Vec::new();
            for which in [Which::Proven, Which::Candidate] {
                match lay_down(settings, &slots, &layout, tool.as_deref(), which).await {
                    Ok(Some(digest)) => return Ok(digest),
                    Ok(None) => {}
                    Err(why) => reasons.push(format!("{}: {why}", which.as_str())),
                }
            }
            reason = if reasons.is_empty() { "no pointer is there".to_owned() } else { reasons.join("; ") };
            tracing::info!(%reason, "waiting for a configuration");
        }
        if start.elapsed() >= wait {
            return Err(ReloaderError::NotInTime { waited: wait, reason });
        }
        tokio::time::sleep(settings.poll).await;
    }
}

async fn lay_down(
    settings: &Settings,
    slots: &Slots,
    layout: &Layout,
    tool: Option<&std::path::Path>,
    which: Which,
) -> Result<Option<String>, String> {
    let Some(found) = slots.pointer(which).map_err(|e| e.to_string())? else { return Ok(None) };
    if found.pointer.engine != settings.engine {
        return Err(format!("it is one of {}", found.pointer.engine.as_str()));
    }
    let digest = &found.pointer.generation;
    let files = found.files().map_err(|e| e.to_string())?;
    layout.write(digest, &files).map_err(|e| format!("it cannot be written: {e}"))?;
    match checker::check(settings.engine, tool, layout, digest, &files).await {
        Verdict::Refused(why) => return Err(format!("the engine's tool refused it: {why}")),
        Verdict::Skipped(why) => tracing::warn!(%why, "the configuration goes in unchecked"),
        Verdict::Passed => {}
    }
    layout.switch(digest).map_err(|e| format!("current cannot be switched: {e}"))?;
    Ok(Some(digest.clone()))
}

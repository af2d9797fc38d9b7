//! What a reloader says of itself.

use serde::Serialize;

/// What a reloader says of itself: the body of `/status`, and what `/readyz` goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Digest of the generation that the pointer names.
    pub wanted: Option<String>,
    /// Digest of the generation that `current` leads to.
    pub current: Option<String>,
    /// Digest of the generation that the engine said that it runs when it was last asked.
    pub confirmed: Option<String>,
    /// Digest of the proven generation that is complete in the mounts.
    pub mounted: Option<String>,
    /// The generation that was taken back, and why.
    pub refused: Option<Refusal>,
    /// What is waited for.
    pub waiting: Option<String>,
}

/// A generation that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its digest.
    pub generation: String,
    /// Why, as the tool or the engine said it, shortened.
    pub reason: String,
    /// The file at fault, below `current/`, where that is known.
    pub path: Option<String>,
}

impl State {
    /// Whether the engine runs a generation that was laid down for it. A refused generation does not count
    /// against it: what ran before still runs, and still answers.
    pub fn is_ready(&self) -> bool {
        self.confirmed.is_some() && self.confirmed == self.current
    }

    /// The state in one line.
    pub fn line(&self) -> String {
        let short = |digest: &Option<String>| {
            digest.as_deref().map_or("none", |d| d.get(..12).unwrap_or(d)).to_owned()
        };
        let mut line = format!(
            "wanted {}, current {}, confirmed {}",
            short(&self.wanted),
            short(&self.current),
            short(&self.confirmed)
        );
        if let Some(refusal) = &self.refused {
            let generation = Some(refusal.generation.clone());
            line.push_str(&format!("; refused {}: {}", short(&generation), refusal.reason));
        }
        if let Some(waiting) = &self.waiting {
            line.push_str(&format!("; waiting: {waiting}"));
        }
        line
    }
}

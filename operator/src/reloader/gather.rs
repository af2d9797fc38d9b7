//! Changes that come one after the other are brought in together.

use std::time::{Duration, Instant};

use super::GATHER_AT_MOST;

/// Gathers changes: until none came for a while, and not for longer than a multiple of that.
#[derive(Debug)]
pub(super) struct Gather {
    pause: Duration,
    /// The generation that was wanted last, since when, and since when any new one was.
    waiting: Option<(String, Instant, Instant)>,
}

impl Gather {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, waiting: None }
    }

    /// How much longer to wait before this generation is brought in; none where it is time.
    pub(super) fn wait(&mut self, digest: &str, now: Instant) -> Option<Duration> {
        if self.pause.is_zero() {
            return None;
        }
        let (_, since, first) = match self.waiting.take() {
            Some((last, since, first)) if last == digest => (last, since, first),
            Some((_, _, first)) => (digest.to_owned(), now, first),
            None => (digest.to_owned(), now, now),
        };
        let due = (since + self.pause).min(first + self.pause * GATHER_AT_MOST);
        let wait = due.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        self.waiting = Some((digest.to_owned(), since, first));
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_gathered_until_they_pause_and_not_for_ever() {
        let (start, pause) = (Instant::now(), Duration::from_secs(5));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut gather = Gather::new(pause);
        assert_eq!(gather.wait("a", at(0)), Some(pause));
        assert_eq!(gather.wait("a", at(4)), Some(Duration::from_secs(1)));
        assert_eq!(gather.wait("b", at(4)), Some(pause));
        assert_eq!(gather.wait("b", at(9)), None, "it paused");
        assert_eq!(gather.wait("c", at(100)), Some(pause), "and begins anew");
        let waits = (104..140).step_by(4).map(|s| gather.wait(&s.to_string(), at(s)));
        assert_eq!(waits.take_while(Option::is_some).count(), 7, "after 30 s it is time");
        assert_eq!(Gather::new(Duration::ZERO).wait("a", at(0)), None);
    }
}

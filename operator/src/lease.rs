//! Who may write. Pure: a Lease is no fence, so a leader stops writing before its Lease can expire, and every
//! write asks [`Gate::permit`] right before it is sent.
//!
//! A process that was stopped and goes on later finds the gate closed: time is measured by a clock that runs
//! on meanwhile, and by the wall clock too, because a machine that slept stops the first one. Whichever says
//! that more time has passed is believed. A write that was already on its way when the process was stopped
//! cannot be called back; names are deterministic, so it writes what the new leader would write.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// A point in time on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time on a clock that never goes back, from any origin.
    pub monotonic: Duration,
    /// Time since 1970 on the wall clock.
    pub wall: Duration,
}

impl Moment {
    /// The time that has passed since `earlier`, by the clock that says more.
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.wall.saturating_sub(earlier.wall))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment.
    fn now(&self) -> Moment;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { monotonic: self.origin.elapsed(), wall }
    }
}

/// The right to send one write, now.
#[derive(Debug)]
pub struct WritePermit(());

/// This process does not lead: it may not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not lead, so it does not write")]
pub struct NotLeader;

/// What every write passes.
#[derive(Debug)]
pub struct Gate {
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Always,
    Until { since: Moment, length: Duration },
    Closed,
}

impl Gate {
    /// A gate that is closed until a Lease is held.
    pub fn closed(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: RwLock::new(State::Closed) }
    }

    /// A gate that is always open: leader election is off, and somebody else sees to it that there is one
    /// process.
    pub fn open() -> Self {
        Self { clock: Arc::new(SystemClock::default()), state: RwLock::new(State::Always) }
    }

    /// Opens the gate for `length` from `since`, the moment before the Lease was asked for.
    pub fn hold(&self, since: Moment, length: Duration) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Until { since, length };
    }

    /// Closes the gate at once.
    pub fn close(&self) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }

    /// The right to send one write. Asked for right before each.
    pub fn permit(&self) -> Result<WritePermit, NotLeader> {
        let state = *self.state.read().unwrap_or_else(PoisonError::into_inner);
        match state {
            State::Always => Ok(WritePermit(())),
            State::Until { since, length } if self.clock.now().since(since) < length => Ok(WritePermit(())),
            State::Until { .. } | State::Closed => Err(NotLeader),
        }
    }

    /// Whether a write would be let through now.
    pub fn is_open(&self) -> bool {
        self.permit().is_ok()
    }
}

/// The times of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For how long the others leave the Lease alone after its last renewal.
    pub duration: Duration,
    /// For how long the holder writes after its last renewal. A write that is sent in the last moment and
    /// takes [`WRITE_TIMEOUT`] still ends before `duration`.
    pub writes: Duration,
    /// Time between two tries to take or to renew.
    pub retry: Duration,
}

/// Longest time that one write may take.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

impl Default for Times {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            writes: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A Lease as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it; empty after a release.
    pub holder: String,
    /// For how long its holder asks to be left alone.
    pub duration: Duration,
    /// Changes with each write.
    pub version: String,
    /// How often it changed hands.
    pub transitions: i32,
}

/// What to do about the Lease now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is none: create it.
    Create,
    /// It is ours, or free, or expired: write ourselves into it, if it is still at this version.
    Take {
        /// The version that it must still have.
        version: String,
        /// Whether it changes hands.
        transitions: i32,
    },
    /// Somebody else holds it.
    Wait,
}

/// Decides what to do about the Lease. The times of others are never compared with our clock: a Lease expires
/// when *we* have seen it unchanged for its duration.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    observed: Option<(String, Moment)>,
}

impl Elector {
    /// An elector for this identity.
    pub fn new(identity: String) -> Self {
        Self { identity, observed: None }
    }

    /// Name of this process in the Lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What to do about a Lease that was just read.
    pub fn turn(&mut self, now: Moment, seen: Option<&Seen>) -> Turn {
        let Some(seen) = seen else {
            self.observed = None;
            return Turn::Create;
        };
        let first_seen = match &self.observed {
            Some((version, first_seen)) if *version == seen.version => *first_seen,
            _ => {
                self.observed = Some((seen.version.clone(), now));
                now
            }
        };
        let version = seen.version.clone();
        if seen.holder == self.identity {
            return Turn::Take { version, transitions: seen.transitions };
        }
        if seen.holder.is_empty() || now.since(first_seen) > seen.duration {
            return Turn::Take { version, transitions: seen.transitions.saturating_add(1) };
        }
        Turn::Wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct TestClock(Mutex<Moment>);

    impl TestClock {
        fn advance(&self, monotonic: u64, wall: u64) {
            let mut now = self.0.lock().unwrap();
            now.monotonic += Duration::from_secs(monotonic);
            now.wall += Duration::from_secs(wall);
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Moment {
            *self.0.lock().unwrap()
        }
    }

    fn seen(holder: &str, version: &str) -> Seen {
        Seen {
            holder: holder.to_owned(),
            duration: Duration::from_secs(15),
            version: version.to_owned(),
            transitions: 3,
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(seconds), wall: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_gate_closes_before_the_lease_can_expire() {
        let times = Times::default();
        assert!(times.writes + WRITE_TIMEOUT < times.duration);
        let clock = Arc::new(TestClock::default());
        let gate = Gate::closed(clock.clone());
        assert_eq!(gate.permit().unwrap_err(), NotLeader);
        gate.hold(clock.now(), times.writes);
        clock.advance(9, 9);
        assert!(gate.is_open());
        clock.advance(1, 1);
        assert!(!gate.is_open());
        gate.hold(clock.now(), times.writes);
        assert!(gate.is_open());
        gate.close();
        assert!(!gate.is_open());
    }

    #[test]
    fn either_clock_closes_the_gate() {
        for (monotonic, wall) in [(60, 0), (0, 60)] {
            let clock = Arc::new(TestClock::default());
            let gate = Gate::closed(clock.clone());
            gate.hold(clock.now(), Duration::from_secs(10));
            clock.advance(monotonic, wall);
            assert!(!gate.is_open(), "monotonic {monotonic} s, wall {wall} s");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_keep_the_gate_open() {
        let clock = Arc::new(TestClock::default());
        clock.advance(0, 1_000);
        let gate = Gate::closed(clock.clone());
        gate.hold(clock.now(), Duration::from_secs(10));
        clock.0.lock().unwrap().wall = Duration::from_secs(1);
        clock.advance(11, 0);
        assert!(!gate.is_open());
    }

    #[test]
    fn a_missing_or_released_lease_is_taken_and_ones_own_is_renewed() {
        let mut elector = Elector::new("a".to_owned());
        assert_eq!(elector.turn(at(0), None), Turn::Create);
        let own = Turn::Take { version: "5".to_owned(), transitions: 3 };
        assert_eq!(elector.turn(at(1), Some(&seen("a", "5"))), own);
        let released = Turn::Take { version: "6".to_owned(), transitions: 4 };
        assert_eq!(elector.turn(at(2), Some(&seen("", "6"))), released);
    }

    #[test]
    fn a_lease_expires_only_after_it_was_seen_unchanged_for_its_duration() {
        let mut elector = Elector::new("b".to_owned());
        assert_eq!(elector.turn(at(100), Some(&seen("a", "5"))), Turn::Wait);
        assert_eq!(elector.turn(at(115), Some(&seen("a", "5"))), Turn::Wait);
        // A renewal starts the count again.
        assert_eq!(elector.turn(at(116), Some(&seen("a", "6"))), Turn::Wait);
        assert_eq!(elector.turn(at(131), Some(&seen("a", "6"))), Turn::Wait);
        let taken = Turn::Take { version: "6".to_owned(), transitions: 4 };
        assert_eq!(elector.turn(at(132), Some(&seen("a", "6"))), taken);
    }
}

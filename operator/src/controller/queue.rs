//! Which stack is reconciled next. Pure: the time is passed in. A stack is reconciled by one task at a time;
//! what happens to it meanwhile is looked at right after.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::names::StackId;

/// How long events of one stack are gathered before it is looked at: a change comes as a burst of them.
pub const GATHER: Duration = Duration::from_millis(50);
/// First wait while a stack is not as wanted yet.
const UNSETTLED: Duration = Duration::from_secs(1);
/// Longest wait while a stack is not as wanted yet.
const UNSETTLED_MOST: Duration = Duration::from_secs(10);
/// Longest time between two looks at tripwires.
const WATCHED_MOST: Duration = Duration::from_secs(60);

/// When to look at a stack again, by what came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// All is as wanted: after the resync.
    Settled,
    /// All is as wanted, and tripwires are to be read: after the resync, or after a minute where that is less.
    Watched,
    /// Something is on its way: soon, then less and less often.
    Unsettled,
    /// Something failed: after this time, or when something changes.
    Failed(Option<Duration>),
    /// There is nothing more to do until something changes.
    Forget,
}

#[derive(Debug, Default)]
struct Entry {
    due: Option<Instant>,
    /// Something changed since it was looked at last.
    changed: bool,
    running: bool,
    failures: u32,
    unsettled: u32,
}

/// The stacks that are to be looked at.
#[derive(Debug)]
pub struct Queue {
    entries: BTreeMap<StackId, Entry>,
    resync: Duration,
}

impl Queue {
    /// An empty queue that looks at a settled stack again after `resync`.
    pub fn new(resync: Duration) -> Self {
        Self { entries: BTreeMap::new(), resync }
    }

    /// Looks at a stack at this time, or earlier where that was planned already.
    pub fn at(&mut self, id: StackId, when: Instant) {
        let entry = self.entries.entry(id).or_default();
        entry.due = Some(entry.due.map_or(when, |due| due.min(when)));
    }

    /// Something of the stack changed: it is looked at soon.
    pub fn changed(&mut self, id: StackId, now: Instant) {
        self.at(id.clone(), now + GATHER);
        self.entries.entry(id).or_default().changed = true;
    }

    /// A stack is gone.
    pub fn remove(&mut self, id: &StackId) {
        self.entries.remove(id);
    }

    /// Takes the stack that has been due for longest, and marks it as running. Whether something changed, or it is only
    /// time to look again, comes with it.
    pub fn take(&mut self, now: Instant) -> Option<(StackId, bool)> {
        let due = |entry: &Entry| entry.due.filter(|due| !entry.running && *due <= now);
        let (_, id) = self.entries.iter().filter_map(|(id, entry)| Some((due(entry)?, id))).min()?;
        let id = id.clone();
        let entry = self.entries.get_mut(&id)?;
        entry.due = None;
        entry.running = true;
        Some((id, std::mem::take(&mut entry.changed)))
    }

    /// Whether a task looks at a stack now.
    pub fn is_running(&self, id: &StackId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.running)
    }

    /// How many times in a row a stack has failed, the present time included.
    pub fn failures(&self, id: &StackId) -> u32 {
        self.entries.get(id).map_or(0, |entry| entry.failures) + 1
    }

    /// A stack was looked at. `jitter` is 0 to 1, so that stacks spread over time.
    pub fn finish(&mut self, id: &StackId, next: Next, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.running = false;
        entry.failures = if matches!(next, Next::Failed(_)) { entry.failures.saturating_add(1) } else { 0 };
        entry.unsettled = if next == Next::Unsettled { entry.unsettled.saturating_add(1) } else { 0 };
        let wait = match next {
            Next::Settled => Some(self.resync.mul_f64(0.9 + 0.2 * jitter)),
            Next::Watched => Some(self.resync.min(WATCHED_MOST).mul_f64(0.9 + 0.1 * jitter)),
            Next::Unsettled => {
                let steps = entry.unsettled.clamp(1, 16) - 1;
                let grown = UNSETTLED.mul_f64((0..steps).fold(1.0, |wait, _| wait * 1.5));
                Some(grown.min(UNSETTLED_MOST).min(self.resync).mul_f64(0.9 + 0.2 * jitter))
            }
            Next::Failed(wait) => wait,
            Next::Forget => None,
        };
        if let Some(wait) = wait {
            self.at(id.clone(), now + wait);
        }
    }

    /// When the next stack is due; none while nothing is planned.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| !entry.running).filter_map(|entry| entry.due).min()
    }

    /// How many stacks are due and wait, and for how long the oldest has.
    pub fn waiting(&self, now: Instant) -> (usize, Duration) {
        let due = self.entries.values().filter(|entry| !entry.running).filter_map(|entry| entry.due);
        let waits: Vec<Duration> = due.filter(|due| *due <= now).map(|due| now.duration_since(due)).collect();
        (waits.len(), waits.into_iter().max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESYNC: Duration = Duration::from_secs(30);

    fn id(name: &str) -> StackId {
        StackId { namespace: "n".to_owned(), name: name.to_owned() }
    }

    fn taken(name: &str, changed: bool) -> Option<(StackId, bool)> {
        Some((id(name), changed))
    }

    #[test]
    fn a_burst_of_events_is_one_look_and_a_running_stack_is_not_taken_twice() {
        let mut queue = Queue::new(RESYNC);
        let start = Instant::now();
        queue.changed(id("a"), start);
        queue.changed(id("a"), start + Duration::from_millis(20));
        assert_eq!(queue.take(start), None);
        let later = start + GATHER;
        assert_eq!(queue.waiting(later + Duration::from_secs(2)), (1, Duration::from_secs(2)));
        assert!(!queue.is_running(&id("a")));
        assert_eq!(queue.take(later), taken("a", true));
        assert!(queue.is_running(&id("a")));
        // Changed while it runs: looked at again right after, not meanwhile.
        queue.changed(id("a"), later);
        assert_eq!(queue.take(later + GATHER), None);
        queue.finish(&id("a"), Next::Settled, later + GATHER, 0.5);
        assert_eq!(queue.take(later + GATHER), taken("a", true));
    }

    #[test]
    fn the_longest_due_goes_first() {
        let mut queue = Queue::new(RESYNC);
        let start = Instant::now();
        queue.at(id("a"), start + Duration::from_secs(2));
        queue.at(id("b"), start + Duration::from_secs(1));
        assert_eq!(queue.next_due(), Some(start + Duration::from_secs(1)));
        assert_eq!(queue.take(start + Duration::from_secs(3)), taken("b", false));
    }

    #[test]
    fn waits_grow_while_unsettled_and_start_again_after() {
        let mut queue = Queue::new(RESYNC);
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for next in [Next::Unsettled, Next::Unsettled, Next::Unsettled, Next::Settled, Next::Unsettled] {
            queue.at(id("a"), now);
            assert_eq!(queue.take(now), taken("a", false));
            queue.finish(&id("a"), next, now, 0.5);
            let due = queue.next_due().unwrap();
            waits.push(due.duration_since(now).as_millis());
            now = due;
        }
        assert_eq!(waits, [1_000, 1_500, 2_250, 30_000, 1_000]);
        for _ in 0..40 {
            assert!(queue.take(now).is_some());
            queue.finish(&id("a"), Next::Unsettled, now, 1.0);
            let due = queue.next_due().unwrap();
            assert!(due <= now + UNSETTLED_MOST.mul_f64(1.11));
            now = due;
        }
    }

    #[test]
    fn tripwires_are_read_once_a_minute_at_least() {
        for (resync, most) in [(30, 30), (600, 60)] {
            let mut queue = Queue::new(Duration::from_secs(resync));
            let now = Instant::now();
            queue.at(id("a"), now);
            queue.take(now);
            queue.finish(&id("a"), Next::Watched, now, 1.0);
            assert_eq!(queue.next_due().unwrap().duration_since(now), Duration::from_secs(most));
        }
    }

    #[test]
    fn failures_are_counted_in_a_row_and_a_stack_that_waits_for_a_change_is_not_planned() {
        let mut queue = Queue::new(RESYNC);
        let now = Instant::now();
        for expected in 1..=3 {
            queue.at(id("a"), now);
            queue.take(now);
            assert_eq!(queue.failures(&id("a")), expected);
            queue.finish(&id("a"), Next::Failed(None), now, 0.0);
        }
        assert_eq!(queue.next_due(), None);
        queue.changed(id("a"), now);
        queue.take(now + GATHER);
        queue.finish(&id("a"), Next::Settled, now, 0.0);
        assert_eq!(queue.failures(&id("a")), 1);
    }

    #[test]
    fn a_stack_that_goes_while_it_runs_is_not_planned_again() {
        let mut queue = Queue::new(RESYNC);
        let now = Instant::now();
        queue.at(id("a"), now);
        queue.take(now);
        queue.remove(&id("a"));
        queue.finish(&id("a"), Next::Settled, now, 0.0);
        assert_eq!(queue.next_due(), None);
    }
}

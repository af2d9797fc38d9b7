//! How long a reconcile waits for what replicas say. A replica that hangs must not hold up a change that has nothing to
//! do with it: what waits to be brought goes out with what the replica said before, and what it says late is looked at
//! when it comes.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::Fact;
use super::stores::Trigger;
use crate::names::StackId;

/// How long a reconcile in haste waits for an answer where it knows an earlier one: several times of what a replica
/// takes that has nothing else to do (some 5 ms), a quarter of the second in which a change is to be live.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the answer of a replica is kept that is asked no more.
const KEPT: Duration = Duration::from_secs(3600);
/// Most replicas that are remembered before those are let go.
const MANY: usize = 1_000;

/// Whether something waits to be brought. It can come while a reconcile is on its way.
#[derive(Clone, Debug)]
pub struct Haste(watch::Receiver<bool>);

impl Haste {
    /// Haste from now on, or not yet; the sender makes it one later.
    pub fn new(now: bool) -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(now);
        (sender, Self(receiver))
    }

    /// Waits until there was haste for as long as is waited then; for ever where none comes.
    async fn is_over(&self) {
        let mut haste = self.0.clone();
        if haste.wait_for(|haste| *haste).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(PATIENCE).await;
    }
}

/// One question that is under way.
type Asking<T> = Shared<BoxFuture<'static, Fact<T>>>;

/// What is known of one replica.
struct Known<T: Clone> {
    /// What it said last.
    last: Option<Fact<T>>,
    asking: Option<Asking<T>>,
    asked: Instant,
}

/// The answers of replicas to one kind of question.
pub(super) struct Answers<T: Clone> {
    known: Arc<Mutex<HashMap<String, Known<T>>>>,
    late: UnboundedSender<Trigger>,
}

impl<T: Clone> Clone for Answers<T> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), late: self.late.clone() }
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Answers<T> {
    /// Nothing is known yet. `late` is told which stack is to be looked at again.
    pub(super) fn new(late: UnboundedSender<Trigger>) -> Self {
        Self { known: Arc::default(), late }
    }

    /// What a replica of a stack says. Each is asked once at a time; `question` has a bound of its own. In haste the
    /// answer before takes the place of one that does not come in time; a first answer is always waited for.
    pub(super) async fn ask(
        &self,
        replica: &str,
        stack: &StackId,
        haste: &Haste,
        question: impl Future<Output = Fact<T>> + Send + 'static,
    ) -> Fact<T> {
        let (answer, before) = self.asking(replica, question);
        let Some(before) = before else { return answer.await };
        tokio::select! {
            biased;
            fact = answer.clone() => return fact,
            () = haste.is_over() => {}
        }
        let (late, stack, given) = (self.late.clone(), stack.clone(), before.clone());
        tokio::spawn(async move {
            if answer.await != given {
                // Nobody listens any more where the operator stops.
                let _ = late.send(Trigger::Stack(stack));
            }
        });
        before
    }

    /// The question that is under way, which is this one where there was none, and the answer before.
    fn asking(
        &self,
        replica: &str,
        question: impl Future<Output = Fact<T>> + Send + 'static,
    ) -> (Asking<T>, Option<Fact<T>>) {
        let now = Instant::now();
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY {
            all.retain(|_, known| known.asking.is_some() || now.duration_since(known.asked) < KEPT);
        }
        let known = all.entry(replica.to_owned()).or_insert(Known { last: None, asking: None, asked: now });
        known.asked = now;
        let before = known.last.clone();
        if let Some(asking) = &known.asking {
            return (asking.clone(), before);
        }
        let (table, replica) = (self.known.clone(), replica.to_owned());
        let noted = async move {
            let answered = AssertUnwindSafe(question).catch_unwind().await;
            let fact =
                answered.unwrap_or_else(|_| Fact::Unavailable("asking failed; this is a bug".to_owned()));
            let mut all = table.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = all.get_mut(&replica) {
                known.last = Some(fact.clone());
                known.asking = None;
            }
            fact
        };
        let asking = noted.boxed().shared();
        known.asking = Some(asking.clone());
        // It goes on where nobody waits for it.
        tokio::spawn(asking.clone().map(drop));
        (asking, before)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::sync::oneshot;

    use super::*;

    fn id() -> StackId {
        StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() }
    }

    fn answers() -> (Answers<u32>, UnboundedReceiver<Trigger>) {
        let (late, told) = unbounded_channel();
        (Answers::new(late), told)
    }

    async fn says(number: u32) -> Fact<u32> {
        Fact::Known(number)
    }

    /// A question that is answered when the sender says so.
    fn hanging() -> (oneshot::Sender<u32>, impl Future<Output = Fact<u32>> + Send + 'static) {
        let (sender, receiver) = oneshot::channel();
        (sender, async move { Fact::Known(receiver.await.unwrap()) })
    }

    #[tokio::test]
    async fn a_replica_that_hangs_is_not_waited_for_in_haste_and_is_heard_later() {
        let (answers, mut told) = answers();
        let (_none, calm) = Haste::new(false);
        let (_some, haste) = Haste::new(true);
        assert_eq!(answers.ask("a", &id(), &calm, says(1)).await, Fact::Known(1));
        let (answer, question) = hanging();
        assert_eq!(answers.ask("a", &id(), &haste, question).await, Fact::Known(1), "what it said before");
        assert_eq!(answers.ask("b", &id(), &haste, says(7)).await, Fact::Known(7), "another replica answers");
        assert!(told.try_recv().is_err());
        // It is asked once at a time, and in calm it is waited for.
        let never = async { panic!("it was asked twice") };
        let stack = id();
        let (again, sent) = tokio::join!(answers.ask("a", &stack, &calm, never), async { answer.send(2) });
        assert_eq!((again, sent), (Fact::Known(2), Ok(())));
        assert!(matches!(told.recv().await, Some(Trigger::Stack(stack)) if stack == id()));
    }

    #[tokio::test]
    async fn a_late_answer_that_says_the_same_is_no_news() {
        let (answers, mut told) = answers();
        let (_some, haste) = Haste::new(true);
        answers.ask("a", &id(), &haste, says(1)).await;
        for (said, news) in [(1, false), (2, true)] {
            let (answer, question) = hanging();
            answers.ask("a", &id(), &haste, question).await;
            answer.send(said).unwrap();
            // What was given before is known to have been compared once the next question is answered.
            while answers.ask("a", &id(), &haste, says(said)).await != Fact::Known(said) {}
            tokio::task::yield_now().await;
            assert_eq!(told.try_recv().is_ok(), news);
        }
    }

    #[tokio::test]
    async fn haste_can_come_while_an_answer_is_waited_for_and_a_first_one_always_is() {
        let (answers, _told) = answers();
        let (hurry, haste) = Haste::new(true);
        let first = async {
            tokio::time::sleep(PATIENCE * 2).await;
            Fact::Known(1)
        };
        assert_eq!(answers.ask("a", &id(), &haste, first).await, Fact::Known(1));
        hurry.send_replace(false);
        let (_answer, question) = hanging();
        let stack = id();
        let mut asking = std::pin::pin!(answers.ask("a", &stack, &haste, question));
        assert!(tokio::time::timeout(PATIENCE * 2, &mut asking).await.is_err(), "in calm it is waited for");
        hurry.send_replace(true);
        assert_eq!(asking.await, Fact::Known(1));
    }

    #[tokio::test]
    async fn a_question_that_breaks_is_asked_again_the_next_time() {
        let (answers, _told) = answers();
        let (_none, calm) = Haste::new(false);
        let broken = answers.ask("a", &id(), &calm, async { panic!("on purpose") }).await;
        assert!(matches!(broken, Fact::Unavailable(_)), "{broken:?}");
        assert_eq!(answers.ask("a", &id(), &calm, says(1)).await, Fact::Known(1));
    }
}

//! Which types of others a cluster serves: asked for until all are there, whenever a watch has lost its own, and
//! whenever a definition comes or goes, where definitions are watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch as channel};

use super::Fact;
use super::stores::Trigger;
use crate::apply::writer::RequestError;
use crate::scrape::sources::GROUP;

/// How often the API is asked for types that it does not serve yet, where nothing tells that they come, and after a
/// question that failed. Where all are served nothing is asked: a watch notices when its type goes.
const ASK: Duration = Duration::from_secs(10);
/// The same where a watch on definitions tells: for a type that is served by something else than a definition.
const ASK_TOLD: Duration = Duration::from_secs(600);

/// What has the types of others asked for before their time.
#[derive(Clone, Debug, Default)]
pub struct News {
    again: Arc<Notify>,
    is_told: Arc<AtomicBool>,
}

impl News {
    /// Types can have come or gone: they are asked for now.
    pub(super) fn ask_again(&self) {
        self.again.notify_one();
    }

    /// From now on a watch on definitions tells when types come and go. What came before it began is asked for.
    pub(super) fn tells(&self) {
        self.is_told.store(true, Ordering::Relaxed);
        self.ask_again();
    }

    /// Waits until types are to be asked for, after an answer that was complete, or incomplete, or none.
    async fn next(&self, complete: Option<bool>) {
        let wait = async {
            match complete {
                Some(true) => std::future::pending().await,
                Some(false) if self.is_told.load(Ordering::Relaxed) => tokio::time::sleep(ASK_TOLD).await,
                Some(false) | None => tokio::time::sleep(ASK).await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = self.again.notified() => {}
        }
    }
}

/// Asks without end, and publishes each answer. `is_complete` says of an answer that nothing is missing.
pub(super) async fn discover<T, A>(
    client: Client,
    ask: impl Fn(Client) -> A,
    is_complete: impl Fn(&T) -> bool,
    publish: channel::Sender<Fact<T>>,
    news: News,
    triggers: UnboundedSender<Trigger>,
) where
    T: PartialEq,
    A: Future<Output = Result<T, RequestError>>,
{
    loop {
        let answer = ask(client.clone()).await;
        let complete = answer.as_ref().ok().map(&is_complete);
        let changed = publish.send_if_modified(|known| match answer {
            Ok(served) => {
                let changed = known.known() != Some(&served);
                *known = Fact::Known(served);
                changed
            }
            Err(error) if known.known().is_none() => {
                *known = Fact::Unavailable(error.to_string());
                false
            }
            // What was known stays: a failure is not a disappearance.
            Err(error) => {
                tracing::debug!(%error, "the types of {GROUP} cannot be asked for");
                false
            }
        });
        if changed {
            // The other end goes first when the operator ends.
            let _ = triggers.send(Trigger::All);
        }
        news.next(complete).await;
    }
}

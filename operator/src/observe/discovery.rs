//! Which types of others a cluster serves: asked for until all are there, and whenever a watch has lost its own.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch as channel};

use super::Fact;
use super::stores::Trigger;
use crate::apply::writer::RequestError;
use crate::scrape::sources::GROUP;

/// How often the API is asked for types that it does not serve yet. Where all are served nothing is asked: a watch
/// notices when its type goes.
const ASK: Duration = Duration::from_secs(10);

/// Asks without end, and publishes each answer. `is_complete` says of an answer that nothing is missing; `again` has
/// it asked anew.
pub(super) async fn discover<T, A>(
    client: Client,
    ask: impl Fn(Client) -> A,
    is_complete: impl Fn(&T) -> bool,
    publish: channel::Sender<Fact<T>>,
    again: Arc<Notify>,
    triggers: UnboundedSender<Trigger>,
) where
    T: PartialEq,
    A: Future<Output = Result<T, RequestError>>,
{
    loop {
        let answer = ask(client.clone()).await;
        let complete = answer.as_ref().is_ok_and(&is_complete);
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
        let wait =
            async { if complete { std::future::pending().await } else { tokio::time::sleep(ASK).await } };
        tokio::select! {
            () = wait => {}
            () = again.notified() => {}
        }
    }
}

//! Who may see which namespace on the decisions page. The API server is asked with the viewer's own token, as
//! `kubectl auth can-i` does: so the operator needs no right for it, in an install for namespaces neither.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Client, Resource};
use obstack_crds::ObservabilityStack;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::http::decisions::Denied;

/// Where reviews are posted.
const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// How long one review may take.
const REVIEW: Duration = Duration::from_secs(3);
/// How long all reviews of one page may take together, the wait for others' included.
const PAGE: Duration = Duration::from_secs(8);
/// Reviews of one page at the same time.
const PER_PAGE: usize = 8;
/// Reviews of all pages at the same time: viewers must not crowd the API server.
const AT_ONCE: usize = 16;
/// How long an answer is believed: so long somebody sees a page after the right to it was taken away.
const LIFE: Duration = Duration::from_secs(10);
/// Answers that are kept; some 100 bytes each.
const KEPT: usize = 4096;
/// Size of an answer, in bytes.
const ANSWER: usize = 1 << 16;

/// Whose answer, as a digest, so that no token is kept, and of which namespace.
type Key = ([u8; 32], String);

/// Asks what viewers may see, and remembers it for a short time.
pub(super) struct Reviews {
    /// A client without credentials of its own.
    client: Client,
    slots: Semaphore,
    kept: Mutex<Kept>,
}

impl Reviews {
    /// `client` must carry no credentials: each request brings those of its viewer.
    pub(super) fn new(client: Client) -> Self {
        Self { client, slots: Semaphore::new(AT_ONCE), kept: Mutex::default() }
    }

    /// Those of the namespaces in which whoever holds this token may get stacks. Where there are none, the
    /// token is looked at all the same.
    ///
    /// # Errors
    /// When the token is not valid, or the API server does not say: then nothing may be shown.
    pub(super) async fn allowed(
        &self,
        token: &str,
        mut namespaces: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Denied> {
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Denied::BadToken)?;
        header.set_sensitive(true);
        if namespaces.is_empty() {
            // All of them, which is one question too.
            namespaces.insert(String::new());
        }
        let holder: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (holder, header) = (&holder, &header);
        let asked = stream::iter(namespaces)
            .map(|namespace| async move {
                let allowed = self.ask(holder, header, &namespace).await?;
                Ok((namespace, allowed))
            })
            .buffer_unordered(PER_PAGE)
            .try_filter_map(async |(namespace, allowed)| Ok(allowed.then_some(namespace)))
            .try_collect();
        let late = |_| Denied::NoAnswer(format!("not within {} s", PAGE.as_secs()));
        tokio::time::timeout(PAGE, asked).await.map_err(late)?
    }

    async fn ask(&self, holder: &[u8; 32], header: &HeaderValue, namespace: &str) -> Result<bool, Denied> {
        let key = (*holder, namespace.to_owned());
        if let Some(allowed) = self.kept().get(&key, Instant::now()) {
            return Ok(allowed);
        }
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Denied::NoAnswer("the operator stops".to_owned()));
        };
        let late = |_| Denied::NoAnswer(format!("not within {} s", REVIEW.as_secs()));
        let review = self.review(header, namespace);
        let allowed = tokio::time::timeout(REVIEW, review).await.map_err(late)??;
        self.kept().put(key, allowed, Instant::now());
        Ok(allowed)
    }

    async fn review(&self, header: &HeaderValue, namespace: &str) -> Result<bool, Denied> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "a viewer's rights cannot be asked for");
            Denied::NoAnswer("the request failed; the operator's log says how".to_owned())
        };
        let body = serde_json::to_vec(&build_review(namespace)).map_err(|error| failed(&error))?;
        let mut request = kube::core::Request::new(PATH)
            .create(&PostParams::default(), body)
            .map_err(|error| failed(&error))?;
        request.headers_mut().insert(AUTHORIZATION, header.clone());
        let answer = self.client.send(request.map(Into::into)).await.map_err(|error| failed(&error))?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => return Err(Denied::BadToken),
            StatusCode::FORBIDDEN => return Err(Denied::MayNotAsk),
            status if !status.is_success() => {
                return Err(Denied::NoAnswer(format!("it says {}", status.as_u16())));
            }
            _ => {}
        }
        let body = axum::body::Body::new(answer.into_body());
        let bytes = axum::body::to_bytes(body, ANSWER).await.map_err(|error| failed(&error))?;
        let review: SelfSubjectAccessReview =
            serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
        Ok(review.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The question: may I get stacks there? An empty namespace is all of them.
fn build_review(namespace: &str) -> SelfSubjectAccessReview {
    let attributes = ResourceAttributes {
        group: Some(ObservabilityStack::group(&()).into_owned()),
        resource: Some(ObservabilityStack::plural(&()).into_owned()),
        verb: Some("get".to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// Answers of late.
#[derive(Debug, Default)]
struct Kept(HashMap<Key, (bool, Instant)>);

impl Kept {
    fn get(&self, key: &Key, now: Instant) -> Option<bool> {
        let (allowed, since) = self.0.get(key)?;
        (now.saturating_duration_since(*since) < LIFE).then_some(*allowed)
    }

    fn put(&mut self, key: Key, allowed: bool, now: Instant) {
        if self.0.len() >= KEPT && !self.0.contains_key(&key) {
            self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < LIFE);
        }
        if self.0.len() >= KEPT && !self.0.contains_key(&key) {
            self.0.clear();
        }
        self.0.insert(key, (allowed, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(holder: u8, namespace: &str) -> Key {
        ([holder; 32], namespace.to_owned())
    }

    #[test]
    fn an_answer_is_believed_for_a_short_time_and_by_nobody_else() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        kept.put(key(1, "a"), true, now);
        kept.put(key(2, "a"), false, now);
        assert_eq!(kept.get(&key(1, "a"), now), Some(true));
        assert_eq!(kept.get(&key(2, "a"), now), Some(false));
        assert_eq!(kept.get(&key(3, "a"), now), None);
        assert_eq!(kept.get(&key(1, "b"), now), None);
        assert_eq!(kept.get(&key(1, "a"), now + LIFE), None);
    }

    #[test]
    fn no_more_is_kept_than_is_stated() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for n in 0..3 * KEPT {
            kept.put(key(1, &n.to_string()), true, now);
            assert!(kept.0.len() <= KEPT);
        }
        // What is past its time goes first.
        kept.put(key(1, "old"), true, now);
        while kept.0.len() < KEPT {
            kept.put(key(2, &kept.0.len().to_string()), true, now + LIFE / 2);
        }
        kept.put(key(3, "new"), true, now + LIFE);
        assert_eq!(kept.0.len(), KEPT, "only that one went");
        assert_eq!(kept.get(&key(1, "old"), now), None);
    }

    #[test]
    fn the_question_is_that_of_kubectl() {
        let review = serde_json::to_value(build_review("team-a")).unwrap();
        assert_eq!(
            review["spec"]["resourceAttributes"],
            serde_json::json!({
                "group": "obstack.io", "resource": "observabilitystacks", "verb": "get", "namespace": "team-a"
            })
        );
    }
}

//! Events on the stack, for `kubectl describe`. An Event that cannot be written is no reason to fail.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};

use crate::apply::Owner;
use crate::apply::writer::Writer;
use crate::metrics::Verb;
use crate::scrape::sources::{self, Objects, Source};
use crate::status::Happening;

/// Name of the controller in Events.
const CONTROLLER: &str = "obstack.io/operator";

fn regarding_stack(owner: &Owner) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION)),
        kind: Some("ObservabilityStack".to_owned()),
        name: Some(owner.id.name.clone()),
        namespace: Some(owner.id.namespace.clone()),
        uid: Some(owner.uid.clone()),
        ..ObjectReference::default()
    }
}

fn regarding_source(source: &Source) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", sources::GROUP, source.version)),
        kind: Some(source.key.kind.as_str().to_owned()),
        name: Some(source.key.name.clone()),
        namespace: Some(source.key.namespace.clone()),
        uid: Some(source.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Writes Events.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    writer: Writer,
    instance: String,
}

impl Recorder {
    /// A recorder for this process.
    pub fn new(client: Client, writer: Writer, instance: String) -> Self {
        Self { client, writer, instance }
    }

    /// Tells what happened to a stack, and to objects that it took: those in `objects`.
    pub async fn tell(&self, owner: &Owner, happenings: &[Happening], objects: &Objects) {
        for (index, happening) in happenings.iter().enumerate() {
            let regarding = match &happening.object {
                None => regarding_stack(owner),
                Some(object) => match objects.source_named(object) {
                    Some(source) => regarding_source(source),
                    None => continue,
                },
            };
            let namespace = regarding.namespace.clone().unwrap_or_else(|| owner.id.namespace.clone());
            let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
            let event = self.event(owner, happening, index, regarding);
            let params = PostParams::default();
            let request = api.create(&params, &event);
            if let Err(error) = self.writer.write("Event", Verb::Create, request).await {
                let reason = &happening.reason;
                tracing::debug!(stack = %owner.id, reason, %error, "an Event was not written");
            }
        }
    }

    fn event(&self, owner: &Owner, happening: &Happening, index: usize, regarding: ObjectReference) -> Event {
        let now = Timestamp::now();
        // The index keeps apart what is told within one tick of the clock.
        let name = format!("{}.{:x}{index:x}", owner.id.name, now.as_nanosecond());
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some(happening.action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(happening.note.clone()),
            reason: Some(happening.reason.clone()),
            regarding: Some(regarding),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if happening.warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

//! Events on Kubernetes objects: what a user sees in `kubectl describe`.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter};

pub use kube::runtime::events::EventType;

use crate::apply::within;

/// Publishes Events; equal ones that follow each other become one Event with a count.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// `component` appears as the source of the Events, e.g. `metallb-controller`.
    pub fn new(client: Client, component: &str) -> Self {
        Self {
            recorder: Recorder::new(client, Reporter::from(component)),
        }
    }

    /// Publishes one Event. An Event that cannot be written is logged and forgotten: it must never hold up the work
    /// it reports on.
    pub async fn publish(&self, object: &ObjectReference, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: reason.to_owned(),
            secondary: None,
        };
        if let Err(error) = within("publish Event", self.recorder.publish(&event, object)).await {
            tracing::warn!(reason, error = %error, "event not published");
        }
    }
}

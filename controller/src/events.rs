//! Events on Services.

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::{Client, Resource};
use metallb_domain::convergence::{Notice, Severity};
use metallb_kit::events::{EventType, Events};
use tokio::sync::mpsc;

use crate::MANAGER;

/// Events that wait to be written; more than that are dropped, since Events must never hold up allocation.
const BACKLOG: usize = 4096;

/// An Event to write.
pub(crate) type Told = (ObjectReference, Notice);

/// The way of Events from the worker to [`publish`].
pub(crate) fn channel() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(BACKLOG)
}

/// Hands a notice over to [`publish`].
pub(crate) fn tell(notices: &mpsc::Sender<Told>, service: &Service, notice: Notice) {
    let reference = service.object_ref(&());
    if notices.try_send((reference, notice)).is_err() {
        tracing::debug!(op = "event", "too many Events at once, one dropped");
    }
}

/// Writes Events, one after the other, until the channel is closed.
pub(crate) async fn publish(client: Client, mut notices: mpsc::Receiver<Told>) -> anyhow::Result<()> {
    let events = Events::new(client, MANAGER);
    while let Some((service, notice)) = notices.recv().await {
        let type_ = match notice.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        events.publish(&service, type_, notice.reason, &notice.note).await;
    }
    Ok(())
}

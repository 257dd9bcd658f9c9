//! Events on Services, published in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::ObjectReference;
use metallb_kit::events::{EventType, Events};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many Events may wait. Taking over thousands of Services at once makes more of them than is useful to anybody;
/// what does not fit is counted and dropped.
const QUEUE: usize = 512;

/// An Event to be published.
#[derive(Debug)]
pub struct Notice {
    /// What it is about.
    pub object: ObjectReference,
    /// Normal or Warning.
    pub type_: EventType,
    /// One word.
    pub reason: &'static str,
    /// One sentence.
    pub note: String,
}

/// Takes Events without ever waiting. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notices {
    queue: mpsc::Sender<Notice>,
    dropped: Arc<AtomicU64>,
}

impl Notices {
    /// The sending end, and the end to hand to [`publish`].
    pub fn new() -> (Self, mpsc::Receiver<Notice>) {
        let (queue, notices) = mpsc::channel(QUEUE);
        (
            Self {
                queue,
                dropped: Arc::default(),
            },
            notices,
        )
    }

    /// Queues an Event.
    pub fn send(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(dropped, "too many events at once, one was dropped");
        }
    }
}

/// Publishes Events one after the other until shutdown.
///
/// # Errors
/// Never; the result is what a supervised task returns.
pub async fn publish(
    events: Events,
    mut notices: mpsc::Receiver<Notice>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let notice = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            notice = notices.recv() => notice,
        };
        let Some(notice) = notice else {
            shutdown.cancelled().await;
            return Ok(());
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = events.publish(&notice.object, notice.type_, notice.reason, &notice.note) => {}
        }
    }
}

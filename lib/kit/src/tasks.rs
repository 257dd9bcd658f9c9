//! Supervised tasks: each has a name, and the process does not outlive any of them.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks may take to finish after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(10);

type Ended = (&'static str, anyhow::Result<()>);

/// The long-running tasks of a process. Clones are handles to the same set.
#[derive(Clone, Debug)]
pub struct Tasks {
    shutdown: CancellationToken,
    tracker: TaskTracker,
    ended: mpsc::UnboundedSender<Ended>,
    reports: Arc<Mutex<Option<mpsc::UnboundedReceiver<Ended>>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        // Unbounded, but each task sends one report in its life.
        let (ended, reports) = mpsc::unbounded_channel();
        let reports = Arc::new(Mutex::new(Some(reports)));
        Self {
            shutdown: CancellationToken::new(),
            tracker: TaskTracker::new(),
            ended,
            reports,
        }
    }

    /// Cancelled when the process was asked to stop, or when one of its tasks ended.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task that must run until [`Tasks::shutdown`]; one that ends earlier, by error, panic or a plain
    /// return, ends the process under its name.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let ended = self.ended.clone();
        self.tracker.spawn(async move {
            let result = AssertUnwindSafe(task).catch_unwind().await;
            let result = result.unwrap_or_else(|_| Err(anyhow!("panicked")));
            // The receiver is gone only when the process is ending anyway.
            let _ = ended.send((name, result));
        });
    }

    /// Waits for SIGTERM or SIGINT, or for the first task that ends; then stops the rest.
    ///
    /// # Errors
    /// The name and the error of a task that ended before shutdown was asked for.
    pub async fn run(self) -> anyhow::Result<()> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut reports = reports.context("tasks can be run only once")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let outcome = tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            Some((name, result)) = reports.recv() => Err(match result {
                Ok(()) => anyhow!("task {name} ended"),
                Err(error) => error.context(format!("task {name} ended")),
            }),
        };
        tracing::info!(
            reason = outcome.as_ref().err().map_or("signal", |_| "task ended"),
            "shutting down"
        );
        self.shutdown.cancel();
        self.tracker.close();
        if tokio::time::timeout(GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!("some tasks did not finish in time and are dropped");
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_ends_the_process_with_its_name() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        tasks.spawn("patient", async move {
            shutdown.cancelled().await;
            Ok(())
        });
        tasks.spawn("hasty", async { Err(anyhow!("no route")) });
        let error = tasks.run().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task hasty ended: no route");
    }

    #[tokio::test]
    async fn a_panic_is_reported_like_an_error() {
        let tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("boom") });
        assert_eq!(
            format!("{:#}", tasks.run().await.unwrap_err()),
            "task clumsy ended: panicked"
        );
    }
}

//! The observability endpoint: `/metrics`, `/healthz`, `/readyz`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio_util::sync::CancellationToken;

/// What must be true before this process counts as ready: a set of named gates, all of them open.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

/// One condition for readiness. It starts closed.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// No gates: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a closed gate; `name` is shown by `/readyz` as long as it is closed.
    pub fn gate(&self, name: &'static str) -> Gate {
        self.lock().insert(name, false);
        Gate {
            name,
            readiness: self.clone(),
        }
    }

    /// The names of the gates that are still closed.
    pub fn closed(&self) -> Vec<&'static str> {
        self.lock()
            .iter()
            .filter(|(_, open)| !**open)
            .map(|(name, _)| *name)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// The condition holds.
    pub fn open(&self) {
        self.readiness.lock().insert(self.name, true);
    }

    /// The condition does not hold any more.
    pub fn close(&self) {
        self.readiness.lock().insert(self.name, false);
    }
}

/// Serves the endpoint until `shutdown`. An address that cannot be bound is an error at once.
pub async fn serve(
    address: SocketAddr,
    registry: Registry,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for metrics and health; choose another --port")
    })?;
    axum::serve(listener, router(registry, readiness))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .context("observability endpoint")
}

fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(metrics).with_state(registry))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    let mut body = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut body) {
        Ok(()) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
            body,
        ),
        Err(error) => {
            let text = format!("metrics cannot be encoded: {error}\n");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(header::CONTENT_TYPE, "text/plain")],
                text.into_bytes(),
            )
        }
    }
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let closed = readiness.closed();
    if closed.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}\n", closed.join(", ")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_gate_is_open() {
        let readiness = Readiness::new();
        assert!(readiness.closed().is_empty());
        let (caches, leader) = (readiness.gate("caches"), readiness.gate("leader"));
        caches.open();
        assert_eq!(readiness.closed(), ["leader"]);
        leader.open();
        assert!(readiness.closed().is_empty());
        leader.close();
        assert_eq!(readiness.closed(), ["leader"]);
    }
}

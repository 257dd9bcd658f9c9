//! The error of a call to the Kubernetes API.

use std::time::Duration;

/// Why a call to the Kubernetes API gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time. The call may still take effect; repeat it, since every write of ours is idempotent.
    #[error("{what}: no answer from the API server within {limit:?}")]
    TimedOut {
        /// The call, in the form "apply DaemonSet metallb-system/speaker".
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The API server refused the call, or could not be reached.
    #[error("{what}")]
    Api {
        /// The call, in the form "apply DaemonSet metallb-system/speaker".
        what: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The process has no usable credentials or address of an API server.
    #[error("no connection to a Kubernetes API server: {0}")]
    Config(String),
}

impl Error {
    /// The status the API server answered with, when it did answer.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Error::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// The API server understood the object and will not have it (422, or 400): repeating the same call is useless.
    pub fn is_invalid(&self) -> bool {
        self.status()
            .is_some_and(|status| matches!(status.code, 400 | 422))
    }

    /// A short, stable word for metrics and Event reasons.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::TimedOut { .. } => "timeout",
            Error::Config(_) => "config",
            Error::Api { .. } => match self.status().map(|status| status.code) {
                Some(401 | 403) => "forbidden",
                Some(404) => "not_found",
                Some(409) => "conflict",
                Some(429) => "throttled",
                Some(400 | 422) => "invalid",
                Some(_) => "api",
                None => "connection",
            },
        }
    }
}

//! What this speaker says about itself in the API: which Services it announces and whether it could take the
//! configuration.

mod desired;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metallb_domain::service::ServiceKey;
use metallb_kit::dirty::Dirty;
use tokio::sync::watch;

use crate::layer2::Links;

pub use desired::Identity;
pub use writer::StatusWriter;

/// A status object, by what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `ServiceL2Status` of a Service announced from this node.
    Service(ServiceKey),
    /// An object of this name that speaks for this node but is not one this program would have made.
    Stray(String),
    /// This speaker's `ConfigurationState`.
    Configuration,
}

/// What is to be said. Written by the agent, published by a [`StatusWriter`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusBoard {
    wanted: Arc<Mutex<Wanted>>,
    dirty: Dirty<Subject>,
    complete: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Names of the interfaces each announced Service is restricted to, sorted; empty if it is not restricted.
    services: HashMap<ServiceKey, Vec<String>>,
    /// Errors of the configuration; `None` before the first check.
    problems: Option<Vec<String>>,
}

impl Default for StatusBoard {
    fn default() -> Self {
        Self::new()
    }
}

impl StatusBoard {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self {
            wanted: Arc::default(),
            dirty: Dirty::new(),
            complete: watch::Sender::new(false),
        }
    }

    /// A Service is announced on these interfaces, or no longer.
    pub fn service(&self, service: &ServiceKey, links: Option<&Links>) {
        let interfaces = links.map(|links| match links {
            Links::All => Vec::new(),
            Links::Named(names) => names.iter().cloned().collect(),
        });
        match interfaces {
            Some(interfaces) => self.lock().services.insert(service.clone(), interfaces),
            None => self.lock().services.remove(service),
        };
        self.dirty.mark(Subject::Service(service.clone()));
    }

    /// The configuration was checked and has these errors.
    pub fn configuration(&self, problems: Vec<String>) {
        self.lock().problems = Some(problems);
        self.dirty.mark(Subject::Configuration);
    }

    /// Every Service was looked at once: from now on what is not announced here has no business in a status.
    pub fn complete(&self) {
        self.complete
            .send_if_modified(|complete| !std::mem::replace(complete, true));
    }

    fn interfaces(&self, service: &ServiceKey) -> Option<Vec<String>> {
        self.lock().services.get(service).cloned()
    }

    fn problems(&self) -> Option<Vec<String>> {
        self.lock().problems.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What the controller knows and decides, apart from any I/O.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Service;
use metallb_domain::allocator::Allocator;
use metallb_domain::config::{Config, Objects, Problem};
use metallb_domain::convergence::{Convergence, Notice, Verdict, converge, seed};
use metallb_domain::service::{ServiceKey, ServiceRequest};

/// Configuration in force and assignments.
#[derive(Debug, Default)]
pub(crate) struct State {
    class: Option<String>,
    config: Config,
    pub(crate) allocator: Allocator,
    /// What the owner of a Service was told last, so that a standing problem is told once.
    told: HashMap<ServiceKey, Vec<Notice>>,
}

/// What follows from looking at a Service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// What the owner has not been told yet.
    pub(crate) notices: Vec<Notice>,
}

impl State {
    pub(crate) fn new(class: Option<String>) -> Self {
        Self {
            class,
            ..Self::default()
        }
    }

    /// Takes the objects into force as far as they are good. Returns the Services to look at again and the problems.
    pub(crate) fn configure(&mut self, objects: &Objects) -> (Vec<ServiceKey>, Vec<Problem>) {
        let (config, problems) = Config::build(objects, Some(&self.config));
        let mut again = self.allocator.set_pools(&config.pools);
        if again.is_empty() && config.pools_left_out != self.config.pools_left_out {
            again = self.allocator.waiting();
        }
        self.config = config;
        (again, problems)
    }

    /// Registers what all Services hold, before anything is given out, and returns the order in which to look at
    /// them: holders of two addresses, holders of one, the others; older before younger in each group.
    pub(crate) fn adopt<'a>(&mut self, services: impl Iterator<Item = &'a Service>) -> Vec<ServiceKey> {
        let mut order: Vec<(ServiceRequest, _)> = services
            .map(|service| {
                (
                    ServiceRequest::of(service),
                    service.metadata.creation_timestamp.as_ref().map(|time| time.0),
                )
            })
            .collect();
        order.sort_by_cached_key(|(request, created)| {
            (
                std::cmp::Reverse(request.ingress.len()),
                *created,
                request.key.clone(),
            )
        });
        for (request, _) in &order {
            if self.serves(request) {
                seed(&mut self.allocator, request);
            }
        }
        order.into_iter().map(|(request, _)| request.key).collect()
    }

    /// Decides about a Service; `None` when it is none of our business.
    pub(crate) fn decide(&mut self, service: &Service) -> Option<Decision> {
        let request = ServiceRequest::of(service);
        if !self.serves(&request) {
            // The API server drops the class of a Service that stops being a load balancer.
            self.told.remove(&request.key);
            return self.allocator.release(&request.key).map(|_| Decision {
                verdict: Verdict::Cleared,
                notices: Vec::new(),
            });
        }
        let Convergence { verdict, notices, .. } =
            converge(&mut self.allocator, &request, &self.config.pools_left_out);
        let before = self.told.remove(&request.key).unwrap_or_default();
        let fresh = notices
            .iter()
            .filter(|notice| !before.contains(notice))
            .cloned()
            .collect();
        if !notices.is_empty() {
            self.told.insert(request.key, notices);
        }
        Some(Decision {
            verdict,
            notices: fresh,
        })
    }

    /// Forgets a Service that is gone.
    pub(crate) fn forget(&mut self, service: &ServiceKey) {
        self.allocator.release(service);
        self.told.remove(service);
    }

    fn serves(&self, request: &ServiceRequest) -> bool {
        request.is_of_class(self.class.as_deref())
    }
}

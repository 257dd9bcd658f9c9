//! The loop of the controller: takes marks, decides one Service at a time, and has the outcomes written beside it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;
use metallb_domain::convergence::{Notice, Severity, Verdict};
use metallb_domain::service::{ServiceKey, ServiceRequest};
use metallb_kit::backoff::Backoff;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::args::Args;
use crate::cache::{Caches, Mark};
use crate::configuration_state::Health;
use crate::events::{Told, tell};
use crate::ingress;
use crate::metrics::Metrics;
use crate::pool_status::PoolUsage;
use crate::state::State;

/// Status writes under way at the same time.
const CONCURRENT_WRITES: usize = 32;
/// First and longest wait before a failed write is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// What a task beside the loop reports.
enum Report {
    Written(ServiceKey, Result<Box<Service>, metallb_kit::Error>),
    /// A failed Service is due again.
    Due(ServiceKey),
}

/// The one owner of the assignments.
pub(crate) struct Worker {
    client: Client,
    caches: Caches,
    state: State,
    metrics: Metrics,
    usage: PoolUsage,
    health: watch::Sender<Health>,
    notices: mpsc::Sender<Told>,
    reports: FuturesUnordered<BoxFuture<'static, Report>>,
    permits: Arc<Semaphore>,
    /// Services whose status is being written; true when they must be looked at again afterwards.
    writing: HashMap<ServiceKey, bool>,
    /// What we wrote last, as long as the cache has not caught up.
    written: HashMap<ServiceKey, Arc<Service>>,
    backoff: Backoff<ServiceKey>,
    failed: HashSet<ServiceKey>,
}

impl Worker {
    pub(crate) fn new(
        client: Client,
        args: &Args,
        caches: Caches,
        metrics: Metrics,
        usage: PoolUsage,
        health: watch::Sender<Health>,
        notices: mpsc::Sender<Told>,
    ) -> Self {
        Self {
            client,
            caches,
            state: State::new(args.class()),
            metrics,
            usage,
            health,
            notices,
            reports: FuturesUnordered::new(),
            permits: Arc::new(Semaphore::new(CONCURRENT_WRITES)),
            writing: HashMap::new(),
            written: HashMap::new(),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failed: HashSet::new(),
        }
    }

    /// Works until dropped.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        self.caches.complete().await;
        self.start();
        loop {
            self.follow_up();
            let marks = self.caches.marks.clone();
            tokio::select! {
                marks = marks.take() => marks.into_iter().for_each(|mark| self.handle(mark)),
                Some(report) = self.reports.next() => self.take(report),
            }
        }
    }

    /// Registers all holders before the first address is given out.
    fn start(&mut self) {
        self.configure();
        let services = self.caches.services.state();
        for key in self.state.adopt(services.iter().map(Arc::as_ref)) {
            self.look_at(&key);
        }
        self.usage.begin();
        tracing::info!(op = "start", services = services.len(), "all Services looked at");
    }

    fn handle(&mut self, mark: Mark) {
        match mark {
            Mark::Configuration => self.configure(),
            Mark::Service(key) => self.look_at(&key),
        }
    }

    fn configure(&mut self) {
        self.metrics.updates.inc();
        let (again, problems) = self.state.configure(&self.caches.objects());
        for problem in &problems {
            tracing::warn!(op = "configure", kind = problem.kind, name = problem.name, error = %problem, "object not in force");
        }
        self.metrics.config_loaded.set(1);
        self.metrics.config_stale.set(i64::from(!problems.is_empty()));
        self.health.send_if_modified(|health| {
            let changed = health.as_ref() != Some(&problems);
            *health = Some(problems);
            changed
        });
        for key in again {
            self.look_at(&key);
        }
    }

    /// Wakes the Services that what happened may help, and passes on the counters that changed.
    fn follow_up(&mut self) {
        while let Some(key) = self.state.allocator.next_woken() {
            self.look_at(&key);
        }
        for pool in self.state.allocator.take_recount() {
            let counters = self.state.allocator.counters(&pool);
            self.metrics.set_pool(&pool, counters);
            self.usage.set(&pool, counters);
        }
    }

    fn look_at(&mut self, key: &ServiceKey) {
        if let Some(again) = self.writing.get_mut(key) {
            *again = true;
            return;
        }
        self.metrics.updates.inc();
        let Some(service) = self.latest(key) else {
            self.state.forget(key);
            self.backoff.succeeded(key);
            self.failed.remove(key);
            return;
        };
        let Some(decision) = self.state.decide(&service) else {
            return;
        };
        let settled = ingress::is_settled(&service, &decision.verdict);
        tracing::debug!(op = "converge", service = %key, verdict = ?decision.verdict, settled, "looked at");
        for notice in decision.notices {
            tracing::info!(op = "converge", service = %key, event = notice.reason, msg = notice.note, "notice");
            tell(&self.notices, &service, notice);
        }
        if !settled {
            self.warn_of_deprecated(&service);
            self.write(key, service, decision.verdict);
        }
    }

    /// The Service as the API server last told us, by watch or in answer to our own write.
    fn latest(&mut self, key: &ServiceKey) -> Option<Arc<Service>> {
        let cached = self.caches.service(key);
        match (self.written.get(key), &cached) {
            (Some(written), Some(cached)) if is_newer(written, cached) => return Some(Arc::clone(written)),
            _ => {}
        }
        self.written.remove(key);
        cached
    }

    fn warn_of_deprecated(&self, service: &Service) {
        for annotation in ServiceRequest::of(service).legacy_annotations {
            let note = format!(
                "annotation {annotation} is deprecated: use the prefix metallb.io/ instead of metallb.universe.tf/"
            );
            let notice = Notice {
                severity: Severity::Warning,
                reason: "deprecatedAnnotation",
                note,
            };
            tell(&self.notices, service, notice);
        }
    }

    fn write(&mut self, key: &ServiceKey, service: Arc<Service>, verdict: Verdict) {
        self.writing.insert(key.clone(), false);
        let api: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let (key, permits) = (key.clone(), Arc::clone(&self.permits));
        self.reports.push(
            async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                let result = ingress::write(&api, &service, &verdict).await;
                Report::Written(key, result.map(Box::new))
            }
            .boxed(),
        );
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Written(key, result) => self.written(&key, result),
            Report::Due(key) => {
                self.failed.remove(&key);
                self.look_at(&key);
            }
        }
    }

    fn written(&mut self, key: &ServiceKey, result: Result<Box<Service>, metallb_kit::Error>) {
        let again = self.writing.remove(key).unwrap_or_default();
        match result {
            Ok(service) => {
                tracing::info!(op = "write", service = %key, ingress = ?ServiceRequest::of(&service).ingress, "status written");
                self.backoff.succeeded(key);
                self.written.insert(key.clone(), Arc::from(service));
            }
            // The watch tells of the deletion.
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                self.metrics.update_errors.inc();
                tracing::warn!(op = "write", service = %key, error = %error, kind = error.kind(), "status not written, trying again");
                self.retry_later(key);
            }
        }
        if again {
            self.look_at(key);
        }
    }

    fn retry_later(&mut self, key: &ServiceKey) {
        if self.failed.insert(key.clone()) {
            let wait = self.backoff.failed(key);
            let key = key.clone();
            self.reports.push(
                async move {
                    tokio::time::sleep(wait).await;
                    Report::Due(key)
                }
                .boxed(),
            );
        }
    }
}

/// True when `one` was stored after `other`. Resource versions are compared as numbers, which the API server
/// guarantees to be meaningful for objects of one kind; where they are none, what the watch says counts.
fn is_newer(one: &Service, other: &Service) -> bool {
    let version = |service: &Service| service.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    one.metadata.uid == other.metadata.uid && version(one) > version(other) && version(other).is_some()
}

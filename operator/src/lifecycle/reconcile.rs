//! One look at one MetalLB object.

mod removal;
mod workloads;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource};
use metallb_crds::metallb::MetalLB;
use metallb_kit::events::{EventType, Events};
use tokio::sync::watch as latest;
use tokio::time::Instant;

use super::account::tied_to_account;
use super::apply::{Applier, Outcome, explain};
use super::environment::Environment;
use super::metrics::Metrics;
use super::object::{Desired, Key, Kind};
use super::observed::{MetalLbKey, Observed};
use super::prune::{remove, surplus};
use super::readiness::{Component, Problem};
use super::render::render;
use super::status::{Verdict, shortened, status};
use super::validate::{ValidMetalLb, in_its_place, validate};
use super::{Settings, write};

/// While a workload is not ready its pods are looked at this often: their state changes without a change of any
/// object that is watched.
const PODS_AGAIN: Duration = Duration::from_secs(3);

/// Longest text of an Event, in bytes.
const EVENT_LIMIT: usize = 1024;

/// When to look at an object again, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// After some time.
    After(Duration),
    /// After growing times: something failed.
    BackOff,
    /// All is said and done.
    Change,
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReconcileError(#[from] metallb_kit::Error);

impl ReconcileError {
    /// Short word for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// One line for the log.
    pub(crate) fn explain(&self) -> String {
        explain(&self.0)
    }
}

/// The two ways between this and the part that plans BGP.
pub(crate) struct BgpPart {
    /// What that part shall do.
    pub settings: latest::Sender<Settings>,
    /// Whether it has withdrawn everything after a [`Settings::Removed`].
    pub withdrawn: latest::Receiver<bool>,
}

/// Does what MetalLB objects ask for.
pub(crate) struct Reconciler {
    client: Client,
    environment: Environment,
    observed: Observed,
    applier: Applier,
    events: Events,
    metrics: Metrics,
    bgp: BgpPart,
    /// What was found out about the pods of a workload, and when.
    pods: HashMap<String, (Instant, Vec<Problem>)>,
}

impl Reconciler {
    /// Nothing looked at yet.
    pub(crate) fn new(
        client: Client,
        environment: Environment,
        observed: Observed,
        metrics: Metrics,
        bgp: BgpPart,
    ) -> Self {
        let applier = Applier::new(client.clone(), &environment.namespace, observed.clone());
        Self {
            events: Events::new(client.clone(), "metallb-operator"),
            client,
            environment,
            observed,
            applier,
            metrics,
            bgp,
            pods: HashMap::new(),
        }
    }

    /// Looks at one MetalLB object: checks it, deploys what it asks for, removes what it does not, tells what is so.
    pub(crate) async fn reconcile(&mut self, key: &MetalLbKey) -> Result<Next, ReconcileError> {
        let Some(metallb) = self.observed.metallb(key) else {
            return self.gone(key).await;
        };
        if metallb.metadata.deletion_timestamp.is_some() {
            return self.removed(&metallb).await;
        }
        if let Err(misplaced) = in_its_place(&metallb, &self.environment) {
            return self.report(&metallb, &Verdict::Misplaced(misplaced)).await;
        }
        let valid = match validate(&metallb, &self.environment) {
            Ok(valid) => valid,
            Err(violations) => return self.report(&metallb, &Verdict::Invalid(violations)).await,
        };
        let metallb = self.kept(metallb).await?;
        self.announce(&valid);
        let verdict = self.deploy(&metallb, &valid).await;
        self.report(&metallb, &verdict).await
    }

    /// Counts one look.
    pub(crate) fn count(&self, result: &str, took: Duration) {
        self.metrics.reconciled(result, took);
    }

    /// Makes sure that the object stays until what is deployed for it is removed.
    async fn kept(&self, metallb: Arc<MetalLB>) -> Result<Arc<MetalLB>, ReconcileError> {
        if write::has_finalizer(&metallb) {
            return Ok(metallb);
        }
        let stored = write::set_finalizer(&self.client, &metallb, true).await?;
        self.observed.see_metallb(stored.clone());
        Ok(Arc::new(stored))
    }

    /// Tells the BGP part what is in force now.
    fn announce(&self, valid: &ValidMetalLb) {
        let settings = Settings::installed(valid, &self.environment);
        self.bgp.settings.send_if_modified(|known| {
            let changed = *known != settings;
            *known = settings;
            changed
        });
    }

    /// Applies everything that must exist, then removes what need not. An object that cannot be written does not keep
    /// the others from being written, but nothing is removed before everything is in place.
    async fn deploy(&mut self, metallb: &MetalLB, valid: &ValidMetalLb) -> Verdict {
        let desired = render(valid, &self.environment);
        let mut changes = BTreeMap::<&str, Vec<String>>::new();
        let mut failures = Vec::new();
        for object in &desired {
            // By now the ServiceAccounts are applied.
            let tied = self.tied_to_account(object);
            match self.applier.apply(&tied, &valid.uid).await {
                Ok(Outcome::Unchanged) => {}
                Ok(outcome) => {
                    if outcome == Outcome::Repaired {
                        self.metrics.repaired(&object.key);
                    }
                    changes
                        .entry(reason(outcome))
                        .or_default()
                        .push(object.key.to_string());
                }
                Err(error) => {
                    tracing::warn!(object = %object.key, kind = error.kind(), error = error.explain(), "not applied");
                    failures.push(error.explain());
                }
            }
        }
        if failures.is_empty() {
            let wanted = desired.iter().map(|object| object.key.clone()).collect();
            let (removed, kept) = self.prune(&wanted, |_| true).await;
            failures = kept;
            if !removed.is_empty() {
                changes.insert("Pruned", removed);
            }
        }
        self.tell(metallb, &changes, &failures).await;
        Verdict::Deployed {
            backend: valid.backend.name(),
            components: self.components(&desired).await,
            failures,
        }
    }

    fn tied_to_account(&self, object: &Desired) -> Desired {
        let live = self.observed.deployed(&object.key);
        tied_to_account(object, live.as_deref(), |name| {
            let account = Key {
                kind: Kind::ServiceAccount,
                name: name.to_owned(),
            };
            self.observed.deployed(&account)?.metadata.uid.clone()
        })
    }

    /// Removes everything that is deployed, not wanted and picked; returns what was removed and what could not be.
    async fn prune(
        &mut self,
        wanted: &HashSet<Key>,
        picked: impl Fn(&Key) -> bool,
    ) -> (Vec<String>, Vec<String>) {
        let inventory = self.observed.inventory();
        let (mut removed, mut failures) = (Vec::new(), Vec::new());
        for (key, object) in surplus(&inventory, wanted) {
            if !picked(key) {
                continue;
            }
            match remove(&self.client, &self.environment.namespace, key, object).await {
                Ok(left) => {
                    tracing::info!(object = %key, "removed");
                    match left {
                        Some(left) => self.observed.see_deployed(key.kind, left),
                        None => self.observed.lose_deployed(key.kind, object),
                    }
                    self.applier.forget(key);
                    removed.push(key.to_string());
                }
                Err(error) => failures.push(explain(&error)),
            }
        }
        (removed, failures)
    }

    /// Writes the status when it says something new, and decides when to look again.
    async fn report(&mut self, metallb: &MetalLB, verdict: &Verdict) -> Result<Next, ReconcileError> {
        let previous = metallb.status.as_ref();
        let status = status(verdict, metallb.metadata.generation, previous, &Time(now()));
        if !matches!(verdict, Verdict::Misplaced(_)) {
            self.metrics.status(&status);
        }
        if previous != Some(&status) {
            let stored = write::set_status(&self.client, metallb, &status).await?;
            self.observed.see_metallb(stored);
        }
        Ok(match verdict {
            Verdict::Deployed { failures, .. } if !failures.is_empty() => Next::BackOff,
            Verdict::Deployed { components, .. } if !components.iter().all(Component::is_ready) => {
                Next::After(PODS_AGAIN)
            }
            _ => Next::Change,
        })
    }

    /// Events on the MetalLB object, one for each kind of thing that was done.
    async fn tell(&self, metallb: &MetalLB, changes: &BTreeMap<&str, Vec<String>>, failures: &[String]) {
        let object = metallb.object_ref(&());
        for (reason, objects) in changes {
            let note = shortened(objects.join(", "), EVENT_LIMIT);
            tracing::info!(reason, objects = note, "deployed");
            self.events
                .publish(&object, EventType::Normal, reason, &note)
                .await;
        }
        if !failures.is_empty() {
            let note = shortened(failures.join("; "), EVENT_LIMIT);
            self.events
                .publish(&object, EventType::Warning, "SyncFailed", &note)
                .await;
        }
    }
}

fn reason(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unchanged => "Unchanged",
        Outcome::Created => "Created",
        Outcome::Updated => "Updated",
        Outcome::Repaired => "DriftCorrected",
    }
}

fn now() -> Timestamp {
    // Conditions have no fractions of a second.
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

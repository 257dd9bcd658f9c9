//! One look at one MetalLB object.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt};
use metallb_crds::metallb::MetalLB;
use metallb_kit::apply::within;
use metallb_kit::events::{EventType, Events};
use tokio::sync::watch as latest;
use tokio::time::Instant;

use super::apply::{Applier, Outcome, explain};
use super::environment::Environment;
use super::metrics::Metrics;
use super::object::{Desired, Key};
use super::observed::{MetalLbKey, Observed};
use super::prune::{is_workload, remove, surplus};
use super::readiness::{Component, Problem, component, problem};
use super::render::render;
use super::status::{Verdict, shortened, status};
use super::validate::{ValidMetalLb, in_its_place, validate};
use super::{Settings, write};

/// While a workload is not ready its pods are looked at this often: their state changes without a change of any
/// object that is watched.
const PODS_AGAIN: Duration = Duration::from_secs(3);
/// How long the programs may take to end before what they need is removed.
const PODS_GONE: Duration = Duration::from_secs(60);

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

/// Does what MetalLB objects ask for.
pub(crate) struct Reconciler {
    client: Client,
    environment: Environment,
    observed: Observed,
    applier: Applier,
    events: Events,
    metrics: Metrics,
    settings: latest::Sender<Settings>,
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
        settings: latest::Sender<Settings>,
    ) -> Self {
        let applier = Applier::new(client.clone(), &environment.namespace, observed.clone());
        Self {
            events: Events::new(client.clone(), "metallb-operator"),
            client,
            environment,
            observed,
            applier,
            metrics,
            settings,
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
        self.settings.send_if_modified(|known| {
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
            match self.applier.apply(object, &valid.uid).await {
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

    /// The state of every workload, with the reasons of pods that are not ready.
    async fn components(&mut self, desired: &[Desired]) -> Vec<Component> {
        let mut components = Vec::new();
        for object in desired {
            let live = self.observed.deployed(&object.key);
            let Some(mut component) = component(object, live.as_deref()) else {
                continue;
            };
            if component.is_ready() {
                self.pods.remove(&component.status.name);
            } else {
                component.problems = self.problems(&component).await;
            }
            components.push(component);
        }
        components
    }

    /// Why the pods of `component` are not ready: asked for at most every [`PODS_AGAIN`], more rarely when there are
    /// very many pods. O(pods of the component) when asked.
    async fn problems(&mut self, component: &Component) -> Vec<Problem> {
        let name = &component.status.name;
        let pods = u32::try_from(component.status.desired).unwrap_or_default();
        let fresh = PODS_AGAIN * 9 / 10 + Duration::from_millis(10) * pods;
        if let Some((asked, problems)) = self.pods.get(name)
            && asked.elapsed() < fresh
        {
            return problems.clone();
        }
        let problems = match self.list_pods(&component.selector).await {
            Ok(pods) => {
                let mut problems: Vec<_> = pods.iter().filter_map(problem).collect();
                problems.sort();
                problems
            }
            Err(error) => {
                tracing::warn!(component = name, error = explain(&error), "pods cannot be listed");
                Vec::new()
            }
        };
        self.pods.insert(name.clone(), (Instant::now(), problems.clone()));
        problems
    }

    async fn list_pods(&self, selector: &BTreeMap<String, String>) -> Result<Vec<Pod>, metallb_kit::Error> {
        let labels: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.environment.namespace);
        // Served from the API server's cache.
        let params = ListParams::default().labels(&labels.join(",")).match_any();
        Ok(within("list pods", api.list(&params)).await?.items)
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

    /// Removes what is deployed for an object that is being deleted, in an order that lets the programs withdraw what
    /// they announce: first the programs, then, once they have ended, what they need. At last lets the object go.
    async fn removed(&mut self, metallb: &MetalLB) -> Result<Next, ReconcileError> {
        if in_its_place(metallb, &self.environment).is_err() || !write::has_finalizer(metallb) {
            return Ok(Next::Change);
        }
        self.settings.send_replace(Settings::Removed);
        let since = metallb
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or_else(now, |time| time.0);
        let (_, mut failures) = self.prune(&HashSet::new(), |key| is_workload(key.kind)).await;
        let remaining = self.programs().await?;
        if !remaining.is_empty() && now().duration_since(since).unsigned_abs() < PODS_GONE {
            self.report(metallb, &Verdict::Removing { remaining }).await?;
            return Ok(Next::After(Duration::from_secs(1)));
        }
        failures.extend(self.prune(&HashSet::new(), |_| true).await.1);
        if !failures.is_empty() {
            tracing::warn!(failures = failures.join("; "), "not everything could be removed");
            self.report(metallb, &Verdict::Removing { remaining: failures })
                .await?;
            return Ok(Next::BackOff);
        }
        if self.observed.inventory().is_empty() {
            self.observed
                .see_metallb(write::set_finalizer(&self.client, metallb, false).await?);
            tracing::info!("everything deployed is removed");
        }
        // Otherwise the watches report when the last object is gone.
        Ok(Next::Change)
    }

    /// Programs that have not ended: workloads that still exist, then their pods.
    async fn programs(&self) -> Result<Vec<String>, ReconcileError> {
        let inventory = self.observed.inventory();
        let workloads: Vec<_> = inventory
            .iter()
            .filter(|(key, _)| is_workload(key.kind))
            .collect();
        if !workloads.is_empty() {
            return Ok(workloads.iter().map(|(key, _)| key.to_string()).collect());
        }
        let mut pods = Vec::new();
        for app in ["metallb", "frr-k8s"] {
            let selector = BTreeMap::from([("app".to_owned(), app.to_owned())]);
            pods.extend(
                self.list_pods(&selector)
                    .await?
                    .iter()
                    .map(|pod| format!("Pod {}", pod.name_any())),
            );
        }
        Ok(pods)
    }

    /// Removes what an object left behind that went away without waiting for the operator.
    async fn gone(&mut self, key: &MetalLbKey) -> Result<Next, ReconcileError> {
        if !self.observed.is_installation(key) {
            return Ok(Next::Change);
        }
        self.metrics.removed();
        if self.observed.inventory().is_empty() {
            self.settings.send_replace(Settings::Removed);
            return Ok(Next::Change);
        }
        // Removing a whole installation deserves a second look.
        if let Some(metallb) = write::fetch(&self.client, &key.namespace, &key.name).await? {
            self.observed.see_metallb(metallb);
            return Ok(Next::After(Duration::ZERO));
        }
        self.settings.send_replace(Settings::Removed);
        let (_, failures) = self.prune(&HashSet::new(), |_| true).await;
        Ok(if failures.is_empty() {
            Next::Change
        } else {
            Next::BackOff
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

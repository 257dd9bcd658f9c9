//! The end of an installation.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, ListParams};
use metallb_crds::frrk8s::FRRNodeState;
use metallb_crds::metallb::MetalLB;
use metallb_kit::apply::{delete, within};

use super::{Next, ReconcileError, Reconciler, now};
use crate::lifecycle::observed::MetalLbKey;
use crate::lifecycle::prune::is_workload;
use crate::lifecycle::status::Verdict;
use crate::lifecycle::validate::{EXTERNAL, in_its_place};
use crate::lifecycle::{Settings, write};

/// How long the programs may take to end before what they need is removed.
const PODS_GONE: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Removes what is deployed for an object that is being deleted, in an order that lets the programs withdraw what
    /// they announce: first the programs, then, once they have ended, what they need. At last lets the object go.
    pub(super) async fn removed(&mut self, metallb: &MetalLB) -> Result<Next, ReconcileError> {
        if in_its_place(metallb, &self.environment).is_err() || !write::has_finalizer(metallb) {
            return Ok(Next::Change);
        }
        self.withdraw(Some(metallb));
        let since = metallb
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or_else(now, |time| time.0);
        let (_, mut failures) = self.prune(&HashSet::new(), |key| is_workload(key.kind)).await;
        let mut remaining = self.programs().await?;
        if !*self.bgp.withdrawn.borrow() {
            // What an agent of somebody else goes on to follow must not stay without anybody to remove it.
            remaining.push("FRRConfigurations".to_owned());
        }
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
            self.forget_nodes(metallb).await?;
            let stored = write::set_finalizer(&self.client, metallb, false).await?;
            if stored.finalizers().is_empty() {
                // With its last finalizer it is gone, and the watch may have told so before this answer came.
                self.observed.lose_metallb(&stored);
            } else {
                self.observed.see_metallb(stored);
            }
            tracing::info!("everything deployed is removed");
        }
        // Otherwise the watches report when the last object is gone.
        Ok(Next::Change)
    }

    /// Tells the BGP part to withdraw what was published for an installation, whose object may be unknown.
    fn withdraw(&self, metallb: Option<&MetalLB>) {
        let settings = Settings::removed(metallb, &self.environment);
        self.bgp.settings.send_if_modified(|known| {
            let changed = *known != settings;
            *known = settings;
            changed
        });
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
    pub(super) async fn gone(&mut self, key: &MetalLbKey) -> Result<Next, ReconcileError> {
        if !self.observed.is_installation(key) {
            return Ok(Next::Change);
        }
        self.metrics.removed();
        if self.observed.inventory().is_empty() {
            self.withdraw(None);
            return Ok(Next::Change);
        }
        // Removing a whole installation deserves a second look.
        if let Some(metallb) = write::fetch(&self.client, &key.namespace, &key.name).await? {
            self.observed.see_metallb(metallb);
            return Ok(Next::After(Duration::ZERO));
        }
        self.withdraw(None);
        let (_, failures) = self.prune(&HashSet::new(), |_| true).await;
        Ok(if failures.is_empty() {
            Next::Change
        } else {
            Next::BackOff
        })
    }

    /// Removes what the FRR agents of this installation said about their nodes: unlike their other reports these are
    /// not in a namespace, hence cannot belong to the pods. Those of somebody else's agents stay.
    async fn forget_nodes(&self, metallb: &MetalLB) -> Result<(), ReconcileError> {
        let backend = metallb
            .status
            .as_ref()
            .and_then(|status| status.backend.as_deref());
        if backend.is_none_or(|backend| backend == EXTERNAL) {
            return Ok(());
        }
        let api: Api<FRRNodeState> = Api::all(self.client.clone());
        for state in within("list FRRNodeStates", api.list_metadata(&ListParams::default())).await? {
            delete(&api, &state.name_any()).await?;
        }
        Ok(())
    }
}

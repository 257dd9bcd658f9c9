//! The live state: every MetalLB object, and everything the operator deployed for one, as the watches report it.
//!
//! What the operator itself has just written is entered at once, so that the next look does not see the state from
//! before the write and write again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use metallb_crds::metallb::MetalLB;
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};
use serde::de::DeserializeOwned;
use tokio::sync::watch as latest;

use super::object::{Deployable, Key, Kind, erase, key};
use super::render::{INSTALLATION, MANAGED_BY, MANAGER};
use super::validate::NAME;

/// Which MetalLB object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MetalLbKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// A handle to the live state; clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    state: Arc<Mutex<State>>,
    dirty: Dirty<MetalLbKey>,
    /// How many watches have not completed their first list.
    waiting: Arc<latest::Sender<usize>>,
    installation: MetalLbKey,
}

#[derive(Debug, Default)]
struct State {
    metallbs: HashMap<MetalLbKey, Arc<MetalLB>>,
    deployed: BTreeMap<Key, Arc<DynamicObject>>,
}

impl Observed {
    /// An empty state for the installation in `namespace`.
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            state: Arc::default(),
            dirty: Dirty::new(),
            waiting: Arc::new(latest::Sender::new(0)),
            installation: MetalLbKey {
                namespace: namespace.to_owned(),
                name: NAME.to_owned(),
            },
        }
    }

    /// Starts the watches that keep the state up to date. MetalLB objects are watched in all namespaces, to tell the
    /// user of one that is in the wrong place.
    pub(crate) fn follow(&self, tasks: &Tasks, client: &Client) {
        self.follow_metallbs(tasks, Api::all(client.clone()));
        let namespace = self.installation.namespace.as_str();
        self.follow_deployed::<ServiceAccount>(
            tasks,
            "watch-serviceaccounts",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<ConfigMap>(
            tasks,
            "watch-configmaps",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<Role>(tasks, "watch-roles", Api::namespaced(client.clone(), namespace));
        self.follow_deployed::<RoleBinding>(
            tasks,
            "watch-rolebindings",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<NetworkPolicy>(
            tasks,
            "watch-networkpolicies",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<DaemonSet>(
            tasks,
            "watch-daemonsets",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<Deployment>(
            tasks,
            "watch-deployments",
            Api::namespaced(client.clone(), namespace),
        );
        self.follow_deployed::<ClusterRole>(tasks, "watch-clusterroles", Api::all(client.clone()));
        self.follow_deployed::<ClusterRoleBinding>(
            tasks,
            "watch-clusterrolebindings",
            Api::all(client.clone()),
        );
    }

    /// Waits until every watch has completed its first list: before that, absence means nothing.
    pub(crate) async fn complete(&self) {
        // The sender lives as long as `self`.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// The MetalLB objects to look at again; waits until there is one.
    pub(crate) async fn changed(&self) -> Vec<MetalLbKey> {
        self.dirty.take().await
    }

    /// Asks for another look at `key`.
    pub(crate) fn mark(&self, key: MetalLbKey) {
        self.dirty.mark(key);
    }

    /// Asks for a look at the MetalLB object of this installation, whether there is one or not.
    pub(crate) fn mark_installation(&self) {
        self.dirty.mark(self.installation.clone());
    }

    /// Whether `key` is the MetalLB object of this installation.
    pub(crate) fn is_installation(&self, key: &MetalLbKey) -> bool {
        *key == self.installation
    }

    /// A MetalLB object as last seen.
    pub(crate) fn metallb(&self, key: &MetalLbKey) -> Option<Arc<MetalLB>> {
        self.lock().metallbs.get(key).cloned()
    }

    /// A deployed object as last seen.
    pub(crate) fn deployed(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.lock().deployed.get(key).cloned()
    }

    /// Everything deployed, in the order of applying.
    pub(crate) fn inventory(&self) -> Vec<(Key, Arc<DynamicObject>)> {
        let state = self.lock();
        state
            .deployed
            .iter()
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// Enters a MetalLB object, unless a newer state of it is known.
    pub(crate) fn see_metallb(&self, metallb: MetalLB) {
        let key = metallb_key(&metallb);
        let mut state = self.lock();
        if state
            .metallbs
            .get(&key)
            .is_none_or(|known| !older(&metallb.metadata, &known.metadata))
        {
            state.metallbs.insert(key, Arc::new(metallb));
        }
    }

    /// Enters a deployed object, unless a newer state of it is known.
    pub(crate) fn see_deployed(&self, kind: Kind, object: DynamicObject) {
        let key = key(kind, &object);
        let mut state = self.lock();
        if state
            .deployed
            .get(&key)
            .is_none_or(|known| !older(&object.metadata, &known.metadata))
        {
            state.deployed.insert(key, Arc::new(object));
        }
    }

    /// Removes a deployed object, unless another one of that name has taken its place.
    pub(crate) fn lose_deployed(&self, kind: Kind, object: &DynamicObject) {
        let key = key(kind, object);
        let mut state = self.lock();
        if state
            .deployed
            .get(&key)
            .is_some_and(|known| known.metadata.uid == object.metadata.uid)
        {
            state.deployed.remove(&key);
        }
    }

    /// Removes a MetalLB object, unless another one of that name has taken its place.
    pub(crate) fn lose_metallb(&self, metallb: &MetalLB) {
        let key = metallb_key(metallb);
        let mut state = self.lock();
        if state
            .metallbs
            .get(&key)
            .is_some_and(|known| known.metadata.uid == metallb.metadata.uid)
        {
            state.metallbs.remove(&key);
        }
    }

    fn follow_metallbs(&self, tasks: &Tasks, api: Api<MetalLB>) {
        let observed = self.clone();
        let mut synced = self.expect_list();
        watch(
            tasks,
            "watch-metallbs",
            api,
            watcher::Config::default(),
            move |change| match change {
                Change::Applied(metallb) => {
                    observed.see_metallb(MetalLB::clone(&metallb));
                    observed.dirty.mark(metallb_key(&metallb));
                }
                Change::Deleted(metallb) => {
                    observed.lose_metallb(&metallb);
                    observed.dirty.mark(metallb_key(&metallb));
                }
                Change::Synced => synced(),
            },
        );
    }

    fn follow_deployed<K>(&self, tasks: &Tasks, name: &'static str, api: Api<K>)
    where
        K: Deployable + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let observed = self.clone();
        let mut synced = self.expect_list();
        let ours = format!(
            "{MANAGED_BY}={MANAGER},{INSTALLATION}={}",
            self.installation.namespace
        );
        watch(
            tasks,
            name,
            api,
            watcher::Config::default().labels(&ours),
            move |change| {
                match change {
                    Change::Applied(object) => observed.see_deployed(K::KIND, erase(object.as_ref())),
                    Change::Deleted(object) => observed.lose_deployed(K::KIND, &erase(object.as_ref())),
                    Change::Synced => synced(),
                }
                observed.dirty.mark(observed.installation.clone());
            },
        );
    }

    /// Notes that one more first list is awaited; calling the result says that it came.
    fn expect_list(&self) -> impl FnMut() + Send + 'static {
        let waiting = Arc::clone(&self.waiting);
        waiting.send_modify(|count| *count += 1);
        let mut came = false;
        move || {
            if !std::mem::replace(&mut came, true) {
                waiting.send_modify(|count| *count -= 1);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a MetalLB object.
pub(crate) fn metallb_key(metallb: &MetalLB) -> MetalLbKey {
    MetalLbKey {
        namespace: metallb.namespace().unwrap_or_default(),
        name: metallb.name_any(),
    }
}

/// Whether `one` is an earlier state than `other`. Resource versions of an API server grow; should one not be a
/// number, the later report counts.
fn older(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let version = |metadata: &ObjectMeta| metadata.resource_version.as_ref()?.parse::<u64>().ok();
    matches!((version(one), version(other)), (Some(one), Some(other)) if one < other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(uid: &str, version: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "uid": uid, "resourceVersion": version}
        }))
        .unwrap()
    }

    fn version(observed: &Observed) -> Option<String> {
        let key = Key {
            kind: Kind::ConfigMap,
            name: "a".to_owned(),
        };
        observed.deployed(&key)?.metadata.resource_version.clone()
    }

    #[test]
    fn a_late_report_does_not_undo_our_own_write() {
        let observed = Observed::new("metallb-system");
        observed.see_deployed(Kind::ConfigMap, object("1", "7"));
        observed.see_deployed(Kind::ConfigMap, object("1", "10"));
        observed.see_deployed(Kind::ConfigMap, object("1", "9"));
        assert_eq!(version(&observed).as_deref(), Some("10"));
    }

    #[test]
    fn the_deletion_of_a_predecessor_does_not_remove_its_successor() {
        let observed = Observed::new("metallb-system");
        observed.see_deployed(Kind::ConfigMap, object("2", "12"));
        observed.lose_deployed(Kind::ConfigMap, &object("1", "11"));
        assert_eq!(version(&observed).as_deref(), Some("12"));
        observed.lose_deployed(Kind::ConfigMap, &object("2", "11"));
        assert_eq!(version(&observed), None);
    }
}

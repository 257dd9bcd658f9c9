//! Local copies of what the controller reads, and the marks that say what to look at again.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use metallb_crds::metallb::{Community, ConfigurationState, IPAddressPool};
use metallb_domain::config::Objects;
use metallb_domain::selector::Labels;
use metallb_domain::service::ServiceKey;
use metallb_kit::dirty::Dirty;
use metallb_kit::http::Gate;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};

/// Name of the controller's own ConfigurationState.
pub(crate) const STATE_NAME: &str = "controller";
/// Number of watches that must be complete before anything is decided.
const WATCHES: usize = 4;

/// What the worker must look at again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// The copy of this watch is complete.
    Synced(&'static str),
    /// Pools, communities or namespaces changed.
    Configuration,
    /// One Service changed.
    Service(ServiceKey),
}

/// The local copies. Clones share them.
#[derive(Clone)]
pub(crate) struct Caches {
    pub(crate) services: Store<Service>,
    pub(crate) pools: Store<IPAddressPool>,
    communities: Store<Community>,
    namespaces: Store<Namespace>,
    namespace: String,
    /// For the worker.
    pub(crate) marks: Dirty<Mark>,
    /// For the writer of pool status: pools whose stored status may have drifted.
    pub(crate) pool_checks: Dirty<String>,
    /// For the writer of the ConfigurationState: its object was changed or deleted by someone.
    pub(crate) own_state: (Store<ConfigurationState>, Dirty<()>),
    ready: std::sync::Arc<Gate>,
}

impl Caches {
    /// Starts all watches; configuration only in `namespace`.
    pub(crate) fn start(tasks: &Tasks, client: &Client, namespace: &str, ready: Gate) -> Self {
        let (marks, pool_checks, state_checks) = (Dirty::new(), Dirty::new(), Dirty::new());
        let config = watcher::Config::default();
        let services = watch(
            tasks,
            "services",
            Api::all(client.clone()),
            config.clone(),
            mark_services(&marks),
        );
        let pools = watch(
            tasks,
            "ipaddresspools",
            Api::namespaced(client.clone(), namespace),
            config.clone(),
            mark_pools(&marks, &pool_checks),
        );
        let communities = watch(
            tasks,
            "communities",
            Api::namespaced(client.clone(), namespace),
            config.clone(),
            mark_configuration(&marks, "communities", |_: &Community| None),
        );
        let namespaces = watch(
            tasks,
            "namespaces",
            Api::all(client.clone()),
            config.clone(),
            mark_configuration(&marks, "namespaces", |namespace: &Namespace| {
                Some(namespace.labels().clone())
            }),
        );
        let check = state_checks.clone();
        let own = watch(
            tasks,
            "configurationstates",
            Api::namespaced(client.clone(), namespace),
            config.fields(&format!("metadata.name={STATE_NAME}")),
            move |_| check.mark(()),
        );
        let own_state = (own, state_checks);
        let namespace = namespace.to_owned();
        let ready = std::sync::Arc::new(ready);
        Self {
            services,
            pools,
            communities,
            namespaces,
            namespace,
            marks,
            pool_checks,
            own_state,
            ready,
        }
    }

    /// Waits until every copy is complete; returns the marks that came along.
    pub(crate) async fn complete(&self) -> Vec<Mark> {
        let (mut synced, mut others) = (std::collections::HashSet::new(), Vec::new());
        while synced.len() < WATCHES {
            for mark in self.marks.take().await {
                match mark {
                    Mark::Synced(name) => {
                        synced.insert(name);
                    }
                    other => others.push(other),
                }
            }
        }
        self.ready.open();
        others
    }

    /// The objects the configuration is made from.
    pub(crate) fn objects(&self) -> Objects {
        let namespaces = self.namespaces.state();
        Objects {
            namespace: self.namespace.clone(),
            pools: self.pools.state(),
            communities: self.communities.state(),
            namespaces: namespaces
                .iter()
                .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
                .collect(),
            ..Objects::default()
        }
    }

    /// The Service as it was seen last.
    pub(crate) fn service(&self, key: &ServiceKey) -> Option<std::sync::Arc<Service>> {
        self.services
            .get(&ObjectRef::new(&key.name).within(&key.namespace))
    }
}

fn mark_services(marks: &Dirty<Mark>) -> impl FnMut(Change<Service>) + Send + 'static {
    let marks = marks.clone();
    move |change| match change {
        Change::Applied(service) | Change::Deleted(service) => {
            marks.mark(Mark::Service(ServiceKey::of(&service)));
        }
        Change::Synced => marks.mark(Mark::Synced("services")),
    }
}

/// Marks the configuration when something of a pool other than its status changed, and the pool's status otherwise.
fn mark_pools(
    marks: &Dirty<Mark>,
    checks: &Dirty<String>,
) -> impl FnMut(Change<IPAddressPool>) + Send + 'static {
    let (marks, checks) = (marks.clone(), checks.clone());
    let mut known: HashMap<String, (Option<i64>, Labels)> = HashMap::new();
    move |change| match change {
        Change::Applied(pool) => {
            let now = (pool.meta().generation, pool.labels().clone());
            if known.insert(pool.name_any(), now.clone()).as_ref() != Some(&now) {
                marks.mark(Mark::Configuration);
            }
            checks.mark(pool.name_any());
        }
        Change::Deleted(pool) => {
            known.remove(&pool.name_any());
            marks.mark(Mark::Configuration);
        }
        Change::Synced => marks.mark(Mark::Synced("ipaddresspools")),
    }
}

/// Marks the configuration when `relevant` of an object changed; `None` counts as changed each time.
fn mark_configuration<K: Resource<DynamicType = ()>>(
    marks: &Dirty<Mark>,
    name: &'static str,
    relevant: impl Fn(&K) -> Option<Labels> + Send + 'static,
) -> impl FnMut(Change<K>) + Send + 'static {
    let marks = marks.clone();
    let mut known: HashMap<String, Labels> = HashMap::new();
    move |change| match change {
        Change::Applied(object) => {
            let Some(now) = relevant(&object) else {
                return marks.mark(Mark::Configuration);
            };
            if known.get(&object.name_any()) != Some(&now) {
                known.insert(object.name_any(), now);
                marks.mark(Mark::Configuration);
            }
        }
        Change::Deleted(object) => {
            known.remove(&object.name_any());
            marks.mark(Mark::Configuration);
        }
        Change::Synced => marks.mark(Mark::Synced(name)),
    }
}

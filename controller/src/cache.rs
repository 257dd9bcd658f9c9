//! Local copies of what the controller reads, and the marks that say what to look at again.

use std::collections::HashMap;
use std::sync::Arc;

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
use tokio::sync::watch as latest;

/// Name of the controller's own ConfigurationState.
pub(crate) const STATE_NAME: &str = "controller";

/// What the worker must look at again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
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
    awaited: Awaited,
}

/// How many copies are not complete yet.
#[derive(Clone)]
struct Awaited(Arc<latest::Sender<usize>>);

impl Awaited {
    fn new() -> Self {
        Self(Arc::new(latest::Sender::new(0)))
    }

    /// Notes that one more copy is awaited; calling the result says that it is complete.
    fn expect(&self) -> impl FnMut() + Send + 'static {
        let waiting = Arc::clone(&self.0);
        waiting.send_modify(|count| *count += 1);
        let mut complete = false;
        move || {
            if !std::mem::replace(&mut complete, true) {
                waiting.send_modify(|count| *count -= 1);
            }
        }
    }

    async fn all(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Caches {
    /// Starts all watches; configuration only in `namespace`. `ready` opens when the copies are complete: also on a
    /// replica that does not lead, or a roll-out would wait for ever for the new pod while the old one holds the Lease.
    pub(crate) fn start(tasks: &Tasks, client: &Client, namespace: &str, ready: Gate) -> Self {
        let (marks, pool_checks, state_checks) = (Dirty::new(), Dirty::new(), Dirty::new());
        let config = watcher::Config::default();
        let awaited = Awaited::new();
        let services = watch(
            tasks,
            "services",
            Api::all(client.clone()),
            config.clone(),
            mark_services(&marks, awaited.expect()),
        );
        let pools = watch(
            tasks,
            "ipaddresspools",
            Api::namespaced(client.clone(), namespace),
            config.clone(),
            mark_pools(&marks, &pool_checks, awaited.expect()),
        );
        let communities = watch(
            tasks,
            "communities",
            Api::namespaced(client.clone(), namespace),
            config.clone(),
            mark_configuration(&marks, awaited.expect(), |_: &Community| None),
        );
        let namespaces = watch(
            tasks,
            "namespaces",
            Api::all(client.clone()),
            config.clone(),
            mark_configuration(&marks, awaited.expect(), |namespace: &Namespace| {
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
        open_when_complete(tasks, awaited.clone(), ready);
        Self {
            services,
            pools,
            communities,
            namespaces,
            namespace,
            marks,
            pool_checks,
            own_state,
            awaited,
        }
    }

    /// Waits until every copy is complete: before that nothing may be decided.
    pub(crate) async fn complete(&self) {
        self.awaited.all().await;
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
    pub(crate) fn service(&self, key: &ServiceKey) -> Option<Arc<Service>> {
        self.services
            .get(&ObjectRef::new(&key.name).within(&key.namespace))
    }
}

fn open_when_complete(tasks: &Tasks, awaited: Awaited, ready: Gate) {
    let shutdown = tasks.shutdown();
    tasks.spawn("caches", async move {
        tokio::select! {
            () = awaited.all() => ready.open(),
            () = shutdown.cancelled() => {}
        }
        shutdown.cancelled().await;
        Ok(())
    });
}

fn mark_services(
    marks: &Dirty<Mark>,
    mut synced: impl FnMut() + Send + 'static,
) -> impl FnMut(Change<Service>) + Send + 'static {
    let marks = marks.clone();
    move |change| match change {
        Change::Applied(service) | Change::Deleted(service) => {
            marks.mark(Mark::Service(ServiceKey::of(&service)));
        }
        Change::Synced => synced(),
    }
}

/// Marks the configuration when something of a pool other than its status changed, and the pool's status otherwise.
fn mark_pools(
    marks: &Dirty<Mark>,
    checks: &Dirty<String>,
    mut synced: impl FnMut() + Send + 'static,
) -> impl FnMut(Change<IPAddressPool>) + Send + 'static {
    let (marks, checks) = (marks.clone(), checks.clone());
    let mut known: HashMap<String, (Option<String>, Option<i64>, Labels)> = HashMap::new();
    move |change| match change {
        Change::Applied(pool) => {
            // With its uid: another pool of that name may have come while the watch was broken.
            let now = (pool.uid(), pool.meta().generation, pool.labels().clone());
            if known.insert(pool.name_any(), now.clone()).as_ref() != Some(&now) {
                marks.mark(Mark::Configuration);
            }
            checks.mark(pool.name_any());
        }
        Change::Deleted(pool) => {
            known.remove(&pool.name_any());
            marks.mark(Mark::Configuration);
        }
        Change::Synced => synced(),
    }
}

/// Marks the configuration when `relevant` of an object changed; `None` counts as changed each time.
fn mark_configuration<K: Resource<DynamicType = ()>>(
    marks: &Dirty<Mark>,
    mut synced: impl FnMut() + Send + 'static,
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
        Change::Synced => synced(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_pool_is_looked_at_when_it_changed_and_not_when_its_status_did() {
        let (marks, checks) = (Dirty::new(), Dirty::new());
        let mut change = mark_pools(&marks, &checks, || ());
        let pool = |uid: &str, generation: i64, assigned: i64| {
            let pool = json!({
                "metadata": {"name": "a", "uid": uid, "generation": generation},
                "spec": {"addresses": []}, "status": {"assignedIPv4": assigned, "assignedIPv6": 0, "availableIPv4": 0, "availableIPv6": 0},
            });
            Change::Applied(Arc::new(serde_json::from_value(pool).unwrap()))
        };
        let other = Mark::Service(ServiceKey {
            namespace: "n".to_owned(),
            name: "s".to_owned(),
        });
        for (applied, expected) in [
            (pool("one", 1, 0), true),
            (pool("one", 1, 7), false),
            (pool("one", 2, 7), true),
            (pool("two", 2, 7), true),
        ] {
            change(applied);
            marks.mark(other.clone());
            assert_eq!(marks.take().await.contains(&Mark::Configuration), expected);
        }
    }
}

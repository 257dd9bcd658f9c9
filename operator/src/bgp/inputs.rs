//! The live inputs of the plan: what the watches report, by index, and which of it must be looked at again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use metallb_crds::metallb::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool};
use metallb_domain::bgp::{NodeName, NodeView, ServiceKey, ServiceView};
use metallb_domain::config::{Backend, Objects, References};
use metallb_domain::endpoints::{SERVICE_NAME_LABEL, UsableEndpoints};
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};
use serde::de::DeserializeOwned;
use tokio::sync::watch as latest;

/// Something that must be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The configuration as a whole: any of its objects, or the labels of a node.
    Config,
    /// A Node.
    Node(NodeName),
    /// A Service or its endpoints.
    Service(ServiceKey),
}

/// Which inputs are watched and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The namespace of the configuration objects.
    pub namespace: String,
    /// Only Services of this class count; `None` means those without a class.
    pub load_balancer_class: Option<String>,
    /// Secrets are read, to check them and to resolve passwords.
    pub read_secrets: bool,
}

/// Copies of all inputs, kept up to date by watches.
pub(super) struct Inputs {
    scope: Scope,
    cluster: Arc<Mutex<Cluster>>,
    dirty: Dirty<Key>,
    awaited: Awaited,
    pools: Store<IPAddressPool>,
    advertisements: Store<BGPAdvertisement>,
    peers: Store<BGPPeer>,
    profiles: Store<BFDProfile>,
    communities: Store<Community>,
    secrets: Option<Store<Secret>>,
}

#[derive(Default)]
struct Cluster {
    services: HashMap<ServiceKey, Arc<Service>>,
    /// EndpointSlices by Service and then by name, of all Services: those of type LoadBalancer cannot be told apart.
    slices: HashMap<ServiceKey, HashMap<String, Arc<EndpointSlice>>>,
    nodes: BTreeMap<NodeName, Arc<Node>>,
}

/// How many first lists are still to come.
#[derive(Clone, Debug)]
pub(super) struct Awaited(Arc<latest::Sender<usize>>);

impl Awaited {
    pub(super) fn new() -> Self {
        Self(Arc::new(latest::Sender::new(0)))
    }

    /// Notes that one more first list is awaited; calling the result says that it came.
    pub(super) fn expect(&self) -> impl FnMut() + Send + 'static {
        let waiting = Arc::clone(&self.0);
        waiting.send_modify(|count| *count += 1);
        let mut came = false;
        move || {
            if !std::mem::replace(&mut came, true) {
                waiting.send_modify(|count| *count -= 1);
            }
        }
    }

    /// Waits until all awaited lists came.
    pub(super) async fn all(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Inputs {
    /// Starts the watches. Nothing is complete before [`Awaited::all`] of `awaited`.
    pub(super) fn follow(tasks: &Tasks, client: &Client, scope: &Scope, awaited: &Awaited) -> Self {
        let dirty = Dirty::new();
        let cluster = Arc::new(Mutex::new(Cluster::default()));
        let starter = Starter {
            tasks,
            client,
            namespace: &scope.namespace,
            dirty: &dirty,
            awaited,
        };
        let inputs = Self {
            pools: starter.config("bgp-watch-pools"),
            advertisements: starter.config("bgp-watch-advertisements"),
            peers: starter.config("bgp-watch-peers"),
            profiles: starter.config("bgp-watch-bfdprofiles"),
            communities: starter.config("bgp-watch-communities"),
            secrets: scope.read_secrets.then(|| starter.config("bgp-watch-secrets")),
            cluster: Arc::clone(&cluster),
            dirty: dirty.clone(),
            awaited: awaited.clone(),
            scope: scope.clone(),
        };
        starter.services(&cluster);
        starter.endpoint_slices(&cluster);
        starter.nodes(&cluster);
        // Without any object there is an (empty) configuration, too.
        dirty.mark(Key::Config);
        inputs
    }

    /// What must be looked at again; waits until there is something.
    pub(super) async fn changed(&self) -> Vec<Key> {
        self.dirty.take().await
    }

    /// Waits until everything has been listed once.
    pub(super) async fn complete(&self) {
        self.awaited.all().await;
    }

    /// Calling the result asks for another look at the configuration.
    pub(super) fn marker(&self) -> impl Fn() + Send + Sync + 'static {
        let dirty = self.dirty.clone();
        move || dirty.mark(Key::Config)
    }

    /// A Service of type LoadBalancer and our class, with its endpoints. O(endpoints of the Service).
    pub(super) fn service(&self, key: &ServiceKey) -> Option<(ServiceView, UsableEndpoints)> {
        let cluster = lock(&self.cluster);
        let service = cluster.services.get(key)?;
        let view = ServiceView::of(service, self.scope.load_balancer_class.as_deref())?;
        let slices = cluster.slices.get(key).into_iter().flat_map(HashMap::values);
        Some((view, UsableEndpoints::of(slices.map(AsRef::as_ref))))
    }

    /// The Service as stored.
    pub(super) fn stored_service(&self, key: &ServiceKey) -> Option<Arc<Service>> {
        lock(&self.cluster).services.get(key).cloned()
    }

    /// A Node as stored.
    pub(super) fn node(&self, name: &NodeName) -> Option<Arc<Node>> {
        lock(&self.cluster).nodes.get(name).cloned()
    }

    /// Everything the configuration is made from. O(size of the configuration + nodes).
    pub(super) fn objects(&self) -> Objects {
        let nodes = lock(&self.cluster).nodes.clone();
        let labels = |node: &Node| node.metadata.labels.clone().unwrap_or_default();
        let secrets = self.secrets.as_ref().map(|store| {
            let secrets = store.state().into_iter();
            secrets.map(|secret| (secret.name_any(), secret)).collect()
        });
        Objects {
            backend: Backend::Frr,
            references: References::Checked,
            namespace: self.scope.namespace.clone(),
            pools: self.pools.state(),
            bgp_advertisements: self.advertisements.state(),
            peers: self.peers.state(),
            bfd_profiles: self.profiles.state(),
            communities: self.communities.state(),
            nodes: nodes
                .iter()
                .map(|(name, node)| (name.to_string(), labels(node)))
                .collect(),
            secrets,
            ..Objects::default()
        }
    }
}

/// What all watches are started with.
struct Starter<'a> {
    tasks: &'a Tasks,
    client: &'a Client,
    namespace: &'a str,
    dirty: &'a Dirty<Key>,
    awaited: &'a Awaited,
}

impl Starter<'_> {
    /// Watches a kind of object that the configuration is made from.
    fn config<K>(&self, name: &'static str) -> Store<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
    {
        let dirty = self.dirty.clone();
        let mut synced = self.awaited.expect();
        let api = Api::namespaced(self.client.clone(), self.namespace);
        watch(
            self.tasks,
            name,
            api,
            watcher::Config::default(),
            move |change| match change {
                Change::Applied(_) | Change::Deleted(_) => dirty.mark(Key::Config),
                Change::Synced => synced(),
            },
        )
    }

    fn services(&self, cluster: &Arc<Mutex<Cluster>>) {
        let (cluster, dirty) = (Arc::clone(cluster), self.dirty.clone());
        let mut synced = self.awaited.expect();
        // The API server filters by type: a Service that stops being a load balancer is reported as deleted.
        let config = watcher::Config::default().fields("spec.type=LoadBalancer");
        watch(
            self.tasks,
            "bgp-watch-services",
            Api::all(self.client.clone()),
            config,
            move |change| match change {
                Change::Applied(service) => {
                    let key = service_key(&service);
                    lock(&cluster).services.insert(key.clone(), service);
                    dirty.mark(Key::Service(key));
                }
                Change::Deleted(service) => {
                    let key = service_key(&service);
                    lock(&cluster).services.remove(&key);
                    dirty.mark(Key::Service(key));
                }
                Change::Synced => synced(),
            },
        );
    }

    fn endpoint_slices(&self, cluster: &Arc<Mutex<Cluster>>) {
        let (cluster, dirty) = (Arc::clone(cluster), self.dirty.clone());
        let mut synced = self.awaited.expect();
        let config = watcher::Config::default().labels(SERVICE_NAME_LABEL);
        let api = Api::all(self.client.clone());
        watch(
            self.tasks,
            "bgp-watch-endpointslices",
            api,
            config,
            move |change| {
                let (slice, gone) = match change {
                    Change::Applied(slice) => (slice, false),
                    Change::Deleted(slice) => (slice, true),
                    Change::Synced => return synced(),
                };
                let Some(key) = slice_service(&slice) else {
                    return;
                };
                let mut cluster = lock(&cluster);
                cluster.put_slice(&key, slice, gone);
                if cluster.services.contains_key(&key) {
                    dirty.mark(Key::Service(key));
                }
            },
        );
    }

    fn nodes(&self, cluster: &Arc<Mutex<Cluster>>) {
        let (cluster, dirty) = (Arc::clone(cluster), self.dirty.clone());
        let mut synced = self.awaited.expect();
        let api = Api::<Node>::all(self.client.clone());
        watch(
            self.tasks,
            "bgp-watch-nodes",
            api,
            watcher::Config::default(),
            move |change| match change {
                Change::Applied(node) => {
                    let name = NodeName::from(node.name_any());
                    let before = lock(&cluster).nodes.insert(Arc::clone(&name), Arc::clone(&node));
                    mark_node(&dirty, name, before.as_deref(), Some(&node));
                }
                Change::Deleted(node) => {
                    let name = NodeName::from(node.name_any());
                    let before = lock(&cluster).nodes.remove(&name);
                    mark_node(&dirty, name, before.as_deref(), None);
                }
                Change::Synced => synced(),
            },
        );
    }
}

impl Cluster {
    fn put_slice(&mut self, key: &ServiceKey, slice: Arc<EndpointSlice>, gone: bool) {
        let slices = self.slices.entry(key.clone()).or_default();
        if gone {
            slices.remove(&slice.name_any());
        } else {
            slices.insert(slice.name_any(), slice);
        }
        if slices.is_empty() {
            self.slices.remove(key);
        }
    }
}

/// Marks what a change of a Node concerns. Most changes are heartbeats and concern nothing.
fn mark_node(dirty: &Dirty<Key>, name: NodeName, before: Option<&Node>, now: Option<&Node>) {
    let view = |node: Option<&Node>| node.map(|node| (NodeView::of(node), node.metadata.uid.clone()));
    let (before, now) = (view(before), view(now));
    if before == now {
        return;
    }
    let labels = |view: &Option<(NodeView, _)>| view.as_ref().map(|(view, _)| view.labels.clone());
    if labels(&before) != labels(&now) {
        dirty.mark(Key::Config);
    }
    dirty.mark(Key::Node(name));
}

pub(super) fn service_key(service: &Service) -> ServiceKey {
    ServiceKey::new(&service.namespace().unwrap_or_default(), &service.name_any())
}

fn slice_service(slice: &EndpointSlice) -> Option<ServiceKey> {
    let service = slice.labels().get(SERVICE_NAME_LABEL)?;
    Some(ServiceKey::new(&slice.namespace().unwrap_or_default(), service))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds such a lock can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

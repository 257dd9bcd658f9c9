//! Watches of everything decisions depend on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Config as WatchConfig;
use kube::{Api, Client, Resource, ResourceExt};
use metallb_crds::metallb::{IPAddressPool, L2Advertisement};
use metallb_domain::config::Objects;
use metallb_domain::endpoints::{SERVICE_NAME_LABEL, UsableEndpoints};
use metallb_domain::selector::Labels;
use metallb_domain::service::ServiceKey;
use metallb_kit::dirty::Dirty;
use metallb_kit::http::{Gate, Readiness};
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch, watch_pruned};
use serde::de::DeserializeOwned;
use tokio::sync::watch as channel;

use crate::members::Members;
use crate::prune;

/// Something that must be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A Service or one of its EndpointSlices.
    Service(ServiceKey),
    /// Pools and advertisements.
    Configuration,
    /// Labels or conditions of a Node.
    Node(String),
    /// Whether the speaker of a Node is alive.
    Member(String),
    /// The interfaces of this node.
    Interfaces,
}

/// Local copies of what is watched.
#[derive(Debug)]
pub struct Inputs {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    slice_names: SliceNames,
    nodes: Store<Node>,
    pods: Store<Pod>,
    pools: Store<IPAddressPool>,
    advertisements: Store<L2Advertisement>,
    namespace: String,
    pending: channel::Receiver<BTreeSet<&'static str>>,
}

/// Names of the EndpointSlices of each Service.
type SliceNames = Arc<Mutex<HashMap<ServiceKey, BTreeSet<String>>>>;

/// What starting a watch needs.
struct Watches<'a> {
    tasks: &'a Tasks,
    client: &'a Client,
    namespace: &'a str,
    readiness: &'a Readiness,
    dirty: &'a Dirty<Input>,
    pending: channel::Sender<BTreeSet<&'static str>>,
}

impl Inputs {
    /// Starts the watches. Changes are marked in `dirty`; `readiness` gets a gate per watch, open once it has its first
    /// list.
    pub fn start(
        tasks: &Tasks,
        client: &Client,
        namespace: &str,
        speaker_labels: &str,
        readiness: &Readiness,
        dirty: &Dirty<Input>,
        members: &Members,
    ) -> Self {
        let pending = channel::Sender::default();
        let watches = Watches {
            tasks,
            client,
            namespace,
            readiness,
            dirty,
            pending,
        };
        let slice_names = SliceNames::default();
        let pending = watches.pending.subscribe();
        Self {
            services: watches.services(),
            slices: watches.slices(Arc::clone(&slice_names)),
            slice_names,
            nodes: watches.nodes(members.clone()),
            pods: watches.pods(speaker_labels, members.clone()),
            pools: watches.configuration("IPAddressPools"),
            advertisements: watches.configuration("L2Advertisements"),
            namespace: namespace.to_owned(),
            pending,
        }
    }

    /// Waits until every watch has its first list, and has marked all of it.
    ///
    /// # Errors
    /// When the watches have ended.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        self.pending.wait_for(BTreeSet::is_empty).await?;
        Ok(())
    }

    /// A Service.
    pub fn service(&self, key: &ServiceKey) -> Option<Arc<Service>> {
        self.services
            .get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// Where the usable endpoints of a Service are. O(its endpoints).
    pub fn endpoints(&self, key: &ServiceKey) -> UsableEndpoints {
        let names = self.slice_names.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names.get(key).into_iter().flatten();
        let slices: Vec<Arc<EndpointSlice>> = names
            .filter_map(|name| self.slices.get(&ObjectRef::new(name).within(&key.namespace)))
            .collect();
        UsableEndpoints::of(slices.iter().map(|slice| &**slice))
    }

    /// A Node.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get(&ObjectRef::new(name))
    }

    /// The Pods of the speakers.
    pub fn pods(&self) -> Store<Pod> {
        self.pods.clone()
    }

    /// The objects the layer 2 configuration is made from.
    pub fn configuration(&self) -> Objects {
        Objects {
            namespace: self.namespace.clone(),
            pools: self.pools.state(),
            l2_advertisements: self.advertisements.state(),
            ..Objects::default()
        }
    }
}

impl Watches<'_> {
    fn services(&self) -> Store<Service> {
        let (dirty, first_list) = (self.dirty.clone(), self.first_list("Services"));
        watch_pruned(
            self.tasks,
            "Services",
            Api::all(self.client.clone()),
            WatchConfig::default(),
            prune::service,
            move |change| match change {
                Change::Applied(service) | Change::Deleted(service) => {
                    dirty.mark(Input::Service(ServiceKey::of(&service)));
                }
                Change::Synced => first_list.complete(),
            },
        )
    }

    fn slices(&self, names: SliceNames) -> Store<EndpointSlice> {
        let (dirty, first_list) = (self.dirty.clone(), self.first_list("EndpointSlices"));
        let config = WatchConfig::default().labels(SERVICE_NAME_LABEL);
        watch_pruned(
            self.tasks,
            "EndpointSlices",
            Api::all(self.client.clone()),
            config,
            prune::slice,
            move |change| {
                let (slice, exists) = match change {
                    Change::Applied(slice) => (slice, true),
                    Change::Deleted(slice) => (slice, false),
                    Change::Synced => return first_list.complete(),
                };
                let Some(service) = service_of(&slice) else { return };
                let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
                let of_service = names.entry(service.clone()).or_default();
                if exists {
                    of_service.insert(slice.name_any());
                } else {
                    of_service.remove(&slice.name_any());
                }
                if of_service.is_empty() {
                    names.remove(&service);
                }
                drop(names);
                dirty.mark(Input::Service(service));
            },
        )
    }

    fn nodes(&self, members: Members) -> Store<Node> {
        let (dirty, first_list) = (self.dirty.clone(), self.first_list("Nodes"));
        watch_pruned(
            self.tasks,
            "Nodes",
            Api::all(self.client.clone()),
            WatchConfig::default(),
            prune::node,
            move |change| match change {
                Change::Applied(node) => {
                    members.node_applied(&node);
                    dirty.mark(Input::Node(node.name_any()));
                }
                Change::Deleted(node) => {
                    members.node_deleted(&node.name_any());
                    dirty.mark(Input::Node(node.name_any()));
                }
                Change::Synced => first_list.complete(),
            },
        )
    }

    fn pods(&self, labels: &str, members: Members) -> Store<Pod> {
        let first_list = self.first_list("speaker Pods");
        let api = Api::namespaced(self.client.clone(), self.namespace);
        watch_pruned(
            self.tasks,
            "speaker Pods",
            api,
            WatchConfig::default().labels(labels),
            prune::pod,
            move |change| match change {
                Change::Applied(pod) => members.pod_applied(&pod),
                Change::Deleted(pod) => members.pod_deleted(&pod.name_any()),
                Change::Synced => first_list.complete(),
            },
        )
    }

    /// Objects of the configuration; only their specs and labels matter, not the status others write.
    fn configuration<K>(&self, name: &'static str) -> Store<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let (dirty, first_list) = (self.dirty.clone(), self.first_list(name));
        let api = Api::namespaced(self.client.clone(), self.namespace);
        let mut known: HashMap<String, (Option<String>, Option<i64>, Labels)> = HashMap::new();
        watch(
            self.tasks,
            name,
            api,
            WatchConfig::default(),
            move |change: Change<K>| match change {
                Change::Applied(object) => {
                    let version = (object.uid(), object.meta().generation, object.labels().clone());
                    if known.get(&object.name_any()) != Some(&version) {
                        known.insert(object.name_any(), version);
                        dirty.mark(Input::Configuration);
                    }
                }
                Change::Deleted(object) => {
                    known.remove(&object.name_any());
                    dirty.mark(Input::Configuration);
                }
                Change::Synced => {
                    if first_list.is_open() {
                        dirty.mark(Input::Configuration);
                    }
                    first_list.complete();
                }
            },
        )
    }

    fn first_list(&self, name: &'static str) -> FirstList {
        self.pending.send_modify(|pending| {
            pending.insert(name);
        });
        FirstList {
            name,
            gate: self.readiness.gate(name),
            pending: self.pending.clone(),
        }
    }
}

/// Whether the first list of a watch is still awaited.
struct FirstList {
    name: &'static str,
    gate: Gate,
    pending: channel::Sender<BTreeSet<&'static str>>,
}

impl FirstList {
    fn is_open(&self) -> bool {
        self.pending.borrow().contains(self.name)
    }

    fn complete(&self) {
        self.gate.open();
        self.pending.send_if_modified(|pending| pending.remove(self.name));
    }
}

/// The Service a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<ServiceKey> {
    let name = slice.labels().get(SERVICE_NAME_LABEL)?.clone();
    Some(ServiceKey {
        namespace: slice.namespace()?,
        name,
    })
}

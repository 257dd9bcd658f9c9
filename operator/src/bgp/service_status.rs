//! ServiceBGPStatus objects: one for each Service and node with a peer that hears of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use metallb_crds::metallb::{
    LABEL_NODE, LABEL_SERVICE_NAME, LABEL_SERVICE_NAMESPACE, ServiceBGPStatus, ServiceBGPStatusStatus,
};
use metallb_domain::bgp::{NodeName, ServiceKey};

/// Most objects of this kind. A cluster with 10,000 Services and 1,000 nodes would need ten million, which no etcd
/// holds; beyond the limit further Services have none.
const LIMIT: usize = 20_000;

/// Start of the objects' names.
const PREFIX: &str = "bgp-";

/// The peers of a Service on one node, sorted by name.
pub(super) type Peers = Arc<[Arc<str>]>;

/// What shall be and what is, by object name.
pub(super) struct Statuses {
    limit: usize,
    /// Some Service was left without an object because of the limit.
    full: bool,
    wanted: HashMap<String, (ServiceKey, NodeName, Peers)>,
    nodes: HashMap<ServiceKey, BTreeSet<NodeName>>,
    live: HashMap<String, Arc<ServiceBGPStatus>>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            full: false,
            wanted: HashMap::new(),
            nodes: HashMap::new(),
            live: HashMap::new(),
        }
    }
}

/// What to do about one object.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Nothing,
    /// Write the object, and then its status.
    Write(Box<ServiceBGPStatus>),
    WriteStatus(Box<ServiceBGPStatus>),
    Delete,
}

impl Statuses {
    /// Sets on which nodes which peers hear of a Service; returns the names of the objects that change. O(nodes).
    pub(super) fn set_service(&mut self, key: &ServiceKey, peers: BTreeMap<NodeName, Peers>) -> Vec<String> {
        let before = self.nodes.remove(key).unwrap_or_default();
        let gone = before.iter().filter(|node| !peers.contains_key(*node));
        let mut changed: Vec<_> = gone.filter_map(|node| self.set(key, node, None)).collect();
        for (node, peers) in peers {
            changed.extend(self.set(key, &node, Some(peers)));
        }
        changed
    }

    /// Sets which peers of one node hear of a Service. O(log n).
    pub(super) fn set(&mut self, key: &ServiceKey, node: &NodeName, peers: Option<Peers>) -> Option<String> {
        let name = name(key, node);
        let known = self.wanted.get(&name).map(|(_, _, peers)| peers);
        let Some(peers) = peers.filter(|peers| !peers.is_empty()) else {
            if let Some(nodes) = self.nodes.get_mut(key) {
                nodes.remove(node);
            }
            return self.wanted.remove(&name).map(|_| name);
        };
        if known.is_none() && self.wanted.len() >= self.limit {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(
                    limit = self.limit,
                    "too many ServiceBGPStatus objects: further Services and nodes get none"
                );
            }
            return None;
        }
        self.nodes
            .entry(key.clone())
            .or_default()
            .insert(Arc::clone(node));
        if known == Some(&peers) {
            return None;
        }
        self.wanted
            .insert(name.clone(), (key.clone(), Arc::clone(node), peers));
        Some(name)
    }

    /// Whether some Service has been left without an object because there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// True once when it was full and there is room again, hence all Services must be set anew. Some distance from the
    /// limit keeps that rare.
    pub(super) fn has_room_again(&mut self) -> bool {
        let again = self.full && self.wanted.len() < self.limit - self.limit / 10;
        self.full &= !again;
        again
    }

    /// Notes the object as it is in the cluster.
    pub(super) fn see(&mut self, name: &str, object: Option<Arc<ServiceBGPStatus>>) {
        match object {
            Some(object) => self.live.insert(name.to_owned(), object),
            None => self.live.remove(name),
        };
    }

    /// The Service and node of a wanted object.
    pub(super) fn node_of(&self, name: &str) -> Option<NodeName> {
        self.wanted.get(name).map(|(_, node, _)| Arc::clone(node))
    }

    /// Compares what shall be with what is. `owner` is the Node.
    pub(super) fn action(&self, name: &str, namespace: &str, owner: Option<OwnerReference>) -> Action {
        let live = self.live.get(name);
        let Some((key, node, peers)) = self.wanted.get(name) else {
            return if live.is_some() {
                Action::Delete
            } else {
                Action::Nothing
            };
        };
        let wanted = object(name, namespace, key, node, peers, owner);
        match live {
            None => Action::Write(Box::new(wanted)),
            Some(live) if live.labels() != wanted.labels() => Action::Write(Box::new(wanted)),
            Some(live) if live.status != wanted.status => Action::WriteStatus(Box::new(wanted)),
            Some(_) => Action::Nothing,
        }
    }
}

fn object(
    name: &str,
    namespace: &str,
    key: &ServiceKey,
    node: &NodeName,
    peers: &Peers,
    owner: Option<OwnerReference>,
) -> ServiceBGPStatus {
    let labels = [
        (LABEL_NODE, &**node),
        (LABEL_SERVICE_NAME, key.name()),
        (LABEL_SERVICE_NAMESPACE, key.namespace()),
    ];
    // What is too long is no label value; the status says it anyway.
    let labels = labels.into_iter().filter(|(_, value)| value.len() <= 63);
    ServiceBGPStatus {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            ),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        status: Some(ServiceBGPStatusStatus {
            node: node.to_string(),
            service_name: key.name().to_owned(),
            service_namespace: key.namespace().to_owned(),
            peers: peers.iter().map(ToString::to_string).collect(),
        }),
        ..ServiceBGPStatus::default()
    }
}

/// The name of the object: the same for ever, and different for each Service and node (128-bit FNV-1a).
fn name(key: &ServiceKey, node: &NodeName) -> String {
    let text = format!("{key}/{node}");
    let offset = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let hash = text.bytes().fold(offset, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{PREFIX}{hash:032x}")
}

/// Whether an object of this name is one of ours: those of MetalLB's speaker have short random names.
pub(super) fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(names: &[&str]) -> Peers {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn objects_are_written_once_and_deleted_when_nobody_hears_of_the_service() {
        let key = ServiceKey::new("shop", "cart");
        let (a, b): (NodeName, NodeName) = ("edge-a".into(), "edge-b".into());
        let mut statuses = Statuses::default();
        let both = BTreeMap::from([(Arc::clone(&a), peers(&["tor1"])), (b, peers(&["tor1"]))]);
        let changed = statuses.set_service(&key, both.clone());
        assert_eq!(changed.len(), 2);
        assert!(statuses.set_service(&key, both).is_empty());
        assert!(is_name(&changed[0]) && !is_name("bgp-x7k2p") && !is_name("l2-x7k2p"));
        let Action::Write(object) = statuses.action(&changed[0], "lb", None) else {
            panic!()
        };
        assert_eq!(object.status.as_ref().unwrap().peers, ["tor1"]);
        let mut bare = (*object).clone();
        bare.status = None;
        statuses.see(&changed[0], Some(Arc::new(bare)));
        assert!(matches!(
            statuses.action(&changed[0], "lb", None),
            Action::WriteStatus(_)
        ));
        statuses.see(&changed[0], Some(Arc::new(*object)));
        assert_eq!(statuses.action(&changed[0], "lb", None), Action::Nothing);
        let gone = statuses.set_service(&key, BTreeMap::new());
        assert_eq!(gone.len(), 2);
        assert_eq!(statuses.action(&changed[0], "lb", None), Action::Delete);
    }
    #[test]
    fn services_beyond_the_limit_get_their_objects_when_there_is_room() {
        let mut statuses = Statuses {
            limit: 2,
            ..Statuses::default()
        };
        let node: NodeName = "edge-a".into();
        let keys = ["a", "b", "c"].map(|name| ServiceKey::new("shop", name));
        let set = |statuses: &mut Statuses, key| statuses.set(key, &node, Some(peers(&["tor1"]))).is_some();
        assert!(set(&mut statuses, &keys[0]) && set(&mut statuses, &keys[1]));
        assert!(!statuses.is_full());
        assert!(!set(&mut statuses, &keys[2]) && statuses.is_full());
        assert!(!statuses.has_room_again());
        statuses.set(&keys[0], &node, None);
        assert!(statuses.has_room_again() && !statuses.is_full());
        assert!(set(&mut statuses, &keys[2]) && !statuses.has_room_again());
    }
}

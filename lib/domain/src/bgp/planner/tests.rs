//! The plan as users see it: FRRConfigurations for a small cluster.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use metallb_crds::frrk8s::{BFDProfile, DynamicASN, Neighbor, Password, SecretReference};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::bgp::{Addresses, Advertisement, Endpoint, NODE_LABEL, Peer, PeerPassword, Pool, RemoteAsn};
use crate::selector::Selector;

mod attributes;
mod changes;
mod gating;
mod properties;
mod reports;
mod sessions;

/// Three nodes in two racks, an external and an internal peer, an IPv4 and an IPv6 pool, one advertisement without
/// fields, one Service with one endpoint on `edge-b`.
struct World {
    planner: Planner,
    pools: Vec<Pool>,
    ads: Vec<Advertisement>,
    peers: Vec<Peer>,
    profiles: Vec<BFDProfile>,
}

fn selector(labels: &[(&str, &str)]) -> Selector {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Selector::parse(&LabelSelector {
        match_labels: Some(labels.collect()),
        ..LabelSelector::default()
    })
    .unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(name: &str, first: &str, last: &str, ads: &[&str]) -> Pool {
    Pool {
        name: name.to_owned(),
        ranges: vec![(address(first), address(last))],
        advertisements: ads.iter().map(|ad| (*ad).to_owned()).collect(),
    }
}

fn ad(name: &str) -> Advertisement {
    Advertisement {
        name: name.into(),
        aggregation_v4: 32,
        aggregation_v6: 128,
        local_pref: 0,
        communities: BTreeSet::new(),
        peers: BTreeSet::new(),
        nodes: Vec::new(),
        services: Vec::new(),
    }
}

fn peer(name: &str, asn: u32, endpoint: &str) -> Peer {
    Peer {
        name: name.into(),
        nodes: Vec::new(),
        my_asn: 64610,
        remote: RemoteAsn::Asn(asn),
        endpoint: endpoint
            .parse()
            .map_or_else(|_| Endpoint::Interface(endpoint.to_owned()), Endpoint::Address),
        port: 179,
        vrf: String::new(),
        router_id: None,
        source_address: None,
        local_asn: None,
        timers: None,
        connect_time: None,
        bfd_profile: None,
        password: None,
        ebgp_multi_hop: false,
        graceful_restart: false,
        dual_stack: false,
        disable_mp: false,
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn node_view(name: &str, rack: &str) -> NodeView {
    NodeView {
        labels: labels(&[(HOSTNAME_LABEL, name), ("rack", rack)]),
        network_unavailable: false,
    }
}

fn service_view(addresses: &[&str], service_labels: &[(&str, &str)]) -> ServiceView {
    ServiceView {
        labels: labels(service_labels),
        addresses: Addresses::Assigned(addresses.iter().map(|text| address(text)).collect()),
        local: false,
    }
}

fn endpoints(value: serde_json::Value) -> UsableEndpoints {
    let slice = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": value});
    UsableEndpoints::of([&serde_json::from_value(slice).unwrap()])
}

fn ready_on(node: &str) -> UsableEndpoints {
    endpoints(json!([{"addresses": ["10.244.2.7"], "nodeName": node}]))
}

fn key(text: &str) -> ServiceKey {
    let (namespace, name) = text.split_once('/').unwrap();
    ServiceKey::new(namespace, name)
}

fn node(name: &str) -> NodeName {
    name.into()
}

impl World {
    fn new() -> Self {
        Self::with_planner(Planner::new(false))
    }

    fn with_planner(planner: Planner) -> Self {
        let mut world = Self {
            planner,
            pools: vec![
                pool("web", "203.0.113.0", "203.0.113.63", &["base"]),
                pool("web6", "2001:db8:77::", "2001:db8:77::ffff", &["base"]),
            ],
            ads: vec![ad("base")],
            peers: vec![peer("tor1", 64710, "10.61.1.1"), peer("tor2", 64610, "10.61.2.1")],
            profiles: Vec::new(),
        };
        world.configure();
        for (name, rack) in [("edge-a", "r1"), ("edge-b", "r2"), ("edge-c", "r2")] {
            world.planner.set_node(&node(name), node_view(name, rack));
        }
        world.serve("shop/cart", &["203.0.113.10"], &[]);
        world
    }

    fn policy(&self) -> Policy {
        Policy::new(
            self.pools.clone(),
            self.ads.clone(),
            self.peers.clone(),
            self.profiles.clone(),
        )
    }

    fn configure(&mut self) -> Changes {
        let policy = self.policy();
        self.planner.set_config(policy)
    }

    /// Sets a Service with one ready endpoint on `edge-b`.
    fn serve(&mut self, name: &str, addresses: &[&str], service_labels: &[(&str, &str)]) -> Changes {
        let mut changes = self.planner.set_endpoints(&key(name), ready_on("edge-b"));
        changes.merge(
            self.planner
                .set_service(&key(name), Some(service_view(addresses, service_labels))),
        );
        changes
    }

    fn set(&mut self, name: &str, view: ServiceView) -> Changes {
        self.planner.set_service(&key(name), Some(view))
    }

    fn bgp(&mut self, name: &str) -> BGPConfig {
        BGPConfig::clone(&self.planner.plan(&node(name)).unwrap().bgp)
    }

    fn neighbor(&mut self, name: &str, place: &str) -> Neighbor {
        let routers = self.bgp(name).routers;
        let mut neighbors = routers.into_iter().flat_map(|router| router.neighbors);
        neighbors
            .find(|neighbor| [&neighbor.address, &neighbor.interface].contains(&&Some(place.to_owned())))
            .unwrap()
    }

    /// What the node announces to the neighbor.
    fn announced(&mut self, name: &str, place: &str) -> Vec<String> {
        self.neighbor(name, place).to_advertise.allowed.prefixes
    }

    /// The nodes that announce something to `tor1`.
    fn announcing(&mut self) -> Vec<&'static str> {
        let nodes = ["edge-a", "edge-b", "edge-c"];
        nodes
            .into_iter()
            .filter(|name| !self.announced(name, "10.61.1.1").is_empty())
            .collect()
    }

    fn set_labels(&mut self, name: &str, change: impl Fn(&mut NodeView)) -> Changes {
        let mut view = self.planner.nodes.get(name).unwrap().view.clone();
        change(&mut view);
        self.planner.set_node(&node(name), view)
    }

    fn set_local(&mut self) {
        let view = ServiceView {
            local: true,
            ..service_view(&["203.0.113.10"], &[])
        };
        self.set("shop/cart", view);
    }
}

const ALL: [&str; 3] = ["edge-a", "edge-b", "edge-c"];
const CART: [&str; 1] = ["203.0.113.10/32"];

/// Everything in `expected` is in `value`; lists are of equal length.
fn covers(value: &serde_json::Value, expected: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (value, expected) {
        (Object(value), Object(expected)) => expected
            .iter()
            .all(|(key, expected)| value.get(key).is_some_and(|value| covers(value, expected))),
        (Array(value), Array(expected)) => {
            value.len() == expected.len()
                && value
                    .iter()
                    .zip(expected)
                    .all(|(value, expected)| covers(value, expected))
        }
        (value, expected) => value == expected,
    }
}

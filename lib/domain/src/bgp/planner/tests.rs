//! The plan as users see it: FRRConfigurations for a small cluster.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use metallb_crds::frrk8s::{DynamicASN, Neighbor, Password};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::bgp::{Addresses, NODE_LABEL, SecretHandling};
use crate::config::{
    BfdProfile, BgpAdvertisement, Community, Config, Peer, PeerAddress, PeerPassword, Pool, PoolSelection,
    RemoteAsn,
};
use crate::ip_range::IpRange;
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
    ads: Vec<BgpAdvertisement>,
    peers: Vec<Peer>,
    profiles: Vec<BfdProfile>,
    secrets: SecretHandling,
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

fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        ranges: ranges
            .iter()
            .map(|range| IpRange::parse(range).unwrap())
            .collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        allocation: None,
    }
}

/// An advertisement without fields, for the pools of the small cluster.
fn ad(name: &str) -> BgpAdvertisement {
    BgpAdvertisement {
        name: name.to_owned(),
        selection: PoolSelection::All,
        pools: ["web", "web6"].map(str::to_owned).into(),
        aggregation_length: 32,
        aggregation_length_v6: 128,
        local_pref: 0,
        communities: BTreeSet::new(),
        peers: BTreeSet::new(),
        node_selectors: Vec::new(),
        service_selectors: Vec::new(),
    }
}

fn peer(name: &str, asn: u32, place: &str) -> Peer {
    Peer {
        name: name.to_owned(),
        my_asn: 64610,
        remote: RemoteAsn::Asn(asn),
        local_asn: None,
        address: place
            .parse()
            .map_or_else(|_| PeerAddress::Interface(place.to_owned()), PeerAddress::Address),
        port: 179,
        source_address: None,
        router_id: None,
        timers: None,
        connect_time: None,
        node_selectors: Vec::new(),
        password: None,
        bfd_profile: None,
        graceful_restart: false,
        ebgp_multi_hop: false,
        vrf: None,
        disable_mp: false,
        dual_stack: false,
    }
}

fn profile(name: &str) -> BfdProfile {
    BfdProfile {
        name: name.to_owned(),
        receive_interval: None,
        transmit_interval: None,
        detect_multiplier: None,
        echo_interval: None,
        echo_mode: false,
        passive_mode: false,
        minimum_ttl: None,
    }
}

fn communities(texts: &[&str]) -> BTreeSet<Community> {
    texts.iter().map(|text| Community::parse(text).unwrap()).collect()
}

fn config(pools: &[Pool], ads: &[BgpAdvertisement], peers: &[Peer], profiles: &[BfdProfile]) -> Config {
    fn by_name<T: Clone>(objects: &[T], name: impl Fn(&T) -> &str) -> BTreeMap<String, Arc<T>> {
        let named = |object: &T| (name(object).to_owned(), Arc::new(object.clone()));
        objects.iter().map(named).collect()
    }
    Config {
        pools: by_name(pools, |pool| &pool.name),
        bgp_advertisements: by_name(ads, |ad| &ad.name),
        peers: by_name(peers, |peer| &peer.name),
        bfd_profiles: by_name(profiles, |profile| &profile.name),
        ..Config::default()
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
    let mut slice = json!({"metadata": {"name": "s"}, "addressType": "IPv4"});
    slice["endpoints"] = value;
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
                pool("web", &["203.0.113.0/26"]),
                pool("web6", &["2001:db8:77::/112"]),
            ],
            ads: vec![ad("base")],
            peers: vec![peer("tor1", 64710, "10.61.1.1"), peer("tor2", 64610, "10.61.2.1")],
            profiles: Vec::new(),
            secrets: SecretHandling::Reference,
        };
        world.configure();
        for (name, rack) in [("edge-a", "r1"), ("edge-b", "r2"), ("edge-c", "r2")] {
            world.planner.set_node(&node(name), node_view(name, rack));
        }
        world.serve("shop/cart", &["203.0.113.10"], &[]);
        world
    }

    fn policy(&self) -> Policy {
        let config = config(&self.pools, &self.ads, &self.peers, &self.profiles);
        Policy::new(&config, self.secrets)
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

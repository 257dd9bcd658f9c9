//! How long the BGP plan takes for one change in a large cluster: `cargo bench -p metallb-domain --bench bgp_plan`.
//!
//! 1,000 nodes in 20 racks, each rack with its own pair of peers, 10,000 Services, a tenth of them with
//! `externalTrafficPolicy: Local`. Printed are the median and the 99th percentile of many changes, in microseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_domain::bgp::{
    Addresses, NodeName, NodeView, Planner, Policy, SecretHandling, ServiceKey, ServiceView,
};
use metallb_domain::config::{Config, Objects};
use metallb_domain::endpoints::UsableEndpoints;
use serde_json::json;

const NODES: usize = 1_000;
const RACKS: usize = 20;
const SERVICES: usize = 10_000;
const ROUNDS: usize = 500;
/// Rounds of changes that make many results anew.
const FEW: usize = 20;

fn main() {
    let started = Instant::now();
    let mut planner = Planner::new(false);
    for number in 0..SERVICES {
        let local = number % 10 == 0;
        planner.set_endpoints(&key(number), endpoints(number % NODES));
        planner.set_service(&key(number), Some(service(number, local)));
    }
    for number in 0..NODES {
        planner.set_node(&node(number), node_view(number));
    }
    planner.set_config(Policy::new(&config(), SecretHandling::Reference));
    for number in 0..NODES {
        planner.plan(&node(number));
    }
    println!(
        "{SERVICES} Services x {NODES} nodes from nothing: {:?}",
        started.elapsed()
    );

    measure(
        "a Cluster Service comes or goes: changed nodes",
        ROUNDS,
        |round| {
            let view = (round % 2 == 1).then(|| service(1, false));
            planner.set_service(&key(1), view);
        },
    );
    measure("the same, and the plans of all nodes", FEW, |round| {
        let view = (round % 2 == 1).then(|| service(1, false));
        for name in planner.set_service(&key(1), view).nodes {
            planner.plan(&name);
        }
    });
    measure(
        "an endpoint of a Local Service moves, and the plans",
        FEW,
        |round| {
            for name in planner.set_endpoints(&key(10), endpoints(round % NODES)).nodes {
                planner.plan(&name);
            }
        },
    );
    measure("an endpoint of a Cluster Service moves", ROUNDS, |round| {
        planner.set_endpoints(&key(1), endpoints(round % NODES));
    });
    measure("a node joins an existing rack, and its plan", ROUNDS, |round| {
        let name = node(NODES + round);
        planner.set_node(&name, node_view(round));
        planner.plan(&name);
    });
}

/// Runs `change` often; prints the median and the 99th percentile of its duration.
fn measure(what: &str, rounds: usize, mut change: impl FnMut(usize)) {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|round| {
            let started = Instant::now();
            change(round);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(0, Duration::as_micros);
    println!("{what}: median {} us, p99 {} us", at(50), at(99));
}

fn key(number: usize) -> ServiceKey {
    ServiceKey::new("shop", &format!("service-{number:05}"))
}

fn node(number: usize) -> NodeName {
    Arc::from(format!("node-{number:04}"))
}

fn node_view(number: usize) -> NodeView {
    let rack = format!("r{}", number % RACKS);
    NodeView {
        labels: [("rack".to_owned(), rack)].into(),
        network_unavailable: false,
    }
}

fn service(number: usize, local: bool) -> ServiceView {
    let address = [
        10,
        0,
        u8::try_from(number / 256).unwrap_or(0),
        u8::try_from(number % 256).unwrap_or(0),
    ];
    ServiceView {
        addresses: Addresses::Assigned(vec![address.into()]),
        local,
        ..ServiceView::default()
    }
}

fn endpoints(on_node: usize) -> UsableEndpoints {
    let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": [
        {"addresses": ["10.244.0.1"], "nodeName": &*node(on_node)}
    ]});
    UsableEndpoints::of([&serde_json::from_value(slice).expect("the slice is well-formed")])
}

fn config() -> Config {
    let peers = (0..RACKS).flat_map(|rack| {
        (1..=2).map(move |end| {
            let peer = json!({"metadata": {"name": format!("rack-{rack}-{end}")}, "spec": {
                "myASN": 64512, "peerASN": 64513, "peerAddress": format!("10.255.{rack}.{end}"),
                "nodeSelectors": [{"matchLabels": {"rack": format!("r{rack}")}}],
            }});
            Arc::new(serde_json::from_value(peer).expect("the peer is well-formed"))
        })
    });
    let pool = json!({"metadata": {"name": "pool"}, "spec": {"addresses": ["10.0.0.0/16"]}});
    let ad = json!({"metadata": {"name": "ad"}, "spec": {"communities": ["64512:1"]}});
    let objects = Objects {
        pools: vec![Arc::new(
            serde_json::from_value(pool).expect("the pool is well-formed"),
        )],
        bgp_advertisements: vec![Arc::new(
            serde_json::from_value(ad).expect("the advertisement is well-formed"),
        )],
        peers: peers.collect(),
        nodes: (0..NODES)
            .map(|number| (node(number).to_string(), node_view(number).labels))
            .collect(),
        ..Objects::default()
    };
    let (config, problems) = Config::build(&objects, None);
    assert!(problems.is_empty(), "{problems:?}");
    config
}

//! However the inputs come, the result is that of the last ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Node(u8, u8),
    RemoveNode(u8),
    Service(u8, u8, u8, bool),
    RemoveService(u8),
    Endpoints(u8, Vec<u8>),
    Ad(u8, u8),
    Peer(u8, u8),
    Plan(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..6_u8).prop_map(|(node, kind)| Step::Node(node, kind)),
        (0..4_u8).prop_map(Step::RemoveNode),
        (0..5_u8, 0..4_u8, 0..3_u8, any::<bool>())
            .prop_map(|(name, ip, tier, local)| Step::Service(name, ip, tier, local)),
        (0..5_u8).prop_map(Step::RemoveService),
        (0..5_u8, vec(0..4_u8, 0..3)).prop_map(|(name, nodes)| Step::Endpoints(name, nodes)),
        (0..3_u8, 0..6_u8).prop_map(|(ad, kind)| Step::Ad(ad, kind)),
        (0..3_u8, 0..5_u8).prop_map(|(peer, kind)| Step::Peer(peer, kind)),
        (0..4_u8).prop_map(Step::Plan),
    ]
}

/// The inputs as they are after some steps.
#[derive(Default)]
struct Inputs {
    nodes: BTreeMap<u8, u8>,
    services: BTreeMap<u8, (u8, u8, bool)>,
    endpoints: BTreeMap<u8, Vec<u8>>,
    ads: [u8; 3],
    peers: [u8; 3],
}

fn node_of(kind: u8) -> NodeView {
    let mut view = node_view(&format!("host-{kind}"), &format!("r{}", kind % 2));
    if kind == 4 {
        view.labels.insert(EXCLUDE_LABEL.to_owned(), String::new());
    }
    view.network_unavailable = kind == 5;
    view
}

fn service_of((ip, tier, local): (u8, u8, bool)) -> ServiceView {
    let tier = format!("t{tier}");
    let ip = format!("203.0.113.{ip}");
    ServiceView {
        local,
        ..service_view(&[&ip], &[("tier", &tier)])
    }
}

fn endpoints_of(nodes: &[u8]) -> UsableEndpoints {
    let each = nodes
        .iter()
        .map(|node| json!({"addresses": ["10.0.0.1"], "nodeName": format!("n{node}")}));
    endpoints(each.collect())
}

fn policy_of(inputs: &Inputs) -> Policy {
    let ads = inputs
        .ads
        .iter()
        .zip(["a", "b", "c"])
        .map(|(kind, name)| match kind {
            1 => BgpAdvertisement {
                local_pref: 100,
                service_selectors: vec![selector(&[("tier", "t1")])],
                ..ad(name)
            },
            2 => BgpAdvertisement {
                aggregation_length: 31,
                communities: communities(&["1:1"]),
                ..ad(name)
            },
            3 => BgpAdvertisement {
                node_selectors: vec![selector(&[("rack", "r1")])],
                ..ad(name)
            },
            4 => BgpAdvertisement {
                peers: BTreeSet::from(["p1".to_owned()]),
                local_pref: 50,
                ..ad(name)
            },
            5 => BgpAdvertisement {
                service_selectors: vec![selector(&[("tier", "t2")])],
                ..ad(name)
            },
            _ => ad(name),
        });
    let peers = inputs.peers.iter().zip(1_u32..).map(|(kind, number)| {
        let plain = peer(&format!("p{number}"), 64700 + number, &format!("10.0.0.{number}"));
        match kind {
            1 => Peer {
                node_selectors: vec![selector(&[("rack", "r0")])],
                ..plain
            },
            2 => Peer {
                my_asn: 64611,
                ..plain
            },
            3 => Peer {
                vrf: Some("blue".to_owned()),
                ..plain
            },
            4 => Peer {
                address: PeerAddress::Address(address("fd61::1")),
                ..plain
            },
            _ => plain,
        }
    });
    let ads: Vec<_> = ads.collect();
    let peers: Vec<_> = peers.collect();
    let config = config(&[pool("web", &["203.0.113.0/26"])], &ads, &peers, &[]);
    Policy::new(&config, SecretHandling::Reference)
}

/// Applies the step to the inputs and to the planner.
fn apply(step: &Step, inputs: &mut Inputs, planner: &mut Planner) -> Changes {
    let node_name = |number: &u8| node(&format!("n{number}"));
    let service_key = |number: &u8| key(&format!("shop/s{number}"));
    match step {
        Step::Node(number, kind) => {
            inputs.nodes.insert(*number, *kind);
            planner.set_node(&node_name(number), node_of(*kind))
        }
        Step::RemoveNode(number) => {
            inputs.nodes.remove(number);
            planner.remove_node(&node_name(number))
        }
        Step::Service(number, ip, tier, local) => {
            inputs.services.insert(*number, (*ip, *tier, *local));
            planner.set_service(&service_key(number), Some(service_of((*ip, *tier, *local))))
        }
        Step::RemoveService(number) => {
            inputs.services.remove(number);
            planner.set_service(&service_key(number), None)
        }
        Step::Endpoints(number, nodes) => {
            inputs.endpoints.insert(*number, nodes.clone());
            planner.set_endpoints(&service_key(number), endpoints_of(nodes))
        }
        Step::Ad(number, kind) => {
            inputs.ads[usize::from(*number)] = *kind;
            planner.set_config(policy_of(inputs))
        }
        Step::Peer(number, kind) => {
            inputs.peers[usize::from(*number)] = *kind;
            planner.set_config(policy_of(inputs))
        }
        Step::Plan(number) => {
            planner.plan(&node_name(number));
            Changes::default()
        }
    }
}

/// A planner that gets the inputs for the first time, configuration last.
fn from_scratch(inputs: &Inputs) -> Planner {
    let mut planner = Planner::new(false);
    for (number, endpoints) in inputs.endpoints.iter().rev() {
        planner.set_endpoints(&key(&format!("shop/s{number}")), endpoints_of(endpoints));
    }
    for (number, service) in inputs.services.iter().rev() {
        planner.set_service(&key(&format!("shop/s{number}")), Some(service_of(*service)));
    }
    for (number, kind) in inputs.nodes.iter().rev() {
        planner.set_node(&node(&format!("n{number}")), node_of(*kind));
    }
    planner.set_config(policy_of(inputs));
    planner
}

fn plans(planner: &mut Planner) -> BTreeMap<NodeName, Option<NodePlan>> {
    let names: Vec<_> = planner.nodes().cloned().collect();
    names
        .into_iter()
        .map(|name| (Arc::clone(&name), planner.plan(&name)))
        .collect()
}

/// Plans in a form in which an object without sessions equals none: which of the two it is depends on the past.
fn essence(planner: &mut Planner) -> BTreeMap<NodeName, Option<NodePlan>> {
    let plans = plans(planner).into_iter();
    plans
        .map(|(name, plan)| (name, plan.filter(|plan| !plan.bgp.routers.is_empty())))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn incremental_equals_from_scratch(steps in vec(step(), 1..40)) {
        let mut inputs = Inputs::default();
        let mut planner = Planner::new(false);
        planner.set_config(policy_of(&inputs));
        for step in &steps {
            apply(step, &mut inputs, &mut planner);
        }
        let mut fresh = from_scratch(&inputs);
        prop_assert_eq!(essence(&mut planner), essence(&mut fresh));
        for number in 0..5 {
            let key = key(&format!("shop/s{number}"));
            prop_assert_eq!(planner.verdict(&key), fresh.verdict(&key));
            prop_assert_eq!(planner.peers_by_node(&key), fresh.peers_by_node(&key));
        }
        prop_assert_eq!(planner.problems(), fresh.problems());
    }

    #[test]
    fn a_node_that_is_not_named_has_not_changed(steps in vec(step(), 1..40)) {
        let mut inputs = Inputs::default();
        let mut planner = Planner::new(false);
        planner.set_config(policy_of(&inputs));
        let mut before = plans(&mut planner);
        let mut peers_before = BTreeMap::new();
        for step in &steps {
            let changes = apply(step, &mut inputs, &mut planner);
            let after = plans(&mut planner);
            for (name, plan) in &after {
                if !changes.nodes.contains(name) {
                    prop_assert_eq!(Some(plan), before.get(name), "{:?} {:?}", name, step);
                }
            }
            let peers_after: BTreeMap<_, _> = (0..5)
                .map(|number| key(&format!("shop/s{number}")))
                .map(|key| (key.clone(), planner.peers_by_node(&key)))
                .collect();
            for (key, peers) in &peers_after {
                let old: BTreeMap<_, _> = peers_before.get(key).cloned().unwrap_or_default();
                for name in after.keys().filter(|name| !changes.service_nodes.contains(*name)) {
                    if !changes.services.contains(key) {
                        prop_assert_eq!(peers.get(name), old.get(name), "{:?} {:?} {:?}", key, name, step);
                    }
                }
            }
            before = after;
            peers_before = peers_after;
        }
    }
}

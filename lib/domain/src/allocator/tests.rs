//! What must hold whatever happens, and in whatever order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::Allocator;
use crate::config::{Config, Objects, Pool};
use crate::convergence::{Verdict, converge};
use crate::service::{ServiceKey, ServiceRequest};

fn pools(specs: &[(&str, &[&str], bool)]) -> BTreeMap<String, Arc<Pool>> {
    let pool = |(name, addresses, avoid): &(&str, &[&str], bool)| {
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": {"name": name},
                "spec": {
                    "addresses": addresses, "avoidBuggyIPs": avoid,
                    // Pool `x` is for one namespace only.
                    "serviceAllocation": (*name == "x").then(|| json!({"namespaces": ["other"]})),
                },
            }))
            .unwrap(),
        )
    };
    let objects = Objects {
        pools: specs.iter().map(pool).collect(),
        ..Objects::default()
    };
    Config::check(&objects).unwrap().pools
}

/// A Service that may share under one of few keys, with one of few ports.
#[derive(Clone, Debug)]
struct Wish {
    name: u8,
    dual: bool,
    key: Option<u8>,
    port: u16,
    asks_for: Option<u8>,
    pool: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Step {
    Look(Wish),
    Delete(u8),
    Pools(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let wish = (
        0u8..12,
        any::<bool>(),
        prop::option::of(0u8..2),
        1u16..4,
        prop::option::weighted(0.2, 0u8..6),
        prop::option::weighted(0.2, prop::sample::select(vec!["a", "b", "x"])),
    );
    let wish = wish.prop_map(|(name, dual, key, port, asks_for, pool)| Wish {
        name,
        dual,
        key,
        port,
        asks_for,
        pool,
    });
    prop_oneof![
        6 => wish.prop_map(Step::Look),
        2 => (0u8..12).prop_map(Step::Delete),
        1 => (0usize..3).prop_map(Step::Pools),
    ]
}

/// The last two Services live in another namespace than the first ten.
fn key(number: u8) -> ServiceKey {
    let namespace = if number < 10 { "n" } else { "other" };
    ServiceKey {
        namespace: namespace.into(),
        name: format!("s{number}"),
    }
}

fn request(wish: &Wish) -> ServiceRequest {
    let cluster_ips: &[&str] = if wish.dual {
        &["10.0.0.1", "fd00::1"]
    } else {
        &["10.0.0.1"]
    };
    let mut annotations = serde_json::Map::new();
    if let Some(key) = wish.key {
        annotations.insert("metallb.io/allow-shared-ip".into(), json!(format!("k{key}")));
    }
    if let Some(host) = wish.asks_for.filter(|_| !wish.dual) {
        annotations.insert(
            "metallb.io/loadBalancerIPs".into(),
            json!(format!("192.0.2.{host}")),
        );
    }
    if let Some(pool) = wish.pool {
        annotations.insert("metallb.io/address-pool".into(), json!(pool));
    }
    let key = key(wish.name);
    let policy = if wish.dual {
        "PreferDualStack"
    } else {
        "SingleStack"
    };
    let service = serde_json::from_value(json!({
        "metadata": {"namespace": key.namespace, "name": key.name, "annotations": annotations},
        "spec": {"type": "LoadBalancer", "clusterIPs": cluster_ips, "ipFamilyPolicy": policy, "ports": [{"port": wish.port}]},
    }));
    ServiceRequest::of(&service.unwrap())
}

/// The Services as they stand, with the addresses the allocator gave them.
#[derive(Default)]
struct Run {
    allocator: Allocator,
    services: BTreeMap<ServiceKey, (ServiceRequest, Vec<IpAddr>)>,
}

impl Run {
    fn look(&mut self, key: &ServiceKey) {
        let Some((request, held)) = self.services.get_mut(key) else {
            return;
        };
        request.ingress = held.iter().map(ToString::to_string).collect();
        match converge(&mut self.allocator, request, &BTreeSet::new()).verdict {
            Verdict::Assigned { addresses, .. } => *held = addresses,
            Verdict::Cleared => held.clear(),
            Verdict::Unchanged => {}
        }
    }

    fn step(&mut self, step: Step, sets: &[BTreeMap<String, Arc<Pool>>]) {
        match step {
            Step::Look(wish) => {
                let request = request(&wish);
                let key = request.key.clone();
                let held = self
                    .services
                    .remove(&key)
                    .map(|(_, held)| held)
                    .unwrap_or_default();
                self.services.insert(key.clone(), (request, held));
                self.look(&key);
            }
            Step::Delete(name) => {
                let key = key(name);
                self.services.remove(&key);
                self.allocator.release(&key);
            }
            Step::Pools(set) => {
                for key in self.allocator.set_pools(&sets[set]) {
                    self.look(&key);
                }
            }
        }
        let mut woken = 0;
        while let Some(key) = self.allocator.next_woken() {
            self.look(&key);
            woken += 1;
            assert!(woken < 1000, "Services are woken for ever");
        }
    }

    /// Nobody shares without permission, the counters are right, and nothing free is withheld.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let mut users: HashMap<IpAddr, Vec<&ServiceRequest>> = HashMap::new();
        for (request, held) in self.services.values() {
            for address in held {
                prop_assert!(self.allocator.contains(&[*address]), "{address} is in no pool");
                users.entry(*address).or_default().push(request);
            }
        }
        for (address, sharers) in &users {
            for (index, one) in sharers.iter().enumerate() {
                for other in &sharers[index + 1..] {
                    let may = one.sharing.compatible(&other.sharing) && one.ports.is_disjoint(&other.ports);
                    prop_assert!(may, "{} and {} both use {address}", one.key, other.key);
                }
            }
        }
        let counted: i64 = ["a", "b", "x"]
            .iter()
            .filter_map(|pool| self.allocator.counters(pool))
            .map(|counters| counters.assigned_v4 + counters.assigned_v6)
            .sum();
        prop_assert_eq!(counted, i64::try_from(users.len()).unwrap());
        let pending: Vec<ServiceKey> = self
            .services
            .iter()
            .filter(|(_, (_, held))| held.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        for key in pending {
            self.look(&key);
            prop_assert!(
                self.services[&key].1.is_empty(),
                "{} could have been served, but nobody woke it",
                key
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_address_is_used_twice_without_permission_nor_withheld(steps in prop::collection::vec(step(), 1..60)) {
        let sets = [
            pools(&[("a", &["192.0.2.0/30"], false), ("b", &["192.0.2.4/31", "2001:db8::/126"], false), ("x", &["198.51.100.0/31"], false)]),
            pools(&[("a", &["192.0.2.2-192.0.2.5"], true), ("x", &["192.0.2.0/31"], false)]),
            pools(&[("b", &["192.0.2.0/29", "2001:db8::/127"], true)]),
        ];
        let mut run = Run::default();
        run.step(Step::Pools(0), &sets);
        for step in steps {
            run.step(step, &sets);
            run.check()?;
        }
    }

    #[test]
    fn all_addresses_come_back(wishes in prop::collection::vec(0u8..12, 1..30)) {
        let sets = [pools(&[("a", &["192.0.2.0/29"], false)])];
        let mut run = Run::default();
        run.step(Step::Pools(0), &sets);
        for name in &wishes {
            run.step(Step::Look(Wish { name: *name, dual: false, key: None, port: 1, asks_for: None, pool: None }), &sets);
        }
        for name in 0..12 {
            run.step(Step::Delete(name), &sets);
        }
        let counters = run.allocator.counters("a").unwrap();
        prop_assert_eq!((counters.assigned_v4, counters.available_v4(), counters.services), (0, 8, 0));
    }

    #[test]
    fn the_set_of_addresses_in_use_does_not_depend_on_the_order_of_services(order in Just((0u8..12).collect::<Vec<_>>()).prop_shuffle()) {
        let sets = [pools(&[("a", &["192.0.2.0/30"], false), ("b", &["198.51.100.0/30"], false)])];
        let mut run = Run::default();
        run.step(Step::Pools(0), &sets);
        for name in order {
            run.step(Step::Look(Wish { name, dual: false, key: None, port: 1, asks_for: None, pool: None }), &sets);
        }
        let used: BTreeSet<String> = run.services.values().flat_map(|(_, held)| held).map(ToString::to_string).collect();
        let expected: BTreeSet<String> =
            ["192.0.2", "198.51.100"].iter().flat_map(|net| (0..4).map(move |host| format!("{net}.{host}"))).collect();
        prop_assert_eq!(used, expected);
    }
}

#[rstest]
#[case(&[("a", &["192.0.2.0/24", "198.51.100.0/25"][..], true)], 381, 0)]
#[case(&[("a", &["192.0.2.0/24", "198.51.100.128/25"][..], true)], 381, 0)]
#[case(&[("a", &["192.0.2.0/32"][..], true)], 0, 0)]
#[case(&[("a", &["2001:db8::/64", "192.0.2.0/24"][..], false)], 256, i64::MAX)]
fn capacity(#[case] specs: &[(&str, &[&str], bool)], #[case] v4: i64, #[case] v6: i64) {
    let mut allocator = Allocator::new();
    allocator.set_pools(&pools(specs));
    let counters = allocator.counters("a").unwrap();
    assert_eq!((counters.capacity_v4, counters.capacity_v6), (v4, v6));
}

#[test]
fn a_removed_pool_has_no_counters_and_is_reported_once() {
    let mut allocator = Allocator::new();
    allocator.set_pools(&pools(&[("a", &["192.0.2.0/30"], false)]));
    assert_eq!(allocator.take_recount(), ["a".to_owned()].into());
    allocator.set_pools(&BTreeMap::new());
    assert_eq!(
        (allocator.counters("a"), allocator.take_recount()),
        (None, ["a".to_owned()].into())
    );
    assert!(allocator.take_recount().is_empty());
}

#[test]
fn ten_thousand_services_fill_a_pool_without_a_quadratic_scan() {
    let sets = [pools(&[("a", &["10.0.0.0/16"], false)])];
    let mut run = Run::default();
    run.step(Step::Pools(0), &sets);
    for number in 0..10_000_u32 {
        let service = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": format!("s{number}")},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
        }));
        let request = ServiceRequest::of(&service.unwrap());
        let outcome = converge(&mut run.allocator, &request, &BTreeSet::new());
        let expected = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        assert_eq!(
            outcome.verdict,
            Verdict::Assigned {
                addresses: vec![expected],
                pool: "a".into()
            }
        );
    }
}

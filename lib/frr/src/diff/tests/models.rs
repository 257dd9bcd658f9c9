//! Random models of few, often equal parts, so that two of them overlap.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::model::*;

const PREFIXES: [&str; 6] = [
    "0.0.0.0/0",
    "10.70.1.0/24",
    "10.70.2.0/24",
    "10.70.0.0/16",
    "2001:db8:7001::/64",
    "2001:db8:7002::/64",
];

fn prefixes() -> Vec<IpNet> {
    PREFIXES.iter().map(|prefix| prefix.parse().unwrap()).collect()
}

pub(super) fn model() -> impl Strategy<Value = Model> {
    let vrfs = vec!["", "blue", "red"];
    let profiles = btree_map(select(vec!["fast", "slow"]), bfd_profile(), 0..3);
    (btree_map(select(vrfs), router(), 0..4), profiles).prop_map(|(routers, profiles)| Model {
        routers: routers
            .into_iter()
            .map(|(vrf, router)| (vrf.parse().unwrap(), router))
            .collect(),
        bfd_profiles: profiles
            .into_iter()
            .map(|(name, profile)| (name.parse().unwrap(), profile))
            .collect(),
        raw: Vec::new(),
    })
}

fn bfd_profile() -> impl Strategy<Value = BfdProfile> {
    (
        option::of(select(vec![150, 300])),
        option::of(select(vec![3, 5])),
        any::<bool>(),
    )
        .prop_map(|(receive_interval, detect_multiplier, echo_mode)| BfdProfile {
            receive_interval,
            detect_multiplier,
            echo_mode,
            ..BfdProfile::default()
        })
}

fn router() -> impl Strategy<Value = Router> {
    (
        select(vec![64500, 64500, 64500, 64501]),
        option::of(Just("192.0.2.1".parse().unwrap())),
        subsequence(prefixes(), 0..6),
        btree_map(peer(), neighbor(), 0..4),
        option::of(evpn()),
    )
        .prop_map(|(asn, id, prefixes, neighbors, evpn)| Router {
            asn,
            id,
            imports: BTreeSet::new(),
            prefixes: prefixes.into_iter().collect(),
            neighbors,
            evpn,
        })
}

fn evpn() -> impl Strategy<Value = Evpn> {
    let targets = subsequence(vec!["64500:1", "64500:2"], 0..=2).prop_map(|targets| evpn::VniTargets {
        rd: None,
        import: targets.iter().map(|target| target.parse().unwrap()).collect(),
        export: BTreeSet::new(),
    });
    (any::<bool>(), btree_map(1000_u32..1003, targets, 0..3)).prop_map(|(advertise_all_vnis, l2_vnis)| Evpn {
        advertise_all_vnis,
        l2_vnis,
        ..Evpn::default()
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    select(vec!["198.51.100.11", "198.51.100.12", "2001:db8:51::16", "up0"]).prop_map(|name| {
        match name.parse() {
            Ok(address) => Peer::Address(address),
            Err(_) => Peer::Interface(name.parse().unwrap()),
        }
    })
}

prop_compose! {
    fn neighbor()(
        remote_as in select(vec![RemoteAs::Number(64601), RemoteAs::Number(64500), RemoteAs::External]),
        port in option::of(Just(1790)),
        timers in option::of(Just(Timers { keepalive: 3, hold: 9 })),
        connect_time in option::of(select(vec![1, 7])),
        (ebgp_multihop, graceful_restart) in any::<(bool, bool)>(),
        local_as in option::of(Just(64777)),
        bfd_profile in option::of(select(vec!["fast", "slow"])),
        password in option::of(select(vec!["one", "two"])),
        (activate_unicast, activate_evpn) in select(vec![(true, false), (true, false), (true, true), (false, true)]),
        advertise in advertise(),
        receive in receive(),
    ) -> Neighbor {
        Neighbor {
            remote_as,
            port,
            source: None,
            password: password.map(|password| password.parse().unwrap()),
            timers,
            connect_time,
            ebgp_multihop,
            graceful_restart,
            local_as,
            bfd_profile: bfd_profile.map(|name| name.parse().unwrap()),
            families: Families { unicast: Unicast::Dual, activate_unicast, activate_evpn },
            advertise,
            receive,
        }
    }
}

fn advertise() -> impl Strategy<Value = Advertise> {
    let attributes = (
        option::of(select(vec![200, 300])),
        btree_set(
            select(vec![
                Community::Standard(64500, 31),
                Community::Large(64500, 7, 9),
            ]),
            0..2,
        ),
    )
        .prop_map(|(local_pref, communities)| Attributes {
            local_pref,
            communities,
        });
    let next_hop = select(vec![None, Some("198.51.100.200".parse().unwrap())]);
    (btree_map(select(prefixes()), attributes, 0..6), next_hop).prop_map(|(routes, next_hop_ipv4)| {
        Advertise {
            routes,
            next_hop_ipv4,
            next_hop_ipv6: None,
        }
    })
}

fn receive() -> impl Strategy<Value = Receive> {
    let selectors = subsequence(
        vec![
            ("10.80.0.0/16", 16, 16),
            ("10.80.0.0/16", 24, 32),
            ("2001:db8::/32", 48, 64),
        ],
        0..=3,
    );
    prop_oneof![
        Just(Receive::All),
        selectors.prop_map(|selectors| {
            let selector = |(prefix, min, max): (&str, u8, u8)| Selector {
                prefix: prefix.parse().unwrap(),
                min,
                max,
            };
            Receive::Filtered(selectors.into_iter().map(selector).collect())
        }),
    ]
}

/// One router with so many prefixes, all announced to so many neighbors.
pub(super) fn many_prefixes(prefixes: u32, neighbors: u8) -> Model {
    let prefixes: BTreeSet<IpNet> = (0..prefixes)
        .map(|number| IpNet::new(std::net::Ipv4Addr::from(0x0A00_0000 + number).into(), 32).unwrap())
        .collect();
    let neighbor = Neighbor {
        remote_as: RemoteAs::Number(64601),
        port: None,
        source: None,
        password: None,
        timers: None,
        connect_time: None,
        ebgp_multihop: false,
        graceful_restart: false,
        local_as: None,
        bfd_profile: None,
        families: Families {
            unicast: Unicast::Ipv4,
            activate_unicast: true,
            activate_evpn: false,
        },
        advertise: Advertise {
            routes: prefixes
                .iter()
                .map(|prefix| (*prefix, Attributes::default()))
                .collect(),
            ..Advertise::default()
        },
        receive: Receive::default(),
    };
    let neighbors =
        (1..=neighbors).map(|number| (Peer::Address([198, 51, 100, number].into()), neighbor.clone()));
    let router = Router {
        asn: 64500,
        id: None,
        imports: BTreeSet::new(),
        prefixes,
        neighbors: neighbors.collect(),
        evpn: None,
    };
    Model {
        routers: BTreeMap::from([(Vrf::Default, router)]),
        ..Model::default()
    }
}

/// Announces one more prefix to all neighbors.
pub(super) fn add_prefix(model: &mut Model, prefix: &str, local_pref: Option<u32>) {
    let prefix: IpNet = prefix.parse().unwrap();
    for router in model.routers.values_mut() {
        router.prefixes.insert(prefix);
        for neighbor in router.neighbors.values_mut() {
            let attributes = Attributes {
                local_pref,
                ..Attributes::default()
            };
            neighbor.advertise.routes.insert(prefix, attributes);
        }
    }
}

pub(super) fn set_password(model: &mut Model, password: &str) {
    let neighbors = model
        .routers
        .values_mut()
        .flat_map(|router| router.neighbors.values_mut());
    for neighbor in neighbors {
        neighbor.password = Some(password.parse().unwrap());
    }
}

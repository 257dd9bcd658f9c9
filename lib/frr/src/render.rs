//! What FRRouting must be told, so that it behaves as a [`Model`] says.
//!
//! The same commands serve FRRouting 8.4 and 10.3.
//!
//! # How routes find their way out
//!
//! Filters that list prefixes are what FRRouting is slow at: in 8.4 adding to a prefix list costs time in proportion to
//! its length, and a change is only noticed by the routes already there when a timer expires. So routes are not
//! recognised by their prefix on the way out, but marked where they come into being:
//!
//! ```text
//! network 192.0.2.1/32 route-map advertise-7            the mark, put on when the prefix is originated
//! route-map advertise-7 permit 1 / set tag 7
//! route-map 198.51.100.11-out-ipv4 permit 2 / match tag 7 / set community 64500:31 additive / set tag 1
//! route-map 198.51.100.11-out-ipv4 deny 65535
//! ```
//!
//! All prefixes that are told to the same neighbors with the same attributes share a mark ([`policy`]). One more such
//! prefix is one command; a prefix with new attributes gets another mark, in one command that takes effect at once.
//! The mark is local: it is overwritten on the way out, so that FRRouting sees that a route whose mark has changed is
//! for this neighbor the route it was. A route learned from somebody has no mark and is told to nobody.
//!
//! # How routes find their way in
//!
//! Here prefix lists are needed ([`inbound`]). They are never changed: another content is another list with another
//! name, since FRRouting 8.4 gets matches wrong after an entry was taken from a list in use.

mod inbound;
mod policy;
mod router;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::IpNet;
use metallb_crds::frrk8s::LogLevel;

use crate::config::{Config, Place};
use crate::model::{BfdProfile, Model, Router, Vrf};

/// What the configuration depends on besides the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// What FRRouting calls itself to its peers; the name of the host.
    pub hostname: String,
    pub log_level: LogLevel,
    /// Prefixes that are never accepted, nor anything inside them, from any neighbor.
    pub always_block: Vec<IpNet>,
    /// BGP identifier of routers that have none of their own; see [`fallback_router_id`].
    pub router_id: Option<Ipv4Addr>,
}

/// The configuration that makes FRRouting behave as the model says.
///
/// Equal inputs give equal outputs. Costs O(n log n) in the number of prefixes, announced routes and selectors.
pub fn config(model: &Model, node: &NodeSettings) -> Config {
    let mut config = Config::default();
    settings(&mut config, node);
    for (name, profile) in &model.bfd_profiles {
        let block = config.bfd_profiles.entry(name.to_string()).or_default();
        for line in bfd_profile(profile) {
            block.set(Place::BfdProfile, &line);
        }
    }
    let blocked = inbound::block_lists(&mut config, &node.always_block);
    let marks = policy::Marks::new(model);
    marks.add_origin_maps(&mut config);
    let policies = router::Policies { marks, blocked };
    for (vrf, router) in &model.routers {
        router::add(&mut config, vrf, router, &policies, node);
    }
    if let Some(bare) = implied_default_router(model) {
        router::add(&mut config, &Vrf::Default, &bare, &policies, node);
    }
    for raw in &model.raw {
        config.add(&raw.text);
    }
    config
}

/// FRRouting leaks routes and carries EVPN only through a default instance. Where there is none it makes one of its own
/// accord, with the AS number of the instance that needs it; so that is given explicitly.
fn implied_default_router(model: &Model) -> Option<Router> {
    if model.routers.contains_key(&Vrf::Default) {
        return None;
    }
    let needs_it = |router: &&Router| {
        let l3 = router.evpn.as_ref().is_some_and(|evpn| evpn.l3_vni.is_some());
        l3 || !router.imports.is_empty()
    };
    let asn = model.routers.values().find(needs_it)?.asn;
    Some(Router {
        asn,
        id: None,
        imports: BTreeSet::new(),
        prefixes: BTreeSet::new(),
        neighbors: BTreeMap::new(),
        evpn: None,
    })
}

/// A BGP identifier for a node without an IPv4 address: the CRC-32 of its host name, least significant byte first.
pub fn fallback_router_id(hostname: &str) -> Ipv4Addr {
    Ipv4Addr::from(policy::crc32(hostname.as_bytes()).to_le_bytes())
}

/// Seconds FRRouting waits after a change of a route map before it applies it to the routes that are there. 0 would
/// mean never.
const ROUTE_MAP_DELAY: u8 = 1;

fn settings(config: &mut Config, node: &NodeSettings) {
    let mut set = |line: &str| config.settings.set(Place::Top, line);
    let level = match node.log_level {
        LogLevel::All | LogLevel::Debug => "debugging",
        LogLevel::Info => "informational",
        LogLevel::Warn => "warnings",
        LogLevel::Error => "errors",
        LogLevel::None => "emergencies",
    };
    set(&format!("log stdout {level}"));
    set("log timestamp precision 3");
    if level == "debugging" {
        DEBUG.iter().for_each(|line| set(line));
    }
    set(&format!("hostname {}", host_word(&node.hostname)));
    set("ip nht resolve-via-default");
    set("ipv6 nht resolve-via-default");
    set(&format!("bgp route-map delay-timer {ROUTE_MAP_DELAY}"));
}

const DEBUG: [&str; 13] = [
    "debug zebra events",
    "debug zebra nht",
    "debug zebra kernel",
    "debug zebra rib",
    "debug zebra nexthop",
    "debug bgp neighbor-events",
    "debug bgp updates",
    "debug bgp keepalives",
    "debug bgp nht",
    "debug bgp zebra",
    "debug bfd network",
    "debug bfd peer",
    "debug bfd zebra",
];

/// The host name as FRRouting takes it: letters, digits, `-` and `.`, beginning with a letter or digit.
fn host_word(hostname: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "-.".contains(*c);
    let word: String = hostname.chars().filter(fits).take(64).collect();
    let word = word.trim_matches(['-', '.']);
    if word.is_empty() {
        "node".to_owned()
    } else {
        word.to_owned()
    }
}

fn bfd_profile(profile: &BfdProfile) -> Vec<String> {
    // What equals FRRouting's default is not shown by it. Left out, it means the same.
    let number = |name: &str, value: Option<u32>, default: u32| {
        value
            .filter(|value| *value != default)
            .map(|value| format!("{name} {value}"))
    };
    let flag = |name: &str, set: bool| set.then(|| name.to_owned());
    [
        number("detect-multiplier", profile.detect_multiplier, 3),
        number("transmit-interval", profile.transmit_interval, 300),
        number("receive-interval", profile.receive_interval, 300),
        flag("echo-mode", profile.echo_mode),
        number("echo transmit-interval", profile.echo_interval, 50),
        number("echo receive-interval", profile.echo_interval, 50),
        flag("passive-mode", profile.passive_mode),
        number("minimum-ttl", profile.minimum_ttl, 254),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;

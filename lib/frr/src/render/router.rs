//! BGP instances, their neighbors and address families.

use std::net::IpAddr;

use super::NodeSettings;
use super::inbound::{self, Blocked};
use super::policy::Marks;
use crate::config::{Config, FamilyBlock, Place, RouterBlock};
use crate::model::evpn::{Evpn, VniTargets};
use crate::model::{Family, Neighbor, Peer, RemoteAs, Router, Vrf};

/// What the policies of all neighbors refer to.
pub(super) struct Policies<'a> {
    pub(super) marks: Marks<'a>,
    pub(super) blocked: Blocked,
}

const EVPN: &str = "l2vpn evpn";

/// What every instance has: policies are always attached, prefixes are announced whether there is a route to them or
/// not, no family is active unless activated, and forwarding goes on during a restart (RFC 4724).
const KNOBS: [&str; 4] = [
    "no bgp ebgp-requires-policy",
    "no bgp network import-check",
    "no bgp default ipv4-unicast",
    "bgp graceful-restart preserve-fw-state",
];

pub(super) fn add(
    config: &mut Config,
    vrf: &Vrf,
    router: &Router,
    policies: &Policies<'_>,
    node: &NodeSettings,
) {
    let mut block = RouterBlock {
        asn: router.asn.to_string(),
        ..RouterBlock::default()
    };
    for knob in KNOBS {
        block.lines.set(Place::Router, knob);
    }
    if let Some(id) = router.id.or(node.router_id) {
        block.lines.set(Place::Router, &format!("bgp router-id {id}"));
    }
    for family in Family::BOTH {
        for import in &router.imports {
            unicast(&mut block, family)
                .lines
                .set(Place::AddressFamily, &format!("import vrf {import}"));
        }
    }
    for (peer, neighbor) in &router.neighbors {
        for line in session(peer, neighbor, router.asn) {
            block.lines.set(Place::Router, &format!("neighbor {peer} {line}"));
        }
        activate(config, &mut block, vrf, peer, neighbor, policies);
    }
    for prefix in &router.prefixes {
        let line = match policies.marks.origin_map(prefix) {
            Some(map) => format!("network {prefix} route-map {map}"),
            None => format!("network {prefix}"),
        };
        unicast(&mut block, Family::of(prefix))
            .lines
            .set(Place::AddressFamily, &line);
    }
    if let Some(evpn) = &router.evpn {
        add_evpn(config, &mut block, vrf, evpn);
    }
    config.routers.insert(vrf_key(vrf), block);
}

/// The key of a VRF in [`Config`].
fn vrf_key(vrf: &Vrf) -> String {
    match vrf {
        Vrf::Default => String::new(),
        Vrf::Named(name) => name.to_string(),
    }
}

fn unicast(block: &mut RouterBlock, family: Family) -> &mut FamilyBlock {
    block.families.entry(format!("{family} unicast")).or_default()
}

/// The settings of a session, each without `neighbor PEER`.
fn session(peer: &Peer, neighbor: &Neighbor, asn: u32) -> Vec<String> {
    let remote_as = neighbor.remote_as;
    let mut lines = vec![match peer {
        Peer::Address(_) => format!("remote-as {remote_as}"),
        Peer::Interface(_) => format!("interface remote-as {remote_as}"),
    }];
    let internal = matches!(remote_as, RemoteAs::Internal) || remote_as == RemoteAs::Number(asn);
    // FRRouting ignores it on internal sessions, and does not show it.
    if neighbor.ebgp_multihop && !internal {
        lines.push("ebgp-multihop".to_owned());
    }
    if needs_no_connected_check(peer, neighbor, internal) {
        lines.push("disable-connected-check".to_owned());
    }
    lines.extend(
        neighbor
            .local_as
            .map(|local| format!("local-as {local} no-prepend replace-as")),
    );
    lines.extend(neighbor.port.map(|port| format!("port {port}")));
    lines.extend(
        neighbor
            .timers
            .map(|timers| format!("timers {} {}", timers.keepalive, timers.hold)),
    );
    lines.extend(
        neighbor
            .connect_time
            .map(|seconds| format!("timers connect {seconds}")),
    );
    lines.extend(
        neighbor
            .password
            .as_ref()
            .map(|password| format!("password {}", password.reveal())),
    );
    lines.extend(
        neighbor
            .source
            .as_ref()
            .map(|source| format!("update-source {source}")),
    );
    if neighbor.graceful_restart {
        lines.push("graceful-restart".to_owned());
    }
    if let Some(profile) = &neighbor.bfd_profile {
        lines.push("bfd".to_owned());
        lines.push(format!("bfd profile {profile}"));
    }
    lines
}

/// An external session over IPv6 may cross subnets although the peer is one hop away.
fn needs_no_connected_check(peer: &Peer, neighbor: &Neighbor, internal: bool) -> bool {
    let over_ipv6 = matches!(peer, Peer::Address(IpAddr::V6(_)));
    over_ipv6 && !neighbor.ebgp_multihop && !internal
}

fn activate(
    config: &mut Config,
    block: &mut RouterBlock,
    vrf: &Vrf,
    peer: &Peer,
    neighbor: &Neighbor,
    policies: &Policies<'_>,
) {
    let mut set = |family: &str, line: String| {
        block
            .families
            .entry(family.to_owned())
            .or_default()
            .lines
            .set(Place::AddressFamily, &line);
    };
    if neighbor.families.activate_unicast {
        for family in Family::BOTH
            .into_iter()
            .filter(|family| neighbor.families.unicast.contains(*family))
        {
            let name = format!("{family} unicast");
            let in_map = inbound::add_in_map(config, vrf, peer, neighbor, family, &policies.blocked);
            let out_map = policies.marks.add_out_map(config, vrf, peer, neighbor, family);
            set(&name, format!("neighbor {peer} activate"));
            set(&name, format!("neighbor {peer} route-map {in_map} in"));
            set(&name, format!("neighbor {peer} route-map {out_map} out"));
        }
    }
    if neighbor.families.activate_evpn {
        set(EVPN, format!("neighbor {peer} activate"));
    }
}

fn add_evpn(config: &mut Config, block: &mut RouterBlock, vrf: &Vrf, evpn: &Evpn) {
    let family = block.families.entry(EVPN.to_owned()).or_default();
    let mut set = |line: &str| family.lines.set(Place::AddressFamily, line);
    if evpn.advertise_all_vnis {
        set("advertise-all-vni");
    }
    if evpn.advertise_svi {
        set("advertise-svi-ip");
    }
    if let Some((vni, targets)) = &evpn.l3_vni {
        set("advertise ipv4 unicast");
        set("advertise ipv6 unicast");
        for line in target_lines(targets) {
            set(&line);
        }
        config
            .vrfs
            .entry(vrf_key(vrf))
            .or_default()
            .set(Place::Vrf, &format!("vni {vni}"));
    }
    for (vni, targets) in evpn.l2_vnis.iter().filter(|(_, targets)| !targets.is_empty()) {
        let vni = family.vnis.entry(vni.to_string()).or_default();
        for line in target_lines(targets) {
            vni.set(Place::Vni, &line);
        }
    }
    if family.lines.is_empty() && family.vnis.is_empty() {
        block.families.remove(EVPN);
    }
}

fn target_lines(targets: &VniTargets) -> Vec<String> {
    let rd = targets.rd.iter().map(|rd| format!("rd {rd}"));
    let import = targets
        .import
        .iter()
        .map(|target| format!("route-target import {target}"));
    let export = targets
        .export
        .iter()
        .map(|target| format!("route-target export {target}"));
    rd.chain(import).chain(export).collect()
}

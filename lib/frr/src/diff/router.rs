//! Commands for BGP instances.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Planner, added, changed, in_block, pairs, removed};
use crate::config::{Block, FamilyBlock, Place, RouterBlock, creation_slot, peer, router_header, undo};
use crate::daemon::Daemon;

impl Planner<'_> {
    /// An instance cannot change its AS number: the old one must be gone before the new one comes. The default one
    /// goes last, as FRRouting does not let it go before those that depend on it.
    pub(super) fn replace_routers(&mut self) {
        let replaced = self.replaced();
        let old = self
            .old
            .routers
            .iter()
            .rev()
            .filter(|(vrf, _)| replaced.contains(vrf.as_str()));
        let lines = old
            .map(|(vrf, old)| undo(Place::Top, &router_header(&old.asn, vrf)))
            .collect();
        self.push(&[Daemon::Bgpd], lines);
    }

    /// The VRFs of instances that get another AS number, and of those that depend on one.
    fn replaced(&self) -> BTreeSet<&str> {
        let changes =
            |vrf: &str, old: &RouterBlock| self.new.routers.get(vrf).is_some_and(|new| new.asn != old.asn);
        let all = self.old.routers.iter();
        let mut replaced: BTreeSet<&str> = all
            .clone()
            .filter(|(vrf, old)| changes(vrf, old))
            .map(|(vrf, _)| vrf.as_str())
            .collect();
        if replaced.contains("") {
            replaced.extend(
                all.filter(|(_, old)| depends_on_default(old))
                    .map(|(vrf, _)| vrf.as_str()),
            );
        }
        replaced
    }

    /// New instances, and all changes within instances that stay.
    pub(super) fn add_routers(&mut self) {
        let empty = RouterBlock::default();
        let replaced = self.replaced();
        let mut lines = Vec::new();
        for stage in [Stage::Release, Stage::Add, Stage::Remove] {
            for (vrf, new) in &self.new.routers {
                let known = self
                    .old
                    .routers
                    .get(vrf)
                    .filter(|_| !replaced.contains(vrf.as_str()));
                let changes = router(known.unwrap_or(&empty), new, stage);
                if !changes.is_empty() || known.is_none() && stage == Stage::Add {
                    lines.push(router_header(&new.asn, vrf));
                    lines.extend(changes);
                    lines.push("exit".to_owned());
                }
            }
        }
        self.push(&[Daemon::Bgpd], lines);
    }

    /// The default instance goes last: others may depend on it.
    pub(super) fn remove_routers(&mut self) {
        let replaced = self.replaced();
        let gone = self.old.routers.iter().rev();
        let gone =
            gone.filter(|(vrf, _)| !self.new.routers.contains_key(*vrf) && !replaced.contains(vrf.as_str()));
        let lines = gone
            .map(|(vrf, old)| undo(Place::Top, &router_header(&old.asn, vrf)))
            .collect();
        self.push(&[Daemon::Bgpd], lines);
    }
}

/// Whether an instance leaks routes or carries EVPN, which both go through the default instance.
fn depends_on_default(router: &RouterBlock) -> bool {
    router.families.iter().any(|(name, family)| {
        let imports = family
            .lines
            .iter()
            .any(|(_, line)| line.starts_with("import vrf "));
        imports || name == "l2vpn evpn"
    })
}

/// Whether a line makes BFD watch a neighbor. Such lines come last: activating an address family takes a new session
/// back to its start, and FRR 10.2 and 10.3.0 never start one whose BFD session is already known to be down. The other
/// side may not send BFD before the BGP session is up, and both would wait for ever.
fn is_bfd(line: &str) -> bool {
    let rest = peer(line).and_then(|peer| line.strip_prefix("neighbor ")?.strip_prefix(peer));
    rest.is_some_and(|rest| rest == " bfd" || rest.starts_with(" bfd "))
}

/// All instances go through one stage before the first enters the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Give back what only one instance can have: VNIs.
    Release,
    Add,
    Remove,
}

fn router(old: &RouterBlock, new: &RouterBlock, stage: Stage) -> Vec<String> {
    let gone = gone_peers(old, new);
    let stays = |line: &str| peer(line).is_none_or(|peer| !gone.contains(peer));
    let empty = FamilyBlock::default();
    let mut lines = Vec::new();
    let held = if stage == Stage::Add {
        held_peers(old, new)
    } else {
        Vec::new()
    };
    let mut bfd = Vec::new();
    if stage == Stage::Add {
        let (last, first): (Vec<_>, Vec<_>) = added(&old.lines, &new.lines, Place::Router)
            .into_iter()
            .partition(|line| is_bfd(line));
        bfd = last;
        for line in first {
            let is_held = peer(&line).filter(|peer| held.contains(peer) && makes(&line, peer));
            let hold = is_held.map(|peer| format!("neighbor {peer} shutdown"));
            lines.push(line);
            lines.extend(hold);
        }
    }
    for (name, old, new) in pairs(&old.families, &new.families, &empty) {
        let changes = match stage {
            Stage::Release => release(old, new),
            Stage::Add => add_family(old, new),
            Stage::Remove => {
                let lines = removed(&old.lines, &new.lines, Place::AddressFamily);
                let own = lines.iter().filter(|line| stays(line) && !is_exclusive(line));
                own.map(|line| undo(Place::AddressFamily, line)).collect()
            }
        };
        lines.extend(in_block(
            &format!("address-family {name}"),
            changes,
            "exit-address-family",
        ));
    }
    lines.extend(held.iter().map(|peer| format!("no neighbor {peer} shutdown")));
    lines.extend(bfd);
    if stage == Stage::Remove {
        let old_lines = removed(&old.lines, &new.lines, Place::Router);
        lines.extend(
            old_lines
                .iter()
                .filter(|line| stays(line))
                .map(|line| undo(Place::Router, line)),
        );
        lines.extend(
            gone.iter()
                .filter_map(|peer| old.lines.get(&creation_slot(peer)))
                .map(remove_peer),
        );
    }
    lines
}

/// New neighbors that are not let go before all of their address families are active.
///
/// The first family would start the session, and each further one reset it, as capabilities are agreed on when a session
/// begins (RFC 5492). Only neighbors that nothing was said about before: others may have a session already. Names of peer
/// groups are not taken for neighbors.
fn held_peers<'a>(old: &RouterBlock, new: &'a RouterBlock) -> Vec<&'a str> {
    let families = new.families.values();
    let mut active: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, line) in families.flat_map(|family| family.lines.iter()) {
        if line.ends_with(" activate")
            && let Some(peer) = peer(line)
        {
            *active.entry(peer).or_default() += 1;
        }
    }
    let is_new = |made: &str, neighbor: &str| {
        let is_one = neighbor.parse::<IpAddr>().is_ok() || made.contains(" interface ");
        let start = format!("neighbor {neighbor} ");
        is_one && !old.lines.iter().any(|(_, line)| line.starts_with(&start))
    };
    let is_shut = |neighbor: &str| {
        let start = format!("neighbor {neighbor} shutdown");
        new.lines.iter().any(|(_, line)| line.starts_with(&start))
    };
    let several = active.into_iter().filter(|(_, count)| *count > 1);
    several
        .map(|(neighbor, _)| neighbor)
        .filter(|neighbor| {
            let made = new.lines.get(&creation_slot(neighbor));
            made.is_some_and(|made| is_new(made, neighbor)) && !is_shut(neighbor)
        })
        .collect()
}

/// Whether the line makes this neighbor.
fn makes(line: &str, peer: &str) -> bool {
    let rest = line
        .strip_prefix("neighbor ")
        .and_then(|line| line.strip_prefix(peer));
    rest.is_some_and(|rest| rest.starts_with(" remote-as ") || rest.starts_with(" interface "))
}

/// Neighbors of which nothing shall stay; one command removes each of them with all that belongs to it.
fn gone_peers<'a>(old: &'a RouterBlock, new: &RouterBlock) -> BTreeSet<&'a str> {
    let peers = old.lines.iter().filter_map(|(_, line)| peer(line));
    peers
        .filter(|peer| {
            let slot = creation_slot(peer);
            old.lines.get(&slot).is_some() && new.lines.get(&slot).is_none()
        })
        .collect()
}

/// The command that removes a neighbor, from the line that made it.
fn remove_peer(line: &str) -> String {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["neighbor", peer, "remote-as", ..] => format!("no neighbor {peer}"),
        _ => undo(Place::Router, line),
    }
}

/// Whether only one instance can have such a line.
fn is_exclusive(line: &str) -> bool {
    line == "advertise-all-vni"
}

fn release(old: &FamilyBlock, new: &FamilyBlock) -> Vec<String> {
    let lines = removed(&old.lines, &new.lines, Place::AddressFamily).into_iter();
    let vnis = old
        .vnis
        .keys()
        .filter(|vni| !new.vnis.contains_key(*vni))
        .map(|vni| format!("no vni {vni}"));
    vnis.chain(
        lines
            .filter(|line| is_exclusive(line))
            .map(|line| undo(Place::AddressFamily, &line)),
    )
    .collect()
}

fn add_family(old: &FamilyBlock, new: &FamilyBlock) -> Vec<String> {
    let empty = Block::default();
    let mut lines = added(&old.lines, &new.lines, Place::AddressFamily);
    for (vni, block) in &new.vnis {
        let known = old.vnis.get(vni);
        let changes = changed(known.unwrap_or(&empty), block, Place::Vni);
        if known.is_none() || !changes.is_empty() {
            lines.push(format!("vni {vni}"));
            lines.extend(changes);
            lines.push("exit-vni".to_owned());
        }
    }
    lines
}

//! What is accepted from neighbors.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::policy::{add_map, clause, crc32, neighbor_name};
use crate::config::{Config, Numbered};
use crate::model::{Family, Neighbor, Peer, Receive, Vrf};

/// Lists get longer than this only by chance. In FRRouting 8.4 the time to fill a list grows with the square of its
/// length; and a change replaces a whole list.
const LIST_LENGTH: usize = 64;

/// The prefix lists of what is never accepted, by family.
pub(super) type Blocked = BTreeMap<Family, String>;

pub(super) fn block_lists(config: &mut Config, blocked: &[IpNet]) -> Blocked {
    let mut lists = Blocked::new();
    for family in Family::BOTH {
        let prefixes = blocked.iter().filter(|prefix| Family::of(prefix) == family);
        let entries: Vec<String> = prefixes
            .map(|prefix| entry(&prefix.trunc(), prefix.prefix_len(), family.bits()))
            .collect();
        if !entries.is_empty() {
            lists.insert(family, add_list(config, family, "block", entries));
        }
    }
    lists
}

/// Adds the route map, and the prefix lists, for what is accepted from a neighbor. Returns the map's name.
pub(super) fn add_in_map(
    config: &mut Config,
    vrf: &Vrf,
    peer: &Peer,
    neighbor: &Neighbor,
    family: Family,
    blocked: &Blocked,
) -> String {
    let name = format!("{}-in-{family}", neighbor_name(vrf, peer));
    let match_list = |list: &str| match family {
        Family::Ipv4 => format!("match ip address prefix-list {list}"),
        Family::Ipv6 => format!("match ipv6 address prefix-list {list}"),
    };
    let block = blocked
        .get(&family)
        .map(|list| clause("deny", [match_list(list)]));
    let accepted = match &neighbor.receive {
        Receive::All => vec![clause("permit", [])],
        Receive::Filtered(selectors) => {
            let selectors = selectors
                .iter()
                .filter(|selector| Family::of(&selector.prefix) == family);
            let entries = selectors
                .map(|selector| entry(&selector.prefix, selector.min, selector.max))
                .collect();
            let lists = portions(entries)
                .into_iter()
                .map(|entries| add_list(config, family, "accept", entries));
            lists.map(|list| clause("permit", [match_list(&list)])).collect()
        }
    };
    add_map(config, &name, block, accepted);
    name
}

/// Splits entries so that one more or less changes one portion only, as long as their number does not double or halve.
fn portions(entries: Vec<String>) -> Vec<Vec<String>> {
    let count = (entries.len() / LIST_LENGTH + 1).next_power_of_two();
    let mut portions: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for entry in entries {
        portions
            .entry(crc32(entry.as_bytes()) as usize % count)
            .or_default()
            .push(entry);
    }
    portions.into_values().collect()
}

/// Adds a list of entries that all permit, unless it is there already. It is named after what is in it.
fn add_list(config: &mut Config, family: Family, kind: &str, entries: Vec<String>) -> String {
    let entries: BTreeMap<u32, String> = (1..).zip(entries).collect();
    let mut hash = entries.values().fold(0, |hash: u32, entry| {
        hash.rotate_left(5) ^ crc32(entry.as_bytes())
    });
    loop {
        let name = format!("{kind}-{family}-{hash}");
        let list = config.prefix_lists.entry((family, name.clone())).or_default();
        if list.entries.is_empty() || list.entries == entries {
            *list = Numbered { entries, own: true };
            return name;
        }
        hash = hash.wrapping_add(1);
    }
}

/// A prefix list entry as FRRouting shows it.
fn entry(prefix: &IpNet, min: u8, max: u8) -> String {
    let (length, bits) = (prefix.prefix_len(), Family::of(prefix).bits());
    match (min == length, max == bits) {
        _ if min == length && max == length => format!("permit {prefix}"),
        (true, _) => format!("permit {prefix} le {max}"),
        (false, true) => format!("permit {prefix} ge {min}"),
        (false, false) => format!("permit {prefix} ge {min} le {max}"),
    }
}

//! Keeping sequence numbers, so that what stays the same is not touched.

use std::collections::{BTreeMap, BTreeSet};

use super::ListKey;
use crate::config::{Clause, Config, Numbered};

/// Gives entries and clauses the numbers they have in `old`, and to new ones numbers that are free there.
pub(super) fn adopt(config: &mut Config, old: &Config) {
    for (name, list) in &mut config.prefix_lists {
        let name: &ListKey = name;
        if let Some(old) = old.prefix_lists.get(name) {
            renumber(list, old, 1..u32::MAX, |entry| entry.starts_with("permit "));
        }
    }
    for (name, map) in &mut config.route_maps {
        if let Some(old) = old.route_maps.get(name) {
            // The first and the last number are for clauses that deny.
            renumber(map, old, 2..u16::MAX, |clause: &Clause| clause.action == "permit");
        }
    }
}

fn renumber<N: Ord + Copy, T: Ord + Clone>(
    list: &mut Numbered<N, T>,
    old: &Numbered<N, T>,
    numbers: impl Iterator<Item = N>,
    permits: impl Fn(&T) -> bool,
) {
    if !list.renumber {
        return;
    }
    let mut known: BTreeMap<&T, BTreeSet<N>> = BTreeMap::new();
    for (number, entry) in old.entries.iter().filter(|(_, entry)| permits(entry)) {
        known.entry(entry).or_default().insert(*number);
    }
    let (free, fixed): (Vec<_>, Vec<_>) = std::mem::take(&mut list.entries)
        .into_iter()
        .partition(|(_, entry)| permits(entry));
    list.entries.extend(fixed);
    let mut new = Vec::new();
    for (_, entry) in free {
        match known.get_mut(&entry).and_then(BTreeSet::pop_first) {
            Some(number) if !list.entries.contains_key(&number) => {
                list.entries.insert(number, entry);
            }
            _ => new.push(entry),
        }
    }
    let taken: BTreeSet<N> = list.entries.keys().copied().collect();
    let unused = numbers.filter(|number| !old.entries.contains_key(number) && !taken.contains(number));
    list.entries.extend(unused.zip(new));
}

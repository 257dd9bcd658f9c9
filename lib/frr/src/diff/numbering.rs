//! Keeping clause numbers, so that what stays the same is not touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Clause, Config, Numbered};

/// Gives clauses the numbers they have in `old`, and to new ones numbers that are free there.
pub(super) fn adopt(config: &mut Config, old: &Config) {
    for (name, map) in config.route_maps.iter_mut().filter(|(_, map)| map.own) {
        if let Some(old) = old.route_maps.get(name) {
            renumber(map, old);
        }
    }
}

fn renumber(map: &mut Numbered<u16, Clause>, old: &Numbered<u16, Clause>) {
    let permits = |clause: &Clause| clause.action == "permit";
    let mut known: BTreeMap<&Clause, BTreeSet<u16>> = BTreeMap::new();
    for (number, clause) in old.entries.iter().filter(|(_, clause)| permits(clause)) {
        known.entry(clause).or_default().insert(*number);
    }
    // The first and the last number are for clauses that deny, which keep them.
    let (free, fixed) = std::mem::take(&mut map.entries)
        .into_iter()
        .partition(|(_, clause)| permits(clause));
    let free: BTreeMap<u16, Clause> = free;
    map.entries = fixed;
    let mut new = Vec::new();
    for clause in free.into_values() {
        match known.get_mut(&clause).and_then(BTreeSet::pop_first) {
            Some(number) if !map.entries.contains_key(&number) => {
                map.entries.insert(number, clause);
            }
            _ => new.push(clause),
        }
    }
    let taken: BTreeSet<u16> = map.entries.keys().chain(old.entries.keys()).copied().collect();
    let unused = (2..u16::MAX).filter(|number| !taken.contains(number));
    map.entries.extend(unused.zip(new));
}

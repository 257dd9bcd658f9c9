//! Keeping the marks of routes.
//!
//! A mark is a hash of who is told of a prefix, and with which attributes. When a neighbor comes or goes, all marks of
//! its prefixes would change, and FRRouting would announce all of them again to all other neighbors. That is spared by
//! going on with the old mark where it means the same for all neighbors there were before and are still there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::{Clause, Config, Numbered, Place};

/// Marks by where a prefix is originated: VRF, address family and prefix.
type Origins<'a> = HashMap<(&'a str, &'a str, &'a str), &'a str>;

/// Gives routes the marks they have in `old`, where these mean the same.
pub(super) fn adopt(config: &mut Config, old: &Config) {
    let kept = kept(config, old);
    if kept.is_empty() {
        return;
    }
    let renamed = |mark: &str| kept.get(mark).map_or(mark, String::as_str).to_owned();
    for (name, map) in std::mem::take(&mut config.route_maps) {
        let name = match name.strip_prefix(ORIGIN_MAP) {
            Some(mark) => format!("{ORIGIN_MAP}{}", renamed(mark)),
            None => name,
        };
        config.route_maps.insert(name, with_marks(map, &renamed));
    }
    let families = config
        .routers
        .values_mut()
        .flat_map(|router| router.families.values_mut());
    for family in families {
        let changed: Vec<String> = family
            .lines
            .iter()
            .filter_map(|(_, line)| {
                let (prefix, mark) = origin(line)?;
                let mark = kept.get(mark)?;
                Some(format!("network {prefix} route-map {ORIGIN_MAP}{mark}"))
            })
            .collect();
        changed
            .iter()
            .for_each(|line| family.lines.set(Place::AddressFamily, line));
    }
}

/// How the names of the maps begin that mark routes; their marks follow.
const ORIGIN_MAP: &str = "advertise-";

/// The prefix and the mark of a line `network`.
fn origin(line: &str) -> Option<(&str, &str)> {
    let (prefix, map) = line.strip_prefix("network ")?.split_once(" route-map ")?;
    Some((prefix, map.strip_prefix(ORIGIN_MAP)?))
}

fn marks(config: &Config) -> BTreeSet<&str> {
    let families = config
        .routers
        .values()
        .flat_map(|router| router.families.values());
    let lines = families.flat_map(|family| family.lines.iter());
    lines.filter_map(|(_, line)| Some(origin(line)?.1)).collect()
}

fn origins(config: &Config) -> Origins<'_> {
    let mut origins = Origins::new();
    for (vrf, router) in &config.routers {
        for (family, block) in &router.families {
            let marked = block.lines.iter().filter_map(|(_, line)| origin(line));
            origins.extend(marked.map(|(prefix, mark)| ((vrf.as_str(), family.as_str(), prefix), mark)));
        }
    }
    origins
}

/// What each neighbor's map makes of each mark: by mark and map, the other lines of the clause.
fn meanings(config: &Config) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> {
    let mut meanings: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (name, map) in &config.route_maps {
        for clause in map.entries.values() {
            let lines: BTreeSet<&str> = clause.lines.iter().map(String::as_str).collect();
            let (matches, others): (Vec<&str>, Vec<&str>) =
                lines.iter().partition(|line| line.starts_with("match "));
            if let [only] = matches[..]
                && let Some(mark) = only.strip_prefix("match tag ")
            {
                meanings
                    .entry(mark)
                    .or_default()
                    .insert(name, others.into_iter().collect());
            }
        }
    }
    meanings
}

/// The marks of `config` in place of which an old one is kept.
fn kept(config: &Config, old: &Config) -> HashMap<String, String> {
    let (current, known) = (marks(config), marks(old));
    if current.is_subset(&known) {
        // So it is as long as only prefixes come and go.
        return HashMap::new();
    }
    let (now, before) = (origins(config), origins(old));
    // Per old mark the new marks of its prefixes. It can be kept only if these prefixes share one, and share it with no
    // other: else a neighbor that comes or goes would hear of a prefix for a moment that is not for it.
    let mut successors: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for (place, mark) in &before {
        successors
            .entry(mark)
            .or_default()
            .insert(now.get(place).copied());
    }
    let (meaning_now, meaning_before) = (meanings(config), meanings(old));
    let (sizes_now, sizes_before) = (sizes(&now), sizes(&before));
    let mut kept = HashMap::new();
    for (old_mark, new_marks) in successors {
        let mut new_marks = new_marks.into_iter();
        let (Some(Some(new_mark)), None) = (new_marks.next(), new_marks.next()) else {
            continue;
        };
        if current.contains(old_mark)
            || known.contains(new_mark)
            || kept.contains_key(new_mark)
            || sizes_before.get(old_mark) != sizes_now.get(new_mark)
        {
            continue;
        }
        let none = BTreeMap::new();
        let means_now = meaning_now.get(new_mark).unwrap_or(&none);
        let means_before = meaning_before.get(old_mark).unwrap_or(&none);
        let mut maps = old
            .route_maps
            .keys()
            .filter(|name| config.route_maps.contains_key(*name));
        if maps.all(|name| means_now.get(name.as_str()) == means_before.get(name.as_str())) {
            kept.insert(new_mark.to_owned(), old_mark.to_owned());
        }
    }
    kept
}

/// How many prefixes have each mark.
fn sizes<'a>(origins: &Origins<'a>) -> HashMap<&'a str, usize> {
    let mut sizes = HashMap::new();
    for mark in origins.values() {
        *sizes.entry(*mark).or_default() += 1;
    }
    sizes
}

fn with_marks(map: Numbered<u16, Clause>, renamed: &impl Fn(&str) -> String) -> Numbered<u16, Clause> {
    if !map.own {
        return map;
    }
    let rename = |line: String| match line.rsplit_once(' ') {
        Some((start @ ("match tag" | "set tag"), mark)) => format!("{start} {}", renamed(mark)),
        _ => line,
    };
    let clauses = map.entries.into_iter().map(|(number, clause)| {
        let lines = clause.lines.into_iter().map(rename).collect();
        (number, Clause { lines, ..clause })
    });
    Numbered {
        entries: clauses.collect(),
        own: true,
    }
}

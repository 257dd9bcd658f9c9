//! The commands that lead from one configuration to another.
//!
//! They are as few as the difference is small, and in an order in which nothing is lost or shown on the way: policies
//! are complete before a session or a prefix uses them; new neighbors and prefixes come before old ones go; policies
//! go last. What is equal is not touched, since FRRouting resets sessions over some commands that change nothing.

mod numbering;
mod router;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Block, Clause, Config, Numbered, Place, prefix_list_entry, undo};
use crate::daemon::{self, Daemon, Version};
use crate::model::Family;
use crate::vty;

/// Commands for some daemons.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whom to send the lines to; to each of them all lines.
    ///
    /// A line is done when at least one of them took it. That another answers with [`vty::Status::Unknown`] does not
    /// matter, any other status but success does.
    pub daemons: Vec<Daemon>,
    /// To be sent one after the other in configuration mode outside of any block, to where they also lead back.
    pub lines: Vec<String>,
}

impl std::fmt::Debug for Batch {
    /// Passwords do not show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.daemons)?;
        self.lines
            .iter()
            .try_for_each(|line| writeln!(f, "{}", crate::config::redact(line)))
    }
}

/// How to get from one configuration to another.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which they must be carried out. Empty if there is no difference.
    pub batches: Vec<Batch>,
    /// What FRRouting's configuration is afterwards: the wanted one, with the sequence numbers that were chosen.
    pub result: Config,
}

/// Plans the way from `running` to `wanted`.
///
/// Costs O(n) string comparisons in the size of the configurations; the plan is as long as the difference.
pub fn plan(running: &Config, wanted: &Config, version: Version) -> Plan {
    let mut result = wanted.clone();
    numbering::adopt(&mut result, running);
    let mut planner = Planner {
        old: running,
        new: &result,
        version,
        batches: Vec::new(),
    };
    planner.run();
    let batches = planner.batches;
    Plan { batches, result }
}

struct Planner<'a> {
    old: &'a Config,
    new: &'a Config,
    version: Version,
    batches: Vec<Batch>,
}

impl Planner<'_> {
    fn run(&mut self) {
        self.add_settings();
        self.add_policies();
        self.add_bfd_profiles();
        self.remove_vni_bindings();
        self.replace_routers();
        self.add_vni_bindings();
        self.add_routers();
        self.add_others();
        self.remove_others();
        self.remove_routers();
        self.remove_policies();
        self.remove_bfd_profiles();
        self.remove_settings();
    }

    fn push(&mut self, daemons: &[Daemon], lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        match self.batches.last_mut() {
            Some(last) if last.daemons == daemons => last.lines.extend(lines),
            _ => self.batches.push(Batch {
                daemons: daemons.to_vec(),
                lines,
            }),
        }
    }

    fn add_settings(&mut self) {
        for line in added(&self.old.settings, &self.new.settings, Place::Top) {
            self.push(&daemon::of_setting(&line, self.version), vec![line]);
        }
    }

    fn remove_settings(&mut self) {
        for line in removed(&self.old.settings, &self.new.settings, Place::Top) {
            self.push(
                &daemon::of_setting(&line, self.version),
                vec![undo(Place::Top, &line)],
            );
        }
    }

    /// New entries and clauses. An entry or clause is never changed in place, except that a user's text may say so.
    fn add_policies(&mut self) {
        let (mut own, mut raw) = (Vec::new(), Vec::new());
        for ((family, name), list) in &self.new.prefix_lists {
            let old = self.old.prefix_lists.get(&(*family, name.clone()));
            let lines = if list.renumber { &mut own } else { &mut raw };
            for (number, entry) in missing(list, old) {
                lines.push(prefix_list_entry(*family, name, number, entry));
            }
        }
        for (name, map) in &self.new.route_maps {
            let old = self.old.route_maps.get(name);
            let lines = if map.renumber { &mut own } else { &mut raw };
            for (number, clause) in missing(map, old) {
                let replaced = old.and_then(|old| old.entries.get(&number));
                add_clause(lines, name, number, clause, replaced);
            }
        }
        self.push_policies(own, raw);
    }

    fn remove_policies(&mut self) {
        let mut lines = Vec::new();
        for (name, map) in &self.old.route_maps {
            let Some(new) = self.new.route_maps.get(name) else {
                lines.push(format!("no route-map {name}"));
                continue;
            };
            for (number, clause) in &map.entries {
                if !new.entries.contains_key(number) {
                    lines.push(format!("no route-map {name} {} {number}", clause.action));
                }
            }
        }
        for ((family, name), list) in &self.old.prefix_lists {
            let new = self.new.prefix_lists.get(&(*family, name.clone()));
            for (number, entry) in &list.entries {
                if !new.is_some_and(|new| new.entries.contains_key(number)) {
                    lines.push(undo(
                        Place::Top,
                        &prefix_list_entry(*family, name, *number, entry),
                    ));
                }
            }
        }
        // Whether a user's text once brought them to another daemon as well is not known any more.
        let raw = self.old.has_raw_policies();
        if raw {
            self.push_policies(Vec::new(), lines)
        } else {
            self.push_policies(lines, Vec::new())
        }
    }

    /// All in one transaction of bgpd. zebra needs what a user wrote, too; mgmtd has no such transactions.
    fn push_policies(&mut self, own: Vec<String>, raw: Vec<String>) {
        let bgpd: Vec<String> = own.into_iter().chain(raw.iter().cloned()).collect();
        if !bgpd.is_empty() {
            self.push(&[Daemon::Bgpd], in_block(vty::START, bgpd, vty::END));
        }
        self.push(&[daemon::of_zebra(self.version)], raw);
    }

    fn add_bfd_profiles(&mut self) {
        let mut lines = Vec::new();
        for (name, block) in &self.new.bfd_profiles {
            let old = self.old.bfd_profiles.get(name);
            let empty = Block::default();
            let changes = changed(old.unwrap_or(&empty), block, Place::BfdProfile);
            if old.is_none() || !changes.is_empty() {
                lines.push(format!("profile {name}"));
                lines.extend(changes);
                lines.push("exit".to_owned());
            }
        }
        self.push_bfd(lines);
    }

    fn remove_bfd_profiles(&mut self) {
        let gone = self
            .old
            .bfd_profiles
            .keys()
            .filter(|name| !self.new.bfd_profiles.contains_key(*name));
        self.push_bfd(gone.map(|name| format!("no profile {name}")).collect());
    }

    fn push_bfd(&mut self, lines: Vec<String>) {
        if !lines.is_empty() {
            let (start, end) = (["bfd".to_owned()], ["exit".to_owned()]);
            self.push(
                &[Daemon::Bfdd],
                start.into_iter().chain(lines).chain(end).collect(),
            );
        }
    }

    /// A VNI can be bound to one VRF only, so old bindings go first.
    fn remove_vni_bindings(&mut self) {
        let empty = Block::default();
        let mut lines = Vec::new();
        for (name, block) in &self.old.vrfs {
            let new = self.new.vrfs.get(name).unwrap_or(&empty);
            let gone = block.iter().filter(|(slot, line)| new.get(slot) != Some(line));
            lines.extend(in_block(
                &format!("vrf {name}"),
                gone.map(|(_, line)| undo(Place::Vrf, line)),
                "exit-vrf",
            ));
        }
        self.push(&[daemon::of_zebra(self.version)], lines);
    }

    fn add_vni_bindings(&mut self) {
        let empty = Block::default();
        let mut lines = Vec::new();
        for (name, block) in &self.new.vrfs {
            let new = added(self.old.vrfs.get(name).unwrap_or(&empty), block, Place::Vrf);
            lines.extend(in_block(&format!("vrf {name}"), new, "exit-vrf"));
        }
        self.push(&[daemon::of_zebra(self.version)], lines);
    }

    fn add_others(&mut self) {
        let daemons = Daemon::all(self.version);
        for (headers, block) in &self.new.others {
            let old = self.old.others.get(headers);
            let empty = Block::default();
            let changes = changed(old.unwrap_or(&empty), block, Place::Other);
            if old.is_none() || !changes.is_empty() {
                let exits = headers.iter().map(|_| "exit".to_owned());
                self.push(
                    daemons,
                    headers.iter().cloned().chain(changes).chain(exits).collect(),
                );
            }
        }
    }

    fn remove_others(&mut self) {
        let daemons = Daemon::all(self.version);
        for headers in self
            .old
            .others
            .keys()
            .filter(|headers| !self.new.others.contains_key(*headers))
        {
            let Some((last, outer)) = headers.split_last() else {
                continue;
            };
            let exits = outer.iter().map(|_| "exit".to_owned());
            self.push(
                daemons,
                outer
                    .iter()
                    .cloned()
                    .chain([format!("no {last}")])
                    .chain(exits)
                    .collect(),
            );
        }
    }
}

/// Commands for what is new or has another value.
fn added(old: &Block, new: &Block, place: Place) -> Vec<String> {
    let lines = new.ordered(place).into_iter();
    lines
        .filter(|(slot, line)| old.get(slot) != Some(line))
        .map(|(_, line)| line.to_owned())
        .collect()
}

/// Lines whose slot is gone, last ones first.
fn removed(old: &Block, new: &Block, place: Place) -> Vec<String> {
    let lines = old.ordered(place).into_iter().rev();
    lines
        .filter(|(slot, _)| new.get(slot).is_none())
        .map(|(_, line)| line.to_owned())
        .collect()
}

/// Commands that turn one block into the other.
fn changed(old: &Block, new: &Block, place: Place) -> Vec<String> {
    let gone = removed(old, new, place);
    gone.iter()
        .map(|line| undo(place, line))
        .chain(added(old, new, place))
        .collect()
}

/// Entries that are not in `old` under the same number.
fn missing<'a, N: Ord + Copy, T: PartialEq>(
    new: &'a Numbered<N, T>,
    old: Option<&'a Numbered<N, T>>,
) -> impl Iterator<Item = (N, &'a T)> {
    let known = move |number: &N| old.and_then(|old| old.entries.get(number));
    new.entries
        .iter()
        .filter(move |(number, entry)| known(number) != Some(entry))
        .map(|(number, entry)| (*number, entry))
}

fn add_clause(lines: &mut Vec<String>, name: &str, number: u16, clause: &Clause, replaced: Option<&Clause>) {
    let none = BTreeSet::new();
    let old = replaced.map_or(&none, |replaced| &replaced.lines);
    lines.push(format!("route-map {name} {} {number}", clause.action));
    lines.extend(clause.lines.difference(old).cloned());
    lines.extend(
        old.difference(&clause.lines)
            .map(|line| undo(Place::RouteMap, line)),
    );
    lines.push("exit".to_owned());
}

/// The lines with the block's header and end around them; nothing around nothing.
fn in_block(header: &str, lines: impl IntoIterator<Item = String>, end: &str) -> Vec<String> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return Vec::new();
    }
    [header.to_owned()]
        .into_iter()
        .chain(lines)
        .chain([end.to_owned()])
        .collect()
}

/// A block of each of two maps, by name; a missing one is empty.
fn pairs<'a, T: Default>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
    empty: &'a T,
) -> impl Iterator<Item = (&'a str, &'a T, &'a T)> {
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.into_iter().map(move |name| {
        (
            name,
            old.get(name).unwrap_or(empty),
            new.get(name).unwrap_or(empty),
        )
    })
}

impl Config {
    fn has_raw_policies(&self) -> bool {
        let mut lists = self.prefix_lists.values().map(|list| list.renumber);
        let mut maps = self.route_maps.values().map(|map| map.renumber);
        lists.any(|own| !own) || maps.any(|own| !own)
    }
}

/// Used by [`numbering`].
type ListKey = (Family, String);

#[cfg(test)]
mod tests;

//! The commands that lead from one configuration to another.
//!
//! They are as few as the difference is small, and in an order in which nothing is lost or shown on the way: policies
//! are complete before a session or a prefix uses them; new neighbors and prefixes come before old ones go; policies
//! go last. What is equal is not touched, since FRRouting resets sessions over some commands that change nothing.

mod marks;
mod numbering;
mod policy;
mod router;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Block, Config, Place, undo};
use crate::daemon::{self, Daemon, Version};

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
    /// What FRRouting's configuration is afterwards: the wanted one, with the marks and sequence numbers that were chosen.
    pub result: Config,
}

/// Plans the way from `running` to `wanted`.
///
/// Costs O(n) string comparisons in the size of the configurations; the plan is as long as the difference.
pub fn plan(running: &Config, wanted: &Config, version: Version) -> Plan {
    let mut result = wanted.clone();
    marks::adopt(&mut result, running);
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
    let lines = new.ordered_if(place, |slot, line| old.get(slot) != Some(line));
    lines.into_iter().map(|(_, line)| line.to_owned()).collect()
}

/// Lines whose slot is gone, last ones first.
fn removed(old: &Block, new: &Block, place: Place) -> Vec<String> {
    let lines = old.ordered_if(place, |slot, _| new.get(slot).is_none());
    lines.into_iter().rev().map(|(_, line)| line.to_owned()).collect()
}

/// Commands that turn one block into the other.
fn changed(old: &Block, new: &Block, place: Place) -> Vec<String> {
    let gone = removed(old, new, place);
    gone.iter()
        .map(|line| undo(place, line))
        .chain(added(old, new, place))
        .collect()
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

#[cfg(test)]
mod tests;

//! Commands for prefix lists and route maps.

use std::collections::BTreeSet;

use super::{Planner, in_block};
use crate::config::{Clause, Numbered, Place, prefix_list, prefix_list_entry, undo};
use crate::daemon::{self, Daemon};
use crate::vty;

/// Commands by whose policies they are about.
#[derive(Default)]
struct Commands {
    /// Policies of neighbors, which only bgpd needs.
    own: Vec<String>,
    /// What users wrote, which zebra may need, too. Also what was there before this program knew of it.
    foreign: Vec<String>,
}

impl Commands {
    fn of(&mut self, own: bool) -> &mut Vec<String> {
        if own { &mut self.own } else { &mut self.foreign }
    }
}

impl Planner<'_> {
    /// New lists and clauses. Clauses that permit are never changed in place, except that a user's text may say so.
    pub(super) fn add_policies(&mut self) {
        let mut commands = Commands::default();
        for ((family, name), list) in &self.new.prefix_lists {
            let old = self.old.prefix_lists.get(&(*family, name.clone()));
            let new =
                missing(list, old).map(|(number, entry)| prefix_list_entry(*family, name, number, entry));
            commands.of(list.own).extend(new);
        }
        for (name, map) in &self.new.route_maps {
            let old = self.old.route_maps.get(name);
            for (number, clause) in missing(map, old) {
                let replaced = old.and_then(|old| old.entries.get(&number));
                commands
                    .of(map.own)
                    .extend(clause_commands(name, number, clause, replaced));
            }
        }
        self.push_policies(commands);
    }

    pub(super) fn remove_policies(&mut self) {
        let mut commands = Commands::default();
        for (name, map) in &self.old.route_maps {
            let lines = commands.of(map.own);
            let Some(new) = self.new.route_maps.get(name) else {
                lines.push(format!("no route-map {name}"));
                continue;
            };
            for (number, clause) in map
                .entries
                .iter()
                .filter(|(number, _)| !new.entries.contains_key(number))
            {
                lines.push(format!("no route-map {name} {} {number}", clause.action));
            }
        }
        for ((family, name), list) in &self.old.prefix_lists {
            let lines = commands.of(list.own);
            let Some(new) = self.new.prefix_lists.get(&(*family, name.clone())) else {
                lines.push(format!("no {}", prefix_list(*family, name)));
                continue;
            };
            for (number, entry) in list
                .entries
                .iter()
                .filter(|(number, _)| !new.entries.contains_key(number))
            {
                lines.push(undo(
                    Place::Top,
                    &prefix_list_entry(*family, name, *number, entry),
                ));
            }
        }
        self.push_policies(commands);
    }

    /// Those of neighbors in one transaction; mgmtd, which stands in for zebra, has no such transactions.
    fn push_policies(&mut self, commands: Commands) {
        self.push(&[Daemon::Bgpd], in_block(vty::START, commands.own, vty::END));
        self.push(&[Daemon::Bgpd, daemon::of_zebra(self.version)], commands.foreign);
    }
}

/// Entries that are not in `old` under the same number.
fn missing<'a, N: Ord + Copy, T: PartialEq>(
    new: &'a Numbered<N, T>,
    old: Option<&'a Numbered<N, T>>,
) -> impl Iterator<Item = (N, &'a T)> {
    let known = move |number: &N| old.and_then(|old| old.entries.get(number));
    let entries = new
        .entries
        .iter()
        .filter(move |(number, entry)| known(number) != Some(entry));
    entries.map(|(number, entry)| (*number, entry))
}

/// Old lines go before new ones come, since `no match ...` takes back whatever is matched.
fn clause_commands(name: &str, number: u16, clause: &Clause, replaced: Option<&Clause>) -> Vec<String> {
    let none = BTreeSet::new();
    let old = replaced.map_or(&none, |replaced| &replaced.lines);
    let mut lines = vec![format!("route-map {name} {} {number}", clause.action)];
    lines.extend(
        old.difference(&clause.lines)
            .map(|line| undo(Place::RouteMap, line)),
    );
    lines.extend(clause.lines.difference(old).cloned());
    lines.push("exit".to_owned());
    lines
}

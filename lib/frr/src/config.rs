//! A configuration of FRRouting: what it shall do as commands, or what it does as `show running-config` tells.
//!
//! Both are brought into one spelling, so that they can be compared: FRRouting shows some commands otherwise than they
//! were given, and not all its versions alike.

mod parse;
mod spelling;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Family;

pub(crate) use spelling::{Place, creation_slot, peer, rank, undo};
pub use text::redact;

/// A complete configuration.
///
/// Configurations are equal when their lines are, in whatever order. `Debug` prints no line, since a line may hold a password; see [`Config::redacted`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Commands of one line outside of any block.
    pub(crate) settings: Block,
    pub(crate) prefix_lists: BTreeMap<(Family, String), Numbered<u32, String>>,
    pub(crate) route_maps: BTreeMap<String, Numbered<u16, Clause>>,
    /// The blocks `vrf NAME`.
    pub(crate) vrfs: BTreeMap<String, Block>,
    /// BFD profiles by name.
    pub(crate) bfd_profiles: BTreeMap<String, Block>,
    /// BGP instances by VRF; the default one has an empty name.
    pub(crate) routers: BTreeMap<String, RouterBlock>,
    /// Blocks this program never writes by itself, by their headers from the outside in.
    pub(crate) others: BTreeMap<Vec<String>, Block>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("prefix_lists", &self.prefix_lists.len())
            .field("route_maps", &self.route_maps.len())
            .field("routers", &self.routers.keys())
            .finish_non_exhaustive()
    }
}

/// The entries of a prefix list or the clauses of a route map, by sequence number.
#[derive(Clone)]
pub(crate) struct Numbered<N, T> {
    pub(crate) entries: BTreeMap<N, T>,
    /// Made from a model, not read. The clauses of such a route map exclude each other as far as they permit, so that
    /// any number serves for each of them.
    pub(crate) own: bool,
}

impl<N, T> Default for Numbered<N, T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            own: false,
        }
    }
}

impl<N: PartialEq, T: PartialEq> PartialEq for Numbered<N, T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<N: Eq, T: Eq> Eq for Numbered<N, T> {}

/// A clause of a route map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clause {
    /// `permit` or `deny`.
    pub(crate) action: String,
    pub(crate) lines: BTreeSet<String>,
}

/// A block `router bgp`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct RouterBlock {
    pub(crate) asn: String,
    pub(crate) lines: Block,
    /// By what follows `address-family`.
    pub(crate) families: BTreeMap<String, FamilyBlock>,
}

/// A block `address-family` of a BGP instance.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct FamilyBlock {
    pub(crate) lines: Block,
    /// The blocks `vni N`.
    pub(crate) vnis: BTreeMap<String, Block>,
}

/// Lines of a block. A line is found by its slot: what stays of it without its value.
///
/// Two lines of one slot exclude each other: giving the second takes the first back.
#[derive(Clone, Default)]
pub(crate) struct Block {
    lines: BTreeMap<String, Line>,
    added: usize,
}

#[derive(Clone)]
struct Line {
    /// When it was added.
    order: usize,
    text: String,
}

impl PartialEq for Block {
    /// The order in which lines were added is not compared.
    fn eq(&self, other: &Self) -> bool {
        self.lines.len() == other.lines.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Block {}

impl Block {
    pub(crate) fn set(&mut self, place: Place, text: &str) {
        let text = spelling::normal(place, text);
        let line = Line {
            order: self.added,
            text,
        };
        self.added += 1;
        self.lines.insert(spelling::slot(place, &line.text), line);
    }

    /// Slots and lines, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines
            .iter()
            .map(|(slot, line)| (slot.as_str(), line.text.as_str()))
    }

    pub(crate) fn get(&self, slot: &str) -> Option<&str> {
        self.lines.get(slot).map(|line| line.text.as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines in the order in which FRRouting must hear them.
    pub(crate) fn ordered(&self, place: Place) -> Vec<(&str, &str)> {
        self.ordered_if(place, |_, _| true)
    }

    /// Of the lines in that order those that `picks` picks by slot and line. Only these are sorted.
    pub(crate) fn ordered_if(&self, place: Place, picks: impl Fn(&str, &str) -> bool) -> Vec<(&str, &str)> {
        let lines = self.lines.iter().filter(|(slot, line)| picks(slot, &line.text));
        let mut lines: Vec<_> = lines
            .map(|(slot, line)| ((rank(place, &line.text), line.order), slot, line))
            .collect();
        lines.sort_by_key(|(position, ..)| *position);
        lines
            .into_iter()
            .map(|(_, slot, line)| (slot.as_str(), line.text.as_str()))
            .collect()
    }
}

/// The header of a BGP instance.
pub(crate) fn router_header(asn: &str, vrf: &str) -> String {
    if vrf.is_empty() {
        format!("router bgp {asn}")
    } else {
        format!("router bgp {asn} vrf {vrf}")
    }
}

/// How commands name a prefix list.
pub(crate) fn prefix_list(family: Family, name: &str) -> String {
    match family {
        Family::Ipv4 => format!("ip prefix-list {name}"),
        Family::Ipv6 => format!("ipv6 prefix-list {name}"),
    }
}

/// The command that makes a prefix list entry.
pub(crate) fn prefix_list_entry(family: Family, name: &str, number: u32, entry: &str) -> String {
    format!("{} seq {number} {entry}", prefix_list(family, name))
}

#[cfg(test)]
mod tests;

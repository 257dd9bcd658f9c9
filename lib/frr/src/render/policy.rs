//! Marks of originated routes, and the policy of each neighbor in terms of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use ipnet::IpNet;

use crate::config::{Clause, Config, Numbered};
use crate::model::{Attributes, Community, Family, Model, Neighbor, Peer, Vrf};

/// What a mark is overwritten with when a route leaves. No route is marked with it.
const SENT: u32 = 1;

/// Which mark each announced prefix carries.
///
/// A mark stands for a class of prefixes: those of one family that are told to the same neighbors, of whatever VRF, with
/// the same attributes and next hops. It is a hash of just that, so that it does not depend on other classes or on
/// history. Should two classes have the same hash, the second takes the next free number.
pub(super) struct Marks<'a> {
    by_prefix: HashMap<IpNet, u32>,
    /// By neighbor: the marks it is told of and what is written into these routes.
    by_neighbor: BTreeMap<(&'a Vrf, &'a Peer, Family), BTreeMap<u32, &'a Attributes>>,
}

/// The neighbors a prefix is told to, as indices, and what is written into the route.
type Class<'a> = Vec<(usize, &'a Attributes)>;

impl<'a> Marks<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        let neighbors: Vec<(&Vrf, &Peer, &Neighbor)> = model
            .routers
            .iter()
            .flat_map(|(vrf, router)| {
                router
                    .neighbors
                    .iter()
                    .map(move |(peer, neighbor)| (vrf, peer, neighbor))
            })
            .filter(|(_, _, neighbor)| neighbor.families.activate_unicast)
            .collect();
        let mut class_of: HashMap<IpNet, Class<'a>> = HashMap::new();
        for (index, (_, _, neighbor)) in neighbors.iter().enumerate() {
            for (prefix, attributes) in &neighbor.advertise.routes {
                class_of.entry(*prefix).or_default().push((index, attributes));
            }
        }
        let mut classes: HashMap<(Family, Class<'a>), Vec<IpNet>> = HashMap::new();
        for (prefix, class) in class_of {
            classes
                .entry((Family::of(&prefix), class))
                .or_default()
                .push(prefix);
        }
        let mut described: Vec<_> = classes
            .into_iter()
            .map(|((family, class), prefixes)| {
                (describe(family, &class, &neighbors), family, class, prefixes)
            })
            .collect();
        described.sort_by(|(first, ..), (second, ..)| first.cmp(second));
        let mut marks = Self {
            by_prefix: HashMap::new(),
            by_neighbor: BTreeMap::new(),
        };
        let mut taken = BTreeSet::from([0, SENT]);
        for (description, family, class, prefixes) in described {
            let mut mark = crc32(description.as_bytes());
            while !taken.insert(mark) {
                mark = mark.wrapping_add(1);
            }
            marks
                .by_prefix
                .extend(prefixes.into_iter().map(|prefix| (prefix, mark)));
            for (index, attributes) in class {
                let (vrf, peer, _) = neighbors[index];
                marks
                    .by_neighbor
                    .entry((vrf, peer, family))
                    .or_default()
                    .insert(mark, attributes);
            }
        }
        marks
    }

    /// The route map that marks a prefix where it is originated; `None` if nobody is told of it.
    pub(super) fn origin_map(&self, prefix: &IpNet) -> Option<String> {
        self.by_prefix.get(prefix).map(|mark| origin_map_name(*mark))
    }

    pub(super) fn add_origin_maps(&self, config: &mut Config) {
        let marks: BTreeSet<u32> = self.by_prefix.values().copied().collect();
        for mark in marks {
            let clause = clause("permit", [format!("set tag {mark}")]);
            let map = Numbered {
                entries: BTreeMap::from([(1, clause)]),
                own: true,
            };
            config.route_maps.insert(origin_map_name(mark), map);
        }
    }

    /// Adds the route map for what a neighbor is told and returns its name.
    pub(super) fn add_out_map(
        &self,
        config: &mut Config,
        vrf: &Vrf,
        peer: &Peer,
        neighbor: &Neighbor,
        family: Family,
    ) -> String {
        let name = format!("{}-out-{family}", neighbor_name(vrf, peer));
        let advertise = &neighbor.advertise;
        let next_hop = match family {
            Family::Ipv4 => advertise
                .next_hop_ipv4
                .map(|address| format!("set ip next-hop {address}")),
            Family::Ipv6 => advertise
                .next_hop_ipv6
                .map(|address| format!("set ipv6 next-hop global {address}")),
        };
        let marks = self.by_neighbor.get(&(vrf, peer, family)).into_iter().flatten();
        let clauses = marks.map(|(mark, attributes)| {
            let match_ = format!("match tag {mark}");
            clause(
                "permit",
                [match_]
                    .into_iter()
                    .chain(set_lines(attributes))
                    .chain(next_hop.clone()),
            )
        });
        add_map(config, &name, None, clauses);
        name
    }
}

/// The clause number of what must be denied before anything is permitted.
const FIRST: u16 = 1;
/// The clause number of what denies the rest. It also makes an otherwise empty map exist.
const LAST: u16 = u16::MAX;

pub(super) fn add_map(
    config: &mut Config,
    name: &str,
    first: Option<Clause>,
    permits: impl IntoIterator<Item = Clause>,
) {
    let mut entries: BTreeMap<u16, Clause> = (FIRST + 1..LAST).zip(permits).collect();
    entries.extend(first.map(|clause| (FIRST, clause)));
    entries.insert(LAST, clause("deny", []));
    config
        .route_maps
        .insert(name.to_owned(), Numbered { entries, own: true });
}

pub(super) fn clause(action: &str, lines: impl IntoIterator<Item = String>) -> Clause {
    Clause {
        action: action.to_owned(),
        lines: lines.into_iter().collect(),
    }
}

/// What is written into a route on its way out. The mark goes, too: see [`super`].
fn set_lines(attributes: &Attributes) -> Vec<String> {
    let (mut standard, mut large) = (String::new(), String::new());
    for community in &attributes.communities {
        let list = match community {
            Community::Standard(..) => &mut standard,
            Community::Large(..) => &mut large,
        };
        // Writing to a String cannot fail.
        let _ = write!(list, "{community} ");
    }
    let mut lines = vec![format!("set tag {SENT}")];
    lines.extend(
        attributes
            .local_pref
            .map(|value| format!("set local-preference {value}")),
    );
    if !standard.is_empty() {
        lines.push(format!("set community {standard}additive"));
    }
    if !large.is_empty() {
        lines.push(format!("set large-community {large}additive"));
    }
    lines
}

/// The text a class is recognised by.
fn describe(family: Family, class: &Class<'_>, neighbors: &[(&Vrf, &Peer, &Neighbor)]) -> String {
    let mut text = family.to_string();
    for (index, attributes) in class {
        let (vrf, peer, neighbor) = neighbors[*index];
        let advertise = &neighbor.advertise;
        let next_hop = match family {
            Family::Ipv4 => advertise.next_hop_ipv4.map(|address| address.to_string()),
            Family::Ipv6 => advertise.next_hop_ipv6.map(|address| address.to_string()),
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{} via {next_hop:?}: ", neighbor_name(vrf, peer));
        let _ = write!(text, "{:?} {:?}", attributes.local_pref, attributes.communities);
    }
    text
}

/// What route maps of a neighbor are named after. `@` is in no name of a VRF or interface.
pub(super) fn neighbor_name(vrf: &Vrf, peer: &Peer) -> String {
    match vrf {
        Vrf::Default => peer.to_string(),
        Vrf::Named(vrf) => format!("{peer}@{vrf}"),
    }
}

fn origin_map_name(mark: u32) -> String {
    format!("advertise-{mark}")
}

/// CRC-32 as of IEEE 802.3.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

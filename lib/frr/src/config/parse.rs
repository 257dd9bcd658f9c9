//! Reading `show running-config`, and texts of users.

use super::{Block, Clause, Config, FamilyBlock, Numbered, Place, RouterBlock, spelling};
use crate::daemon::{Daemon, Version};
use crate::model::Family;

/// The block the next line belongs to.
#[derive(Clone)]
enum Cursor {
    Top,
    RouteMap(String, u16),
    Vrf(String),
    Bfd,
    BfdProfile(String),
    Router(String),
    AddressFamily(String, String),
    Vni(String, String, String),
    Other(Vec<String>),
}

impl Config {
    /// Reads a configuration as FRRouting shows it; the texts of several daemons may follow each other.
    ///
    /// Lines are taken as they are, known or not. What FRRouting shows of its own accord (its version, comments, the
    /// state of IP forwarding) is skipped.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        config.add(text);
        config
    }

    /// Adds text to a configuration; where both set one value, the text wins.
    pub(crate) fn add(&mut self, text: &str) {
        let mut cursor = Cursor::Top;
        for line in text.lines() {
            let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            if !is_noise(&line) {
                cursor = self.add_line(cursor, &line);
            }
        }
    }

    fn add_line(&mut self, cursor: Cursor, line: &str) -> Cursor {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(cursor) = close(&cursor, line) {
            return cursor;
        }
        if let Some(cursor) = self.open_nested(&cursor, &words) {
            return cursor;
        }
        if let Some(cursor) = self.open(&words, line) {
            return cursor;
        }
        // Users may leave out the `exit` before such a line, as FRRouting climbs by itself.
        let cursor = if is_always_top(&words) {
            Cursor::Top
        } else {
            cursor
        };
        match &cursor {
            Cursor::Top => self.add_top(&words, line),
            Cursor::Bfd => self
                .others
                .entry(vec!["bfd".to_owned()])
                .or_default()
                .set(Place::Other, line),
            Cursor::Other(headers) => self
                .others
                .entry(headers.clone())
                .or_default()
                .set(Place::Other, line),
            Cursor::RouteMap(name, number) => {
                if let Some(clause) = self
                    .route_maps
                    .entry(name.clone())
                    .or_default()
                    .entries
                    .get_mut(number)
                {
                    clause.lines.insert(spelling::normal(Place::RouteMap, line));
                }
            }
            Cursor::Vrf(name) => block(&mut self.vrfs, name).set(Place::Vrf, line),
            Cursor::BfdProfile(name) => block(&mut self.bfd_profiles, name).set(Place::BfdProfile, line),
            Cursor::Router(vrf) => self.router(vrf).lines.set(Place::Router, line),
            Cursor::AddressFamily(vrf, family) => {
                self.family(vrf, family).lines.set(Place::AddressFamily, line);
            }
            Cursor::Vni(vrf, family, vni) => {
                block(&mut self.family(vrf, family).vnis, vni).set(Place::Vni, line);
            }
        }
        cursor
    }

    /// A block within the current one.
    fn open_nested(&mut self, cursor: &Cursor, words: &[&str]) -> Option<Cursor> {
        match (cursor, words) {
            (Cursor::Bfd | Cursor::BfdProfile(_), ["profile", name]) => {
                block(&mut self.bfd_profiles, name);
                Some(Cursor::BfdProfile((*name).to_owned()))
            }
            (Cursor::Bfd, ["peer", ..]) => {
                let headers = vec!["bfd".to_owned(), words.join(" ")];
                self.others.entry(headers.clone()).or_default();
                Some(Cursor::Other(headers))
            }
            (
                Cursor::Router(vrf) | Cursor::AddressFamily(vrf, _) | Cursor::Vni(vrf, ..),
                ["address-family", family @ ..],
            ) => {
                let family = match family {
                    [one @ ("ipv4" | "ipv6")] => format!("{one} unicast"),
                    family => family.join(" "),
                };
                self.family(vrf, &family);
                Some(Cursor::AddressFamily(vrf.clone(), family))
            }
            (Cursor::AddressFamily(vrf, family) | Cursor::Vni(vrf, family, _), ["vni", vni]) => {
                block(&mut self.family(vrf, family).vnis, vni);
                Some(Cursor::Vni(vrf.clone(), family.clone(), (*vni).to_owned()))
            }
            _ => None,
        }
    }

    /// A block that begins wherever its header stands.
    fn open(&mut self, words: &[&str], line: &str) -> Option<Cursor> {
        match words {
            ["route-map", name, action @ ("permit" | "deny"), number] => {
                let number = number.parse().ok()?;
                let clause = Clause {
                    action: (*action).to_owned(),
                    lines: Default::default(),
                };
                let map = self.route_maps.entry((*name).to_owned()).or_default();
                // Text of a user may give its own meaning to the order.
                map.own = false;
                map.entries.entry(number).or_insert(clause).action = (*action).to_owned();
                Some(Cursor::RouteMap((*name).to_owned(), number))
            }
            ["router", "bgp", asn, rest @ ..] => {
                let vrf = match rest {
                    [] | ["vrf", "default"] => "",
                    ["vrf", vrf] => vrf,
                    _ => return Some(self.open_other(line)),
                };
                self.router(vrf).asn = (*asn).to_owned();
                Some(Cursor::Router(vrf.to_owned()))
            }
            ["vrf", name] => {
                block(&mut self.vrfs, name);
                Some(Cursor::Vrf((*name).to_owned()))
            }
            ["bfd"] => Some(Cursor::Bfd),
            [
                "router" | "interface" | "key" | "pbr-map" | "nexthop-group" | "l2vpn" | "rpki"
                | "segment-routing",
                ..,
            ]
            | ["mpls", "ldp"] => Some(self.open_other(line)),
            _ => None,
        }
    }

    fn open_other(&mut self, line: &str) -> Cursor {
        let headers = vec![line.to_owned()];
        self.others.entry(headers.clone()).or_default();
        Cursor::Other(headers)
    }

    fn add_top(&mut self, words: &[&str], line: &str) {
        let family = match words {
            ["ip", "prefix-list", ..] => Family::Ipv4,
            ["ipv6", "prefix-list", ..] => Family::Ipv6,
            _ => return self.settings.set(Place::Top, line),
        };
        match words {
            [_, _, name, "seq", number, entry @ ..] if let Ok(number) = number.parse() => {
                let list = self.prefix_lists.entry((family, (*name).to_owned())).or_default();
                list.own = false;
                list.entries.insert(number, entry.join(" "));
            }
            _ => self.settings.set(Place::Top, line),
        }
    }

    fn router(&mut self, vrf: &str) -> &mut RouterBlock {
        self.routers.entry(vrf.to_owned()).or_default()
    }

    fn family(&mut self, vrf: &str, family: &str) -> &mut FamilyBlock {
        self.router(vrf).families.entry(family.to_owned()).or_default()
    }
}

fn block<'a>(blocks: &'a mut std::collections::BTreeMap<String, Block>, name: &str) -> &'a mut Block {
    blocks.entry(name.to_owned()).or_default()
}

/// The block around the current one, if the line ends the current one.
fn close(cursor: &Cursor, line: &str) -> Option<Cursor> {
    let outer = || match cursor {
        Cursor::BfdProfile(_) => Cursor::Bfd,
        Cursor::AddressFamily(vrf, _) => Cursor::Router(vrf.clone()),
        Cursor::Vni(vrf, family, _) => Cursor::AddressFamily(vrf.clone(), family.clone()),
        Cursor::Other(headers) if headers.len() == 2 => Cursor::Bfd,
        _ => Cursor::Top,
    };
    match line {
        "end" => Some(Cursor::Top),
        "exit" | "exit-address-family" | "exit-vni" | "exit-vrf" | "exit-bgp" | "exit-route-map" => {
            Some(outer())
        }
        _ => None,
    }
}

fn is_always_top(words: &[&str]) -> bool {
    matches!(
        words,
        ["ip" | "ipv6", "prefix-list" | "route" | "access-list" | "nht", ..]
            | [
                "bgp",
                "community-list" | "large-community-list" | "extcommunity-list" | "as-path",
                ..
            ]
            | ["debug" | "log" | "hostname", ..]
            | ["access-list", ..]
    )
}

/// Lines of a route map which zebra has and bgpd has not.
fn is_of_zebra(line: &str) -> bool {
    ["set src ", "match source-protocol ", "match source-instance "]
        .iter()
        .any(|start| line.starts_with(start))
        || line.contains(" prefix-len ")
}

fn is_noise(line: &str) -> bool {
    const SHOWN_UNASKED: [&str; 9] = [
        "!",
        "#",
        "frr version ",
        "frr defaults ",
        "Building configuration",
        "Current configuration",
        "service integrated-vtysh-config",
        "no ip forwarding",
        "no ipv6 forwarding",
    ];
    line.is_empty() || line == "line vty" || SHOWN_UNASKED.iter().any(|start| line.starts_with(start))
}

impl Config {
    /// The configuration of a whole FRRouting from what each daemon's `show running-config` says.
    ///
    /// Policies are bgpd's. Another daemon may hold copies of them, which nobody uses and which may be old; of these only
    /// what bgpd cannot hold counts.
    pub fn running<'a>(texts: impl IntoIterator<Item = (Daemon, &'a str)>, version: Version) -> Self {
        let mut config = Self::default();
        let mut copies = Vec::new();
        for (daemon, text) in texts {
            let mut part = Self::parse(text);
            if daemon != Daemon::Bgpd {
                part.prefix_lists.clear();
                copies.extend(std::mem::take(&mut part.route_maps));
            }
            config.unite(part);
        }
        config.add_zebra_lines(copies);
        if version.zebra_in_mgmtd() {
            // On by default there, and not shown.
            for line in ["ip nht resolve-via-default", "ipv6 nht resolve-via-default"] {
                if config.settings.get(&format!("no {line}")).is_none() {
                    config.settings.set(Place::Top, line);
                }
            }
        }
        config
    }

    fn add_zebra_lines(&mut self, copies: Vec<(String, Numbered<u16, Clause>)>) {
        for (name, copy) in copies {
            let Some(map) = self.route_maps.get_mut(&name) else {
                continue;
            };
            for (number, clause) in copy.entries {
                if let Some(known) = map.entries.get_mut(&number) {
                    known
                        .lines
                        .extend(clause.lines.into_iter().filter(|line| is_of_zebra(line)));
                }
            }
        }
    }

    fn unite(&mut self, part: Self) {
        for (_, line) in part.settings.ordered(Place::Top) {
            self.settings.set(Place::Top, line);
        }
        self.prefix_lists.extend(part.prefix_lists);
        self.route_maps.extend(part.route_maps);
        self.vrfs.extend(part.vrfs);
        self.bfd_profiles.extend(part.bfd_profiles);
        self.routers.extend(part.routers);
        self.others.extend(part.others);
    }
}

//! A simple FRRouting: it keeps its configuration, refuses what the real one refuses, and knows who hears which route.

use std::collections::{BTreeMap, BTreeSet};

/// Lines by the headers of the blocks they are in.
type State = BTreeMap<Vec<String>, BTreeSet<String>>;

/// What a neighbor is told or takes: (block of the instance, neighbor, direction, prefix) -> what is set on the way.
type Routes = BTreeMap<(String, String, &'static str, String), BTreeSet<String>>;

#[derive(Default)]
pub(super) struct Interpreter {
    state: State,
    block: Vec<String>,
    /// State as of the start of a transaction.
    before: Option<State>,
}

/// Prefixes a peer might announce.
const OFFERED: [&str; 5] = [
    "10.80.0.0/16",
    "10.80.3.0/24",
    "10.80.8.0/24",
    "2001:db8:1::/48",
    "192.0.2.0/24",
];

impl Interpreter {
    pub(super) fn state(&self) -> State {
        assert_eq!(
            self.block,
            Vec::<String>::new(),
            "commands must lead back to the top"
        );
        let mut state = self.state.clone();
        // An empty address family is as good as none.
        state.retain(|block, lines| block.len() != 2 || block[0] == "bfd" || !lines.is_empty());
        state
    }

    pub(super) fn execute(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let place = self
            .block
            .last()
            .map(|header| header.split(' ').next().unwrap().to_owned());
        match (place.as_deref(), &words[..]) {
            (_, ["XFRR_start_configuration"]) => self.before = Some(self.state.clone()),
            (_, ["XFRR_end_configuration"]) => self.before = None,
            (_, ["exit" | "exit-address-family" | "exit-vni" | "exit-vrf"]) => {
                self.block.pop().expect("a block to leave");
            }
            (None, ["router", "bgp", ..]) => {
                let of_vrf = |header: &str| header.split_once(" vrf ").map(|(_, vrf)| vrf.to_owned());
                let vrf = of_vrf(line);
                let headers = self.state.keys().filter_map(|block| block.first());
                let mut others =
                    headers.filter(|header| header.starts_with("router bgp ") && *header != line);
                assert!(
                    others.all(|header| of_vrf(header) != vrf),
                    "{line}: another AS is there"
                );
                self.enter(line);
            }
            (None, ["route-map", name, action, number]) => {
                self.enter(&format!("route-map {name} {number}"));
                let lines = self.state.entry(self.block.clone()).or_default();
                lines.retain(|line| !line.starts_with("action "));
                lines.insert(format!("action {action}"));
            }
            (None, ["bfd"]) => self.block.push(line.to_owned()),
            (None, ["vrf", _]) | (Some("bfd"), ["profile", _]) | (Some("router"), ["address-family", ..]) => {
                self.enter(line);
            }
            (Some("address-family"), ["vni", _]) => self.enter(line),
            (None, ["no", "route-map", name]) => {
                self.remove_blocks(|header| header.starts_with(&format!("route-map {name} ")));
            }
            (None, ["no", "route-map", name, _, number]) => {
                let header = format!("route-map {name} {number}");
                self.remove_blocks(|other| other == header);
            }
            (None, ["no", ip @ ("ip" | "ipv6"), "prefix-list", name]) => {
                let start = format!("{ip} prefix-list {name} seq ");
                let lines = self.state.get_mut(&vec![]).expect("there are lists");
                let count = lines.len();
                lines.retain(|line| !line.starts_with(&start));
                assert!(lines.len() < count, "{line}: there is none");
            }
            (None, ["no", "router", ..]) => self.remove_blocks(|header| header == &line[3..]),
            (Some("bfd"), ["no", "profile", _]) | (Some("address-family"), ["no", "vni", _]) => {
                let mut block = self.block.clone();
                block.push(line[3..].to_owned());
                assert!(self.state.remove(&block).is_some(), "{line}: there is none");
            }
            (Some("router"), ["no", "neighbor", peer]) => self.remove_neighbor(peer),
            (Some("router"), ["no", "neighbor", peer, "interface", ..]) => self.remove_neighbor(peer),
            (Some("profile"), ["receive-interval", "300"] | ["detect-multiplier", "3"]) => self.unset(line),
            _ => self.set_or_remove(line, &words),
        }
    }

    fn enter(&mut self, header: &str) {
        self.block.push(header.to_owned());
        self.state.entry(self.block.clone()).or_default();
    }

    fn remove_blocks(&mut self, which: impl Fn(&str) -> bool) {
        let count = self.state.len();
        self.state
            .retain(|block, _| block.first().is_none_or(|header| !which(header)));
        assert!(self.state.len() < count, "nothing to remove");
    }

    fn remove_neighbor(&mut self, peer: &str) {
        let mut found = false;
        let start = format!("neighbor {peer} ");
        for (block, lines) in &mut self.state {
            if block.first() == self.block.first() {
                found |= lines.iter().any(|line| line.starts_with(&start));
                lines.retain(|line| !line.starts_with(&start));
            }
        }
        assert!(found, "there is no neighbor {peer}");
    }

    fn unset(&mut self, line: &str) {
        let start = format!("{} ", line.split(' ').next().unwrap());
        self.state
            .get_mut(&self.block)
            .unwrap()
            .retain(|line| !line.starts_with(&start));
    }

    fn set_or_remove(&mut self, line: &str, words: &[&str]) {
        if let (Some("router" | "address-family"), ["neighbor", peer, rest @ ..]) = (self.place(), words) {
            let made = matches!(rest, ["remote-as" | "interface", ..]);
            let instance = &self.state[&self.block[..1]];
            let exists = ["remote-as", "interface"]
                .iter()
                .any(|word| has(instance, &format!("neighbor {peer} {word} ")));
            assert!(made || exists, "{line}: there is no such neighbor");
        }
        if let ["network", _, "route-map", map] = words {
            assert!(
                self.clauses(map).next().is_some(),
                "{line}: there is no such route map"
            );
        }
        // The configuration begins with some lines in force that it shows only when they are not.
        let implicit = [
            "bgp ebgp-requires-policy",
            "bgp network import-check",
            "bgp default ipv4-unicast",
        ];
        let lines = self.state.entry(self.block.clone()).or_default();
        match line.strip_prefix("no ") {
            Some(positive) if !implicit.contains(&positive) => {
                assert!(
                    lines.remove(positive),
                    "{line}: there is no such line in {lines:?}"
                );
            }
            _ => {
                let value = value_of(words);
                lines.retain(|other| !value.iter().any(|start| other.starts_with(start)));
                lines.insert(line.to_owned());
            }
        }
    }

    fn place(&self) -> Option<&str> {
        self.block.last().map(|header| header.split(' ').next().unwrap())
    }

    /// The clauses of a route map, in order.
    fn clauses(&self, map: &str) -> impl Iterator<Item = &BTreeSet<String>> {
        let start = format!("route-map {map} ");
        let state = self.before.as_ref().unwrap_or(&self.state);
        let number = move |block: &[String]| block.first()?.strip_prefix(&start)?.parse::<u32>().ok();
        let clauses: BTreeMap<u32, _> = state
            .iter()
            .filter_map(|(block, lines)| Some((number(block)?, lines)))
            .collect();
        clauses.into_values()
    }

    /// All lines of a session: its settings, and its address families.
    pub(super) fn session(&self, instance: &str, peer: &str) -> BTreeSet<String> {
        let start = format!("neighbor {peer} ");
        let blocks = self
            .state
            .iter()
            .filter(|(block, _)| block.first().is_some_and(|header| header == instance));
        let lines =
            blocks.flat_map(|(block, lines)| lines.iter().map(|line| format!("{:?} {line}", block.get(1))));
        lines.filter(|line| line.contains(&start)).collect()
    }

    pub(super) fn routes(&self) -> Routes {
        let mut routes = Routes::new();
        for (block, lines) in &self.state {
            let [instance, family] = &block[..] else { continue };
            let ipv6 = match family.as_str() {
                "address-family ipv4 unicast" => false,
                "address-family ipv6 unicast" => true,
                _ => continue,
            };
            for peer in lines
                .iter()
                .filter_map(|line| line.strip_prefix("neighbor ")?.strip_suffix(" activate"))
            {
                let map = |direction: &str| {
                    let start = format!("neighbor {peer} route-map ");
                    let line = lines
                        .iter()
                        .find_map(|line| line.strip_prefix(&start)?.strip_suffix(direction));
                    line.expect("an active neighbor has a policy").trim()
                };
                let networks = lines.iter().filter_map(|line| line.strip_prefix("network "));
                for network in networks {
                    let words: Vec<&str> = network.split(' ').collect();
                    let tag = match words[..] {
                        [_, "route-map", origin] => {
                            self.evaluate(origin, "", words[0]).expect("it is originated")
                        }
                        _ => BTreeSet::new(),
                    };
                    let tag = tag
                        .iter()
                        .find_map(|line| line.strip_prefix("set tag "))
                        .unwrap_or_default();
                    if let Some(set) = self.evaluate(map("out"), tag, words[0]) {
                        routes.insert((vrf(instance), peer.to_owned(), "out", words[0].to_owned()), set);
                    }
                }
                for offered in OFFERED.iter().filter(|prefix| prefix.contains(':') == ipv6) {
                    if let Some(set) = self.evaluate(map("in"), "", offered) {
                        routes.insert((vrf(instance), peer.to_owned(), "in", (*offered).to_owned()), set);
                    }
                }
            }
        }
        routes
    }

    /// What a route map sets on a route; `None` if it denies it.
    fn evaluate(&self, map: &str, tag: &str, prefix: &str) -> Option<BTreeSet<String>> {
        let matches = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            ["match", "tag", wanted] => wanted == tag,
            ["match", _, "address", "prefix-list", list] => self.listed(list, prefix),
            _ => !line.starts_with("match "),
        };
        let clause = self
            .clauses(map)
            .find(|clause| clause.iter().all(|line| matches(line)))?;
        clause.contains("action permit").then(|| {
            // The mark itself is nobody's business.
            clause
                .iter()
                .filter(|line| line.starts_with("set ") && (tag.is_empty() || !line.starts_with("set tag")))
                .cloned()
                .collect()
        })
    }

    fn listed(&self, list: &str, prefix: &str) -> bool {
        let prefix: ipnet::IpNet = prefix.parse().unwrap();
        let state = self.before.as_ref().unwrap_or(&self.state);
        state
            .get(&vec![])
            .into_iter()
            .flatten()
            .any(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                [
                    _,
                    "prefix-list",
                    name,
                    "seq",
                    _,
                    "permit",
                    entry,
                    ref lengths @ ..,
                ] if name == list => {
                    let entry: ipnet::IpNet = entry.parse().unwrap();
                    let bound = |name: &str| {
                        let position = lengths.iter().position(|word| *word == name)?;
                        lengths[position + 1].parse::<u8>().ok()
                    };
                    let (min, max) = match (bound("ge"), bound("le")) {
                        (None, None) => (entry.prefix_len(), entry.prefix_len()),
                        (min, max) => (
                            min.unwrap_or(entry.prefix_len()),
                            max.unwrap_or(entry.max_prefix_len()),
                        ),
                    };
                    entry.contains(&prefix) && (min..=max).contains(&prefix.prefix_len())
                }
                _ => false,
            })
    }
}

/// Instances are the same whatever their AS number.
fn vrf(instance: &str) -> String {
    instance
        .split_once(" vrf ")
        .map(|(_, vrf)| vrf.to_owned())
        .unwrap_or_default()
}

fn has(lines: &BTreeSet<String>, start: &str) -> bool {
    lines.iter().any(|line| line.starts_with(start))
}

/// How lines begin that this line takes the place of.
fn value_of(words: &[&str]) -> Vec<String> {
    match words {
        ["neighbor", peer, "remote-as" | "interface", ..] => {
            vec![
                format!("neighbor {peer} remote-as "),
                format!("neighbor {peer} interface "),
            ]
        }
        ["neighbor", peer, "timers", "connect", _] => vec![format!("neighbor {peer} timers connect ")],
        ["neighbor", peer, "timers", ..] => (0..=9)
            .map(|digit| format!("neighbor {peer} timers {digit}"))
            .collect(),
        ["neighbor", peer, "bfd", "profile", _] => vec![format!("neighbor {peer} bfd profile ")],
        [
            "neighbor",
            peer,
            name @ ("port" | "password" | "local-as" | "ebgp-multihop"),
            ..,
        ] => {
            vec![format!("neighbor {peer} {name} ")]
        }
        ["network", prefix, ..] => vec![format!("network {prefix} "), format!("network {prefix}")],
        ["bgp", "router-id", _] => vec!["bgp router-id ".to_owned()],
        [name @ ("receive-interval" | "detect-multiplier" | "hostname"), _] => vec![format!("{name} ")],
        _ => Vec::new(),
    }
}

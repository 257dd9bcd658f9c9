//! How commands are spelled, found again, taken back and ordered.

use crate::model::community;

/// The kind of block a line is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Top,
    RouteMap,
    Vrf,
    BfdProfile,
    Router,
    AddressFamily,
    Vni,
    Other,
}

/// The spelling this program uses for a line, whichever way it was given or shown.
pub(super) fn normal(place: Place, line: &str) -> String {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match (place, &words[..]) {
        // 8.4 shows the default number of hops, 10.3 leaves it out.
        (Place::Router, ["neighbor", peer, "ebgp-multihop"]) => format!("neighbor {peer} ebgp-multihop 255"),
        (Place::Top, ["log", "stdout"]) => "log stdout debugging".to_owned(),
        // Shown as two lines, one per direction.
        (Place::Top, ["debug", "bgp", "updates", "in" | "out"]) => "debug bgp updates".to_owned(),
        (Place::RouteMap, ["set", "community", values @ ..]) => {
            let values = values
                .iter()
                .map(|value| community::well_known(value).unwrap_or(value));
            ["set", "community"]
                .into_iter()
                .chain(values)
                .collect::<Vec<_>>()
                .join(" ")
        }
        _ => words.join(" "),
    }
}

/// What stays of a (normal) line without its value; for a line that has none, all of it.
pub(super) fn slot(place: Place, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let count = match (place, &words[..]) {
        (Place::Top, ["hostname", _]) => 1,
        (Place::Top, ["log", "stdout", ..]) => 2,
        (Place::Top, ["log", "timestamp", "precision", _] | ["bgp", "route-map", "delay-timer", _]) => 3,
        (Place::Router, ["neighbor", peer, "remote-as", ..] | ["neighbor", peer, "interface", ..]) => {
            return creation_slot(peer);
        }
        (Place::Router, ["neighbor", _, "timers", "connect", _] | ["neighbor", _, "bfd", "profile", _]) => 4,
        (Place::Router, ["neighbor", _, attribute, ..]) if has_one_value(attribute) => 3,
        (Place::Router, ["bgp", "router-id", _]) => 2,
        (Place::AddressFamily, ["network", ..]) => 2,
        (Place::AddressFamily, ["neighbor", peer, "route-map", _, direction]) => {
            return format!("neighbor {peer} route-map {direction}");
        }
        (Place::AddressFamily | Place::Vni, ["rd", _]) | (Place::Vrf, ["vni", ..]) => 1,
        (Place::BfdProfile, ["echo", which, _]) => return format!("echo {which}"),
        (Place::BfdProfile, [_, _]) => 1,
        _ => words.len(),
    };
    words[..count.min(words.len())].join(" ")
}

/// The slot of the line that makes a neighbor.
pub(crate) fn creation_slot(peer: &str) -> String {
    format!("neighbor {peer} remote-as")
}

fn has_one_value(attribute: &str) -> bool {
    matches!(
        attribute,
        "port" | "timers" | "password" | "update-source" | "ebgp-multihop" | "local-as" | "description"
    )
}

/// The peer a line of a BGP instance is about.
pub(crate) fn peer(line: &str) -> Option<&str> {
    line.strip_prefix("neighbor ")?.split(' ').next()
}

/// The command that takes a line back.
pub(crate) fn undo(place: Place, line: &str) -> String {
    if place == Place::BfdProfile
        && let Some(default) = bfd_default(line)
    {
        return default.to_owned();
    }
    match line.strip_prefix("no ") {
        Some(positive) => positive.to_owned(),
        None => format!("no {line}"),
    }
}

/// The line of a BFD profile that gives a number its default. 8.4 does not know `no` for most of them.
fn bfd_default(line: &str) -> Option<&'static str> {
    const DEFAULTS: [&str; 6] = [
        "detect-multiplier 3",
        "transmit-interval 300",
        "receive-interval 300",
        "echo transmit-interval 50",
        "echo receive-interval 50",
        "minimum-ttl 254",
    ];
    let name = slot(Place::BfdProfile, line);
    DEFAULTS
        .into_iter()
        .find(|default| slot(Place::BfdProfile, default) == name)
}

/// Lines of a lower rank go first, and are taken back last: nothing is used before it exists, and no session or route
/// is let go before its policy is in place.
pub(crate) fn rank(place: Place, line: &str) -> u8 {
    let mut words = line.split(' ');
    let words = std::array::from_fn::<&str, 4, _>(|_| words.next().unwrap_or_default());
    match (place, words) {
        (Place::Router, ["no", "bgp", ..] | ["bgp", ..]) => 0,
        (Place::Router, ["neighbor", _, "remote-as" | "interface", ..]) => 1,
        (Place::Router, ["neighbor", _, "bfd", "profile"]) => 3,
        (Place::Router, _) => 2,
        (Place::AddressFamily, ["neighbor", _, "activate", _]) => 2,
        (Place::AddressFamily, ["neighbor", ..]) => 1,
        (Place::AddressFamily, ["network", ..]) => 3,
        _ => 0,
    }
}

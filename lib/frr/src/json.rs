//! Readers of what FRRouting shows in JSON.
//!
//! They take what FRRouting 8.4 and 10.3 show, and do not mind what they do not know. A number or text that is missing
//! is 0 or empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The bgpd command that [`neighbors`] reads: every neighbor of every VRF in one answer.
pub const NEIGHBORS: &str = "show bgp vrf all neighbors json";

/// The bgpd command that [`summary`] reads: less than [`NEIGHBORS`], of unicast families that are activated.
pub const SUMMARY: &str = "show bgp vrf all summary json";

/// The bfdd command that [`bfd_peers`] reads.
pub const BFD_PEERS: &str = "show bfd peers json";

/// The bfdd command that [`bfd_counters`] reads.
pub const BFD_COUNTERS: &str = "show bfd peers counters json";

/// An answer that is not the expected JSON.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the answer to `{command}`")]
pub struct UnreadableAnswer {
    command: &'static str,
    #[source]
    source: serde_json::Error,
}

/// The state a session must be in to carry routes.
pub const ESTABLISHED: &str = "Established";

/// A BGP neighbor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbor {
    /// FRRouting's name of the VRF; `default` is the default one.
    pub vrf: String,
    /// Address, or interface of an unnumbered session.
    pub peer: String,
    /// The state of RFC 4271 section 8.2.2, for example `Idle` or [`ESTABLISHED`].
    pub state: String,
    /// What BFD says of the peer, for example `Up`; `None` without BFD.
    pub bfd_status: Option<String>,
    /// Why the session last went down, in FRRouting's words; empty if it never was up.
    pub last_reset: String,
    pub connections_established: u64,
    pub connections_dropped: u64,
    /// Prefixes that are told to the peer, of all families.
    pub prefixes_sent: u64,
    /// Prefixes that were accepted from the peer, of all families.
    pub prefixes_accepted: u64,
    pub messages: MessageStats,
}

impl Neighbor {
    pub fn is_established(&self) -> bool {
        self.state == ESTABLISHED
    }
}

/// Messages since the neighbor was configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageStats {
    pub opens_sent: u64,
    #[serde(rename = "opensRecv")]
    pub opens_received: u64,
    pub notifications_sent: u64,
    #[serde(rename = "notificationsRecv")]
    pub notifications_received: u64,
    pub updates_sent: u64,
    #[serde(rename = "updatesRecv")]
    pub updates_received: u64,
    pub keepalives_sent: u64,
    #[serde(rename = "keepalivesRecv")]
    pub keepalives_received: u64,
    pub route_refresh_sent: u64,
    #[serde(rename = "routeRefreshRecv")]
    pub route_refresh_received: u64,
    pub total_sent: u64,
    #[serde(rename = "totalRecv")]
    pub total_received: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NeighborJson {
    bgp_state: String,
    peer_bfd_info: Option<BfdInfo>,
    last_reset_due_to: String,
    connections_established: u64,
    connections_dropped: u64,
    message_stats: MessageStats,
    address_family_info: BTreeMap<String, FamilyInfo>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BfdInfo {
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct FamilyInfo {
    accepted_prefix_counter: u64,
    sent_prefix_counter: u64,
}

fn read<'a, T: Deserialize<'a>>(command: &'static str, text: &'a str) -> Result<T, UnreadableAnswer> {
    serde_json::from_str(text).map_err(|source| UnreadableAnswer { command, source })
}

fn decode<T: for<'a> Deserialize<'a>>(command: &'static str, value: Value) -> Result<T, UnreadableAnswer> {
    serde_json::from_value(value).map_err(|source| UnreadableAnswer { command, source })
}

/// Reads the answer to [`NEIGHBORS`], ordered by VRF and peer.
///
/// The answer has an object per VRF, in which facts about the VRF stand side by side with an object per peer.
pub fn neighbors(text: &str) -> Result<Vec<Neighbor>, UnreadableAnswer> {
    let vrfs: BTreeMap<String, BTreeMap<String, Value>> = read(NEIGHBORS, text)?;
    let peers = vrfs.into_iter().flat_map(|(vrf, peers)| {
        peers
            .into_iter()
            .map(move |(peer, value)| (vrf.clone(), peer, value))
    });
    peers
        .filter(|(_, _, value)| value.is_object())
        .map(|(vrf, peer, value)| Ok(neighbor(vrf, peer, decode(NEIGHBORS, value)?)))
        .collect()
}

fn neighbor(vrf: String, peer: String, json: NeighborJson) -> Neighbor {
    let families = json.address_family_info.values();
    Neighbor {
        vrf,
        peer,
        state: json.bgp_state,
        bfd_status: json.peer_bfd_info.map(|info| info.status),
        last_reset: json.last_reset_due_to,
        connections_established: json.connections_established,
        connections_dropped: json.connections_dropped,
        prefixes_sent: families.clone().map(|family| family.sent_prefix_counter).sum(),
        prefixes_accepted: families.map(|family| family.accepted_prefix_counter).sum(),
        messages: json.message_stats,
    }
}

/// A session of one family, as the summary has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryEntry {
    pub vrf: String,
    /// FRRouting's name of the family, for example `ipv4Unicast`.
    pub family: String,
    pub peer: String,
    pub state: String,
    pub prefixes_received: u64,
    pub prefixes_sent: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SummaryJson {
    peers: BTreeMap<String, SummaryPeerJson>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SummaryPeerJson {
    state: String,
    pfx_rcd: u64,
    pfx_snt: u64,
}

/// Reads the answer to [`SUMMARY`], ordered by VRF, family and peer.
pub fn summary(text: &str) -> Result<Vec<SummaryEntry>, UnreadableAnswer> {
    let vrfs: BTreeMap<String, BTreeMap<String, Value>> = read(SUMMARY, text)?;
    let mut entries = Vec::new();
    for (vrf, families) in vrfs {
        for (family, value) in families.into_iter().filter(|(_, value)| value.is_object()) {
            let json: SummaryJson = decode(SUMMARY, value)?;
            entries.extend(json.peers.into_iter().map(|(peer, json)| SummaryEntry {
                vrf: vrf.clone(),
                family: family.clone(),
                peer,
                state: json.state,
                prefixes_received: json.pfx_rcd,
                prefixes_sent: json.pfx_snt,
            }));
        }
    }
    Ok(entries)
}

/// A BFD session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BfdPeer {
    pub vrf: String,
    pub peer: String,
    pub interface: String,
    pub multihop: bool,
    /// `up`, `down`, `init` or `shutdown`.
    pub status: String,
    /// Milliseconds.
    pub receive_interval: u64,
    /// Milliseconds.
    pub transmit_interval: u64,
    pub detect_multiplier: u64,
}

impl BfdPeer {
    pub fn is_up(&self) -> bool {
        self.status == "up"
    }
}

/// Reads the answer to [`BFD_PEERS`].
pub fn bfd_peers(text: &str) -> Result<Vec<BfdPeer>, UnreadableAnswer> {
    read(BFD_PEERS, text)
}

/// What happened to a BFD session since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BfdCounters {
    pub vrf: String,
    pub peer: String,
    pub interface: String,
    pub multihop: bool,
    pub control_packet_input: u64,
    pub control_packet_output: u64,
    pub echo_packet_input: u64,
    pub echo_packet_output: u64,
    pub session_up: u64,
    pub session_down: u64,
    pub zebra_notifications: u64,
}

/// Reads the answer to [`BFD_COUNTERS`].
pub fn bfd_counters(text: &str) -> Result<Vec<BfdCounters>, UnreadableAnswer> {
    read(BFD_COUNTERS, text)
}

#[cfg(test)]
mod tests;

//! Reading what FRRouting shows about its sessions as JSON.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::{BfdSession, BgpSession};

/// Reads `show bgp vrf all neighbors json`: by VRF, and in there by peer, among a few facts about the VRF itself.
pub(super) fn bgp(text: &str) -> anyhow::Result<Vec<BgpSession>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let vrfs: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(text).context("BGP neighbors as shown by FRRouting")?;
    let mut sessions = Vec::new();
    for (vrf, entries) in vrfs {
        for (peer, entry) in entries.into_iter().filter(|(_, entry)| entry.is_object()) {
            let neighbor: Neighbor = serde_json::from_value(entry)
                .with_context(|| format!("BGP neighbor {peer} as shown by FRRouting"))?;
            sessions.push(neighbor.into_session(peer, vrf.clone()));
        }
    }
    Ok(sessions)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Neighbor {
    bgp_state: String,
    message_stats: MessageStats,
    address_family_info: BTreeMap<String, FamilyInfo>,
    peer_bfd_info: BfdInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MessageStats {
    opens_sent: u64,
    opens_recv: u64,
    notifications_sent: u64,
    updates_sent: u64,
    updates_recv: u64,
    keepalives_sent: u64,
    keepalives_recv: u64,
    route_refresh_sent: u64,
    total_sent: u64,
    total_recv: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FamilyInfo {
    sent_prefix_counter: u64,
    accepted_prefix_counter: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BfdInfo {
    status: String,
}

impl Neighbor {
    fn into_session(self, peer: String, vrf: String) -> BgpSession {
        let Self {
            bgp_state,
            message_stats: stats,
            address_family_info: families,
            peer_bfd_info: bfd,
        } = self;
        BgpSession {
            peer,
            vrf,
            state: bgp_state,
            bfd_state: bfd.status,
            prefixes_sent: families.values().map(|family| family.sent_prefix_counter).sum(),
            prefixes_accepted: families
                .values()
                .map(|family| family.accepted_prefix_counter)
                .sum(),
            opens_sent: stats.opens_sent,
            opens_received: stats.opens_recv,
            notifications_sent: stats.notifications_sent,
            updates_sent: stats.updates_sent,
            updates_received: stats.updates_recv,
            keepalives_sent: stats.keepalives_sent,
            keepalives_received: stats.keepalives_recv,
            route_refreshes_sent: stats.route_refresh_sent,
            messages_sent: stats.total_sent,
            messages_received: stats.total_recv,
        }
    }
}

/// Reads `show bfd peers json` and `show bfd peers counters json`.
pub(super) fn bfd(peers: &str, counters: &str) -> anyhow::Result<Vec<BfdSession>> {
    let peers: Vec<BfdPeer> = serde_json::from_str(peers).context("BFD peers as shown by FRRouting")?;
    let counters: Vec<BfdCounters> =
        serde_json::from_str(counters).context("BFD counters as shown by FRRouting")?;
    let key = |peer: &str, vrf: &str| (peer.to_owned(), vrf.to_owned());
    let mut counters: HashMap<_, _> = counters.into_iter().map(|c| (key(&c.peer, &c.vrf), c)).collect();
    let sessions = peers.into_iter().map(|BfdPeer { peer, vrf, status }| {
        let counted = counters.remove(&key(&peer, &vrf)).unwrap_or_default();
        BfdSession {
            peer,
            vrf,
            status,
            control_in: counted.control_packet_input,
            control_out: counted.control_packet_output,
            echo_in: counted.echo_packet_input,
            echo_out: counted.echo_packet_output,
            up_events: counted.session_up,
            down_events: counted.session_down,
            zebra_notifications: counted.zebra_notifications,
        }
    });
    Ok(sessions.collect())
}

#[derive(Deserialize)]
struct BfdPeer {
    peer: String,
    #[serde(default)]
    vrf: String,
    #[serde(default)]
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct BfdCounters {
    peer: String,
    vrf: String,
    control_packet_input: u64,
    control_packet_output: u64,
    echo_packet_input: u64,
    echo_packet_output: u64,
    session_up: u64,
    session_down: u64,
    zebra_notifications: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_of_all_vrfs_are_read() {
        let text = r#"{
            "blue": { "vrfId": 12, "vrfName": "blue", "192.0.2.9": { "bgpState": "Idle" } },
            "default": {
                "vrfId": 0, "vrfName": "default",
                "198.51.100.11": {
                    "bgpState": "Established",
                    "messageStats": { "opensSent": 2, "totalRecv": 7 },
                    "addressFamilyInfo": {
                        "ipv4Unicast": { "acceptedPrefixCounter": 3, "sentPrefixCounter": 2 },
                        "ipv6Unicast": { "acceptedPrefixCounter": 1, "sentPrefixCounter": 1 }
                    },
                    "peerBfdInfo": { "status": "Up" }
                }
            }
        }"#;
        let sessions = bgp(text).unwrap();
        let [blue, default] = sessions.as_slice() else {
            panic!("{sessions:?}")
        };
        assert_eq!(
            (blue.vrf.as_str(), blue.state.as_str(), blue.bfd_state.as_str()),
            ("blue", "Idle", "")
        );
        assert_eq!((default.prefixes_accepted, default.prefixes_sent), (4, 3));
        assert_eq!((default.opens_sent, default.messages_received), (2, 7));
        assert!(default.is_established());
    }

    #[test]
    fn without_bgp_there_are_no_neighbors() {
        assert_eq!(bgp("{}\n").unwrap(), []);
        assert_eq!(bgp("").unwrap(), []);
    }

    #[test]
    fn counters_go_with_their_session() {
        let peers = r#"[{ "peer": "192.0.2.1", "vrf": "default", "status": "up" }, { "peer": "192.0.2.1", "vrf": "blue", "status": "down" }]"#;
        let counters =
            r#"[{ "peer": "192.0.2.1", "vrf": "blue", "control-packet-input": 5, "session-down": 2 }]"#;
        let sessions = bfd(peers, counters).unwrap();
        let [default, blue] = sessions.as_slice() else {
            panic!("{sessions:?}")
        };
        assert!(default.is_up() && !blue.is_up());
        assert_eq!((default.control_in, blue.control_in, blue.down_events), (0, 5, 2));
    }
}

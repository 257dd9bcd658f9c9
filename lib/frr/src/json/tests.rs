use rstest::rstest;

use super::*;

/// Shortened from FRRouting 8.4.4.
const NEIGHBORS_8_4: &str = r#"{
"default":{
  "vrfId":0,
  "vrfName":"default",
  "198.51.100.3":{
    "remoteAs":64601,
    "bgpState":"Established",
    "messageStats":{"depthInq":0, "opensSent":3, "opensRecv":2, "notificationsSent":2, "notificationsRecv":1,
      "updatesSent":26, "updatesRecv":13, "keepalivesSent":23, "keepalivesRecv":24, "routeRefreshSent":1,
      "routeRefreshRecv":2, "totalSent":55, "totalRecv":42},
    "addressFamilyInfo":{
      "ipv4Unicast":{"updateGroupId":2, "acceptedPrefixCounter":3, "sentPrefixCounter":2},
      "ipv6Unicast":{"acceptedPrefixCounter":1, "sentPrefixCounter":4}
    },
    "connectionsEstablished":2,
    "connectionsDropped":1,
    "lastResetDueTo":"BGP Notification send",
    "peerBfdInfo":{"type":"single hop", "detectMultiplier":3, "status":"Up", "lastUpdate":"0:00:00:21"}
  },
  "eth0":{
    "bgpNeighborAddr":"fe80::d8ad:3cff:fee3:6efc",
    "bgpState":"Active",
    "addressFamilyInfo":{"ipv4Unicast":{"commAttriSentToNbr":"extendedAndStandard", "acceptedPrefixCounter":0}}
  }
}
,
"blue":{
  "vrfId":7,
  "vrfName":"blue",
  "203.0.113.21":{"bgpState":"Idle"}
}
}
"#;

#[test]
fn neighbors_of_all_vrfs_are_read() {
    let neighbors = neighbors(NEIGHBORS_8_4).unwrap();
    let names: Vec<_> = neighbors
        .iter()
        .map(|n| (n.vrf.as_str(), n.peer.as_str(), n.state.as_str()))
        .collect();
    let expected = [
        ("blue", "203.0.113.21", "Idle"),
        ("default", "198.51.100.3", "Established"),
        ("default", "eth0", "Active"),
    ];
    assert_eq!(names, expected);
    let full = &neighbors[1];
    assert!(full.is_established());
    assert_eq!(full.bfd_status.as_deref(), Some("Up"));
    assert_eq!((full.prefixes_sent, full.prefixes_accepted), (6, 4));
    assert_eq!((full.connections_established, full.connections_dropped), (2, 1));
    assert_eq!(full.last_reset, "BGP Notification send");
    let messages = MessageStats {
        opens_sent: 3,
        opens_received: 2,
        notifications_sent: 2,
        notifications_received: 1,
        updates_sent: 26,
        updates_received: 13,
        keepalives_sent: 23,
        keepalives_received: 24,
        route_refresh_sent: 1,
        route_refresh_received: 2,
        total_sent: 55,
        total_received: 42,
    };
    assert_eq!(full.messages, messages);
    assert_eq!(neighbors[2].bfd_status, None);
    assert_eq!(neighbors[2].messages, MessageStats::default());
}

#[rstest]
#[case("{\n}\n")]
#[case("{}")]
#[case(r#"{"default":{"vrfId":0,"vrfName":"default"}}"#)]
fn an_answer_may_have_no_neighbors(#[case] text: &str) {
    assert_eq!(neighbors(text).unwrap(), []);
    assert_eq!(summary(text).unwrap(), []);
}

#[test]
fn an_answer_that_is_no_json_names_its_command() {
    let error = neighbors("% BGP instance not found").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the answer to `show bgp vrf all neighbors json`"
    );
}

#[test]
fn the_summary_has_an_entry_per_family() {
    let text = r#"{"default":{"ipv4Unicast":{"routerId":"198.51.100.1","peers":{
        "eth0":{"state":"Active","pfxRcd":0},
        "198.51.100.3":{"state":"Established","pfxRcd":1,"pfxSnt":2}},"failedPeers":1}}}"#;
    let entries = summary(text).unwrap();
    assert_eq!(entries.len(), 2);
    let established = SummaryEntry {
        vrf: "default".into(),
        family: "ipv4Unicast".into(),
        peer: "198.51.100.3".into(),
        state: "Established".into(),
        prefixes_received: 1,
        prefixes_sent: 2,
    };
    assert_eq!(entries[0], established);
}

#[test]
fn bfd_sessions_and_their_counters_are_read() {
    let peers = bfd_peers(
        r#"[{"multihop":false,"peer":"198.51.100.3","local":"198.51.100.2","vrf":"default","interface":"eth0",
        "id":3183699996,"status":"up","uptime":21,"type":"dynamic","receive-interval":150,"transmit-interval":300,
        "detect-multiplier":5}]"#,
    )
    .unwrap();
    assert!(peers[0].is_up());
    assert_eq!(
        (
            peers[0].receive_interval,
            peers[0].transmit_interval,
            peers[0].detect_multiplier
        ),
        (150, 300, 5)
    );
    let counters = bfd_counters(
        r#"[{"multihop":true,"peer":"198.51.100.3","vrf":"blue","control-packet-input":84,"control-packet-output":85,
        "echo-packet-input":1,"echo-packet-output":2,"session-up":3,"session-down":4,"zebra-notifications":5}]"#,
    )
    .unwrap();
    let expected = BfdCounters {
        vrf: "blue".into(),
        peer: "198.51.100.3".into(),
        interface: String::new(),
        multihop: true,
        control_packet_input: 84,
        control_packet_output: 85,
        echo_packet_input: 1,
        echo_packet_output: 2,
        session_up: 3,
        session_down: 4,
        zebra_notifications: 5,
    };
    assert_eq!(counters, [expected]);
    assert_eq!(bfd_peers("[\n]\n").unwrap(), []);
}

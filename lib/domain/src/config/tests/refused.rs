//! Objects that are refused, and objects that look wrong and are not.

use rstest::rstest;
use serde_json::{Value, json};

use super::{objects, peer, pool, problems};
use crate::config::{Backend, Config, References};

fn in_expression(key: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": "In", "values": values})
}

#[rstest]
#[case(json!({"addresses": []}), "no prefixes defined")]
#[case(pool(&["10.0.0.1"]), "invalid CIDR \"10.0.0.1\"")]
#[case(pool(&["10.0.0.10-10.0.0.1"]), "start IP is after the end IP")]
#[case(pool(&["10.0.0.0/24", "10.0.0.128/25"]), "overlaps with already defined CIDR")]
#[case(pool(&["10.0.0.0/24", "10.0.0.0/24"]), "overlaps with already defined CIDR")]
#[case(json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"namespaces": ["a", "a"]}}), "duplicate definition in namespaces field")]
#[case(json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]}}), "duplicate definition of namespaceSelectors")]
#[case(json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"serviceSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]}}), "duplicate definition of serviceSelectors")]
#[case(json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"serviceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}}), "values set cannot be empty")]
#[case(json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"bad key!": "b"}}]}}), "invalid key")]
fn pools(#[case] spec: Value, #[case] part: &str) {
    let problems = problems(&objects(&[("IPAddressPool", "a", spec)]));
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(
        problem.message.starts_with("parsing address pool a: ") && problem.message.contains(part),
        "{problem}"
    );
}

#[rstest]
#[case(json!({"myASN": 0}), "missing local ASN")]
#[case(json!({"peerASN": null}), "missing peer ASN and dynamicASN")]
#[case(json!({"dynamicASN": "internal"}), "both peer ASN and dynamicASN")]
#[case(json!({"peerASN": 64500, "ebgpMultiHop": true}), "ebgp-multihop set for an ibgp peer")]
#[case(json!({"peerAddress": null}), "no Address or Interface")]
#[case(json!({"interface": "eth0"}), "both Address and Interface")]
#[case(json!({"peerAddress": "tor.example.com"}), "invalid BGPPeer address")]
#[case(json!({"peerAddress": null, "interface": "eth0 remote-as 1"}), "invalid interface")]
#[case(json!({"vrf": "red\n!"}), "invalid vrf")]
#[case(json!({"routerID": "xx"}), "invalid router ID")]
#[case(json!({"sourceAddress": "eth0"}), "invalid source IP")]
#[case(json!({"peerAddress": "0.0.0.0"}), "invalid BGPPeer address")]
#[case(json!({"peerAddress": "ff02::1"}), "invalid BGPPeer address")]
#[case(json!({"vrf": "-red"}), "invalid vrf")]
#[case(json!({"vrf": "red$"}), "invalid vrf")]
#[case(json!({"routerID": "2001:db8::1"}), "invalid router ID")]
#[case(json!({"routerID": "0.0.0.0"}), "invalid router ID")]
#[case(json!({"password": "two words"}), "password with blanks")]
#[case(json!({"password": "pässword"}), "password with blanks or characters beyond ASCII")]
#[case(json!({"holdTime": "100h"}), "must be at most 65535s")]
#[case(json!({"keepaliveTime": "50000s"}), "must be at most 65535s")]
#[case(json!({"holdTime": "1s"}), "must be 0 or >=3s")]
#[case(json!({"holdTime": "2.9s"}), "must be 0 or >=3s")]
#[case(json!({"holdTime": "-10s"}), "must be 0 or >=3s")]
#[case(json!({"keepaliveTime": "500ms"}), "must be 0 or >=3s")]
#[case(json!({"holdTime": "30s", "keepaliveTime": "90s"}), "must be lower than holdTime")]
#[case(json!({"holdTime": "0s", "keepaliveTime": "10s"}), "must be lower than holdTime")]
#[case(json!({"holdTime": "abc"}), "invalid duration")]
#[case(json!({"connectTime": "65536s"}), "connect time should be between")]
#[case(json!({"nodeSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]}), "duplicate definition of nodeSelectors")]
#[case(json!({"nodeSelectors": [{"matchExpressions": [in_expression("a", &["x", "z", "x"])]}]}), "duplicate match expression value")]
#[case(json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "surprise", "values": ["x"]}]}]}), "not a valid label selector operator")]
#[case(json!({"password": "p", "passwordSecret": {"name": "s"}}), "both password and secret ref set")]
#[case(json!({"password": "p\nneighbor 1.1.1.1"}), "control characters")]
#[case(json!({"bfdProfile": "nope"}), "peer p referencing non existing bfd profile nope")]
fn peers(#[case] change: Value, #[case] part: &str) {
    let problems = problems(&objects(&[("BGPPeer", "p", peer(change))]));
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(
        problem.message.contains(part) && problem.message.contains("peer p "),
        "{problem}"
    );
}

#[rstest]
#[case(json!({"peerAddress": "192.0.2.1", "peerASN": 9, "peerPort": 1179}), "already exists")]
#[case(json!({"peerAddress": "192.0.2.2", "routerID": "9.9.9.9", "vrf": "red"}), "RouterID different")]
#[case(json!({"peerAddress": "192.0.2.2", "myASN": 9}), "myAsn different")]
fn peers_that_meet(#[case] change: Value, #[case] part: &str) {
    let first = (
        "BGPPeer",
        "p",
        peer(json!({"nodeSelectors": [{"matchLabels": {"rack": "1"}}]})),
    );
    let mut both = objects(&[first, ("BGPPeer", "q", peer(change))]);
    let messages = problems(&both);
    assert_eq!(messages.len(), 1, "no node is known: they may meet");
    assert!(
        messages[0].name == "q" && messages[0].message.contains(part),
        "{}",
        messages[0]
    );
    let node = |rack: &str| {
        (
            format!("node{rack}"),
            [("rack".to_owned(), rack.to_owned())].into(),
        )
    };
    both.nodes = [node("1")].into();
    assert_eq!(problems(&both).len(), 1);
    both.nodes = [node("2")].into();
    assert_eq!(problems(&both), [], "they never meet");
}

#[test]
fn two_spellings_of_an_address_are_one_session() {
    let written = ["2001:db8::1", "2001:DB8:0::1"].map(|address| peer(json!({"peerAddress": address})));
    let [one, other] = written;
    assert_eq!(
        problems(&objects(&[("BGPPeer", "p", one), ("BGPPeer", "q", other)])).len(),
        1
    );
}

#[rstest]
#[case(json!({"aggregationLength": 33}), "invalid aggregation length 33")]
#[case(json!({"aggregationLengthV6": 129}), "invalid aggregation length 129")]
#[case(json!({"aggregationLength": 23}), "prefix 24 in this pool is more specific than the aggregation length for addresses 192.0.2.0/24")]
#[case(json!({"aggregationLengthV6": 64}), "invalid aggregation length 64: prefix 120")]
#[case(json!({"aggregationLengthV6": -5}), "invalid aggregation length 0")]
#[case(json!({"aggregationLength": 24, "serviceSelectors": [{}]}), "serviceSelectors and aggregationLength are mutually exclusive")]
#[case(json!({"ipAddressPools": ["x", "x"]}), "duplicate definition of ipAddressPools")]
#[case(json!({"peers": ["x", "x"]}), "duplicate definition of peers")]
#[case(json!({"communities": ["1:1", "1:1"]}), "duplicate definition of community")]
#[case(json!({"communities": ["1:66000"]}), "invalid community value: invalid section")]
#[case(json!({"communities": ["larg:1:2:3"]}), "expected community to be of format large")]
#[case(json!({"communities": ["1:2:3"]}), "invalid community \"1:2:3\" in BGP advertisement")]
#[case(json!({"communities": ["+1:2"]}), "invalid section")]
#[case(json!({"communities": ["typo"]}), "invalid community format: typo\ninvalid community \"typo\" in BGP advertisement")]
#[case(json!({"localPref": -1}), "invalid local preference -1")]
#[case(json!({"localPref": 5_000_000_000_i64}), "invalid local preference 5000000000")]
#[case(json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "Foo"}]}]}), "spec.nodeSelectors")]
fn bgp_advertisements(#[case] spec: Value, #[case] part: &str) {
    let pools = pool(&["192.0.2.0/24", "2001:db8::/120"]);
    let problems = problems(&objects(&[
        ("IPAddressPool", "a", pools),
        ("BGPAdvertisement", "x", spec),
    ]));
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(
        problem.kind == "BGPAdvertisement" && problem.message.contains(part),
        "{problem}"
    );
}

#[rstest]
#[case::range_covers_down_to_26("203.0.113.2-203.0.113.254", 26, true)]
#[case::but_not_to_24("203.0.113.2-203.0.113.254", 24, false)]
#[case("192.0.2.0/28", 26, false)]
#[case("192.0.2.0/28", 28, true)]
fn aggregation_of_a_range(#[case] addresses: &str, #[case] length: i32, #[case] good: bool) {
    let ad = json!({"aggregationLength": length});
    let problems = problems(&objects(&[
        ("IPAddressPool", "a", pool(&[addresses])),
        ("BGPAdvertisement", "x", ad),
    ]));
    assert_eq!(problems.is_empty(), good, "{problems:?}");
}

#[rstest]
#[case::different_values(json!({"localPref": 100}), json!({"localPref": 200}), true)]
#[case::unset_is_a_value(json!({"localPref": 100}), json!({}), true)]
#[case::equal(json!({"localPref": 100}), json!({"localPref": 100}), false)]
#[case::all_peers_meets_one(json!({"localPref": 100}), json!({"peers": ["p"]}), true)]
#[case::other_peers(json!({"localPref": 100, "peers": ["q"]}), json!({"peers": ["p"]}), false)]
#[case::one_length_of_two(json!({"localPref": 100, "aggregationLength": 28}), json!({}), true)]
#[case::both_lengths(json!({"localPref": 100, "aggregationLength": 28, "aggregationLengthV6": 120}), json!({}), false)]
#[case::other_nodes(json!({"localPref": 100, "nodeSelectors": [{"matchLabels": {"rack": "2"}}]}), json!({"nodeSelectors": [{"matchLabels": {"rack": "1"}}]}), false)]
#[case::per_service(json!({"localPref": 100, "serviceSelectors": [{}]}), json!({}), false)]
fn local_preferences(#[case] one: Value, #[case] other: Value, #[case] conflict: bool) {
    let pools = pool(&["192.0.2.0/24", "2001:db8::/120"]);
    let mut all = objects(&[
        ("IPAddressPool", "a", pools),
        ("BGPAdvertisement", "x", one),
        ("BGPAdvertisement", "y", other),
    ]);
    let rack = |rack: &str| {
        (
            format!("node{rack}"),
            [("rack".to_owned(), rack.to_owned())].into(),
        )
    };
    all.nodes = [rack("1"), rack("2")].into();
    let messages = problems(&all);
    assert_eq!(messages.len(), usize::from(conflict), "{messages:?}");
    assert!(
        messages
            .iter()
            .all(|problem| problem.message.contains("invalid local preference")),
        "{messages:?}"
    );
}

#[rstest]
#[case(json!([{"name": "x", "value": "flarb"}]), "invalid community format")]
#[case(json!([{"name": "x"}]), "invalid community format")]
#[case(json!([{"name": "x", "value": "99999999:1"}]), "invalid community value: invalid section")]
#[case(json!([{"name": "x", "value": "large:4294967296:1:1"}]), "invalid section")]
#[case(json!([{"name": "x", "value": "lar:123:9999:123"}]), "expected community to be of format large")]
#[case(json!([{"name": "x", "value": "1:1"}, {"name": "x", "value": "1:2"}]), "duplicate definition of community \"x\"")]
#[case(json!([{"value": "1:1"}, {"value": "1:2"}]), "duplicate definition of community \"\"")]
fn communities(#[case] list: Value, #[case] part: &str) {
    let problems = problems(&objects(&[("Community", "c", json!({"communities": list}))]));
    assert!(
        problems.len() == 1 && problems[0].message.contains(part),
        "{problems:?}"
    );
}

#[rstest]
#[case("L2Advertisement", json!({"ipAddressPools": ["x", "x"]}), "duplicate definition of ipAddressPools")]
#[case("L2Advertisement", json!({"serviceSelectors": [{}, {}]}), "duplicate definition of serviceSelectors")]
#[case("L2Advertisement", json!({"preferredNodeSelectors": [{"weight": 5, "preference": {"matchExpressions": [{"key": "a", "operator": "Foo"}]}}]}), "spec.preferredNodeSelectors")]
#[case("BFDProfile", json!({"receiveInterval": 9}), "must be in 10-60000 range")]
#[case("BFDProfile", json!({"detectMultiplier": 256}), "must be in 2-255 range")]
#[case("BFDProfile", json!({"minimumTtl": 255}), "must be in 1-254 range")]
fn others(#[case] kind: &str, #[case] spec: Value, #[case] part: &str) {
    let problems = problems(&objects(&[(kind, "x", spec)]));
    assert!(
        problems.len() == 1 && problems[0].message.contains(part),
        "{problems:?}"
    );
}

#[test]
fn bfd_echo_does_not_go_with_ipv6() {
    let with = |addresses: &str| {
        objects(&[
            ("IPAddressPool", "a", pool(&[addresses])),
            ("BGPAdvertisement", "x", json!({})),
            ("BFDProfile", "b", json!({"echoMode": true})),
            ("BGPPeer", "p", peer(json!({"bfdProfile": "b"}))),
        ])
    };
    assert_eq!(problems(&with("192.0.2.0/24")), []);
    let messages = problems(&with("2001:db8::/120"));
    assert!(
        messages.len() == 1 && messages[0].message.contains("bfd echo enabled"),
        "{messages:?}"
    );
}

#[rstest]
#[case("BGPPeer", peer(json!({"keepaliveTime": "30s"})), false)]
#[case("BGPPeer", peer(json!({"holdTime": "0s", "keepaliveTime": "0s"})), true)]
#[case("BGPPeer", peer(json!({"vrf": "red"})), false)]
#[case("BGPPeer", peer(json!({"peerASN": null, "dynamicASN": "external"})), false)]
#[case("BGPPeer", peer(json!({"peerAddress": null, "interface": "eth0"})), false)]
#[case("BGPPeer", peer(json!({"ebgpMultiHop": true})), true)]
#[case("BFDProfile", json!({}), false)]
#[case("Community", json!({"communities": [{"name": "x", "value": "large:1:2:3"}]}), false)]
#[case("BGPAdvertisement", json!({"communities": ["large:1:2:3"]}), false)]
fn the_native_backend_can_do_less(#[case] kind: &str, #[case] spec: Value, #[case] good: bool) {
    let mut all = objects(&[(kind, "x", spec)]);
    assert_eq!(problems(&all), []);
    all.backend = Backend::Native;
    assert_eq!(problems(&all).is_empty(), good);
}

#[rstest]
#[case("IPAddressPool", pool(&["10.0.0.77/24"]))]
#[case("IPAddressPool", pool(&["0.0.0.0/0"]))]
#[case("IPAddressPool", json!({"addresses": ["224.0.0.0/24"], "serviceAllocation": {"priority": -5}}))]
#[case("BGPPeer", peer(json!({"vrf": "default"})))]
#[case("BGPPeer", peer(json!({"password": ""})))]
#[case("BGPPeer", peer(json!({"sourceAddress": "2001:db8::1"})))]
#[case("BGPPeer", peer(json!({"peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true})))]
#[case("BGPPeer", peer(json!({"connectTime": "1000000100ns"})))]
#[case("BGPAdvertisement", json!({"ipAddressPools": ["unknown"], "peers": ["unknown"]}))]
#[case("L2Advertisement", json!({"interfaces": ["eth0", "eth0", "not a name!"]}))]
fn accepted_though_odd(#[case] kind: &str, #[case] spec: Value) {
    assert_eq!(problems(&objects(&[(kind, "x", spec)])), []);
}

#[test]
fn a_profile_whose_name_is_too_long_for_frrouting_is_left_out() {
    let name = "n".repeat(64);
    let problems = problems(&objects(&[("BFDProfile", &name, json!({}))]));
    assert!(
        problems[0].message.contains("choose a shorter one"),
        "{problems:?}"
    );
}

#[test]
fn admission_does_not_ask_for_objects_that_may_come_later() {
    let mut all = objects(&[
        (
            "BGPPeer",
            "p",
            peer(json!({"bfdProfile": "later", "passwordSecret": {"name": "later"}})),
        ),
        ("BGPAdvertisement", "x", json!({"communities": ["later"]})),
    ]);
    all.secrets = Some([].into());
    assert_eq!(problems(&all).len(), 2);
    all.references = References::Open;
    assert_eq!(problems(&all), []);
}

#[test]
fn a_change_that_repairs_something_is_admitted_beside_other_errors() {
    let bad = ("IPAddressPool", "bad", pool(&["nonsense"]));
    let before = objects(&[bad.clone(), ("IPAddressPool", "a", pool(&["10.0.0.0/33"]))]);
    let after = objects(&[bad.clone(), ("IPAddressPool", "a", pool(&["10.0.0.0/24"]))]);
    assert_eq!(Config::admit(&before, &after), Ok(()));
    let worse = objects(&[
        bad,
        ("IPAddressPool", "a", pool(&["10.0.0.0/24"])),
        ("IPAddressPool", "b", pool(&["10.0.0.0/25"])),
    ]);
    let added = Config::admit(&after, &worse).unwrap_err();
    assert!(added.len() == 1 && added[0].name == "b", "{added:?}");
}

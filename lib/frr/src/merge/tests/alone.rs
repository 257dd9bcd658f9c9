//! What is wrong with a single object.

use rstest::rstest;

use super::*;

#[rstest]
#[case::no_address(json!({"address": null}), "has no address and no interface")]
#[case::two_addresses(json!({"interface": "up0"}), "has both Address and Interface specified")]
#[case::bad_address(json!({"address": "198.51.100"}), "failed to find ipfamily for \"198.51.100\"")]
#[case::any_address(json!({"address": "0.0.0.0"}), "failed to find ipfamily for")]
#[case::multicast(json!({"address": "ff02::1"}), "failed to find ipfamily for")]
#[case::injected_interface(json!({"address": null, "interface": "up0\nrouter"}), "interface: character 4 is not allowed")]
#[case::no_asn(json!({"asn": 0}), "has no ASN or DynamicASN specified")]
#[case::two_asns(json!({"dynamicASN": "external"}), "has both ASN and DynamicASN specified")]
#[case::local_ibgp(json!({"asn": 64500, "localASN": 64777}), "localASN: not supported for iBGP")]
#[case::local_internal(json!({"asn": null, "dynamicASN": "internal", "localASN": 64777}), "not supported for iBGP")]
#[case::local_is_router(json!({"localASN": 64500}), "localASN: must differ from the AS number of the router")]
#[case::local_is_peer(json!({"localASN": 64601}), "localASN: must differ from the AS number of the peer")]
#[case::hold_only(json!({"holdTime": "90s"}), "holdTime and keepaliveTime: set both or none")]
#[case::keepalive_only(json!({"keepaliveTime": "9s"}), "holdTime and keepaliveTime: set both or none")]
#[case::short_hold(json!({"holdTime": "2s", "keepaliveTime": "1s"}), "holdTime: must be 0s or at least 3s")]
#[case::truncated_hold(json!({"holdTime": "2999ms", "keepaliveTime": "1s"}), "holdTime: must be 0s or at least 3s")]
#[case::negative_hold(json!({"holdTime": "-5s", "keepaliveTime": "-9s"}), "holdTime: must be 0s or at least 3s")]
#[case::long_hold(json!({"holdTime": "18h30m", "keepaliveTime": "1s"}), "holdTime: \"18h30m\" is not a duration")]
#[case::keepalive(json!({"holdTime": "30s", "keepaliveTime": "40s"}), "keepaliveTime: must not be greater")]
#[case::no_duration(json!({"holdTime": "soon", "keepaliveTime": "40s"}), "holdTime: \"soon\" is not a duration")]
#[case::half_second(json!({"connectTime": "500ms"}), "connectTime: must be a whole number of seconds")]
#[case::no_time(json!({"connectTime": "0s"}), "connectTime: must be a whole number of seconds")]
#[case::long_time(json!({"connectTime": "18h30m"}), "connectTime: must be a whole number of seconds")]
#[case::no_profile(json!({"bfdProfile": "fast"}), "bfdProfile: fast is not defined")]
#[case::two_passwords(json!({"password": "x", "passwordSecret": {"name": "s"}}), "set only one of them")]
#[case::password_blank(json!({"password": "x y"}), "password: character 2 is not allowed")]
#[case::password_line(json!({"password": "x\nno router bgp"}), "password: character 2 is not allowed")]
#[case::source(json!({"sourceaddress": "eth0 eth1"}), "sourceaddress: character 5 is not allowed")]
#[case::wrong_family(json!({"toAdvertise": {"allowed": {"prefixes": ["2001:db8:7001::/64"]}}}),
    "on a neighbor without an ipv6 address family")]
#[case::wrong_family_6(json!({"address": "2001:db8::6", "toAdvertise": {"allowed": {"prefixes": ["10.70.1.0/24"]}}}),
    "on a neighbor without an ipv4 address family")]
#[case::not_cidr(json!({"toAdvertise": {"allowed": {"prefixes": ["10.70.1.0"]}}}), "unknown ipfamily for \"10.70.1.0\"")]
#[case::not_originated(json!({"toAdvertise": {"allowed": {"prefixes": ["10.70.77.0/24"]}}}),
    "10.70.77.0/24 is not among the prefixes of the router")]
#[case::community_of_nothing(json!({"toAdvertise": {"withCommunity": [{"community": "64500:31", "prefixes": ["10.70.1.0/24"]}]}}),
    "withCommunity: 64500:31 is associated to non existing prefix 10.70.1.0/24")]
#[case::pref_of_nothing(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [{"localPref": 200, "prefixes": ["10.9.0.0/24"]}]}}),
    "withLocalPref: 200 is associated to non existing prefix 10.9.0.0/24")]
#[case::pref_family(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [{"localPref": 200, "prefixes": ["2001:db8:7001::/64"]}]}}),
    "withLocalPref: 2001:db8:7001::/64 on a neighbor without an ipv6 address family")]
#[case::two_prefs(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [
    {"localPref": 200, "prefixes": ["10.70.1.0/24"]}, {"localPref": 300, "prefixes": ["10.70.1.0/24"]}]}}),
    "10.70.1.0/24 has the local preferences 200 and 300")]
#[case::pref_defined(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [
    {"localPref": 200, "prefixes": ["10.70.1.0/24"]}, {"localPref": 200, "prefixes": ["10.70.2.0/24"]}]}}),
    "withLocalPref: 200 is already defined for ipv4")]
#[case::community_defined(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withCommunity": [
    {"community": "64500:31", "prefixes": ["10.70.1.0/24"]}, {"community": "64500:031", "prefixes": ["10.70.2.0/24"]}]}}),
    "withCommunity: 64500:31 is already defined for ipv4")]
#[case::prefix_twice(json!({"toAdvertise": {"allowed": {"mode": "all"}, "withCommunity": [
    {"community": "64500:31", "prefixes": ["10.70.1.0/24", "10.70.1.9/24"]}]}}),
    "withCommunity: 64500:31 lists 10.70.1.0/24 twice")]
#[case::next_hop(json!({"toAdvertise": {"nextHop": {"ipv4": "2001:db8::1"}}}), "nextHop.ipv4: \"2001:db8::1\" is not an IPv4")]
#[case::next_hop_6(json!({"toAdvertise": {"nextHop": {"ipv6": "192.0.2.1"}}}), "nextHop.ipv6: \"192.0.2.1\" is not an IPv6")]
#[case::mapped(json!({"dualStackAddressFamily": true, "toAdvertise": {"nextHop": {"ipv6": "::ffff:192.0.2.1"}}}),
    "is not an IPv6 address")]
#[case::next_hop_family(json!({"toAdvertise": {"nextHop": {"ipv6": "2001:db8::1"}}}),
    "nextHop.ipv6: 2001:db8::1 on a neighbor without an ipv6 address family")]
#[case::receive_cidr(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": "10.80"}]}}}), "unknown ipfamily for \"10.80\"")]
#[case::ge_above_le(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": "10.0.0.0/16", "ge": 20, "le": 18}]}}}),
    "the lengths must satisfy 16 <= ge <= le <= 32")]
#[case::le_short(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": "10.0.0.0/24", "le": 20}]}}}), "24 <= ge <= le")]
#[case::ge_short(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": "10.0.0.0/24", "ge": 20}]}}}), "24 <= ge <= le")]
#[case::le_long(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": "10.0.0.0/24", "le": 64}]}}}), "<= 32")]
fn a_neighbor_is_refused(#[case] fields: Value, #[case] message: &str) {
    let text = refusal(&[with_neighbor(fields)]);
    assert!(text.contains(message), "{text}");
    assert!(
        text.starts_with("metallb-system/a: router 64500-: neighbor "),
        "{text}"
    );
}

#[rstest]
fn communities_of_another_shape_are_refused(
    #[values(
        "no-export",
        "65536:1",
        "1:2:3",
        "large:1:2",
        "ext:1:2:3",
        "0x10:1",
        "+1:2",
        "1:",
        "",
        "large:1:2:4294967296"
    )]
    community: &str,
) {
    let item = json!([{"community": community, "prefixes": ["10.70.1.0/24"]}]);
    let text = refusal(&[with_neighbor(
        json!({"toAdvertise": {"allowed": {"mode": "all"}, "withCommunity": item}}),
    )]);
    assert!(
        text.contains(&format!("withCommunity: invalid community {community:?}")),
        "{text}"
    );
}

#[rstest]
#[case::prefix(json!([{"asn": 64500, "prefixes": ["10.0.0.0"]}]), "prefixes: unknown ipfamily for \"10.0.0.0\"")]
#[case::zero(json!([{"asn": 0}]), "must not be 0")]
#[case::id(json!([{"asn": 1, "id": "1.2.3.4\nexit"}]), "id: \"1.2.3.4\\nexit\" is not an IPv4 address")]
#[case::vrf(json!([{"asn": 1, "vrf": "blue red"}]), "vrf: character 5 is not allowed")]
#[case::long_vrf(json!([{"asn": 1, "vrf": "0123456789abcdef"}]), "vrf: must not be longer than 15 characters")]
#[case::import(json!([{"asn": 1, "imports": [{"vrf": "blue"}]}]), "undefined VRF blue")]
#[case::import_default(json!([{"asn": 1, "vrf": "blue", "imports": [{"vrf": "default"}]}]), "VRF not found")]
#[case::import_self(json!([{"asn": 1, "imports": [{"vrf": "default"}]}]), "must not import its own VRF default")]
#[case::asns(json!([{"asn": 1}, {"asn": 2}]), "different asns (1 and 2)")]
#[case::same_neighbor(json!([{"asn": 1, "neighbors": [
    {"address": "2001:db8::6", "asn": 2, "port": 179}, {"address": "2001:DB8:0::6", "asn": 2, "port": 180}]}]),
    "port: different values (179 and 180)")]
#[case::l3_default(json!([{"asn": 1, "evpn": {"l3vni": {"vni": 9, "advertisePrefixes": ["unicast"]}}}]), "default VRF")]
#[case::l3_neighbors(json!([{"asn": 1, "vrf": "blue", "neighbors": [{"address": "192.0.2.1", "asn": 2}],
    "evpn": {"l3vni": {"vni": 9, "advertisePrefixes": ["unicast"]}}}]), "l3vni must have no neighbors")]
#[case::l3_prefixes(json!([{"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 9, "advertisePrefixes": []}}}]), "must be [unicast]")]
#[case::vni(json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 16777216}]}}]), "vni: 16777216 is out of range")]
#[case::rd(json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 1, "rd": "65536:65536"}]}}]), "evpn: \"65536:65536\" must be")]
#[case::export(json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 1, "exportRTs": ["*:1"]}]}}]), "exportRTs: \"*:1\" must name")]
#[case::no_evpn_neighbor(json!([{"asn": 1, "evpn": {"advertiseVNIs": "All"}}]), "no neighbor with the address family evpn")]
#[case::vni_twice(json!([
    {"asn": 1, "neighbors": [{"address": "192.0.2.1", "asn": 2, "addressFamilies": ["evpn"]}], "evpn": {"l2vnis": [{"vni": 9}]}},
    {"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 9, "advertisePrefixes": ["unicast"]}}}]), "VNI 9 is used more than once")]
fn a_router_is_refused(#[case] list: Value, #[case] message: &str) {
    let text = refusal(&[routers(list)]);
    assert!(text.contains(message), "{text}");
}

#[rstest]
#[case::twice(json!([{"name": "fast"}, {"name": "fast"}]), "duplicate profile fast")]
#[case::range(json!([{"name": "fast", "receiveInterval": 9}]), "bfdProfile fast: receiveInterval: 9 is out of range, use 10 to 60000")]
#[case::name(json!([{"name": "fast one"}]), "bfdProfiles.name: character 5 is not allowed")]
fn a_bfd_profile_is_refused(#[case] profiles: Value, #[case] message: &str) {
    let text = refusal(&[json!({"bgp": {"bfdProfiles": profiles}})]);
    assert!(text.contains(message), "{text}");
}

#[rstest]
#[case::missing("missing", "secret missing not found")]
#[case::type_("opaque", "is of type \"Opaque\"")]
#[case::key("empty", "has no text under the key `password`")]
#[case::text("blank", "character 2 is not allowed")]
fn a_secret_is_refused(#[case] name: &str, #[case] message: &str) {
    let password = |text: &str| Some(metallb_crds::frrk8s::Password(text.to_owned()));
    let secret = |type_: &str, password| Secret {
        type_: type_.to_owned(),
        password,
    };
    let secrets = BTreeMap::from([
        ("opaque".to_owned(), secret("Opaque", password("x"))),
        ("empty".to_owned(), secret(BASIC_AUTH, None)),
        ("blank".to_owned(), secret(BASIC_AUTH, password("s cret"))),
        ("good".to_owned(), secret(BASIC_AUTH, password("s3cr3t!"))),
    ]);
    let spec = |name: &str| with_neighbor(json!({"passwordSecret": {"name": name}}));
    let merged = merge_specs(&[spec(name)], &Secrets::Known(&secrets));
    let text = merged.refused[0].to_string();
    assert!(text.contains(message), "{text}");
    assert!(!text.contains("s cret"), "{text}");
    assert!(merged.refused[0].is_transient());
    assert_eq!(
        merge_all(&[spec(name)]).refused,
        [],
        "admission does not look at secrets"
    );

    let merged = merge_specs(&[spec("good")], &Secrets::Known(&secrets));
    let neighbor = merged.model.routers[&Vrf::Default]
        .neighbors
        .values()
        .next()
        .unwrap();
    assert_eq!(
        neighbor.password.as_ref().map(crate::model::Password::reveal),
        Some("s3cr3t!")
    );
    assert!(!format!("{merged:?}").contains("s3cr3t"));
}

#[rstest]
#[case(json!({"matchLabels": {"zone": "east"}}), true)]
#[case(json!({"matchLabels": {"zone": "west"}}), false)]
#[case(json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["west", "east"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r1"]}]}), false)]
#[case(json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["east"]}]}), false)]
#[case(json!({"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["r1"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), true)]
#[case(json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), false)]
#[case(json!({}), true)]
fn the_selector_is_asked(#[case] selector: Value, #[case] selected: bool) {
    let merged = merge_all(&[json!({"nodeSelector": selector, "bgp": {"routers": [{"asn": 64500}]}})]);
    assert_eq!(merged.accepted.len(), usize::from(selected));
    assert_eq!(merged.model.routers.len(), usize::from(selected));
    assert_eq!(merged.refused, []);
}

#[rstest]
#[case(json!([{"key": "zone", "operator": "Equals", "values": ["east"]}]))]
#[case(json!([{"key": "zone", "operator": "In"}]))]
#[case(json!([{"key": "zone", "operator": "Exists", "values": ["east"]}]))]
#[case(json!([{"key": "zone", "operator": "In", "values": ["west"]}, {"key": "", "operator": "Exists"}]))]
fn a_faulty_selector_is_reported(#[case] expressions: Value) {
    let text = refusal(&[json!({"nodeSelector": {"matchExpressions": expressions}})]);
    assert!(
        text.starts_with("metallb-system/a: invalid NodeSelector: "),
        "{text}"
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let secret = json!({"name": "s", "namespace": "elsewhere"});
    let merged = merge_all(&[with_neighbor(
        json!({"disableMP": true, "passwordSecret": secret}),
    )]);
    let texts: Vec<&str> = merged
        .warnings
        .iter()
        .map(|warning| warning.text.as_str())
        .collect();
    assert!(texts[0].contains("disableMP is deprecated"), "{texts:?}");
    assert!(texts[1].contains("looked up in metallb-system"), "{texts:?}");
    assert_eq!(texts.len(), 2);
}

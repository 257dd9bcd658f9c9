use metallb_crds::frrk8s::FRRConfigurationSpec;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::merge::{Named, Secrets, merge};

fn node() -> NodeSettings {
    NodeSettings {
        hostname: "worker-a".to_owned(),
        log_level: LogLevel::Info,
        always_block: Vec::new(),
        router_id: None,
    }
}

fn model(spec: Value) -> Model {
    let spec: FRRConfigurationSpec = serde_json::from_value(spec).expect("a valid spec");
    let object = Named {
        namespace: "metallb-system",
        name: "a",
        spec: &spec,
    };
    let merged = merge(&BTreeMap::new(), &[object], &Secrets::Ignored);
    assert_eq!(merged.refused, []);
    merged.model
}

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn rendered(spec: Value) -> String {
    config(&model(spec), &node()).text()
}

#[test]
fn nothing_but_settings() {
    assert_snapshot("nothing_but_settings", &rendered(json!({})));
}

#[test]
fn neighbors_and_their_policies() {
    assert_snapshot(
        "neighbors_and_their_policies",
        &rendered(json!({"bgp": {
            "bfdProfiles": [{"name": "fast", "receiveInterval": 150, "transmitInterval": 300, "echoInterval": 60, "echoMode": true}],
            "routers": [{
                "asn": 64500,
                "id": "192.0.2.1",
                "prefixes": ["10.70.1.0/24", "10.70.2.9/24", "10.70.3.0/24", "2001:DB8:7001::/64"],
                "neighbors": [
                    {
                        "address": "198.51.100.11", "asn": 64601, "ebgpMultiHop": true, "localASN": 64777, "port": 1790,
                        "holdTime": "180s", "keepaliveTime": "20s", "connectTime": "60s", "password": "s3cr3t!",
                        "sourceaddress": "eth0", "enableGracefulRestart": true, "bfdProfile": "fast",
                        "toAdvertise": {
                            "allowed": {"prefixes": ["10.70.1.0/24", "10.70.2.0/24"]},
                            "nextHop": {"ipv4": "198.51.100.200"},
                            "withLocalPref": [{"localPref": 240, "prefixes": ["10.70.1.0/24"]}],
                            "withCommunity": [
                                {"community": "64500:32", "prefixes": ["10.70.1.0/24"]},
                                {"community": "64500:031", "prefixes": ["10.70.1.0/24"]},
                                {"community": "large:64500:7:9", "prefixes": ["10.70.1.0/24"]},
                            ],
                        },
                        "toReceive": {"allowed": {"prefixes": [
                            {"prefix": "10.80.0.0/16"}, {"prefix": "10.80.0.0/16", "le": 24}, {"prefix": "10.81.0.0/16", "ge": 24},
                            {"prefix": "10.82.0.0/16", "ge": 24, "le": 26},
                        ]}},
                    },
                    {"address": "198.51.100.12", "asn": 64500, "ebgpMultiHop": true, "toReceive": {"allowed": {"mode": "all"}}},
                    {"address": "2001:db8:51::16", "dynamicASN": "external", "toAdvertise": {"allowed": {"mode": "all"}}},
                    {"interface": "up0", "dynamicASN": "internal", "addressFamilies": ["unicast", "evpn"]},
                ],
            }],
        }})),
    );
}

#[test]
fn vrfs_and_evpn() {
    assert_snapshot(
        "vrfs_and_evpn",
        &rendered(json!({"bgp": {"routers": [
            {
                "asn": 64500,
                "prefixes": ["10.70.1.0/24"],
                "imports": [{"vrf": "blue"}],
                "neighbors": [{"address": "198.51.100.12", "asn": 64500, "addressFamilies": ["unicast", "evpn"],
                    "toAdvertise": {"allowed": {"mode": "all"}}}],
                "evpn": {"advertiseVNIs": "All", "advertiseSVI": true, "l2vnis": [
                    {"vni": 1000, "rd": "64500:1000", "importRTs": ["*:2001"], "exportRTs": ["192.0.2.1:2002"]}, {"vni": 1001}]},
            },
            {
                "asn": 64500,
                "vrf": "blue",
                "prefixes": ["10.90.0.0/24"],
                "evpn": {"l3vni": {"vni": 4000, "rd": "64500:4000", "importRTs": ["64500:1"], "advertisePrefixes": ["unicast"]}},
            },
        ]}})),
    );
}

#[rstest]
#[case("dummyhostname", "167.62.253.30")]
#[case("edge-v6-03", "166.155.136.158")]
#[case("node1", "64.37.239.133")]
fn the_fallback_router_id_is_made_from_the_host_name(#[case] hostname: &str, #[case] id: &str) {
    assert_eq!(fallback_router_id(hostname).to_string(), id);
}

#[test]
fn the_fallback_router_id_gives_way_to_an_explicit_one() {
    let node = NodeSettings {
        router_id: Some(fallback_router_id("node1")),
        ..node()
    };
    let text = |spec| config(&model(spec), &node).text();
    let fallback = text(json!({"bgp": {"routers": [{"asn": 64500}]}}));
    assert!(fallback.contains(" bgp router-id 64.37.239.133\n"), "{fallback}");
    let explicit = text(json!({"bgp": {"routers": [{"asn": 64500, "id": "192.0.2.1"}]}}));
    assert!(
        explicit.contains(" bgp router-id 192.0.2.1\n") && !explicit.contains("64.37"),
        "{explicit}"
    );
}

#[rstest]
#[case(LogLevel::All, "debugging", true)]
#[case(LogLevel::Debug, "debugging", true)]
#[case(LogLevel::Info, "informational", false)]
#[case(LogLevel::Warn, "warnings", false)]
#[case(LogLevel::Error, "errors", false)]
#[case(LogLevel::None, "emergencies", false)]
fn log_levels(#[case] log_level: LogLevel, #[case] frr: &str, #[case] debug: bool) {
    let text = config(&Model::default(), &NodeSettings { log_level, ..node() }).text();
    assert!(text.contains(&format!("log stdout {frr}\n")), "{text}");
    assert_eq!(text.contains("debug bgp updates\n"), debug);
}

#[rstest]
#[case("worker-a.example.org", "worker-a.example.org")]
#[case("worker\nno router bgp 1", "workernorouterbgp1")]
#[case("_", "node")]
fn a_host_name_is_one_word(#[case] hostname: &str, #[case] word: &str) {
    let text = config(
        &Model::default(),
        &NodeSettings {
            hostname: hostname.to_owned(),
            ..node()
        },
    )
    .text();
    assert!(text.contains(&format!("\nhostname {word}\n")), "{text}");
}

/// A mark stays what it is when other prefixes or neighbors' policies come: it is no count.
#[test]
fn marks_do_not_depend_on_each_other() {
    let spec = |more: &str| {
        json!({"bgp": {"routers": [{"asn": 64500, "prefixes": ["10.70.2.0/24", more], "neighbors": [
            {"address": "198.51.100.11", "asn": 64601, "toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [
                {"localPref": 200, "prefixes": [more]}]}}]}]}})
    };
    let line = |text: String| {
        text.lines()
            .find(|line| line.contains("network 10.70.2.0/24"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        line(rendered(spec("10.70.1.0/24"))),
        line(rendered(spec("10.70.3.0/24")))
    );
}

/// Many selectors do not make long lists, and one more changes little.
#[test]
fn long_filters_are_cut_into_portions() {
    let spec = |count: u32| {
        let selectors: Vec<Value> = (0..count)
            .map(|n| json!({"prefix": format!("10.{}.{}.0/24", n / 256, n % 256)}))
            .collect();
        json!({"bgp": {"routers": [{"asn": 64500, "neighbors": [
            {"address": "198.51.100.11", "asn": 64601, "toReceive": {"allowed": {"prefixes": selectors}}}]}]}})
    };
    let (few, more) = (
        config(&model(spec(2000)), &node()),
        config(&model(spec(2001)), &node()),
    );
    assert!(few.prefix_lists.values().all(|list| list.entries.len() < 100));
    assert_eq!(
        few.prefix_lists
            .values()
            .map(|list| list.entries.len())
            .sum::<usize>(),
        2000
    );
    let kept = more
        .prefix_lists
        .keys()
        .filter(|name| few.prefix_lists.contains_key(*name))
        .count();
    assert_eq!(kept, few.prefix_lists.len() - 1);
}

//! The rules, with the objects a user would write.

mod fallback;
mod refused;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Config, Objects, Problem};

/// Objects of all kinds, from `(kind, name, spec)`.
fn objects(written: &[(&str, &str, Value)]) -> Objects {
    let mut objects = Objects {
        namespace: "metallb-system".into(),
        ..Objects::default()
    };
    for (kind, name, spec) in written {
        add(&mut objects, kind, name, spec);
    }
    objects
}

fn add(objects: &mut Objects, kind: &str, name: &str, spec: &Value) {
    match kind {
        "IPAddressPool" => objects.pools.push(object("v1beta1", kind, name, spec)),
        "L2Advertisement" => objects
            .l2_advertisements
            .push(object("v1beta1", kind, name, spec)),
        "BGPAdvertisement" => objects
            .bgp_advertisements
            .push(object("v1beta1", kind, name, spec)),
        "BGPPeer" => objects.peers.push(object("v1beta2", kind, name, spec)),
        "BFDProfile" => objects.bfd_profiles.push(object("v1beta1", kind, name, spec)),
        "Community" => objects.communities.push(object("v1beta1", kind, name, spec)),
        _ => panic!("unknown kind {kind}"),
    }
}

fn object<K: DeserializeOwned>(version: &str, kind: &str, name: &str, spec: &Value) -> Arc<K> {
    let (metadata, labels) = (json!({"name": name, "labels": {"name": name}}), spec);
    let object = json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind, "metadata": metadata, "spec": labels});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn problems(objects: &Objects) -> Vec<Problem> {
    Config::build(objects, None).1
}

fn pool(addresses: &[&str]) -> Value {
    json!({"addresses": addresses})
}

/// A good peer with some fields changed.
#[expect(clippy::needless_pass_by_value, reason = "what is passed is written in place")]
fn peer(change: Value) -> Value {
    let mut peer = json!({"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"});
    for (field, value) in change.as_object().unwrap() {
        if value.is_null() {
            peer.as_object_mut().unwrap().remove(field);
        } else {
            peer[field] = value.clone();
        }
    }
    peer
}

#[test]
fn nothing_is_a_good_configuration() {
    assert_eq!(Config::check(&Objects::default()), Ok(Config::default()));
}

#[test]
fn an_advertisement_without_spec_is_for_all_pools() {
    let mut all = objects(&[("IPAddressPool", "a", pool(&["192.0.2.0/24", "2001:db8::/64"]))]);
    all.bgp_advertisements = vec![Arc::new(serde_json::from_value(json!({"apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement", "metadata": {"name": "x"}})).unwrap())];
    all.l2_advertisements = vec![Arc::new(
        serde_json::from_value(
            json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "y"}}),
        )
        .unwrap(),
    )];
    let config = Config::check(&all).unwrap();
    let bgp: Vec<_> = config.bgp_advertisements_of("a").collect();
    assert_eq!(
        (bgp.len(), bgp[0].aggregation_length, bgp[0].aggregation_length_v6),
        (1, 32, 128)
    );
    let l2: Vec<_> = config.l2_advertisements_of(&config.pools["a"]).collect();
    assert_eq!((l2.len(), l2[0].interfaces.is_none()), (1, true));
}

#[test]
fn pools_are_selected_by_name_or_label_once() {
    let ad = json!({"ipAddressPools": ["a", "unknown"], "ipAddressPoolSelectors": [{"matchLabels": {"name": "a"}}, {"matchLabels": {"name": "b"}}]});
    let config = Config::check(&objects(&[
        ("IPAddressPool", "a", pool(&["192.0.2.0/24"])),
        ("IPAddressPool", "b", pool(&["198.51.100.0/24"])),
        ("IPAddressPool", "c", pool(&["203.0.113.0/24"])),
        ("BGPAdvertisement", "x", ad.clone()),
        ("L2Advertisement", "x", ad),
        (
            "BGPAdvertisement",
            "none",
            json!({"ipAddressPoolSelectors": [{"matchLabels": {"name": "nothing"}}]}),
        ),
    ]))
    .unwrap();
    assert_eq!(
        config.bgp_advertisements["x"].pools,
        ["a", "b"].map(String::from).into()
    );
    assert!(config.bgp_advertisements["none"].pools.is_empty());
    let announced: Vec<_> = config
        .pools
        .values()
        .filter(|pool| config.l2_advertisements_of(pool).count() > 0)
        .collect();
    assert_eq!(
        announced
            .iter()
            .map(|pool| pool.name.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[test]
fn aliases_are_resolved_and_equal_values_collapse() {
    let config = Config::check(&objects(&[
        ("Community", "names", json!({"communities": [{"name": "here", "value": "64500:1"}, {"name": "1:1", "value": "large:1:2:3"}]})),
        ("BGPAdvertisement", "x", json!({"communities": ["here", "64500:1", "1:1"]})),
    ]))
    .unwrap();
    let communities: Vec<String> = config.bgp_advertisements["x"]
        .communities
        .iter()
        .map(super::Community::api_text)
        .collect();
    assert_eq!(communities, ["64500:1", "large:1:2:3"]);
}

#[test]
fn one_timer_determines_the_other() {
    let timers = |spec: Value| {
        let config = Config::check(&objects(&[("BGPPeer", "p", peer(spec))])).unwrap();
        config.peers["p"]
            .timers
            .map(|(hold, keepalive)| (hold.as_millis(), keepalive.as_millis()))
    };
    assert_eq!(timers(json!({})), None);
    assert_eq!(timers(json!({"holdTime": "90s"})), Some((90_000, 30_000)));
    assert_eq!(timers(json!({"keepaliveTime": "1m"})), Some((180_000, 60_000)));
    assert_eq!(
        timers(json!({"holdTime": "0s", "keepaliveTime": "0s"})),
        Some((0, 0))
    );
    assert_eq!(timers(json!({"holdTime": "500ms"})), Some((500, 166)));
    assert_eq!(
        timers(json!({"holdTime": "65535s", "keepaliveTime": "65535s"})),
        Some((65_535_000, 65_535_000))
    );
}

#[test]
fn preferences_score_only_nodes_that_may_announce() {
    let ad = json!({
        "nodeSelectors": [{"matchLabels": {"rack": "1"}}],
        "preferredNodeSelectors": [
            {"weight": 5, "preference": {"matchLabels": {"fast": "yes"}}},
            {"weight": 7, "preference": {}},
        ],
    });
    let config = Config::check(&objects(&[("L2Advertisement", "x", ad)])).unwrap();
    let score = |labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        config.l2_advertisements["x"].preference(&labels)
    };
    assert_eq!(score(&[("rack", "1"), ("fast", "yes")]), 12);
    assert_eq!(score(&[("rack", "1")]), 7);
    assert_eq!(score(&[("rack", "2"), ("fast", "yes")]), 0);
}

#[test]
fn passwords_come_from_the_object_or_a_secret() {
    let secret = |kind: &str, data: Value| {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": "s"}, "type": kind, "data": data})).unwrap(),
        )
    };
    let mut by_secret = objects(&[("BGPPeer", "p", peer(json!({"passwordSecret": {"name": "s"}})))]);
    let message = |objects: &Objects| problems(objects).pop().map(|problem| problem.message);
    assert_eq!(message(&by_secret), None, "unchecked: passed on to the agent");
    by_secret.secrets = Some([].into());
    assert_eq!(
        message(&by_secret).unwrap(),
        "parsing peer p secret ref not found for peer config \"metallb-system\"/\"p\"\nfailed to parse peer p password secret"
    );
    by_secret.secrets = Some([("s".into(), secret("Opaque", json!({"password": "eA=="})))].into());
    assert_eq!(
        message(&by_secret).unwrap(),
        "parsing peer p secret type mismatch on \"metallb-system\"/\"s\", type \"kubernetes.io/basic-auth\" is expected \nfailed to parse peer p password secret"
    );
    by_secret.secrets = Some([("s".into(), secret("kubernetes.io/basic-auth", json!({})))].into());
    assert!(
        message(&by_secret)
            .unwrap()
            .contains("password not specified in the secret")
    );
    by_secret.secrets = Some(
        [(
            "s".into(),
            secret("kubernetes.io/basic-auth", json!({"password": "c2VzYW1l"})),
        )]
        .into(),
    );
    let config = Config::check(&by_secret).unwrap();
    let super::PeerPassword::Secret {
        value: Some(value), ..
    } = config.peers["p"].password.clone().unwrap()
    else {
        panic!("no value")
    };
    assert_eq!(value.0, "sesame");
    assert!(
        !format!("{config:?}").contains("sesame"),
        "a secret never reaches a log"
    );
}

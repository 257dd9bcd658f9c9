use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use metallb_domain::config::{Config, Objects};
use metallb_domain::endpoints::UsableEndpoints;
use rstest::rstest;
use serde_json::{Value, json};

use super::{NodeFacts, Settings, View};
use crate::decision::{Decision, Reason};
use crate::layer2::Links;

/// Three nodes labelled `name=<node>`, one pool `p` with 192.0.2.0/24, one advertisement without selectors. The
/// address 192.0.2.10 elects n2, then n3, then n1.
struct Scene {
    view: View,
    objects: Objects,
    service: Value,
    endpoints: UsableEndpoints,
    dead: BTreeSet<String>,
}

fn pool(name: &str, addresses: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": name, "labels": {"name": name}}, "spec": {"addresses": [addresses]},
    })
}

#[expect(clippy::needless_pass_by_value, reason = "callers write json! in place")]
fn ad(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": name}, "spec": spec})
}

fn endpoints(node: &str, ready: bool) -> UsableEndpoints {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "x"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": node, "conditions": {"ready": ready}}],
    }))
    .unwrap();
    UsableEndpoints::of([&slice])
}

fn facts(name: &str) -> NodeFacts {
    NodeFacts {
        labels: [("name".to_owned(), name.to_owned())].into(),
        network_unavailable: false,
    }
}

impl Scene {
    fn new(me: &str) -> Self {
        let settings = Settings {
            node: me.to_owned(),
            ..Settings::default()
        };
        let mut scene = Self {
            view: View::new(settings),
            objects: Objects::default(),
            service: json!({
                "metadata": {"namespace": "default", "name": "web", "labels": {"app": "a"}},
                "spec": {"type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}},
            }),
            endpoints: endpoints("n1", true),
            dead: BTreeSet::new(),
        };
        for node in ["n1", "n2", "n3"] {
            scene.view.set_node(node, Some(facts(node)));
        }
        scene
            .view
            .set_interfaces(["eth0".to_owned(), "eth1".to_owned()].into());
        scene.configure(&[pool("p", "192.0.2.0/24")], &[ad("all", json!({}))]);
        scene
    }

    fn configure(&mut self, pools: &[Value], ads: &[Value]) -> BTreeSet<String> {
        let parse = |value: &Value| Arc::new(serde_json::from_value(value.clone()).unwrap());
        self.objects.pools = pools.iter().map(parse).collect();
        let parse = |value: &Value| Arc::new(serde_json::from_value(value.clone()).unwrap());
        self.objects.l2_advertisements = ads.iter().map(parse).collect();
        let (config, problems) = Config::build(&self.objects, Some(self.view.config()));
        assert_eq!(problems, []);
        self.view.set_config(config).pools
    }

    fn decide(&self) -> Decision {
        let service: Service = serde_json::from_value(self.service.clone()).unwrap();
        self.view
            .decide(&service, &self.endpoints, None, |node| !self.dead.contains(node))
    }

    fn links(&self) -> Option<Links> {
        self.decide()
            .announcement()
            .map(|announcement| announcement.links.clone())
    }
}

fn announcing(setup: impl Fn(&mut Scene)) -> Vec<&'static str> {
    let mut nodes = vec!["n1", "n2", "n3"];
    nodes.retain(|me| {
        let mut scene = Scene::new(me);
        setup(&mut scene);
        scene.decide().announcement().is_some()
    });
    nodes
}

fn named(names: &[&str]) -> Option<Links> {
    Some(Links::Named(
        names.iter().map(|name| (*name).to_owned()).collect(),
    ))
}

#[test]
fn one_node_announces() {
    assert_eq!(announcing(|_| {}), ["n2"]);
    assert_eq!(announcing(|scene| scene.dead.extend(["n2".to_owned()])), ["n3"]);
}

#[rstest]
#[case::cluster_ip(json!({"spec": {"type": "ClusterIP"}}), Reason::NotLoadBalancer)]
#[case::of_a_class(json!({"spec": {"loadBalancerClass": "example.com/x"}}), Reason::OtherClass)]
#[case::no_address(json!({"status": {"loadBalancer": {"ingress": []}}}), Reason::NoIpAllocated)]
#[case::host_name(json!({"status": {"loadBalancer": {"ingress": [{"hostname": "x"}]}}}), Reason::InvalidIp)]
#[case::in_no_pool(json!({"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}}}), Reason::IpNotAllowed)]
#[case::half_in_a_pool(
    json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}, {"ip": "2001:db8::1"}]}}}),
    Reason::IpNotAllowed
)]
fn services_nobody_announces(#[case] change: Value, #[case] reason: Reason) {
    let mut scene = Scene::new("n2");
    for (section, fields) in change.as_object().unwrap() {
        for (field, value) in fields.as_object().unwrap() {
            scene.service[section][field] = value.clone();
        }
    }
    assert_eq!(scene.decide().reason(), Some(reason));
}

#[test]
fn a_class_of_its_own_excludes_services_without() {
    let mut scene = Scene::new("n2");
    scene.view.settings.class = Some("example.com/x".to_owned());
    assert_eq!(scene.decide().reason(), Some(Reason::OtherClass));
    scene.service["spec"]["loadBalancerClass"] = json!("example.com/x");
    assert!(scene.decide().announcement().is_some());
}

#[test]
fn avoided_addresses_are_announced_once_given_out() {
    let mut scene = Scene::new("n2");
    let mut avoiding = pool("p", "192.0.2.0/24");
    avoiding["spec"]["avoidBuggyIPs"] = json!(true);
    scene.configure(&[avoiding], &[ad("all", json!({}))]);
    scene.service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.255"}]);
    assert_ne!(scene.decide().reason(), Some(Reason::IpNotAllowed));
}

#[test]
fn excluded_and_unavailable_nodes_do_not_announce() {
    let mut excluded = facts("n2");
    excluded
        .labels
        .insert(super::EXCLUDE_LABEL.to_owned(), "false".to_owned());
    let set_n2 = |facts: Option<NodeFacts>| {
        announcing(move |scene| {
            scene.view.set_node("n2", facts.clone());
        })
    };
    assert_eq!(set_n2(Some(excluded.clone())), ["n3"]);
    let ignoring = |scene: &mut Scene| {
        scene.view.settings.ignore_exclude_label = true;
        scene.view.set_node("n2", Some(excluded.clone()));
    };
    assert_eq!(announcing(ignoring), ["n2"]);
    let unavailable = NodeFacts {
        network_unavailable: true,
        ..facts("n2")
    };
    assert_eq!(set_n2(Some(unavailable)), ["n3"]);
    assert_eq!(set_n2(None), ["n3"], "a deleted node");
}

#[rstest]
#[case::other_pool(vec![ad("a", json!({"ipAddressPools": ["other"]}))], &[])]
#[case::none(vec![], &[])]
#[case::by_pool_label(vec![ad("a", json!({"ipAddressPoolSelectors": [{"matchLabels": {"name": "p"}}]}))], &["n2"])]
#[case::one_node(vec![ad("a", json!({"nodeSelectors": [{"matchLabels": {"name": "n1"}}]}))], &["n1"])]
#[case::other_service(vec![ad("a", json!({"serviceSelectors": [{"matchLabels": {"app": "b"}}]}))], &[])]
#[case::per_service(
    vec![
        ad("a", json!({"serviceSelectors": [{"matchLabels": {"app": "a"}}], "nodeSelectors": [{"matchLabels": {"name": "n1"}}]})),
        ad("b", json!({"serviceSelectors": [{"matchLabels": {"app": "b"}}], "nodeSelectors": [{"matchLabels": {"name": "n2"}}]})),
    ],
    &["n1"]
)]
#[case::preferred(
    vec![ad("a", json!({"preferredNodeSelectors": [{"weight": 10, "preference": {"matchLabels": {"name": "n1"}}}]}))],
    &["n1"]
)]
#[case::preferred_but_not_selected(
    vec![ad("a", json!({
        "nodeSelectors": [{"matchLabels": {"name": "n3"}}],
        "preferredNodeSelectors": [{"weight": 10, "preference": {"matchLabels": {"name": "n1"}}}],
    }))],
    &["n3"]
)]
#[case::selected_twice_counts_once(
    vec![
        ad("a", json!({
            "ipAddressPools": ["p"], "ipAddressPoolSelectors": [{"matchLabels": {"name": "p"}}],
            "preferredNodeSelectors": [{"weight": 50, "preference": {"matchLabels": {"name": "n1"}}}],
        })),
        ad("b", json!({"preferredNodeSelectors": [{"weight": 60, "preference": {"matchLabels": {"name": "n3"}}}]})),
    ],
    &["n3"]
)]
fn advertisements(#[case] ads: Vec<Value>, #[case] owners: &[&str]) {
    assert_eq!(
        announcing(|scene| drop(scene.configure(&[pool("p", "192.0.2.0/24")], &ads))),
        owners
    );
}

#[rstest]
#[case::without_key(json!({}), &["n2"])]
#[case::shared(json!({"metallb.io/allow-shared-ip": "k"}), &[])]
#[case::shared_with_empty_key(json!({"metallb.universe.tf/allow-shared-ip": ""}), &[])]
fn sharing_with_service_selectors(#[case] annotations: Value, #[case] owners: &[&str]) {
    let setup = |scene: &mut Scene| {
        let selective = ad("a", json!({"serviceSelectors": [{"matchLabels": {"app": "a"}}]}));
        scene.configure(&[pool("p", "192.0.2.0/24")], &[selective]);
        scene.service["metadata"]["annotations"] = annotations.clone();
    };
    assert_eq!(announcing(setup), owners);
}

#[rstest]
#[case::no_list(&[json!({})], Some(Links::All))]
#[case::one(&[json!({"interfaces": ["eth1"]})], named(&["eth1"]))]
#[case::union(&[json!({"interfaces": ["eth0"]}), json!({"interfaces": ["eth1"]})], named(&["eth0", "eth1"]))]
#[case::one_without_list(&[json!({"interfaces": ["eth0"]}), json!({})], Some(Links::All))]
#[case::missing(&[json!({"interfaces": ["nope"]})], None)]
#[case::partly_missing(&[json!({"interfaces": ["nope", "eth0"]})], named(&["eth0", "nope"]))]
#[case::of_another_node(
    &[json!({"interfaces": ["eth1"]}), json!({"nodeSelectors": [{"matchLabels": {"name": "n1"}}]})],
    named(&["eth1"])
)]
fn interfaces(#[case] specs: &[Value], #[case] expected: Option<Links>) {
    let mut scene = Scene::new("n2");
    let ads: Vec<Value> = (0..)
        .zip(specs)
        .map(|(n, spec)| ad(&format!("ad{n}"), spec.clone()))
        .collect();
    scene.configure(&[pool("p", "192.0.2.0/24")], &ads);
    assert_eq!(scene.links(), expected);
    if expected.is_none() {
        assert_eq!(scene.decide().reason(), Some(Reason::NoInterface));
        assert!(scene.decide().names_interfaces);
        scene.view.set_interfaces(["nope".to_owned()].into());
        assert_eq!(
            scene.links(),
            named(&["nope"]),
            "announced once the interface is there"
        );
    }
}

#[test]
fn an_announced_service_outlives_its_pool() {
    let mut scene = Scene::new("n2");
    let before = scene.decide();
    scene.configure(&[pool("q", "198.51.100.0/24")], &[ad("all", json!({}))]);
    assert_eq!(
        scene.decide().reason(),
        Some(Reason::IpNotAllowed),
        "not announced so far"
    );
    let service: Service = serde_json::from_value(scene.service.clone()).unwrap();
    let held = scene
        .view
        .decide(&service, &scene.endpoints, before.pool.as_ref(), |_| true);
    assert_eq!(held.announcement(), before.announcement());
    scene.service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "203.0.113.1"}]);
    let service: Service = serde_json::from_value(scene.service.clone()).unwrap();
    let moved = scene
        .view
        .decide(&service, &scene.endpoints, before.pool.as_ref(), |_| true);
    assert_eq!(
        moved.reason(),
        Some(Reason::IpNotAllowed),
        "the old pool does not stand in for other addresses"
    );
}

#[test]
fn a_configuration_tells_which_pools_it_touches() {
    let mut scene = Scene::new("n2");
    let (p, q) = (pool("p", "192.0.2.0/24"), pool("q", "198.51.100.0/24"));
    let for_p = ad("for-p", json!({"ipAddressPools": ["p"]}));
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        scene.configure(&[p.clone(), q.clone()], &[ad("all", json!({}))]),
        set(&["q"])
    );
    assert_eq!(
        scene.configure(&[p.clone(), q.clone()], &[ad("all", json!({}))]),
        set(&[])
    );
    assert_eq!(
        scene.configure(&[p.clone(), q.clone()], &[ad("all", json!({})), for_p.clone()]),
        set(&["p"])
    );
    assert_eq!(
        scene.configure(&[p.clone(), q.clone()], std::slice::from_ref(&for_p)),
        set(&["p", "q"])
    );
    assert_eq!(scene.configure(&[p], &[for_p]), set(&["q"]));
}

#[test]
fn node_news_that_do_not_matter_are_recognized() {
    let mut scene = Scene::new("n2");
    assert!(!scene.view.set_node("n1", Some(facts("n1"))));
    assert!(!scene.view.set_node("unknown", None));
    assert!(scene.view.set_node("n1", Some(facts("renamed"))));
    assert!(scene.view.set_node("n1", None));
}

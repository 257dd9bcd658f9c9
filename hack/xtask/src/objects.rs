//! The objects of the demo and of the end-to-end tests, made from the lab's addresses.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::cluster::NAMESPACE;
use crate::images::WEB_REFERENCE;
use crate::lab::addresses::{BGP_POOL, CLUSTER_ASN, L2_POOL, MHOP};
use crate::lab::router::{ROUTERS, Router};

/// Namespace of the web server.
pub const WEB_NAMESPACE: &str = "demo";
/// Pool whose addresses are announced by BGP.
pub const BGP_POOL_NAME: &str = "bgp";
/// Pool whose addresses are announced by ARP and NDP.
pub const L2_POOL_NAME: &str = "layer2";
/// BFD profile of the eBGP peers.
pub const BFD_PROFILE: &str = "fast";

/// The one object that makes the operator deploy MetalLB. It asks for nothing in particular, and so has no spec: an
/// empty one could not be applied over one that had fields.
pub fn metallb() -> Value {
    let metadata = json!({ "name": "metallb", "namespace": NAMESPACE });
    json!({ "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": metadata })
}

/// Both pools.
pub fn pools() -> Vec<Value> {
    let pool = |name: &str, addresses: &[&str], auto_assign: bool| {
        let spec = json!({ "addresses": addresses, "autoAssign": auto_assign });
        object("metallb.io/v1beta1", "IPAddressPool", name, spec)
    };
    vec![
        pool(BGP_POOL_NAME, &BGP_POOL, true),
        pool(L2_POOL_NAME, &L2_POOL, false),
    ]
}

/// A BFD profile, and a peer per router and family.
pub fn peers() -> Vec<Value> {
    let timers = json!({ "receiveInterval": 300, "transmitInterval": 300, "detectMultiplier": 3 });
    let mut objects = vec![object("metallb.io/v1beta1", "BFDProfile", BFD_PROFILE, timers)];
    for router in &ROUTERS {
        objects.extend(router.station.addresses().map(|address| peer(router, address)));
    }
    objects
}

/// Name of the BGPPeer for a router's address.
pub fn peer_name(router: &Router, address: IpAddr) -> String {
    format!("{}-{}", router.name, if address.is_ipv4() { "v4" } else { "v6" })
}

fn peer(router: &Router, address: IpAddr) -> Value {
    let mut spec = json!({ "myASN": CLUSTER_ASN, "peerASN": router.asn, "peerAddress": address });
    if router.station == MHOP {
        spec["ebgpMultiHop"] = json!(true);
    } else if router.asn != CLUSTER_ASN {
        spec["bfdProfile"] = json!(BFD_PROFILE);
    }
    object("metallb.io/v1beta2", "BGPPeer", &peer_name(router, address), spec)
}

/// What is announced how: one pool by BGP, the other by layer 2.
pub fn advertisements() -> Vec<Value> {
    let of = |pool: &str| json!({ "ipAddressPools": [pool] });
    vec![
        object("metallb.io/v1beta1", "BGPAdvertisement", "bgp", of(BGP_POOL_NAME)),
        object(
            "metallb.io/v1beta1",
            "L2Advertisement",
            "layer2",
            of(L2_POOL_NAME),
        ),
    ]
}

/// A web server with one replica on each of `replicas` nodes, in a namespace of its own.
pub fn web(replicas: usize) -> Vec<Value> {
    let labels = json!({ "app": "web" });
    let from_field =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let container = json!({
        "name": "web", "image": WEB_REFERENCE, "args": ["8080"], "ports": [{ "containerPort": 8080 }],
        "env": [from_field("POD_NAME", "metadata.name"), from_field("NODE_NAME", "spec.nodeName")],
        "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
    });
    let spread = json!({
        "topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": labels }, "matchLabelKeys": ["pod-template-hash"],
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": WEB_NAMESPACE },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "containers": [container], "topologySpreadConstraints": [spread],
                    "terminationGracePeriodSeconds": 0,
                },
            },
        },
    });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": WEB_NAMESPACE } });
    vec![namespace, deployment]
}

/// A dual-stack Service of type LoadBalancer for the web server, with addresses of the pool `pool`.
pub fn service(name: &str, pool: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": WEB_NAMESPACE, "annotations": { "metallb.io/address-pool": pool },
        },
        "spec": {
            "type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack", "selector": { "app": "web" },
            "ports": [{ "port": 80, "targetPort": 8080 }],
        },
    })
}

/// An object of MetalLB in its namespace.
pub fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
    object["spec"] = spec;
    object
}

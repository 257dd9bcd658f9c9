//! Kind BGPPeer in its deprecated version v1beta1: still served, no longer stored. Nothing of this project works with
//! it but the conversion; all else uses [`super::BGPPeer`].

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;
use crate::duration::Duration;
use crate::frrk8s::{Password, empty_as_none};

/// A router to speak BGP with, and how.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "BGPPeerStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    storage = false,
    deprecated = "v1beta1 is deprecated, please use v1beta2",
    shortname = "bgpp",
    category = "metallb-config",
    doc = "BGPPeer is a router that the selected nodes open a BGP session with. This version is deprecated; v1beta2 offers more.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
    printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
    printcolumn(name = "Multi Hops", type_ = "string", json_path = ".spec.ebgpMultiHop")
)]
#[serde(rename_all = "camelCase")]
pub struct BGPPeerSpec {
    /// AS number of the nodes, 1 to 4294967295.
    #[serde(rename = "myASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub my_asn: u32,

    /// AS number of the peer, 1 to 4294967295.
    #[serde(rename = "peerASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub peer_asn: u32,

    /// IPv4 or IPv6 address of the peer.
    pub peer_address: String,

    /// Address of the node to open the session from.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub source_address: Option<String>,

    /// TCP port of the peer; 0 stands for 179.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = 0, max = 16384))]
    pub peer_port: u16,

    /// How long the session survives without a message from the peer: `0s` for ever, else 3 s or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<Duration>,

    /// Interval of keepalive messages, not longer than `holdTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<Duration>,

    /// BGP identifier of the nodes, written like an IPv4 address.
    #[serde(
        default,
        rename = "routerID",
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub router_id: Option<String>,

    /// Labels of the nodes that open the session; one matching selector is enough. When empty, all nodes do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selectors: Vec<NodeSelector>,

    /// Password of the session (TCP MD5, RFC 2385).
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub password: Option<Password>,

    /// Name of the BFDProfile to guard the session with.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub bfd_profile: Option<String>,

    /// Whether the peer, being in another AS, may be more than one hop away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ebgp_multi_hop: bool,
}

/// Selects nodes by their labels; everything said must hold.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Labels the node must have, with exactly these values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub match_labels: BTreeMap<String, String>,

    /// Conditions on labels, all of which must hold.
    #[serde(default, skip_serializing_if = "is_default")]
    pub match_expressions: Vec<MatchExpression>,
}

/// A condition on one label.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchExpression {
    /// Key of the label.
    pub key: String,

    /// Relation of the label to the values, `In` or `NotIn`.
    pub operator: String,

    /// The values, at least one.
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
}

/// Nothing is reported about this object.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BGPPeerStatus {}

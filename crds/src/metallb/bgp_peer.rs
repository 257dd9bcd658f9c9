//! Kind BGPPeer, version v1beta2, which is the one stored. See [`super::v1beta1`] for the older one.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;
use crate::duration::Duration;
pub use crate::frrk8s::{DynamicASN, Password};
use crate::frrk8s::{empty_as_none, zero_as_none};

/// A router to speak BGP with, and how.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "BGPPeerStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "bgpp",
    category = "metallb-config",
    doc = "BGPPeer is a router that the selected nodes open a BGP session with. Which routes it gets is said by BGPAdvertisements.",
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

    /// AS number of the peer. Exactly one of `peerASN` and `dynamicASN` must be given.
    #[serde(
        default,
        rename = "peerASN",
        deserialize_with = "zero_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub peer_asn: Option<u32>,

    /// AS number to present to this peer in place of `myASN`, which is then not seen in the AS path. Needs a backend
    /// with FRRouting.
    #[serde(
        default,
        rename = "localASN",
        deserialize_with = "zero_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: Option<u32>,

    /// Take the AS number of the peer from the session: `internal` accepts only the own one, `external` every
    /// other. Exactly one of `peerASN` and `dynamicASN` must be given. Needs a backend with FRRouting.
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<DynamicASN>,

    /// IPv4 or IPv6 address of the peer. Exactly one of `peerAddress` and `interface` must be given.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub peer_address: Option<String>,

    /// Host interface on whose other end the peer is, for an unnumbered session: the peer is found by its IPv6 router
    /// advertisements. Exactly one of `peerAddress` and `interface` must be given. Needs a backend with FRRouting.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub interface: Option<String>,

    /// Address of the node to open the session from. Must be an address the node has.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub source_address: Option<String>,

    /// TCP port of the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384), extend("default" = 179))]
    pub peer_port: Option<u16>,

    /// How long the session survives without a message from the peer: `0s` for ever, else 3 s or more. When absent
    /// it is three times `keepaliveTime`, or the default of the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<Duration>,

    /// Interval of keepalive messages, not longer than `holdTime`. When absent it is a third of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<Duration>,

    /// Pause before a failed connection is tried again: whole seconds, 1 s to 65535 s. Needs a backend with FRRouting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535"
    ).message("connect time should be between 1 seconds to 65535"))]
    #[x_kube(validation = Rule::new(
        "duration(self).getMilliseconds() % 1000 == 0"
    ).message("connect time should contain a whole number of seconds"))]
    pub connect_time: Option<Duration>,

    /// BGP identifier of the nodes, written like an IPv4 address. With FRRouting all peers of a node must agree on
    /// it. When absent the backend chooses.
    #[serde(
        default,
        rename = "routerID",
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub router_id: Option<String>,

    /// Labels of the nodes that open the session; one matching selector is enough. When empty, all nodes do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// Password of the session (TCP MD5, RFC 2385), readable by everyone who can read this object; `passwordSecret` is
    /// the safer way. At most one of both may be given.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub password: Option<Password>,

    /// Secret with the password of the session, in the namespace of MetalLB, of type `kubernetes.io/basic-auth` and
    /// with the key `password`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub password_secret: SecretReference,

    /// Name of the BFDProfile to guard the session with. When absent the session has no BFD. Needs a backend with
    /// FRRouting.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub bfd_profile: Option<String>,

    /// Keep the routes of a node while its BGP restarts (RFC 4724). Cannot be changed once it was said. Needs a
    /// backend with FRRouting.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("EnableGracefulRestart cannot be changed after creation"))]
    pub enable_graceful_restart: bool,

    /// Whether the peer, being in another AS, may be more than one hop away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ebgp_multi_hop: bool,

    /// VRF (the Linux device) in which the session runs. When absent it is the default one. Needs a backend with
    /// FRRouting.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub vrf: Option<String>,

    /// Deprecated and without effect; see `dualStackAddressFamily`.
    #[serde(default, rename = "disableMP")]
    pub disable_mp: bool,

    /// Exchange routes of both address families in this one session. Else a session carries only the family of the
    /// peer's address. Needs a backend with FRRouting.
    #[serde(default)]
    pub dual_stack_address_family: bool,
}

/// Names a Secret.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,

    /// Not used: the Secret is always looked up in the namespace of MetalLB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub namespace: String,
}

/// Nothing is reported about this object; see BGPSessionState.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BGPPeerStatus {}

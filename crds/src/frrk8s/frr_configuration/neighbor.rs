use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::frrk8s::{empty_as_none, is_default, zero_as_none};

/// A BGP peer, and what may be told to it and learned from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbor {
    /// Address of the peer. Exactly one of `address` and `interface` must be set.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "is_default"
    )]
    pub address: Option<String>,

    /// Address families to exchange with the peer. An empty list means `unicast`.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = ["unicast"]), length(max = 2))]
    pub address_families: Vec<AddressFamily>,

    /// AS number of the peer. Exactly one of `asn` and `dynamicASN` must be set.
    #[serde(
        default,
        deserialize_with = "zero_as_none",
        skip_serializing_if = "is_default"
    )]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4_294_967_295_u32))]
    pub asn: Option<u32>,

    /// BFD profile, of the same object, for a BFD session that guards this peer. Without it there is none.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "is_default"
    )]
    pub bfd_profile: Option<String>,

    /// How long to wait between two attempts to connect: whole seconds, 1s to 65535s.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(
        validation = Rule::new("duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535")
            .message("connectTime must be between 1s and 65535s"),
        validation = Rule::new("duration(self).getMilliseconds() % 1000 == 0")
            .message("connectTime must be a whole number of seconds")
    )]
    pub connect_time: Option<Duration>,

    /// Deprecated and without effect.
    #[serde(default, rename = "disableMP", skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub disable_mp: bool,

    /// Exchange both IPv4 and IPv6 unicast routes, whatever the family of the session's own addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub dual_stack_address_family: bool,

    /// Take the AS number of the peer from the session, as long as it equals our own (`internal`) or differs from
    /// it (`external`).
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "is_default")]
    pub dynamic_asn: Option<DynamicASN>,

    /// The peer is more than one hop away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ebgp_multi_hop: bool,

    /// Ask this peer to keep our routes while our BGP daemon restarts (RFC 4724). Takes effect when the session is
    /// next opened.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enable_graceful_restart: bool,

    /// How long the peer may be silent (RFC 4271 section 4.2): 0s, or at least 3s. To be set together with
    /// `keepaliveTime`. FRRouting's default is 180s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold_time: Option<Duration>,

    /// Interface behind which the peer is found by its link-local address (BGP unnumbered). Exactly one of
    /// `address` and `interface` must be set.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "is_default"
    )]
    pub interface: Option<String>,

    /// Interval between keepalive messages, at most `holdTime`. FRRouting's default is 60s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keepalive_time: Option<Duration>,

    /// AS number to show this external peer in place of the router's own.
    #[serde(
        default,
        rename = "localASN",
        deserialize_with = "zero_as_none",
        skip_serializing_if = "is_default"
    )]
    #[schemars(extend("format" = "int64"), range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: Option<u32>,

    /// Password of the TCP session (RFC 2385). Only one of `password` and `passwordSecret` may be set.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "is_default"
    )]
    pub password: Option<Password>,

    /// Secret of type `kubernetes.io/basic-auth` in the namespace of the agent, whose key `password` holds the
    /// password of the TCP session.
    #[serde(default, skip_serializing_if = "is_default")]
    pub password_secret: SecretReference,

    /// TCP port of the peer. Without it 179.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("format" = null), range(min = 0, max = 16384))]
    pub port: Option<u16>,

    /// Address, or interface whose address is used, at our end of the session.
    #[serde(
        default,
        rename = "sourceaddress",
        deserialize_with = "empty_as_none",
        skip_serializing_if = "is_default"
    )]
    pub source_address: Option<String>,

    /// What to tell the peer. Without it nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub to_advertise: Advertise,

    /// What to learn from the peer. Without it nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub to_receive: Receive,
}

/// A secret in clear text. It cannot be seen in logs: its `Debug` prints no part of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl AsRef<str> for Password {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Name of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,

    /// Without effect: the Secret is looked up in the namespace of the agent.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: String,
}

/// A relation between our AS number and the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DynamicASN {
    Internal,
    External,
}

/// A kind of routes that a session can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    Unicast,
    Evpn,
}

/// How a list of allowed prefixes is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowMode {
    All,
    #[default]
    Filtered,
}

/// What a peer is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Advertise {
    /// Prefixes that the peer is told of.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed: AllowedOutPrefixes,

    /// Next hop to write into the routes, per family. Without it FRRouting decides.
    #[serde(skip_serializing_if = "is_default")]
    pub next_hop: NextHop,

    /// Communities that are added to some of the prefixes.
    #[serde(skip_serializing_if = "is_default")]
    pub with_community: Vec<CommunityPrefixes>,

    /// Local preferences that are set on some of the prefixes. Only peers in the same AS see them.
    #[serde(skip_serializing_if = "is_default")]
    pub with_local_pref: Vec<LocalPrefPrefixes>,
}

/// Prefixes of the router that may be announced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedOutPrefixes {
    /// `all` means every prefix that this object gives to the router, and to the VRFs it imports. `filtered` means
    /// those listed in `prefixes`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "filtered"))]
    pub mode: AllowMode,

    /// The announced prefixes, each of them one of the router or of a VRF it imports.
    #[serde(skip_serializing_if = "is_default")]
    pub prefixes: Vec<String>,
}

/// Next hops for announced routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NextHop {
    /// Next hop of IPv4 routes.
    #[serde(deserialize_with = "empty_as_none", skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "ipv4"))]
    pub ipv4: Option<String>,

    /// Global next hop of IPv6 routes.
    #[serde(deserialize_with = "empty_as_none", skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "ipv6"))]
    pub ipv6: Option<String>,
}

/// A local preference and the prefixes that get it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPrefPrefixes {
    /// The local preference (RFC 4271 section 5.1.5).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"))]
    pub local_pref: u32,

    /// The prefixes, in CIDR notation, all of them announced to this peer.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "cidr"), length(min = 1))]
    pub prefixes: Vec<String>,
}

/// A community and the prefixes that get it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommunityPrefixes {
    /// A community (RFC 1997) such as `64500:31`, or a large community (RFC 8092) such as `large:64500:7:9`.
    #[serde(skip_serializing_if = "is_default")]
    pub community: String,

    /// The prefixes, in CIDR notation, all of them announced to this peer.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "cidr"), length(min = 1))]
    pub prefixes: Vec<String>,
}

/// What is learned from a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Receive {
    /// Prefixes that are accepted from the peer.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed: AllowedInPrefixes,
}

/// Prefixes that may be learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedInPrefixes {
    /// `all` means every prefix, `filtered` those which `prefixes` selects.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "filtered"))]
    pub mode: AllowMode,

    /// The accepted prefixes.
    #[serde(skip_serializing_if = "is_default")]
    pub prefixes: Vec<PrefixSelector>,
}

/// A prefix, or a range of lengths of the prefixes inside it. With neither `le` nor `ge` only the prefix itself is
/// selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrefixSelector {
    /// Shortest selected length, in bits.
    #[serde(deserialize_with = "zero_as_none", skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 1, max = 128))]
    pub ge: Option<u32>,

    /// Longest selected length, in bits.
    #[serde(deserialize_with = "zero_as_none", skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 1, max = 128))]
    pub le: Option<u32>,

    /// The prefix, in CIDR notation.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "cidr"))]
    pub prefix: String,
}

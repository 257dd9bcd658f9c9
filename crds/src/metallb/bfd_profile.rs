//! Kind BFDProfile.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// How the BFD sessions that use this profile behave.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BFDProfile",
    plural = "bfdprofiles",
    namespaced,
    status = "BFDProfileStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "bfdp",
    category = "metallb-config",
    doc = "BFDProfile says how quickly a dead BGP peer is noticed (RFC 5880). A BGPPeer refers to it by name. What is absent is left to the backend.",
    printcolumn(name = "Passive Mode", type_ = "boolean", json_path = ".spec.passiveMode"),
    printcolumn(
        name = "Transmit Interval",
        type_ = "integer",
        json_path = ".spec.transmitInterval"
    ),
    printcolumn(
        name = "Receive Interval",
        type_ = "integer",
        json_path = ".spec.receiveInterval"
    ),
    printcolumn(name = "Multiplier", type_ = "integer", json_path = ".spec.detectMultiplier")
)]
#[serde(rename_all = "camelCase")]
pub struct BFDProfileSpec {
    /// Shortest interval, in milliseconds, at which control packets can be received. FRRouting's default is 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,

    /// Shortest interval, in milliseconds, at which to send control packets. FRRouting's default is 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,

    /// Number of packets in a row that may be lost before the peer counts as dead. FRRouting's default is 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,

    /// Shortest interval, in milliseconds, at which echo packets can be sent and received. FRRouting's default is 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,

    /// Let the peer's forwarding plane return echo packets. Possible neither over several hops nor with IPv6.
    #[serde(default, skip_serializing_if = "is_default")]
    pub echo_mode: bool,

    /// Wait for the peer's first control packet instead of sending one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passive_mode: bool,

    /// For peers over several hops: smallest TTL with which a control packet is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

/// Nothing is reported about this object.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BFDProfileStatus {}

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frrk8s::is_default;

/// Timers and modes of BFD sessions (RFC 5880). What is absent is left to FRRouting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct BFDProfile {
    /// How many packets in a row may get lost before the session is down. FRRouting's default is 3.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,

    /// Shortest interval between echo packets that we send and accept, in milliseconds. FRRouting's default is 50.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,

    /// Use the echo function (RFC 5880 section 6.4). Multi-hop sessions and sessions in a VRF have no echo function.
    #[serde(skip_serializing_if = "is_default")]
    pub echo_mode: Option<bool>,

    /// Smallest TTL which packets of a multi-hop session may arrive with (RFC 5883). FRRouting's default is 254.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,

    /// Name of the profile, by which neighbors refer to it.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,

    /// Wait for the peer to open the session (RFC 5880 section 6.1).
    #[serde(skip_serializing_if = "is_default")]
    pub passive_mode: Option<bool>,

    /// Shortest interval between control packets that we accept, in milliseconds. FRRouting's default is 300.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,

    /// Shortest interval at which we want to send control packets, in milliseconds. FRRouting's default is 300.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,
}

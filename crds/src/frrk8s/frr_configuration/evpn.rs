use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::frrk8s::{empty_as_none, is_default};

/// EVPN settings of a router (RFC 7432, RFC 9136). The VXLAN devices, bridges and VRFs themselves are not made here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EVPNConfig {
    /// Announce the MAC and IP address of the VLAN interfaces of this node.
    #[serde(rename = "advertiseSVI", skip_serializing_if = "is_default")]
    pub advertise_svi: bool,

    /// Which of the VNIs found on this node are announced. Without it none.
    #[serde(rename = "advertiseVNIs", skip_serializing_if = "is_default")]
    pub advertise_vnis: Option<AdvertiseVNIs>,

    /// Settings of single layer 2 VNIs, for those which shall differ from what FRRouting derives by itself.
    #[serde(rename = "l2vnis", skip_serializing_if = "is_default")]
    #[schemars(length(max = 10))]
    pub l2_vnis: Vec<L2VNI>,

    /// The layer 3 VNI which carries the routes of this router's VRF.
    #[serde(rename = "l3vni", skip_serializing_if = "is_default")]
    pub l3_vni: Option<L3VNI>,
}

/// A choice of VNIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AdvertiseVNIs {
    Disabled,
    All,
}

/// A family whose routes a layer 3 VNI carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AdvertisedFamily {
    Unicast,
}

/// Settings of a layer 2 VNI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["vni"]))]
pub struct L2VNI {
    /// Route targets put on announced routes. Without them FRRouting derives one.
    #[serde(rename = "exportRTs", skip_serializing_if = "is_default")]
    #[schemars(length(max = 100))]
    pub export_rts: Vec<ExportRouteTarget>,

    /// Route targets of routes that are taken in. Without them FRRouting derives one.
    #[serde(rename = "importRTs", skip_serializing_if = "is_default")]
    #[schemars(length(max = 100))]
    pub import_rts: Vec<ImportRouteTarget>,

    /// Route distinguisher of this VNI. Without it FRRouting derives one.
    #[serde(deserialize_with = "empty_as_none", skip_serializing_if = "is_default")]
    pub rd: Option<RouteDistinguisher>,

    /// The VNI (RFC 7348), 1 to 16777215.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 1, max = 16_777_215))]
    pub vni: u32,
}

/// The layer 3 VNI of a VRF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["advertisePrefixes", "vni"]))]
pub struct L3VNI {
    /// Routes of the VRF that are announced as EVPN prefix routes (RFC 9136).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(length(min = 1, max = 1))]
    pub advertise_prefixes: Vec<AdvertisedFamily>,

    /// Route targets put on announced routes. Without them FRRouting derives one.
    #[serde(rename = "exportRTs", skip_serializing_if = "is_default")]
    #[schemars(length(max = 100))]
    pub export_rts: Vec<ExportRouteTarget>,

    /// Route targets of routes that are taken in. Without them FRRouting derives one.
    #[serde(rename = "importRTs", skip_serializing_if = "is_default")]
    #[schemars(length(max = 100))]
    pub import_rts: Vec<ImportRouteTarget>,

    /// Route distinguisher of this VNI. Without it FRRouting derives one.
    #[serde(deserialize_with = "empty_as_none", skip_serializing_if = "is_default")]
    pub rd: Option<RouteDistinguisher>,

    /// The VNI (RFC 7348), 1 to 16777215.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int32"), range(min = 1, max = 16_777_215))]
    pub vni: u32,
}

/// Declares a text of the form `global:local`: an AS number or an IPv4 address, and a number (RFC 4364 section 4.2,
/// RFC 4360 section 4). A longer global part leaves 16 bits to the local one.
macro_rules! administrator_and_number {
    ($(#[$doc:meta])* $name:ident, $wildcard:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "maxLength": 21, "x-kubernetes-validations": rules($wildcard) })
            }
        }
    };
}

administrator_and_number!(
    /// Makes equal prefixes of different VRFs different (RFC 4364 section 4.1).
    RouteDistinguisher,
    false
);
administrator_and_number!(
    /// Marks an announced route for those who shall take it in (RFC 4364 section 4.3.1).
    ExportRouteTarget,
    false
);
administrator_and_number!(
    /// Selects the routes to take in. The global part `*` stands for any.
    ImportRouteTarget,
    true
);

/// The CEL rules of a `global:local` text; `wildcard` admits `*` as its global part.
fn rules(wildcard: bool) -> Value {
    let (any, or_any) = if wildcard { ("|[*]", " or *") } else { ("", "") };
    json!([
        {
            "rule": format!("self.matches('^([0-9]{{1,10}}|[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}{any}):[0-9]{{1,10}}$')"),
            "message": format!("must be an AS number or an IPv4 address{or_any}, a colon, and a number"),
        },
        {
            "rule": "!self.contains('.') || isIP(self.split(':')[0])",
            "message": "the part before the colon is not an IPv4 address",
        },
        {
            "rule": "!self.contains('.') || int(self.split(':')[1]) <= 65535",
            "message": "after an IPv4 address the number must not exceed 65535",
        },
        {
            "rule": "self.contains('.') || self.startsWith('*') || int(self.split(':')[0]) <= 4294967295",
            "message": "the AS number must not exceed 4294967295",
        },
        {
            "rule": "self.contains('.') || self.startsWith('*') || int(self.split(':')[0]) <= 65535 || int(self.split(':')[1]) <= 65535",
            "message": "after an AS number above 65535 the number must not exceed 65535",
        },
        {
            "rule": "self.contains('.') || int(self.split(':')[1]) <= 4294967295",
            "message": "the number after the colon must not exceed 4294967295",
        },
    ])
}

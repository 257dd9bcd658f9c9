//! Kind Community.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Names for BGP communities.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    namespaced,
    status = "CommunityStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    category = "metallb-config",
    doc = "Community gives names to BGP communities, for use in BGPAdvertisements."
)]
#[serde(rename_all = "camelCase")]
pub struct CommunitySpec {
    /// The names and what they stand for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub communities: Vec<CommunityAlias>,
}

/// The name of one community.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommunityAlias {
    /// Name to use in a BGPAdvertisement. No other Community object may have it too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,

    /// The community: two numbers of 16 bits (`65535:65282`, RFC 1997), or the word `large` and three numbers of 32
    /// bits (`large:64512:1:200`, RFC 8092).
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: String,
}

/// Nothing is reported about this object.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunityStatus {}

//! Conversion between the two versions of BGPPeer, for the conversion webhook.
//!
//! The webhook is needed only for what the API server cannot do alone: keep the fields v1beta1 does not know when a
//! client reads an object as v1beta1 and writes it back. They travel in the annotation [`ANNOTATION_V1BETA2`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, WebhookClientConfig, WebhookConversion,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::metallb::{BGPPeer, BGPPeerSpec, BGPPeerStatus, DynamicASN, SecretReference, v1beta1};

/// Annotation of a BGPPeer in version v1beta1: what its v1beta2 form says beyond that version, as JSON.
pub const ANNOTATION_V1BETA2: &str = "metallb.io/bgppeer-v1beta2";

const V1BETA1: &str = "metallb.io/v1beta1";
const V1BETA2: &str = "metallb.io/v1beta2";

/// Why an object cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    /// The object has, or shall get, a version there is no conversion for.
    #[error("BGPPeer has no version {0:?}, use {V1BETA1} or {V1BETA2}")]
    UnknownVersion(String),
    /// The object is not a BGPPeer of the version it says it has.
    #[error("object is not a BGPPeer of version {version}")]
    Malformed {
        /// Version the object says it has.
        version: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Converts a BGPPeer to the version `desired` (with its group). An object that has it already is returned as it is.
///
/// # Errors
///
/// When either version is unknown, or the object does not fit its own.
pub fn convert(object: Value, desired: &str) -> Result<Value, ConversionError> {
    let current = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match (current, desired) {
        (V1BETA1, V1BETA1) | (V1BETA2, V1BETA2) => Ok(object),
        (V1BETA1, V1BETA2) => via(object, V1BETA1, to_v1beta2),
        (V1BETA2, V1BETA1) => via(object, V1BETA2, to_v1beta1),
        (V1BETA1 | V1BETA2, unknown) | (unknown, _) => {
            Err(ConversionError::UnknownVersion(unknown.to_owned()))
        }
    }
}

fn via<From, To>(
    object: Value,
    version: &'static str,
    convert: fn(From) -> To,
) -> Result<Value, ConversionError>
where
    From: for<'de> Deserialize<'de>,
    To: Serialize,
{
    let malformed = |source| ConversionError::Malformed { version, source };
    let object = serde_json::from_value(object).map_err(malformed)?;
    serde_json::to_value(convert(object)).map_err(malformed)
}

/// Lets the BGPPeers of a cluster be converted by the webhook `client` describes.
pub fn use_webhook(crd: &mut CustomResourceDefinition, client: WebhookClientConfig) {
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(client),
            conversion_review_versions: vec!["v1".to_owned(), "v1beta1".to_owned()],
        }),
    });
}

/// What v1beta2 can say and v1beta1 cannot.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeyondV1Beta1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dynamic_asn: Option<DynamicASN>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_asn: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_time: Option<Duration>,
    #[serde(default)]
    password_secret: SecretReference,
    #[serde(default)]
    enable_graceful_restart: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vrf: Option<String>,
    #[serde(default, rename = "disableMP")]
    disable_mp: bool,
    #[serde(default)]
    dual_stack_address_family: bool,
}

/// Converts to the version that is stored. What has no value stays without one, so that the defaults of v1beta2 apply:
/// port 0 becomes 179, absent timers are left to the backend. An annotation [`ANNOTATION_V1BETA2`] that cannot be read
/// is dropped.
pub fn to_v1beta2(old: v1beta1::BGPPeer) -> BGPPeer {
    let v1beta1::BGPPeer {
        mut metadata,
        spec,
        status,
    } = old;
    let beyond: BeyondV1Beta1 = take_annotation(&mut metadata)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    BGPPeer {
        metadata,
        spec: BGPPeerSpec {
            my_asn: spec.my_asn,
            peer_asn: Some(spec.peer_asn).filter(|asn| *asn != 0),
            local_asn: beyond.local_asn,
            dynamic_asn: beyond.dynamic_asn,
            peer_address: Some(spec.peer_address).filter(|address| !address.is_empty()),
            interface: beyond.interface,
            source_address: spec.source_address,
            peer_port: Some(spec.peer_port).filter(|port| *port != 0),
            hold_time: spec.hold_time,
            keepalive_time: spec.keepalive_time,
            connect_time: beyond.connect_time,
            router_id: spec.router_id,
            node_selectors: spec.node_selectors.into_iter().map(to_label_selector).collect(),
            password: spec.password,
            password_secret: beyond.password_secret,
            bfd_profile: spec.bfd_profile,
            enable_graceful_restart: beyond.enable_graceful_restart,
            ebgp_multi_hop: spec.ebgp_multi_hop,
            vrf: beyond.vrf,
            disable_mp: beyond.disable_mp,
            dual_stack_address_family: beyond.dual_stack_address_family,
        },
        status: status.map(|v1beta1::BGPPeerStatus {}| BGPPeerStatus {}),
    }
}

/// Converts to the deprecated version. What it cannot say goes to the annotation [`ANNOTATION_V1BETA2`]; a missing AS
/// number or address of the peer, which it requires, becomes 0 or an empty text.
pub fn to_v1beta1(new: BGPPeer) -> v1beta1::BGPPeer {
    let BGPPeer {
        mut metadata,
        spec,
        status,
    } = new;
    let beyond = BeyondV1Beta1 {
        dynamic_asn: spec.dynamic_asn,
        interface: spec.interface,
        local_asn: spec.local_asn,
        connect_time: spec.connect_time,
        password_secret: spec.password_secret,
        enable_graceful_restart: spec.enable_graceful_restart,
        vrf: spec.vrf,
        disable_mp: spec.disable_mp,
        dual_stack_address_family: spec.dual_stack_address_family,
    };
    if beyond != BeyondV1Beta1::default() {
        let text = serde_json::to_string(&beyond).expect("texts, numbers and booleans are JSON");
        metadata
            .annotations
            .get_or_insert_default()
            .insert(ANNOTATION_V1BETA2.to_owned(), text);
    }
    v1beta1::BGPPeer {
        metadata,
        spec: v1beta1::BGPPeerSpec {
            my_asn: spec.my_asn,
            peer_asn: spec.peer_asn.unwrap_or_default(),
            peer_address: spec.peer_address.unwrap_or_default(),
            source_address: spec.source_address,
            peer_port: spec.peer_port.unwrap_or_default(),
            hold_time: spec.hold_time,
            keepalive_time: spec.keepalive_time,
            router_id: spec.router_id,
            node_selectors: spec.node_selectors.into_iter().map(to_node_selector).collect(),
            password: spec.password,
            bfd_profile: spec.bfd_profile,
            ebgp_multi_hop: spec.ebgp_multi_hop,
        },
        status: status.map(|BGPPeerStatus {}| v1beta1::BGPPeerStatus {}),
    }
}

fn take_annotation(metadata: &mut ObjectMeta) -> Option<String> {
    let annotations = metadata.annotations.as_mut()?;
    let text = annotations.remove(ANNOTATION_V1BETA2)?;
    if annotations.is_empty() {
        metadata.annotations = None;
    }
    Some(text)
}

fn to_label_selector(selector: v1beta1::NodeSelector) -> LabelSelector {
    let expressions = selector
        .match_expressions
        .into_iter()
        .map(|expression| LabelSelectorRequirement {
            key: expression.key,
            operator: expression.operator,
            values: Some(expression.values).filter(|values| !values.is_empty()),
        });
    LabelSelector {
        match_expressions: Some(expressions.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        match_labels: Some(selector.match_labels).filter(|labels| !labels.is_empty()),
    }
}

fn to_node_selector(selector: LabelSelector) -> v1beta1::NodeSelector {
    let expressions = selector.match_expressions.unwrap_or_default();
    let expressions = expressions
        .into_iter()
        .map(|expression| v1beta1::MatchExpression {
            key: expression.key,
            operator: expression.operator,
            values: expression.values.unwrap_or_default(),
        });
    v1beta1::NodeSelector {
        match_labels: selector.match_labels.unwrap_or_default(),
        match_expressions: expressions.collect(),
    }
}

#[cfg(test)]
mod tests;

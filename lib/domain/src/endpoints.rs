//! Which endpoints of a Service can take traffic, and on which nodes they are.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Where the usable endpoints of one Service are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsableEndpoints {
    anywhere: bool,
    nodes: BTreeSet<String>,
}

impl UsableEndpoints {
    /// Collects the usable endpoints of all slices of one Service. O(endpoints × log nodes).
    pub fn of<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Self {
        let mut usable = Self::default();
        let endpoints = slices.into_iter().flat_map(|slice| &slice.endpoints);
        for endpoint in endpoints.filter(|endpoint| is_usable(endpoint)) {
            usable.anywhere = true;
            if let Some(node) = &endpoint.node_name
                && !usable.nodes.contains(node)
            {
                usable.nodes.insert(node.clone());
            }
        }
        usable
    }

    /// True when there is a usable endpoint, on whatever node: enough for `externalTrafficPolicy: Cluster`.
    pub fn any(&self) -> bool {
        self.anywhere
    }

    /// True when a usable endpoint is on `node`: needed for `externalTrafficPolicy: Local`.
    pub fn on_node(&self, node: &str) -> bool {
        self.nodes.contains(node)
    }

    /// The nodes that have a usable endpoint. Endpoints without a node name are on none.
    pub fn nodes(&self) -> &BTreeSet<String> {
        &self.nodes
    }

    /// True when a node may attract traffic for a Service with these endpoints: any usable endpoint is enough under
    /// the policy Cluster, under Local (`local`) it must be on the node itself.
    pub fn serve(&self, local: bool, node: &str) -> bool {
        if local { self.on_node(node) } else { self.anywhere }
    }
}

/// An endpoint is usable when it has an address and is ready (unknown counts as ready) or still serving, so that
/// connections to a pod that is shutting down gracefully are not cut.
pub fn is_usable(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions
        .and_then(|conditions| conditions.serving)
        .unwrap_or(false);
    !endpoint.addresses.is_empty() && (ready || serving)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{UsableEndpoints, is_usable};

    #[rstest]
    #[case(json!({"addresses": ["10.0.0.1"]}), true)]
    #[case(json!({"addresses": ["10.0.0.1"], "conditions": {}}), true)]
    #[case(json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": false}}), true)]
    #[case(json!({"addresses": ["10.0.0.1"], "conditions": {"ready": false}}), false)]
    #[case(json!({"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": false}}), false)]
    #[case(json!({"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}}), true)]
    #[case(json!({"addresses": [], "conditions": {"ready": true}}), false)]
    fn usable(#[case] endpoint: Value, #[case] expected: bool) {
        assert_eq!(is_usable(&serde_json::from_value(endpoint).unwrap()), expected);
    }

    #[test]
    fn endpoints_are_found_across_slices_and_by_node() {
        let slice = |endpoints: Value| -> EndpointSlice {
            serde_json::from_value(json!({
                "metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints
            }))
            .unwrap()
        };
        let slices = [
            slice(json!([{"addresses": ["10.0.0.1"], "nodeName": "a"}])),
            slice(json!([
                {"addresses": ["10.0.0.2"], "nodeName": "b", "conditions": {"ready": false}},
                {"addresses": ["10.0.0.3"]},
            ])),
        ];
        let usable = UsableEndpoints::of(&slices);
        assert!(usable.any() && usable.on_node("a") && !usable.on_node("b"));
        assert!(usable.serve(false, "b") && !usable.serve(true, "b") && usable.serve(true, "a"));
        assert_eq!(
            UsableEndpoints::of(&slices[1..]).nodes().len(),
            0,
            "no node name, no local endpoint"
        );
    }
}

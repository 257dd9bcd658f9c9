//! The status objects as they should be.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use metallb_crds::metallb::{
    ConfigurationResult, ConfigurationState, ConfigurationStateFields, ConfigurationStateStatus,
    InterfaceInfo, LABEL_COMPONENT_TYPE, LABEL_NODE, LABEL_NODE_NAME, LABEL_SERVICE_NAME,
    LABEL_SERVICE_NAMESPACE, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus,
};
use metallb_domain::service::ServiceKey;

/// Type of the only condition a speaker reports.
const CONDITION: &str = "configReconcilerValid";
/// Longest message a condition may have, in characters.
const MESSAGE_LIMIT: usize = 32_768;

/// For whom the status objects speak.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The Node.
    pub node: String,
    /// MetalLB's namespace.
    pub namespace: String,
    /// The Pod; its objects are collected with it.
    pub pod: Option<String>,
}

impl Identity {
    /// Selects the `ServiceL2Status` objects of this node.
    pub(super) fn selector(&self) -> String {
        format!("{LABEL_NODE}={}", label_value(&self.node))
    }

    /// Selects the `ServiceL2Status` objects of a Service, of whatever node.
    pub(super) fn service_selector(service: &ServiceKey) -> String {
        let (name, namespace) = (label_value(&service.name), label_value(&service.namespace));
        format!("{LABEL_SERVICE_NAME}={name},{LABEL_SERVICE_NAMESPACE}={namespace}")
    }

    /// Name of the `ServiceL2Status` of a Service. The same on every run, so that writing is idempotent; different
    /// on every node, because the fields that name the node cannot be changed.
    pub(super) fn service_status_name(&self, service: &ServiceKey) -> String {
        format!("l2-{}", short_hash(&format!("{}/{service}", self.node)))
    }

    /// Name of this speaker's `ConfigurationState`.
    pub(super) fn configuration_state_name(&self) -> String {
        format!("speaker-{}", self.node)
    }

    /// The `ServiceL2Status` of a Service that is announced from this node, with its status.
    pub(super) fn service_status(
        &self,
        service: &ServiceKey,
        interfaces: Vec<String>,
        owner: Option<OwnerReference>,
    ) -> ServiceL2Status {
        let labels = [
            (LABEL_NODE, self.node.as_str()),
            (LABEL_SERVICE_NAME, &service.name),
            (LABEL_SERVICE_NAMESPACE, &service.namespace),
        ];
        ServiceL2Status {
            metadata: self.metadata(self.service_status_name(service), &labels, owner),
            spec: ServiceL2StatusSpec::default(),
            status: Some(ServiceL2StatusStatus {
                node: self.node.clone(),
                service_name: service.name.clone(),
                service_namespace: service.namespace.clone(),
                interfaces: interfaces
                    .into_iter()
                    .map(|name| InterfaceInfo { name })
                    .collect(),
            }),
        }
    }

    /// This speaker's `ConfigurationState`, with its status. `before` is the one that exists: a condition that stays
    /// as it is keeps the time of its last transition.
    pub(super) fn configuration_state(
        &self,
        problems: &[String],
        owner: Option<OwnerReference>,
        before: Option<&ConfigurationState>,
    ) -> ConfigurationState {
        let mut summary = String::new();
        if !problems.is_empty() {
            let text = format!("configuration error: {}", problems.join("\n"));
            summary = text.chars().take(MESSAGE_LIMIT).collect();
        }
        let (status, reason, result) = if problems.is_empty() {
            ("True", "Reconciled", ConfigurationResult::Valid)
        } else {
            ("False", "ConfigurationError", ConfigurationResult::Invalid)
        };
        let known = before
            .and_then(|before| before.status.as_ref())
            .and_then(|known| {
                known
                    .conditions
                    .iter()
                    .find(|known| known.type_ == CONDITION && known.status == status)
            });
        let condition = Condition {
            type_: CONDITION.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: summary.clone(),
            last_transition_time: known.map_or_else(
                || Time(Timestamp::now()),
                |known| known.last_transition_time.clone(),
            ),
            observed_generation: None,
        };
        let labels = [(LABEL_COMPONENT_TYPE, "speaker"), (LABEL_NODE_NAME, &self.node)];
        ConfigurationState {
            metadata: self.metadata(self.configuration_state_name(), &labels, owner),
            spec: ConfigurationStateFields {},
            status: Some(ConfigurationStateStatus {
                result: Some(result),
                error_summary: summary,
                conditions: vec![condition],
            }),
        }
    }

    fn metadata(&self, name: String, labels: &[(&str, &str)], owner: Option<OwnerReference>) -> ObjectMeta {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), label_value(value)))
            .collect();
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

/// Makes an object go when the Pod goes.
pub(super) fn owner(pod: &Pod) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        ..OwnerReference::default()
    })
}

/// A name as a label value. Names may be longer than the 63 characters of a label value; then a part of it and a hash
/// stand for it.
fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let head: String = name.chars().take(40).collect();
    format!("{}-{}", head.trim_end_matches(['-', '.', '_']), short_hash(name))
}

/// Twenty hexadecimal digits.
fn short_hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            node: "n1".to_owned(),
            namespace: "metallb-system".to_owned(),
            pod: None,
        }
    }

    fn service() -> ServiceKey {
        ServiceKey {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[test]
    fn a_service_status_names_node_and_service() {
        let object = identity().service_status(&service(), vec!["eth0".to_owned(), "eth1".to_owned()], None);
        let labels = object.metadata.labels.unwrap();
        assert_eq!(labels["metallb.io/node"], "n1");
        assert_eq!(labels["metallb.io/service-name"], "web");
        assert_eq!(labels["metallb.io/service-namespace"], "default");
        assert!(object.metadata.name.unwrap().starts_with("l2-"));
        let status = serde_json::to_value(object.status).unwrap();
        assert_eq!(
            status,
            serde_json::json!({
                "node": "n1", "serviceName": "web", "serviceNamespace": "default",
                "interfaces": [{"name": "eth0"}, {"name": "eth1"}],
            })
        );
    }

    #[test]
    fn names_differ_between_nodes_and_services() {
        let other_node = Identity {
            node: "n2".to_owned(),
            ..identity()
        };
        let other_service = ServiceKey {
            name: "api".to_owned(),
            ..service()
        };
        let name = identity().service_status_name(&service());
        assert_eq!(name, identity().service_status_name(&service()));
        assert_ne!(name, other_node.service_status_name(&service()));
        assert_ne!(name, identity().service_status_name(&other_service));
    }

    #[test]
    fn long_names_fit_a_label() {
        let (one, two) = (
            format!("{}.one", "n".repeat(80)),
            format!("{}.two", "n".repeat(80)),
        );
        assert!(label_value(&one).len() <= 63);
        assert_ne!(label_value(&one), label_value(&two));
        assert_eq!(label_value("n1.example.com"), "n1.example.com");
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut before = identity().configuration_state(&[], None, None);
        let time = Time(Timestamp::UNIX_EPOCH);
        before.status.as_mut().unwrap().conditions[0].last_transition_time = time.clone();
        let transition = |problems: &[String]| {
            let status = identity()
                .configuration_state(problems, None, Some(&before))
                .status
                .unwrap();
            status.conditions[0].last_transition_time.clone()
        };
        assert_eq!(transition(&[]), time);
        assert_ne!(transition(&["bad pool".to_owned()]), time);
    }

    #[test]
    fn errors_are_summed_up() {
        let problems = ["pool a".to_owned(), "x".repeat(40_000)];
        let status = identity()
            .configuration_state(&problems, None, None)
            .status
            .unwrap();
        assert_eq!(status.result, Some(ConfigurationResult::Invalid));
        assert!(
            status
                .error_summary
                .starts_with("configuration error: pool a\nxxx")
        );
        assert_eq!(status.conditions[0].message.chars().count(), 32_768);
        assert_eq!(
            (
                status.conditions[0].status.as_str(),
                status.conditions[0].reason.as_str()
            ),
            ("False", "ConfigurationError")
        );
    }
}

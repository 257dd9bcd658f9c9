//! Service accounts and the least rights each program needs.
//!
//! The operator can only grant what it holds itself; `manifests/` gives it these rights, and a test keeps both in step.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::frr::SERVICE_ACCOUNT as FRR_AGENT;
use super::{Installation, frr_k8s_labels, metallb_labels};
use crate::lifecycle::object::Desired;

const READ: &[&str] = &["get", "list", "watch"];
/// What server-side apply, and later removal, of an object of one's own takes.
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const PATCH: &[&str] = &["patch"];
/// A program makes its pod the owner of its status objects, so that they go with it.
const OWN_POD: &[&str] = &["get"];
/// Events appear in the namespace of the object they are about.
const WRITE_EVENTS: &[&str] = &["create", "patch"];

/// The controller reads Services and pools, and writes the addresses it gave out.
pub(super) fn controller(installation: Installation<'_>) -> Vec<Desired> {
    let program = Program::new(installation, "controller", metallb_labels("controller"));
    let mut objects = vec![program.service_account().into()];
    objects.extend(program.cluster_role(vec![
        rule("", &["services", "namespaces"], READ),
        rule("", &["services/status"], PATCH),
        rule("events.k8s.io", &["events"], WRITE_EVENTS),
    ]));
    objects.extend(program.role(vec![
        rule("metallb.io", &["ipaddresspools", "communities"], READ),
        rule(
            "metallb.io",
            &["ipaddresspools/status", "configurationstates/status"],
            PATCH,
        ),
        rule("metallb.io", &["configurationstates"], OWN),
        rule("", &["pods"], OWN_POD),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update", "patch"],
        ),
    ]));
    objects
}

/// The speaker reads what decides who answers for which address, and reports what it answers for.
pub(super) fn speaker(installation: Installation<'_>) -> Vec<Desired> {
    let program = Program::new(installation, "speaker", metallb_labels("speaker"));
    let mut objects = vec![program.service_account().into()];
    objects.extend(program.cluster_role(vec![
        rule("", &["services", "namespaces", "nodes"], READ),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("events.k8s.io", &["events"], WRITE_EVENTS),
    ]));
    objects.extend(program.role(vec![
        rule(
            "metallb.io",
            &[
                "ipaddresspools",
                "l2advertisements",
                "bgpadvertisements",
                "communities",
            ],
            READ,
        ),
        rule("metallb.io", &["servicel2statuses", "configurationstates"], OWN),
        rule(
            "metallb.io",
            &["servicel2statuses/status", "configurationstates/status"],
            PATCH,
        ),
        rule("", &["pods"], READ),
    ]));
    objects
}

/// The FRR agent reads what FRR must do on its node and reports what it does. It runs under `service_account`, which
/// is its own or, as a container of the speaker pod, the speaker's.
pub(super) fn frr_agent(installation: Installation<'_>, service_account: &'static str) -> Vec<Desired> {
    let program = Program {
        service_account,
        ..Program::new(installation, FRR_AGENT, frr_k8s_labels())
    };
    let mut objects = Vec::new();
    if service_account == FRR_AGENT {
        objects.push(program.service_account().into());
    }
    objects.extend(program.cluster_role(vec![
        rule("", &["nodes"], READ),
        rule("frrk8s.metallb.io", &["frrnodestates"], OWN),
        rule("frrk8s.metallb.io", &["frrnodestates/status"], PATCH),
    ]));
    objects.extend(program.role(vec![
        rule(
            "frrk8s.metallb.io",
            &["frrconfigurations", "frrk8sconfigurations"],
            READ,
        ),
        rule("frrk8s.metallb.io", &["bgpsessionstates"], OWN),
        rule("frrk8s.metallb.io", &["bgpsessionstates/status"], PATCH),
        rule("", &["secrets"], READ),
        rule("", &["pods"], OWN_POD),
    ]));
    objects
}

/// Whose rights they are.
struct Program<'a> {
    installation: Installation<'a>,
    name: &'static str,
    service_account: &'static str,
    labels: std::collections::BTreeMap<String, String>,
}

impl<'a> Program<'a> {
    fn new(
        installation: Installation<'a>,
        name: &'static str,
        labels: std::collections::BTreeMap<String, String>,
    ) -> Self {
        Self {
            installation,
            name,
            service_account: name,
            labels,
        }
    }

    fn service_account(&self) -> ServiceAccount {
        ServiceAccount {
            metadata: self.installation.namespaced(self.name, self.labels.clone()),
            ..ServiceAccount::default()
        }
    }

    /// A role that holds in the whole cluster, and its binding. Both carry the namespace in their name, so that they
    /// cannot meet those of another installation.
    fn cluster_role(&self, rules: Vec<PolicyRule>) -> [Desired; 2] {
        let name = format!("{}:{}", self.installation.environment.namespace, self.name);
        let metadata = self.installation.of_cluster(&name, self.labels.clone());
        let role = ClusterRole {
            metadata: metadata.clone(),
            rules: Some(rules),
            aggregation_rule: None,
        };
        let binding = ClusterRoleBinding {
            metadata,
            role_ref: role_ref("ClusterRole", &name),
            subjects: Some(vec![self.subject()]),
        };
        [role.into(), binding.into()]
    }

    /// A role that holds in the operator's namespace, and its binding.
    fn role(&self, rules: Vec<PolicyRule>) -> [Desired; 2] {
        let metadata = self.installation.namespaced(self.name, self.labels.clone());
        let role = Role {
            metadata: metadata.clone(),
            rules: Some(rules),
        };
        let binding = RoleBinding {
            metadata,
            role_ref: role_ref("Role", self.name),
            subjects: Some(vec![self.subject()]),
        };
        [role.into(), binding.into()]
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.service_account.to_owned(),
            namespace: Some(self.installation.environment.namespace.clone()),
            api_group: None,
        }
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

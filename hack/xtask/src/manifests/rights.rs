//! What the operator may do.
//!
//! Kubernetes lets nobody grant a right he has not, so everything the operator grants to the programs it deploys is
//! here too. A test of the operator compares both.

use serde_json::{Value, json};

use super::{NAMESPACE, SERVICE_ACCOUNT};

const ROLE: &str = "metallb-manager-role";
const BINDING: &str = "metallb-manager-rolebinding";
const RBAC: &str = "rbac.authorization.k8s.io";

const READ: &[&str] = &["get", "list", "watch"];
/// What server-side apply, and later removal, of an object of one's own takes.
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Roles and bindings.
pub(super) fn objects() -> [Value; 4] {
    let api_version = format!("{RBAC}/v1");
    let subjects = json!([{ "kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE }]);
    let role_ref = |kind: &str| json!({ "apiGroup": RBAC, "kind": kind, "name": ROLE });
    let here = |name: &str| json!({ "name": name, "namespace": NAMESPACE });
    [
        json!({
            "apiVersion": api_version, "kind": "ClusterRole", "metadata": { "name": ROLE }, "rules": in_cluster(),
        }),
        json!({
            "apiVersion": api_version, "kind": "ClusterRoleBinding", "metadata": { "name": BINDING },
            "roleRef": role_ref("ClusterRole"), "subjects": subjects,
        }),
        json!({ "apiVersion": api_version, "kind": "Role", "metadata": here(ROLE), "rules": in_namespace() }),
        json!({
            "apiVersion": api_version, "kind": "RoleBinding", "metadata": here(BINDING),
            "roleRef": role_ref("Role"), "subjects": subjects,
        }),
    ]
}

fn in_cluster() -> Vec<Value> {
    // The cluster-wide roles it deploys, by name; lists and watches cannot be limited to names.
    let deployed =
        ["controller", "speaker", "frr-k8s-daemon"].map(|program| format!("{NAMESPACE}:{program}"));
    let roles = ["clusterroles", "clusterrolebindings"];
    vec![
        rule("metallb.io", &["metallbs"], &["get", "list", "watch", "patch"]),
        rule("metallb.io", &["metallbs/status"], &["patch"]),
        rule("metallb.io", &["metallbs/finalizers"], &["update"]),
        rule(RBAC, &roles, &["list", "watch"]),
        json!({
            "apiGroups": [RBAC], "resources": roles, "resourceNames": deployed,
            "verbs": ["get", "create", "patch", "delete"],
        }),
        rule("", &["services", "namespaces", "nodes"], READ),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
        // In any namespace, because the FRR agent may be somebody else's.
        rule("frrk8s.metallb.io", &["frrconfigurations"], OWN),
        // Only to be granted.
        rule("", &["services/status"], &["patch"]),
        rule("frrk8s.metallb.io", &["frrnodestates"], OWN),
        rule("frrk8s.metallb.io", &["frrnodestates/status"], &["patch"]),
    ]
}

fn in_namespace() -> Vec<Value> {
    vec![
        rule("", &["configmaps", "serviceaccounts"], OWN),
        rule("apps", &["daemonsets", "deployments"], OWN),
        rule("networking.k8s.io", &["networkpolicies"], OWN),
        rule(RBAC, &["roles", "rolebindings"], OWN),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update", "patch"],
        ),
        rule("", &["pods", "secrets"], READ),
        rule(
            "metallb.io",
            &[
                "ipaddresspools",
                "bgpadvertisements",
                "l2advertisements",
                "bgppeers",
                "bfdprofiles",
                "communities",
            ],
            READ,
        ),
        rule(
            "metallb.io",
            &["configurationstates", "servicebgpstatuses", "servicel2statuses"],
            OWN,
        ),
        rule(
            "metallb.io",
            &[
                "ipaddresspools/status",
                "configurationstates/status",
                "servicebgpstatuses/status",
                "servicel2statuses/status",
            ],
            &["patch"],
        ),
        // Only to be granted.
        rule("frrk8s.metallb.io", &["frrk8sconfigurations"], READ),
        rule("frrk8s.metallb.io", &["bgpsessionstates"], OWN),
        rule("frrk8s.metallb.io", &["bgpsessionstates/status"], &["patch"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

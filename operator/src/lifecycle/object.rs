//! The kinds of object the operator deploys, and one such object in a form that does not depend on its kind.

use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject};
use serde::Serialize;

/// A kind the operator deploys, in the order of applying: what a pod needs comes before the pod. Removal goes the
/// other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// core/v1, namespaced.
    ServiceAccount,
    /// core/v1, namespaced.
    ConfigMap,
    /// rbac.authorization.k8s.io/v1, of the cluster.
    ClusterRole,
    /// rbac.authorization.k8s.io/v1, of the cluster.
    ClusterRoleBinding,
    /// rbac.authorization.k8s.io/v1, namespaced.
    Role,
    /// rbac.authorization.k8s.io/v1, namespaced.
    RoleBinding,
    /// networking.k8s.io/v1, namespaced.
    NetworkPolicy,
    /// apps/v1, namespaced.
    DaemonSet,
    /// apps/v1, namespaced.
    Deployment,
}

impl Kind {
    /// Group, version, kind and plural for the API.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Kind::ClusterRole => ApiResource::erase::<ClusterRole>(&()),
            Kind::ClusterRoleBinding => ApiResource::erase::<ClusterRoleBinding>(&()),
            Kind::Role => ApiResource::erase::<Role>(&()),
            Kind::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
            Kind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Kind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
            Kind::Deployment => ApiResource::erase::<Deployment>(&()),
        }
    }

    /// False for the kinds that belong to the whole cluster.
    pub(crate) fn is_namespaced(self) -> bool {
        !matches!(self, Kind::ClusterRole | Kind::ClusterRoleBinding)
    }

    /// The API of this kind; `namespace` is ignored for kinds of the cluster.
    pub(crate) fn api(self, client: kube::Client, namespace: &str) -> Api<DynamicObject> {
        if self.is_namespaced() {
            Api::namespaced_with(client, namespace, &self.resource())
        } else {
            Api::all_with(client, &self.resource())
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which object: all of ours live in the operator's namespace or belong to the cluster, so kind and name are enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A typed object of a kind the operator deploys.
pub(crate) trait Deployable: Resource<DynamicType = ()> + Serialize {
    /// Its kind.
    const KIND: Kind;
}

macro_rules! deployable {
    ($($kind:ident),*) => { $(impl Deployable for $kind { const KIND: Kind = Kind::$kind; })* };
}
deployable!(
    ServiceAccount,
    ConfigMap,
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    NetworkPolicy,
    DaemonSet,
    Deployment
);

/// Drops the type of a Kubernetes object, so that objects of all kinds can be compared and stored alike.
pub(crate) fn erase<K: Deployable>(object: &K) -> DynamicObject {
    let value = serde_json::to_value(object).expect("Kubernetes objects have only string keys");
    serde_json::from_value(value).expect("what has metadata is an object")
}

/// The key of an object of kind `kind`.
pub(crate) fn key(kind: Kind, object: &DynamicObject) -> Key {
    Key {
        kind,
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}

/// One object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Desired {
    /// Which object.
    pub key: Key,
    /// Every field the operator means to own, and no other.
    pub object: DynamicObject,
}

impl<K: Deployable> From<K> for Desired {
    fn from(object: K) -> Self {
        let object = erase(&object);
        Self {
            key: key(K::KIND, &object),
            object,
        }
    }
}

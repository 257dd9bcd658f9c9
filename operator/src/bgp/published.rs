//! FRRConfigurations as they are in the cluster, reduced to what tells whether one must be written again.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use metallb_crds::frrk8s::{
    AddressFamily, BFDProfile, BGPConfig, FRRConfiguration, FRRConfigurationSpec, Router,
};
use metallb_domain::bgp::{HOSTNAME_LABEL, NodePlan};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Label by which what the operator wrote is found again.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value, which also is the field manager.
pub(super) const MANAGER: &str = "metallb-operator";

/// An FRRConfiguration whose specification was replaced by a digest: with many Services a specification is a megabyte,
/// and there is one per node.
#[derive(Clone, Debug, Resource, Serialize, Deserialize)]
#[resource(inherit = FRRConfiguration)]
pub(super) struct Published {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Digest,
}

/// A number that is equal for equal specifications, within this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Digest {
    bgp: u64,
    /// Everything else, as JSON: it is short.
    rest: String,
    hostname: Option<String>,
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut spec = FRRConfigurationSpec::deserialize(deserializer)?;
        let bgp = hash(explicit(&normal(std::mem::take(&mut spec.bgp))).as_bytes());
        Ok(Self::of(bgp, &spec))
    }
}

impl Digest {
    fn of(bgp: u64, rest: &FRRConfigurationSpec) -> Self {
        let labels = rest.node_selector.match_labels.as_ref();
        Self {
            bgp,
            rest: serde_json::to_string(rest).unwrap_or_default(),
            hostname: labels
                .filter(|labels| labels.len() == 1)
                .and_then(|labels| labels.get(HOSTNAME_LABEL).cloned()),
        }
    }
}

/// Takes out what the API server filled in.
fn normal(mut bgp: BGPConfig) -> BGPConfig {
    let neighbors = bgp.routers.iter_mut().flat_map(|router| &mut router.neighbors);
    for neighbor in neighbors {
        if neighbor.address_families == [AddressFamily::Unicast] {
            neighbor.address_families.clear();
        }
    }
    bgp
}

/// The BGP part as JSON with empty lists written out, so that an apply also empties lists that somebody else filled.
fn explicit(bgp: &BGPConfig) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Explicit<'a> {
        bfd_profiles: &'a [BFDProfile],
        routers: &'a [Router],
    }
    let explicit = Explicit {
        bfd_profiles: &bgp.bfd_profiles,
        routers: &bgp.routers,
    };
    serde_json::to_string(&explicit).unwrap_or_default()
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The BGP part of a plan, serialised once for all nodes that share it.
pub(super) struct SharedBgp {
    json: Box<RawValue>,
    hash: u64,
}

impl SharedBgp {
    /// O(size of the result).
    pub(super) fn new(bgp: &BGPConfig) -> serde_json::Result<Self> {
        let json = explicit(bgp);
        let hash = hash(json.as_bytes());
        Ok(Self {
            json: RawValue::from_string(json)?,
            hash,
        })
    }
}

impl fmt::Debug for SharedBgp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text holds passwords.
        write!(f, "SharedBgp({:x})", self.hash)
    }
}

/// What one FRRConfiguration shall be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    metadata: ObjectMeta,
    rest: FRRConfigurationSpec,
    bgp: Arc<SharedBgp>,
    digest: Digest,
}

impl Wanted {
    /// The object of `plan` in `namespace`. It is owned by the Node, so that it goes with it even while the operator
    /// is away.
    pub(super) fn new(plan: &NodePlan, bgp: Arc<SharedBgp>, namespace: &str, node: &Node) -> Self {
        let mut labels = plan.labels();
        labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
        let rest = FRRConfigurationSpec {
            node_selector: plan.node_selector(),
            ..FRRConfigurationSpec::default()
        };
        let owner = node.metadata.uid.clone().map(|uid| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.name_any(),
            uid,
            ..OwnerReference::default()
        });
        Self {
            metadata: ObjectMeta {
                name: Some(plan.name()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            digest: Digest::of(bgp.hash, &rest),
            rest,
            bgp,
        }
    }

    /// The body of a server-side apply. What MetalLB never uses is set to its default, to undo what somebody else set.
    pub(super) fn body(&self) -> impl Serialize + fmt::Debug + '_ {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            api_version: &'a str,
            kind: &'a str,
            metadata: &'a ObjectMeta,
            spec: Spec<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec<'a> {
            bgp: &'a RawValue,
            node_selector: &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
            raw: Raw,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            priority: i64,
            raw_config: &'static str,
        }
        impl fmt::Debug for Body<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "FRRConfiguration {:?}", self.metadata.name)
            }
        }
        Body {
            api_version: "frrk8s.metallb.io/v1beta1",
            kind: "FRRConfiguration",
            metadata: &self.metadata,
            spec: Spec {
                bgp: &self.bgp.json,
                node_selector: &self.rest.node_selector,
                raw: Raw {
                    priority: 0,
                    raw_config: "",
                },
            },
        }
    }

    /// Whether `other` asks for the same object.
    pub(super) fn same_as(&self, other: &Wanted) -> bool {
        self.digest == other.digest && self.metadata == other.metadata
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether the object in the cluster is as it shall be.
    pub(super) fn is_met_by(&self, published: &Published) -> bool {
        published.spec == self.digest && self.metadata_is_met_by(published)
    }

    /// Whether labels and owners in the cluster are as they shall be.
    pub(super) fn metadata_is_met_by(&self, published: &Published) -> bool {
        let labels = self.metadata.labels.iter().flatten();
        let mut owners = self.metadata.owner_references.iter().flatten();
        labels
            .into_iter()
            .all(|(key, value)| published.labels().get(key) == Some(value))
            && owners.all(|owner| {
                published
                    .owner_references()
                    .iter()
                    .any(|known| known.uid == owner.uid)
            })
    }
}

impl Published {
    /// Whether the operator wrote it, or MetalLB's speaker did before: that wrote no labels, and a name and selector
    /// of one form.
    pub(super) fn is_ours(&self) -> bool {
        let by_label = self
            .labels()
            .get(MANAGED_BY)
            .is_some_and(|value| value == MANAGER);
        let named = self
            .spec
            .hostname
            .as_ref()
            .is_some_and(|host| self.name_any() == format!("metallb-{host}"));
        by_label || named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(spec: &serde_json::Value) -> Published {
        serde_json::from_value(json!({
            "apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
            "metadata": {"name": "metallb-edge-a", "namespace": "lb-system"}, "spec": spec
        }))
        .unwrap()
    }

    #[test]
    fn defaults_of_the_api_server_make_no_difference() {
        let bgp: BGPConfig = serde_json::from_value(json!({
            "routers": [{"asn": 64610, "neighbors": [{"address": "10.0.0.1", "asn": 64710, "port": 179}]}]
        }))
        .unwrap();
        let plan = NodePlan {
            node: "edge-a".into(),
            hostname: "edge-a".into(),
            bgp: Arc::new(bgp),
        };
        let shared = Arc::new(SharedBgp::new(&plan.bgp).unwrap());
        let wanted = Wanted::new(&plan, shared, "lb-system", &Node::default());
        let mut spec = json!({
            "bgp": {"bfdProfiles": [], "routers": [{"asn": 64610, "neighbors": [{
                "address": "10.0.0.1", "asn": 64710, "port": 179, "addressFamilies": ["unicast"], "disableMP": false,
                "dualStackAddressFamily": false, "passwordSecret": {},
                "toAdvertise": {"allowed": {"mode": "filtered"}}, "toReceive": {"allowed": {"mode": "filtered"}},
            }]}]},
            "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "edge-a"}},
            "raw": {"priority": 0, "rawConfig": ""},
        });
        assert_eq!(stored(&spec).spec, *wanted.digest());
        spec["bgp"]["routers"][0]["neighbors"][0]["port"] = json!(1179);
        assert_ne!(stored(&spec).spec, *wanted.digest());
        spec["bgp"]["routers"][0]["neighbors"][0]["port"] = json!(179);
        spec["raw"]["rawConfig"] = json!("hostname x");
        assert_ne!(stored(&spec).spec, *wanted.digest());
    }

    #[test]
    fn objects_of_the_speaker_are_ours_and_those_of_users_are_not() {
        let selector = |labels| json!({"nodeSelector": {"matchLabels": labels}});
        assert!(stored(&selector(json!({"kubernetes.io/hostname": "edge-a"}))).is_ours());
        assert!(!stored(&selector(json!({"kubernetes.io/hostname": "edge-b"}))).is_ours());
        assert!(
            !stored(&selector(
                json!({"kubernetes.io/hostname": "edge-a", "rack": "r1"})
            ))
            .is_ours()
        );
        assert!(!stored(&json!({})).is_ours());
    }
}

//! What a Service asks of a load balancer, read from the Kubernetes object.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::ip_range::{IpFamily, parse_address};
use crate::selector::Labels;

#[cfg(test)]
mod tests;

/// Prefix of the Service annotations.
pub const PREFIX: &str = "metallb.io/";
/// Deprecated prefix of the Service annotations; read where the present one is absent.
pub const LEGACY_PREFIX: &str = "metallb.universe.tf/";
/// The annotation that names the pool the addresses of a Service come from; written, never read as a wish.
pub const ALLOCATED_FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// Namespace and name of a Service. Displayed as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
}

impl ServiceKey {
    /// Key of `service`.
    pub fn of(service: &Service) -> Self {
        let metadata = &service.metadata;
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// One family; also when the field is absent.
    #[default]
    SingleStack,
    /// Two families where possible.
    PreferDualStack,
    /// Two families or none.
    RequireDualStack,
}

/// The families of a set of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// One address.
    Single(IpFamily),
    /// One address of each family.
    Dual,
}

impl Families {
    /// Families of one address, or of two of different families; `None` for anything else.
    pub fn of(addresses: &[IpAddr]) -> Option<Self> {
        match addresses {
            [only] => Some(Self::Single(IpFamily::of(*only))),
            [one, two] if IpFamily::of(*one) != IpFamily::of(*two) => Some(Self::Dual),
            _ => None,
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(family) => write!(f, "{family}"),
            Self::Dual => f.write_str("dual-stack"),
        }
    }
}

/// Families of the cluster IPs of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterFamilies {
    /// No cluster IP was assigned (yet).
    Unassigned,
    /// The usual case.
    Known(Families),
    /// The cluster IPs as they stand, which are not one address nor two of different families (e.g. `None` of a
    /// headless Service).
    Unknown(String),
}

/// Protocol and number of a Service port. Services that share an address must not have one in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// `spec.ports[].port`.
    pub number: i32,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.number)
    }
}

/// What two Services must have in common to share an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sharing {
    /// Value of the annotation `metallb.io/allow-shared-ip`; empty: the Service does not share.
    pub key: String,
    /// Pod selector in canonical text under `externalTrafficPolicy: Local`, since traffic reaches only nodes with
    /// endpoints of *all* sharers then; empty otherwise.
    pub backend: String,
}

impl Sharing {
    /// True when Services with these keys may use one address (as far as their ports differ).
    pub fn compatible(&self, other: &Self) -> bool {
        !self.key.is_empty() && self == other
    }
}

/// A request for particular addresses that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Both ways of asking are used.
    #[error(
        "service can not have both metallb.io/loadBalancerIPs and spec.loadBalancerIP: keep the annotation and remove \
         the field, which is deprecated"
    )]
    Twice,
    /// One element is not an address.
    #[error(
        "invalid spec.loadBalancerIP or metallb.io/loadBalancerIPs \"{0}\": write one IP address, or two separated by a comma"
    )]
    Unparsable(String),
    /// More than one address of a family.
    #[error(
        "metallb.io/loadBalancerIPs \"{0}\" asks for more than one address of a family: ask for one IPv4 and one IPv6 address at most"
    )]
    SameFamily(String),
}

/// What a Service asks for, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRequest {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `spec.type` is `LoadBalancer`.
    pub is_load_balancer: bool,
    /// `spec.loadBalancerClass`.
    pub class: Option<String>,
    /// Families the addresses must have.
    pub families: ClusterFamilies,
    /// `spec.ipFamilyPolicy`.
    pub policy: FamilyPolicy,
    /// The family to prefer when only one can be had: IPv6 when `spec.ipFamilies` starts with it.
    pub primary: IpFamily,
    /// The addresses asked for, in the order of the request; empty when the Service asks for none in particular.
    pub addresses: Result<Vec<IpAddr>, RequestError>,
    /// The pool asked for.
    pub pool: Option<String>,
    /// With whom it may share an address.
    pub sharing: Sharing,
    /// Its ports.
    pub ports: BTreeSet<Port>,
    /// Labels of the Service.
    pub labels: Labels,
    /// `status.loadBalancer.ingress[].ip` as text, in order; entries without `ip` are left out.
    pub ingress: Vec<String>,
    /// The pool named by the annotation [`ALLOCATED_FROM_POOL`].
    pub allocated_from: Option<String>,
    /// Annotation keys with the deprecated prefix, sorted.
    pub legacy_annotations: Vec<String>,
}

impl ServiceRequest {
    /// Reads a Service. Never fails: what is wrong is part of the result.
    pub fn of(service: &Service) -> Self {
        let empty = ServiceSpec::default();
        let spec = service.spec.as_ref().unwrap_or(&empty);
        let annotations = service.metadata.annotations.iter().flatten();
        Self {
            key: ServiceKey::of(service),
            is_load_balancer: spec.type_.as_deref() == Some("LoadBalancer"),
            class: spec.load_balancer_class.clone(),
            families: cluster_families(spec),
            policy: family_policy(spec),
            primary: primary_family(spec),
            addresses: requested_addresses(service, spec),
            pool: annotation(service, "address-pool")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            sharing: Sharing {
                key: annotation(service, "allow-shared-ip")
                    .unwrap_or_default()
                    .to_owned(),
                backend: backend_key(spec),
            },
            ports: ports(spec),
            labels: service.metadata.labels.clone().unwrap_or_default(),
            ingress: ingress(service),
            allocated_from: service
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(ALLOCATED_FROM_POOL))
                .cloned(),
            legacy_annotations: annotations
                .map(|(key, _)| key)
                .filter(|key| key.starts_with(LEGACY_PREFIX.trim_end_matches('/')))
                .cloned()
                .collect(),
        }
    }

    /// True when a program that serves `class` (`None`: Services without a class) is in charge of this Service.
    pub fn is_of_class(&self, class: Option<&str>) -> bool {
        self.class.as_deref() == class
    }

    /// The addresses in the status, `None` when one of them is not an address.
    pub fn current(&self) -> Option<Vec<IpAddr>> {
        self.ingress.iter().map(|text| parse_address(text)).collect()
    }
}

/// Value of the annotation `suffix`. The present key wins when it is there, even when its value is empty; only then
/// the deprecated one is looked at.
pub fn annotation<'a>(service: &'a Service, suffix: &str) -> Option<&'a str> {
    let annotations = service.metadata.annotations.as_ref()?;
    let value = |prefix: &str| annotations.get(&format!("{prefix}{suffix}"));
    value(PREFIX).or_else(|| value(LEGACY_PREFIX)).map(String::as_str)
}

fn cluster_families(spec: &ServiceSpec) -> ClusterFamilies {
    let texts: Vec<&str> = match spec.cluster_ips.as_deref() {
        Some(list) if !list.is_empty() => list.iter().map(String::as_str).collect(),
        _ => spec
            .cluster_ip
            .as_deref()
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect(),
    };
    if texts.is_empty() {
        return ClusterFamilies::Unassigned;
    }
    let parsed: Option<Vec<IpAddr>> = texts.iter().map(|text| parse_address(text)).collect();
    match parsed.as_deref().and_then(Families::of) {
        Some(families) => ClusterFamilies::Known(families),
        None => ClusterFamilies::Unknown(texts.join(",")),
    }
}

fn family_policy(spec: &ServiceSpec) -> FamilyPolicy {
    match spec.ip_family_policy.as_deref() {
        Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
        Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
        _ => FamilyPolicy::SingleStack,
    }
}

fn primary_family(spec: &ServiceSpec) -> IpFamily {
    let first = spec.ip_families.as_ref().and_then(|families| families.first());
    if first.is_some_and(|family| family == "IPv6") {
        IpFamily::V6
    } else {
        IpFamily::V4
    }
}

fn requested_addresses(service: &Service, spec: &ServiceSpec) -> Result<Vec<IpAddr>, RequestError> {
    let by_annotation = annotation(service, "loadBalancerIPs").filter(|text| !text.is_empty());
    let by_field = spec.load_balancer_ip.as_deref().filter(|text| !text.is_empty());
    let parse = |text: &str| parse_address(text).ok_or_else(|| RequestError::Unparsable(text.to_owned()));
    match (by_annotation, by_field) {
        (None, None) => Ok(Vec::new()),
        (Some(_), Some(_)) => Err(RequestError::Twice),
        (None, Some(text)) => Ok(vec![parse(text)?]),
        (Some(text), None) => {
            let addresses = text
                .split(',')
                .map(|part| parse(part.trim()))
                .collect::<Result<Vec<_>, _>>()?;
            match Families::of(&addresses) {
                Some(_) => Ok(addresses),
                None => Err(RequestError::SameFamily(text.to_owned())),
            }
        }
    }
}

fn backend_key(spec: &ServiceSpec) -> String {
    if spec.external_traffic_policy.as_deref() != Some("Local") {
        return String::new();
    }
    let selector = spec
        .selector
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"));
    selector.collect::<Vec<_>>().join(",")
}

fn ports(spec: &ServiceSpec) -> BTreeSet<Port> {
    let ports = spec.ports.iter().flatten();
    ports
        .map(|port| Port {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: port.port,
        })
        .collect()
}

fn ingress(service: &Service) -> Vec<String> {
    let status = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let entries = status
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten();
    entries
        .filter_map(|entry| entry.ip.clone())
        .filter(|ip| !ip.is_empty())
        .collect()
}

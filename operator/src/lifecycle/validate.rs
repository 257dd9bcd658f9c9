//! Checks a MetalLB object and turns it into values that rendering can trust.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration};
use kube::ResourceExt;
use metallb_crds::metallb::{ComponentConfig, LogLevel, MetalLB, MetalLBSpec};

use super::environment::Environment;

/// The only name a MetalLB object may have.
pub(crate) const NAME: &str = "metallb";

/// The name of [`Backend::FrrK8sExternal`].
pub(crate) const EXTERNAL: &str = "frr-k8s-external";

/// Which BGP implementation runs, and where its configuration goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// FRR and its agent are containers of the speaker pod.
    Frr,
    /// FRR and its agent are a DaemonSet of their own.
    FrrK8s,
    /// Somebody else runs FRR and its agent; only FRRConfigurations are written, into their namespace.
    FrrK8sExternal {
        /// The namespace whose FRRConfigurations that agent follows.
        namespace: String,
        /// Passwords of peers are handed over as references to Secrets instead of in clear text.
        secret_passthrough: bool,
    },
}

impl Backend {
    /// The value of `spec.bgpBackend` that selects it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Backend::Frr => "frr",
            Backend::FrrK8s => "frr-k8s",
            Backend::FrrK8sExternal { .. } => EXTERNAL,
        }
    }
}

/// What the user said about the pods of one program.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Placement {
    /// Added to `kubernetes.io/os: linux`; may override it.
    pub node_selector: BTreeMap<String, String>,
    /// Appended to the built-in ones.
    pub tolerations: Vec<Toleration>,
    /// Taken as a whole.
    pub affinity: Option<Affinity>,
    /// `priorityClassName` of the pods.
    pub priority_class_name: Option<String>,
    /// `runtimeClassName` of the pods.
    pub runtime_class_name: Option<String>,
    /// Annotations of the pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pods; those by which they are found win.
    pub labels: BTreeMap<String, String>,
    /// Requests and limits of the main container.
    pub resources: Option<ResourceRequirements>,
    /// Number of pods of the controller; without one, whatever the Deployment has.
    pub replicas: Option<i32>,
    /// Arguments of the main container after those the operator sets.
    pub extra_arguments: Vec<String>,
}

/// A MetalLB object that passed every check. Only [`validate`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValidMetalLb {
    /// `metadata.uid`, for owner references.
    pub uid: String,
    /// The effective backend: what was asked for, or the default.
    pub backend: Backend,
    /// The value of `--log-level` for everything deployed.
    pub log_level: String,
    /// `--lb-class`: only Services of this class are served.
    pub load_balancer_class: Option<String>,
    /// Nodes with the label `node.kubernetes.io/exclude-from-external-load-balancers` announce too.
    pub ignore_exclude_lb: bool,
    /// Secrets for pulling images.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The pods of the controller.
    pub controller: Placement,
    /// The pods of the speaker, and of FRR.
    pub speaker: Placement,
    /// Prefixes FRR must never accept, whatever an FRRConfiguration says: canonical, sorted by text, each once.
    pub always_block: Vec<String>,
}

/// A MetalLB object in a place where it has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misplaced {
    /// Not named `metallb`.
    #[error("Incorrect MetalLB resource name: {0}: the object must be named {NAME}")]
    Name(String),
    /// Not in the operator's namespace.
    #[error("Incorrect MetalLB resource namespace: {found}: the object must be in namespace {expected}")]
    Namespace {
        /// Where it is.
        found: String,
        /// Where it must be.
        expected: String,
    },
}

impl Misplaced {
    /// The reason shown in conditions.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Misplaced::Name(_) => "IncorrectMetalLBResourceName",
            Misplaced::Namespace { .. } => "IncorrectMetalLBResourceNamespace",
        }
    }
}

/// A rule that a MetalLB object breaks. The texts of the first nine are part of the admission API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// `tolerationSeconds` only makes sense for evictions.
    #[error("{0}Toleration effect must be NoExecute when tolerationSeconds is set")]
    TolerationSeconds(Program),
    /// The weight of a preferred scheduling term is outside 1 to 100.
    #[error("{program}Config {term} set with invalid weight for preferred scheduling term")]
    Weight {
        /// Whose configuration.
        program: Program,
        /// `NodeAffinity` or `PodAffinity`.
        term: &'static str,
    },
    /// Not one of the four backends.
    #[error("invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external")]
    Backend,
    /// Nobody said where the foreign FRR agent looks for its configuration.
    #[error("bgp backend: frrk8s external and no default or user provided namespace")]
    ExternalNamespace,
    /// Not a prefix with a length.
    #[error("invalid CIDR {0} in AlwaysBlock")]
    AlwaysBlock(String),
    /// A backend the API knows and this release does not have.
    #[error("bgp backend native is not supported by this release; use frr-k8s or frr")]
    NativeNotSupported,
}

/// Whose pods a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The controller Deployment.
    Controller,
    /// The speaker DaemonSet.
    Speaker,
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Whether the object is the one MetalLB object of this installation.
pub(crate) fn in_its_place(metallb: &MetalLB, environment: &Environment) -> Result<(), Misplaced> {
    let namespace = metallb.namespace().unwrap_or_default();
    if namespace != environment.namespace {
        return Err(Misplaced::Namespace {
            found: namespace,
            expected: environment.namespace.clone(),
        });
    }
    match metallb.name_any() {
        name if name == NAME => Ok(()),
        name => Err(Misplaced::Name(name)),
    }
}

/// Checks every rule. On failure all broken rules are returned, in the order in which admission reports the first.
pub(crate) fn validate(metallb: &MetalLB, environment: &Environment) -> Result<ValidMetalLb, Vec<Violation>> {
    let spec = &metallb.spec;
    let mut violations = scheduling(spec);
    let backend = backend(spec, environment).map_err(|violation| violations.push(violation));
    let always_block = always_block(spec).map_err(|bad| violations.extend(bad));
    let (Ok(backend), Ok(always_block), true) = (backend, always_block, violations.is_empty()) else {
        return Err(violations);
    };
    Ok(ValidMetalLb {
        uid: metallb.uid().unwrap_or_default(),
        backend,
        log_level: log_level(spec.log_level).to_owned(),
        load_balancer_class: spec.load_balancer_class.clone(),
        ignore_exclude_lb: spec.ignore_exclude_lb,
        image_pull_secrets: spec.image_pull_secrets.clone(),
        controller: placement(
            &spec.controller_node_selector,
            &spec.controller_tolerations,
            spec.controller_config.as_ref(),
        ),
        speaker: placement(
            &spec.node_selector,
            &spec.speaker_tolerations,
            spec.speaker_config.as_ref(),
        ),
        always_block,
    })
}

fn scheduling(spec: &MetalLBSpec) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (program, tolerations) in [
        (Program::Controller, &spec.controller_tolerations),
        (Program::Speaker, &spec.speaker_tolerations),
    ] {
        if tolerations.iter().any(evicts_without_no_execute) {
            violations.push(Violation::TolerationSeconds(program));
        }
    }
    for (program, config) in [
        (Program::Speaker, &spec.speaker_config),
        (Program::Controller, &spec.controller_config),
    ] {
        let affinity = config.as_ref().and_then(|config| config.affinity.as_ref());
        let violation = |term| Violation::Weight { program, term };
        violations.extend(bad_node_weight(affinity).then(|| violation("NodeAffinity")));
        violations.extend(bad_pod_weight(affinity).then(|| violation("PodAffinity")));
    }
    violations
}

fn evicts_without_no_execute(toleration: &Toleration) -> bool {
    toleration.toleration_seconds.is_some_and(|seconds| seconds > 0)
        && toleration.effect.as_deref() != Some("NoExecute")
}

fn bad_node_weight(affinity: Option<&Affinity>) -> bool {
    affinity
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_ref())
        .is_some_and(|terms| terms.iter().any(|term| !(1..=100).contains(&term.weight)))
}

fn bad_pod_weight(affinity: Option<&Affinity>) -> bool {
    affinity
        .and_then(|affinity| affinity.pod_affinity.as_ref())
        .and_then(|pod| pod.preferred_during_scheduling_ignored_during_execution.as_ref())
        .is_some_and(|terms| terms.iter().any(|term| !(1..=100).contains(&term.weight)))
}

fn log_level(level: Option<LogLevel>) -> &'static str {
    match level {
        Some(LogLevel::All) => "all",
        Some(LogLevel::Debug) => "debug",
        Some(LogLevel::Info) | None => "info",
        Some(LogLevel::Warn) => "warn",
        Some(LogLevel::Error) => "error",
        Some(LogLevel::None) => "none",
    }
}

/// The backend asked for; without one, FRR in a DaemonSet of its own.
fn backend(spec: &MetalLBSpec, environment: &Environment) -> Result<Backend, Violation> {
    let config = spec.frrk8s_config.as_ref();
    match spec.bgp_backend.as_deref().unwrap_or_default() {
        "" | "frr-k8s" => Ok(Backend::FrrK8s),
        "frr" => Ok(Backend::Frr),
        "native" => Err(Violation::NativeNotSupported),
        EXTERNAL => Ok(Backend::FrrK8sExternal {
            namespace: config
                .and_then(|config| config.namespace.clone())
                .or_else(|| environment.external_namespace.clone())
                .ok_or(Violation::ExternalNamespace)?,
            secret_passthrough: config.is_some_and(|config| config.secret_passthrough),
        }),
        _ => Err(Violation::Backend),
    }
}

fn always_block(spec: &MetalLBSpec) -> Result<Vec<String>, Vec<Violation>> {
    let prefixes = spec.frrk8s_config.iter().flat_map(|config| &config.always_block);
    let mut canonical = BTreeSet::new();
    let mut violations = Vec::new();
    for prefix in prefixes {
        match prefix.trim().parse::<IpNet>() {
            Ok(net) => {
                canonical.insert(net.trunc().to_string());
            }
            Err(_) => violations.push(Violation::AlwaysBlock(prefix.clone())),
        }
    }
    if violations.is_empty() {
        Ok(canonical.into_iter().collect())
    } else {
        Err(violations)
    }
}

fn placement(
    node_selector: &BTreeMap<String, String>,
    tolerations: &[Toleration],
    config: Option<&ComponentConfig>,
) -> Placement {
    let config = config.cloned().unwrap_or_default();
    Placement {
        node_selector: node_selector.clone(),
        tolerations: tolerations.to_vec(),
        affinity: config.affinity,
        priority_class_name: config.priority_class_name,
        runtime_class_name: config.runtime_class_name,
        annotations: config.annotations,
        labels: config.pod_labels,
        resources: config.resources,
        replicas: config.replicas,
        extra_arguments: config.extra_args,
    }
}

#[cfg(test)]
mod tests;

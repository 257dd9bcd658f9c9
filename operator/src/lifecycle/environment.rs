//! What the operator's Deployment says about the installation: images, ports, defaults. Read once, at start.

use std::collections::BTreeMap;

/// The settings that come from environment variables of the operator's pod. Their names are those of the Go operator,
/// so that an existing Deployment keeps its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `OPERATOR_NAMESPACE`: where the MetalLB object must be and where everything is deployed.
    pub namespace: String,
    /// `CONTROLLER_IMAGE`, used verbatim: tag, digest and registry port survive.
    pub controller_image: String,
    /// `SPEAKER_IMAGE`.
    pub speaker_image: String,
    /// `FRR_IMAGE`: a stock FRRouting image.
    pub frr_image: String,
    /// `FRRK8S_IMAGE`: the agent that configures FRR on a node.
    pub frr_agent_image: String,
    /// `METRICS_PORT`: metrics and health of controller and speaker. The speaker listens on the host.
    pub metrics_port: u16,
    /// `FRRK8S_HTTPS_METRICS_PORT`: metrics and health of the agent in the `frr-k8s` DaemonSet, on the host.
    pub frr_k8s_metrics_port: u16,
    /// `FRR_METRICS_PORT`: metrics and health of the agent beside the speaker (backend `frr`), on the host.
    pub frr_metrics_port: u16,
    /// `DISABLE_NETWORK_POLICIES=true` leaves out the NetworkPolicy of the controller.
    pub network_policies: bool,
    /// `FRRK8S_EXTERNAL_NAMESPACE`: default of `spec.frrk8sConfig.namespace`.
    pub external_namespace: Option<String>,
}

/// A variable that is missing or has no usable value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EnvironmentError {
    /// A mandatory variable is not set, or empty.
    #[error("environment variable {0} is not set; the operator's Deployment must set it")]
    Missing(&'static str),
    /// A port variable is not a number from 1 to 65535.
    #[error("environment variable {name} is {value:?}, which is not a port number (1 to 65535)")]
    Port {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// Two programs would listen on the same port of a node.
    #[error("environment variables {0} and {1} name the same port of the host network")]
    SamePort(&'static str, &'static str),
}

impl Environment {
    /// Reads the settings from `variables`. An empty value counts as not set; unknown variables are ignored.
    pub(crate) fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, EnvironmentError> {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let required = |name| {
            variables
                .get(name)
                .cloned()
                .ok_or(EnvironmentError::Missing(name))
        };
        let environment = Self {
            namespace: required("OPERATOR_NAMESPACE")?,
            controller_image: required("CONTROLLER_IMAGE")?,
            speaker_image: required("SPEAKER_IMAGE")?,
            frr_image: required("FRR_IMAGE")?,
            frr_agent_image: required("FRRK8S_IMAGE")?,
            metrics_port: port(&variables, "METRICS_PORT", 9120)?,
            frr_k8s_metrics_port: port(&variables, "FRRK8S_HTTPS_METRICS_PORT", 9140)?,
            frr_metrics_port: port(&variables, "FRR_METRICS_PORT", 9121)?,
            network_policies: variables
                .get("DISABLE_NETWORK_POLICIES")
                .is_none_or(|value| value != "true"),
            external_namespace: variables.get("FRRK8S_EXTERNAL_NAMESPACE").cloned(),
        };
        environment.distinct_ports()?;
        Ok(environment)
    }

    fn distinct_ports(&self) -> Result<(), EnvironmentError> {
        if self.metrics_port == self.frr_k8s_metrics_port {
            return Err(EnvironmentError::SamePort(
                "METRICS_PORT",
                "FRRK8S_HTTPS_METRICS_PORT",
            ));
        }
        if self.metrics_port == self.frr_metrics_port {
            return Err(EnvironmentError::SamePort("METRICS_PORT", "FRR_METRICS_PORT"));
        }
        Ok(())
    }
}

fn port(
    variables: &BTreeMap<String, String>,
    name: &'static str,
    default: u16,
) -> Result<u16, EnvironmentError> {
    let Some(value) = variables.get(name) else {
        return Ok(default);
    };
    match value.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(EnvironmentError::Port {
            name,
            value: value.clone(),
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rstest::rstest;

    /// A complete environment, for the tests of this module and of rendering.
    pub(crate) fn variables() -> BTreeMap<String, String> {
        [
            ("OPERATOR_NAMESPACE", "metallb-system"),
            (
                "CONTROLLER_IMAGE",
                "registry.example:5000/metallb/controller:v1@sha256:0123",
            ),
            ("SPEAKER_IMAGE", "metallb/speaker:dev"),
            ("FRR_IMAGE", "frr:10"),
            ("FRRK8S_IMAGE", "metallb/frr-agent:dev"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn defaults_fill_what_is_not_set() {
        let environment = Environment::from_variables(variables()).unwrap();
        assert_eq!(
            (
                environment.metrics_port,
                environment.frr_k8s_metrics_port,
                environment.frr_metrics_port
            ),
            (9120, 9140, 9121)
        );
        assert!(environment.network_policies);
        assert_eq!(environment.external_namespace, None);
        assert_eq!(
            environment.controller_image,
            "registry.example:5000/metallb/controller:v1@sha256:0123"
        );
    }

    #[rstest]
    #[case("OPERATOR_NAMESPACE")]
    #[case("CONTROLLER_IMAGE")]
    #[case("SPEAKER_IMAGE")]
    #[case("FRR_IMAGE")]
    #[case("FRRK8S_IMAGE")]
    fn a_missing_mandatory_variable_is_named(#[case] name: &'static str) {
        let mut missing = variables();
        missing.remove(name);
        assert_eq!(
            Environment::from_variables(missing),
            Err(EnvironmentError::Missing(name))
        );
        let mut empty = variables();
        empty.insert(name.to_owned(), String::new());
        assert_eq!(
            Environment::from_variables(empty),
            Err(EnvironmentError::Missing(name))
        );
    }

    #[rstest]
    #[case("METRICS_PORT", "http")]
    #[case("METRICS_PORT", "0")]
    #[case("FRRK8S_HTTPS_METRICS_PORT", "65536")]
    fn a_bad_port_is_refused(#[case] name: &'static str, #[case] value: &str) {
        let mut bad = variables();
        bad.insert(name.to_owned(), value.to_owned());
        let error = Environment::from_variables(bad).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }

    #[test]
    fn two_programs_cannot_share_a_host_port() {
        let mut same = variables();
        same.insert("FRRK8S_HTTPS_METRICS_PORT".to_owned(), "9120".to_owned());
        assert!(Environment::from_variables(same).is_err());
    }

    #[test]
    fn only_the_word_true_switches_network_policies_off() {
        for (value, expected) in [("true", false), ("1", true), ("false", true), ("", true)] {
            let mut set = variables();
            set.insert("DISABLE_NETWORK_POLICIES".to_owned(), value.to_owned());
            assert_eq!(
                Environment::from_variables(set).unwrap().network_policies,
                expected,
                "{value}"
            );
        }
    }
}

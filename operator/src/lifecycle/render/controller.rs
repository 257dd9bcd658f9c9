//! The Deployment of the address controller.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec};

use super::pod::{confined, identity, observed, selector, template};
use super::{Installation, metallb_labels};

/// The controller needs no right on its node. Unless the user sets the number of replicas, it is
/// nobody's: `kubectl scale` sticks.
pub(super) fn deployment(installation: Installation<'_>) -> Deployment {
    let (metallb, environment) = (installation.metallb, installation.environment);
    let labels = metallb_labels("controller");
    let container = Container {
        name: "controller".to_owned(),
        image: Some(environment.controller_image.clone()),
        args: Some(
            [
                installation.program_arguments(),
                metallb.controller.extra_arguments.clone(),
            ]
            .concat(),
        ),
        env: Some(identity()),
        resources: metallb.controller.resources.clone(),
        security_context: Some(confined(&[])),
        ..Container::default()
    };
    let pod = PodSpec {
        containers: vec![observed(container, environment.metrics_port)],
        service_account_name: Some("controller".to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65534),
            fs_group: Some(65534),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    };
    Deployment {
        metadata: installation.namespaced("controller", labels.clone()),
        spec: Some(DeploymentSpec {
            selector: selector(labels.clone()),
            template: template(installation, &labels, &metallb.controller, Vec::new(), pod),
            replicas: metallb.controller.replicas,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

impl Installation<'_> {
    /// What controller and speaker have in common on their command line.
    pub(super) fn program_arguments(self) -> Vec<String> {
        let mut arguments = vec![
            format!("--port={}", self.environment.metrics_port),
            format!("--log-level={}", self.metallb.log_level),
        ];
        if let Some(class) = &self.metallb.load_balancer_class {
            arguments.push(format!("--lb-class={class}"));
        }
        arguments
    }
}

//! The DaemonSet of the speaker.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, VolumeMount};

use super::pod::{confined, control_plane_tolerations, identity, mount, observed, selector, template};
use super::{Installation, config_maps, frr, metallb_labels};
use crate::lifecycle::validate::Backend;

/// The speaker answers ARP and NDP on the node's own interfaces, hence the host network and raw sockets. With the
/// backend `frr`, FRR and its agent are further containers of the same pod.
pub(super) fn daemon_set(installation: Installation<'_>) -> DaemonSet {
    let metallb = installation.metallb;
    let labels = metallb_labels("speaker");
    let mut pod = PodSpec {
        containers: vec![speaker(installation)],
        host_network: Some(true),
        service_account_name: Some("speaker".to_owned()),
        volumes: Some(vec![config_maps::volume(config_maps::EXCLUDED_INTERFACES)]),
        ..PodSpec::default()
    };
    if metallb.backend == Backend::Frr {
        let port = installation.environment.frr_metrics_port;
        frr::add_to(&mut pod, installation, "frr-agent", port, None);
    }
    DaemonSet {
        metadata: installation.namespaced("speaker", labels.clone()),
        spec: Some(DaemonSetSpec {
            selector: selector(labels.clone()),
            template: template(
                installation,
                &labels,
                &metallb.speaker,
                control_plane_tolerations(),
                pod,
            ),
            ..DaemonSetSpec::default()
        }),
        status: None,
    }
}

fn speaker(installation: Installation<'_>) -> Container {
    let (metallb, environment) = (installation.metallb, installation.environment);
    let mut arguments = installation.program_arguments();
    if metallb.ignore_exclude_lb {
        arguments.push("--ignore-exclude-lb=true".to_owned());
    }
    arguments.extend(metallb.speaker.extra_arguments.iter().cloned());
    let container = Container {
        name: "speaker".to_owned(),
        image: Some(environment.speaker_image.clone()),
        args: Some(arguments),
        env: Some(identity()),
        resources: metallb.speaker.resources.clone(),
        security_context: Some(confined(&["NET_RAW"])),
        volume_mounts: Some(vec![VolumeMount {
            read_only: Some(true),
            ..mount(config_maps::EXCLUDED_INTERFACES, "/etc/metallb")
        }]),
        ..Container::default()
    };
    observed(container, environment.metrics_port)
}

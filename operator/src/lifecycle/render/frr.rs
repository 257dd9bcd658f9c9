//! FRRouting and the agent that configures it: a DaemonSet of their own, or containers of the speaker pod.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSpec, ResourceRequirements, SecurityContext, VolumeMount,
};

use super::pod::{
    confined, control_plane_tolerations, empty_dir, identity, mount, observed, selector, template,
};
use super::{Installation, config_maps, frr_k8s_labels};

/// The agent's service account when it runs in a pod of its own.
pub(super) const SERVICE_ACCOUNT: &str = "frr-k8s-daemon";

/// Where every FRR image looks: sockets of the daemons, configuration, state.
const SOCKETS: (&str, &str) = ("frr-sockets", "/var/run/frr");
const CONFIGURATION: (&str, &str) = ("frr-conf", "/etc/frr");
const STATE: (&str, &str) = ("frr-lib", "/var/lib/frr");
const TEMPORARY: (&str, &str) = ("frr-tmp", "/var/tmp/frr");

/// Copies the start-up files to where FRR may write, and gives them to FRR's user, whose number differs between images.
const PREPARE: &str = "cp -L /tmp/frr/* /etc/frr/ && chown -R frr:frr /etc/frr && chmod 640 /etc/frr/*";

/// Runs the daemons under FRR's own supervisor, in the foreground: the container ends when the supervisor does. Every
/// image of FRR has these two files.
const RUN: &str = ". /usr/lib/frr/frrcommon.sh && exec /usr/lib/frr/watchfrr $(daemon_list)";

/// The DaemonSet `frr-k8s`.
pub(super) fn daemon_set(installation: Installation<'_>) -> DaemonSet {
    let labels = frr_k8s_labels();
    let mut pod = PodSpec {
        host_network: Some(true),
        service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
        ..PodSpec::default()
    };
    let resources = installation.metallb.speaker.resources.clone();
    let port = installation.environment.frr_k8s_metrics_port;
    add_to(&mut pod, installation, "controller", port, resources);
    let placement = &installation.metallb.speaker;
    DaemonSet {
        metadata: installation.namespaced("frr-k8s", labels.clone()),
        spec: Some(DaemonSetSpec {
            selector: selector(labels.clone()),
            template: template(installation, &labels, placement, control_plane_tolerations(), pod),
            ..DaemonSetSpec::default()
        }),
        status: None,
    }
}

/// Adds FRR, its agent under the name `agent`, and what they share to `pod`. They share a process namespace: the
/// daemons of FRR detach from their parent, and then the pause process collects them.
pub(super) fn add_to(
    pod: &mut PodSpec,
    installation: Installation<'_>,
    agent: &str,
    port: u16,
    resources: Option<ResourceRequirements>,
) {
    pod.share_process_namespace = Some(true);
    let containers = [
        self::agent(installation, agent, port, resources),
        frr(installation),
    ];
    pod.containers.extend(containers);
    pod.init_containers
        .get_or_insert_default()
        .push(prepare(installation));
    let volumes = pod.volumes.get_or_insert_default();
    volumes.extend([SOCKETS, CONFIGURATION, STATE, TEMPORARY].map(|(name, _)| empty_dir(name)));
    volumes.push(config_maps::volume(config_maps::FRR_STARTUP));
}

fn prepare(installation: Installation<'_>) -> Container {
    Container {
        name: "cp-frr-files".to_owned(),
        image: Some(installation.environment.frr_image.clone()),
        command: Some(shell("/bin/sh", PREPARE)),
        security_context: Some(confined(&["CHOWN", "DAC_OVERRIDE", "FOWNER"])),
        volume_mounts: Some(vec![
            VolumeMount {
                read_only: Some(true),
                ..mount(config_maps::FRR_STARTUP, "/tmp/frr")
            },
            at(CONFIGURATION),
        ]),
        ..Container::default()
    }
}

fn frr(installation: Installation<'_>) -> Container {
    // The daemons start as root and change to FRR's user, hence the second line; the third is what zebra needs to
    // program routes and to enter VRFs, and what bgpd needs for its port.
    let capabilities = [
        [
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "KILL",
            "SETGID",
            "SETPCAP",
            "SETUID",
        ]
        .as_slice(),
        &["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN"],
    ]
    .concat();
    Container {
        name: "frr".to_owned(),
        image: Some(installation.environment.frr_image.clone()),
        command: Some(shell("/bin/bash", RUN)),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: Some(capabilities.iter().map(|name| (*name).to_owned()).collect()),
            }),
            ..confined(&[])
        }),
        volume_mounts: Some([SOCKETS, CONFIGURATION, STATE, TEMPORARY].map(at).into()),
        ..Container::default()
    }
}

fn agent(
    installation: Installation<'_>,
    name: &str,
    port: u16,
    resources: Option<ResourceRequirements>,
) -> Container {
    let (metallb, environment) = (installation.metallb, installation.environment);
    let mut arguments = vec![
        format!("--port={port}"),
        format!("--log-level={}", metallb.log_level),
    ];
    if !metallb.always_block.is_empty() {
        arguments.push(format!("--always-block={}", metallb.always_block.join(",")));
    }
    let container = Container {
        name: name.to_owned(),
        image: Some(environment.frr_agent_image.clone()),
        args: Some(arguments),
        env: Some(identity()),
        resources,
        // It talks to the daemons over sockets that belong to FRR's user.
        security_context: Some(confined(&["DAC_OVERRIDE"])),
        volume_mounts: Some(vec![at(SOCKETS), at(CONFIGURATION)]),
        ..Container::default()
    };
    observed(container, port)
}

fn at((volume, path): (&str, &str)) -> VolumeMount {
    mount(volume, path)
}

fn shell(shell: &str, script: &str) -> Vec<String> {
    vec![shell.to_owned(), "-c".to_owned(), script.to_owned()]
}

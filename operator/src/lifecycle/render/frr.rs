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

/// Where every FRR image looks: sockets of the daemons, what it reads at its start, state.
const SOCKETS: (&str, &str) = ("frr-sockets", "/var/run/frr");
const STARTUP: (&str, &str) = (config_maps::FRR_STARTUP, "/etc/frr");
const STATE: (&str, &str) = ("frr-lib", "/var/lib/frr");
const TEMPORARY: (&str, &str) = ("frr-tmp", "/var/tmp/frr");

/// Runs the daemons under FRR's own supervisor, in the foreground: the container ends when the supervisor does. Every
/// image of FRR has these two files.
const RUN: &str = ". /usr/lib/frr/frrcommon.sh && exec /usr/lib/frr/watchfrr $(daemon_list)";

/// The daemons start as root, prepare their files and change to FRR's user.
const AS_ROOT: [&str; 7] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETPCAP",
    "SETUID",
];
/// zebra programs routes and enters VRFs, bgpd and bfdd use ports below 1024 and raw sockets.
const FOR_ROUTING: [&str; 4] = ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN"];

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
    let volumes = pod.volumes.get_or_insert_default();
    volumes.extend([SOCKETS, STATE, TEMPORARY].map(|(name, _)| empty_dir(name)));
    volumes.push(config_maps::volume(config_maps::FRR_STARTUP));
}

fn frr(installation: Installation<'_>) -> Container {
    let capabilities = AS_ROOT.iter().chain(&FOR_ROUTING).map(|name| (*name).to_owned());
    Container {
        name: "frr".to_owned(),
        image: Some(installation.environment.frr_image.clone()),
        command: Some(shell("/bin/bash", RUN)),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: Some(capabilities.collect()),
            }),
            ..confined(&[])
        }),
        volume_mounts: Some(vec![
            at(SOCKETS),
            at(STATE),
            at(TEMPORARY),
            VolumeMount {
                read_only: Some(true),
                ..at(STARTUP)
            },
        ]),
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
        volume_mounts: Some(vec![at(SOCKETS)]),
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

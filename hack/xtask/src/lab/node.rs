//! A cluster node: containerd, kubelet and kube-proxy in a namespace of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::addresses::{Node, POD_CIDRS};
use super::daemon::Daemon;
use super::directory::{Directory, write_if_changed};
use crate::command;
use crate::images::{PAUSE_REFERENCE, PackedImage};
use crate::kubernetes_binaries::Binaries;

/// Debian's folder of CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The three programs of a node.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Runs the containers.
    pub containerd: Daemon,
    /// Runs the pods.
    pub kubelet: Daemon,
    /// Load-balances cluster IPs and load balancer addresses, with nftables.
    pub kube_proxy: Daemon,
}

/// Describes the programs of `node`; starts nothing.
pub fn programs(lab: &Directory, binaries: &Binaries, node: &Node) -> Programs {
    let dir = lab.of_node(node);
    let path = |file: &str| dir.join(file).display().to_string();
    let daemon = |program: &str, binary: String, args: Vec<String>, inputs: &[&str]| Daemon {
        name: format!("{}-{program}", node.name),
        namespace: node.namespace.clone(),
        argv: std::iter::once(binary).chain(args).collect(),
        env: Vec::new(),
        inputs: inputs.iter().map(|file| dir.join(file)).collect(),
    };
    let containerd = vec![format!("--config={}", path("containerd.toml"))];
    let kubelet = vec![
        format!("--config={}", path("kubelet.yaml")),
        format!("--kubeconfig={}", path("kubelet.kubeconfig")),
        format!("--root-dir={}", path("kubelet")),
        format!("--cert-dir={}", path("kubelet/pki")),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={},{}", node.v4, node.v6),
        "--v=1".into(),
    ];
    let kube_proxy = vec![
        format!("--config={}", path("kube-proxy.yaml")),
        format!("--hostname-override={}", node.name),
    ];
    let binary = |name: &str| binaries.path(name).display().to_string();
    Programs {
        containerd: daemon(
            "containerd",
            "containerd".into(),
            containerd,
            &["containerd.toml"],
        ),
        kubelet: daemon(
            "kubelet",
            binary("kubelet"),
            kubelet,
            &["kubelet.yaml", "kubelet.kubeconfig"],
        ),
        kube_proxy: daemon(
            "kube-proxy",
            binary("kube-proxy"),
            kube_proxy,
            &["kube-proxy.yaml"],
        ),
    }
}

/// Where a node's containerd mounts the network namespaces of its pods.
pub(super) fn pod_namespaces(lab: &Directory, node: &Node) -> PathBuf {
    lab.of_node(node)
        .join("containerd/state/io.containerd.grpc.v1.cri/netns")
}

/// Where a node's containerd keeps a folder for each running container, named by its id.
pub(super) fn containers(lab: &Directory, node: &Node) -> PathBuf {
    lab.of_node(node)
        .join("containerd/state/io.containerd.runtime.v2.task/k8s.io")
}

/// Writes the configuration files of the node's programs.
///
/// # Errors
/// A file cannot be written.
pub fn write_configuration(lab: &Directory, node: &Node) -> Result<()> {
    let dir = lab.of_node(node);
    write_if_changed(&dir.join("containerd.toml"), &containerd_toml(&dir))?;
    write_if_changed(
        &dir.join("cni/conf/10-bridge.conflist"),
        &cni_conflist(node, &dir),
    )?;
    write_if_changed(&dir.join("kubelet.yaml"), &kubelet_yaml(lab, node, &dir))?;
    write_if_changed(&dir.join("kube-proxy.yaml"), &kube_proxy_yaml(lab))?;
    write_if_changed(&dir.join("resolv.conf"), "")?;
    fs::create_dir_all(dir.join("kubelet")).context("cannot create the kubelet's folder")
}

/// Waits until the node's containerd answers.
///
/// # Errors
/// It does not within half a minute.
pub fn wait_containerd(lab: &Directory, node: &Node) -> Result<()> {
    command::wait_until(
        &format!("containerd of {} answers", node.name),
        Duration::from_secs(30),
        || {
            command::output(ctr(lab, node).arg("version"))?;
            Ok(())
        },
    )
}

/// Imports an image into the node's containerd, unless it has this very image already.
///
/// # Errors
/// containerd refuses it.
pub fn load(lab: &Directory, node: &Node, image: &PackedImage) -> Result<bool> {
    let marker = lab.of_node(node).join("images").join(image.file_stem());
    if fs::read_to_string(&marker).is_ok_and(|digest| digest == image.digest) {
        return Ok(false);
    }
    command::output(
        ctr(lab, node)
            .args(["-n", "k8s.io", "images", "import"])
            .arg(&image.archive),
    )?;
    write_if_changed(&marker, &image.digest)?;
    Ok(true)
}

fn ctr(lab: &Directory, node: &Node) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(lab.containerd_socket(node));
    ctr
}

fn containerd_toml(dir: &Path) -> String {
    let dir = dir.display();
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower the score, and dies trying.
    format!(
        r#"version = 2
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = "{dir}/containerd/state/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_REFERENCE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{dir}/cni/conf"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{dir}/runc"
"#
    )
}

fn cni_conflist(node: &Node, dir: &Path) -> String {
    let [pods4, pods6] = &node.pod_cidrs;
    let (name, dir) = (&node.name, dir.display());
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "metallb-lab-{name}",
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {{
        "type": "host-local",
        "dataDir": "{dir}/cni/addresses",
        "ranges": [[{{"subnet": "{pods4}"}}], [{{"subnet": "{pods6}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}, {{"dst": "::/0"}}]
      }}
    }}
  ]
}}
"#
    )
}

fn kubelet_yaml(lab: &Directory, node: &Node, dir: &Path) -> String {
    let pki = lab.join("pki");
    // The settings from cgroupsPerQOS on make it run on cgroup v1, without CAP_SYS_RESOURCE, on a disk that may be full.
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {pki}/ca.crt}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/kubelet-{name}.crt
tlsPrivateKeyFile: {pki}/kubelet-{name}.key
containerRuntimeEndpoint: unix://{dir}/containerd/state/containerd.sock
imageServiceEndpoint: unix://{dir}/containerd/state/containerd.sock
podLogsDir: {dir}/pod-logs
volumePluginDir: {dir}/kubelet/volume-plugins
resolvConf: {dir}/resolv.conf
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
oomScoreAdj: 0
evictionHard:
  memory.available: 50Mi
  nodefs.available: 0%
  nodefs.inodesFree: 0%
  imagefs.available: 0%
  imagefs.inodesFree: 0%
",
        pki = pki.display(),
        name = node.name,
        dir = dir.display(),
    )
}

fn kube_proxy_yaml(lab: &Directory) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {{kubeconfig: {}}}
clusterCIDR: {}
detectLocalMode: ClusterCIDR
oomScoreAdj: 0
conntrack: {{maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
        lab.join("control/kube-proxy.kubeconfig").display(),
        POD_CIDRS.join(","),
    )
}

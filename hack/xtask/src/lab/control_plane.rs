//! etcd, API server, controller manager and scheduler, all in the namespace of the control plane.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::addresses::{API_PORT, CONTROL, POD_CIDRS, SERVICE_CIDRS};
use super::daemon::Daemon;
use super::directory::Directory;
use crate::command;
use crate::kubernetes_binaries::Binaries;

/// Every request with its user, verb and object, but without bodies: tests count writes by it.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// etcd and the API server.
pub(super) fn servers(lab: &Directory, binaries: &Binaries) -> [Daemon; 2] {
    [etcd(lab), api_server(lab, binaries)]
}

/// Controller manager and scheduler. Started before the API server is ready they end, or wait for long.
pub(super) fn controllers(lab: &Directory, binaries: &Binaries) -> [Daemon; 2] {
    [controller_manager(lab, binaries), scheduler(lab, binaries)]
}

/// Writes the files the control plane reads.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write_configuration(lab: &Directory) -> Result<()> {
    lab.write("control/audit-policy.yaml", AUDIT_POLICY)
}

/// Waits until the API server says it is ready.
///
/// # Errors
/// It is not ready within a minute.
pub(super) fn wait_ready(lab: &Directory) -> Result<()> {
    let url = format!("https://{}:{API_PORT}/readyz", CONTROL.v4);
    let ca = lab.join("pki/ca.crt");
    command::wait_until("the API server is ready", Duration::from_secs(60), || {
        let mut curl = command::in_namespace(CONTROL.namespace, "curl");
        command::output(curl.args(["-sSf", "-m", "2", "--cacert"]).arg(&ca).arg(&url))?;
        Ok(())
    })
}

fn etcd(lab: &Directory) -> Daemon {
    let data = lab.join("control/etcd");
    daemon(
        "etcd",
        Path::new("etcd"),
        vec![
            format!("--data-dir={}", data.display()),
            "--listen-client-urls=http://127.0.0.1:2379".into(),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-cluster=default=http://127.0.0.1:2380".into(),
        ],
        Vec::new(),
    )
}

fn api_server(lab: &Directory, binaries: &Binaries) -> Daemon {
    let pki = |file: &str| lab.join("pki").join(file).display().to_string();
    let policy = lab.join("control/audit-policy.yaml");
    let args = vec![
        format!("--advertise-address={}", CONTROL.v4),
        "--bind-address=::".into(),
        format!("--secure-port={API_PORT}"),
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!(
            "--kubelet-client-certificate={}",
            pki("apiserver-kubelet-client.crt")
        ),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", pki("service-account.pub")),
        format!(
            "--service-account-signing-key-file={}",
            pki("service-account.key")
        ),
        format!("--service-cluster-ip-range={}", SERVICE_CIDRS.join(",")),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
        // No kube-proxy runs beside the API server: it calls webhooks at their pods' addresses.
        "--enable-aggregator-routing=true".into(),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", lab.audit_log().display()),
        "--audit-log-maxsize=4096".into(),
    ];
    daemon(
        "kube-apiserver",
        &binaries.path("kube-apiserver"),
        args,
        vec![policy],
    )
}

fn controller_manager(lab: &Directory, binaries: &Binaries) -> Daemon {
    let pki = |file: &str| lab.join("pki").join(file).display().to_string();
    let kubeconfig = lab.join("control/controller-manager.kubeconfig");
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".into(),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=true".into(),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!(
            "--service-account-private-key-file={}",
            pki("service-account.key")
        ),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        format!("--cluster-cidr={}", POD_CIDRS.join(",")),
        "--allocate-node-cidrs=false".into(),
        // A lost node is seen in ten seconds instead of fifty.
        "--node-monitor-period=1s".into(),
        "--node-monitor-grace-period=10s".into(),
    ];
    daemon(
        "kube-controller-manager",
        &binaries.path("kube-controller-manager"),
        args,
        vec![kubeconfig],
    )
}

fn scheduler(lab: &Directory, binaries: &Binaries) -> Daemon {
    let kubeconfig = lab.join("control/scheduler.kubeconfig");
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".into(),
        "--leader-elect=false".into(),
    ];
    daemon(
        "kube-scheduler",
        &binaries.path("kube-scheduler"),
        args,
        vec![kubeconfig],
    )
}

fn daemon(name: &str, program: &Path, args: Vec<String>, inputs: Vec<PathBuf>) -> Daemon {
    let argv = std::iter::once(program.display().to_string())
        .chain(args)
        .collect();
    Daemon {
        name: name.into(),
        namespace: CONTROL.namespace.into(),
        argv,
        env: Vec::new(),
        inputs,
    }
}

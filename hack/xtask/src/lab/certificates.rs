//! Certificates and kubeconfigs of the lab, made once per lab.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::addresses::{API_PORT, API_SERVICE, CONTROL, Node};
use super::directory::Directory;

/// A certificate authority whose key and certificate are in the lab's pki folder.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a leaf certificate names.
struct Leaf<'a> {
    file: &'a str,
    common_name: &'a str,
    organization: Option<&'a str>,
    names: Vec<String>,
}

/// Makes what is missing: authorities, the control plane's certificates, and those of each node.
///
/// # Errors
/// A file cannot be written, or a present key cannot be read.
pub(super) fn ensure(lab: &Directory, nodes: &[Node]) -> Result<()> {
    let pki = lab.join("pki");
    let cluster = Authority::ensure(&pki, "ca", "kubernetes")?;
    let proxy = Authority::ensure(&pki, "front-proxy-ca", "front-proxy")?;
    proxy.leaf(&client("front-proxy-client", "front-proxy-client", None))?;
    cluster.leaf(&client("admin", "kubernetes-admin", Some("system:masters")))?;
    cluster.leaf(&client(
        "apiserver-kubelet-client",
        "kube-apiserver",
        Some("system:masters"),
    ))?;
    cluster.leaf(&client(
        "controller-manager",
        "system:kube-controller-manager",
        None,
    ))?;
    cluster.leaf(&client("scheduler", "system:kube-scheduler", None))?;
    cluster.leaf(&client("kube-proxy", "system:kube-proxy", None))?;
    cluster.leaf(&Leaf {
        file: "apiserver",
        common_name: "kube-apiserver",
        organization: None,
        names: api_server_names(),
    })?;
    for node in nodes {
        cluster.leaf(&Leaf {
            file: &format!("kubelet-{}", node.name),
            common_name: &format!("system:node:{}", node.name),
            organization: Some("system:nodes"),
            names: vec![node.name.clone(), node.v4.to_string(), node.v6.to_string()],
        })?;
    }
    service_account_key(&pki)?;

    kubeconfig(lab, &lab.kubeconfig(), "admin")?;
    for user in ["controller-manager", "scheduler", "kube-proxy"] {
        kubeconfig(lab, &lab.join(format!("control/{user}.kubeconfig")), user)?;
    }
    for node in nodes {
        kubeconfig(
            lab,
            &lab.of_node(node).join("kubelet.kubeconfig"),
            &format!("kubelet-{}", node.name),
        )?;
    }
    Ok(())
}

fn client<'a>(file: &'a str, common_name: &'a str, organization: Option<&'a str>) -> Leaf<'a> {
    Leaf {
        file,
        common_name,
        organization,
        names: Vec::new(),
    }
}

fn api_server_names() -> Vec<String> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "::1",
    ];
    let names = names.into_iter().chain(API_SERVICE).map(str::to_owned);
    names
        .chain(CONTROL.addresses().iter().map(ToString::to_string))
        .collect()
}

impl Authority {
    fn ensure(dir: &Path, file: &str, common_name: &str) -> Result<Self> {
        let (certificate_path, key_path) = (dir.join(format!("{file}.crt")), dir.join(format!("{file}.key")));
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = if certificate_path.exists() && key_path.exists() {
            KeyPair::from_pem(&fs::read_to_string(&key_path)?).with_context(|| {
                format!("cannot use {}: remove the lab and start anew", key_path.display())
            })?
        } else {
            let key = KeyPair::generate()?;
            write_secret(&key_path, &key.serialize_pem())?;
            fs::write(&certificate_path, params.self_signed(&key)?.pem())?;
            key
        };
        Ok(Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
        })
    }

    fn leaf(&self, leaf: &Leaf<'_>) -> Result<()> {
        let certificate_path = self.dir.join(format!("{}.crt", leaf.file));
        if certificate_path.exists() {
            return Ok(());
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(leaf.names.clone())?;
        params.distinguished_name = name(leaf.common_name, leaf.organization);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer)?;
        write_secret(&self.dir.join(format!("{}.key", leaf.file)), &key.serialize_pem())?;
        fs::write(certificate_path, certificate.pem())?;
        Ok(())
    }
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn service_account_key(pki: &Path) -> Result<()> {
    let path = pki.join("service-account.key");
    if !path.exists() {
        let key = KeyPair::generate()?;
        fs::write(pki.join("service-account.pub"), key.public_key_pem())?;
        write_secret(&path, &key.serialize_pem())?;
    }
    Ok(())
}

fn write_secret(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn kubeconfig(lab: &Directory, path: &Path, user: &str) -> Result<()> {
    let pki = lab.join("pki");
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
- name: metallb-lab
  cluster:
    server: https://{}:{API_PORT}
    certificate-authority: {ca}
contexts:
- name: metallb-lab
  context: {{cluster: metallb-lab, user: {user}}}
current-context: metallb-lab
users:
- name: {user}
  user:
    client-certificate: {certificate}
    client-key: {key}
",
        CONTROL.v4,
        ca = pki.join("ca.crt").display(),
        certificate = pki.join(format!("{user}.crt")).display(),
        key = pki.join(format!("{user}.key")).display(),
    );
    super::directory::write_if_changed(path, &text)
}

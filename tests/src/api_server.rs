//! A Kubernetes API server for tests: etcd and kube-apiserver as child processes on free ports of 127.0.0.1, with
//! certificates and a folder of their own. No controller, no scheduler and no node: objects stay as they are written.
//!
//! The programs are those of the lab: `cargo xtask deps` provides them, or `KUBE_BIN_DIR` names a folder with
//! kube-apiserver in it. etcd is searched in `PATH`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, Config, ResourceExt as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use xtask::kubernetes_binaries::Binaries;

/// How long the API server may take to get ready, on a machine that compiles at the same time.
const START: Duration = Duration::from_secs(180);

/// How often to begin anew when another process took a port between its choice and its use.
const ATTEMPTS: u32 = 3;

/// A running API server. Dropping it ends its processes and removes its folder; the processes also end with the thread
/// that started it, so that a killed test leaves none.
pub struct ApiServer {
    client: Client,
    kubeconfig: PathBuf,
    // Dropped in this order: the server before its store, the folder at last.
    _api_server: Process,
    _etcd: Process,
    _folder: Folder,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer")
            .field("kubeconfig", &self.kubeconfig)
            .finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Starts etcd and the API server, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When a program is missing or does not start; the end of its log is in the error.
    pub async fn start() -> Result<Self> {
        let program = Binaries::locate()?.path("kube-apiserver");
        ensure!(
            program.exists(),
            "{} is missing: run `cargo xtask deps`, or set KUBE_BIN_DIR",
            program.display()
        );
        let mut attempt = 1;
        loop {
            match Self::attempt(&program).await {
                Err(error)
                    if attempt < ATTEMPTS && format!("{error:#}").contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt(program: &Path) -> Result<Self> {
        let folder = Folder::create()?;
        let [etcd_port, peer_port, port] = free_ports()?;
        let certificates = Certificates::write(&folder.0)?;
        let mut etcd = Process::spawn(
            "etcd",
            OsStr::new("etcd"),
            &etcd_args(&folder.0, etcd_port, peer_port),
            &folder.0,
        )?;
        let args = api_server_args(&certificates, etcd_port, port);
        let mut api_server = Process::spawn("kube-apiserver", program.as_os_str(), &args, &folder.0)?;
        let kubeconfig = certificates.write_kubeconfig(&folder.0, port)?;
        let client = connect(&kubeconfig).await?;
        wait_until_ready(&client, &mut [&mut etcd, &mut api_server]).await?;
        Ok(Self {
            client,
            kubeconfig,
            _api_server: api_server,
            _etcd: etcd,
            _folder: folder,
        })
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig file for a program under test, with the rights of [`ApiServer::client`].
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Creates a namespace.
    ///
    /// # Errors
    ///
    /// What the API server says.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace = Namespace {
            metadata: kube::core::ObjectMeta {
                name: Some(name.to_owned()),
                ..Default::default()
            },
            ..Default::default()
        };
        Api::all(self.client())
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("creating namespace {name}"))?;
        Ok(())
    }

    /// Installs all kinds of this project and waits until they are served.
    ///
    /// # Errors
    ///
    /// When the API server refuses a CustomResourceDefinition, or does not serve it within a minute.
    pub async fn install_crds(&self) -> Result<()> {
        let api = Api::<CustomResourceDefinition>::all(self.client());
        for crd in metallb_crds::all() {
            let name = crd.name_any();
            let params = PatchParams::apply("metallb-tests");
            api.patch(&name, &params, &Patch::Apply(&crd))
                .await
                .with_context(|| format!("applying {name}"))?;
            let established = await_condition(api.clone(), &name, is_crd_established());
            tokio::time::timeout(Duration::from_secs(60), established)
                .await
                .with_context(|| format!("{name} is not served"))??;
        }
        Ok(())
    }
}

fn etcd_args(folder: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}");
    let peer_url = format!("http://127.0.0.1:{peer_port}");
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
    ]
}

fn api_server_args(certificates: &Certificates, etcd_port: u16, port: u16) -> Vec<String> {
    let path = |path: &PathBuf| path.display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--client-ca-file={}", path(&certificates.authority)),
        format!("--tls-cert-file={}", path(&certificates.server)),
        format!("--tls-private-key-file={}", path(&certificates.server_key)),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            path(&certificates.service_account_public_key)
        ),
        format!(
            "--service-account-signing-key-file={}",
            path(&certificates.service_account_key)
        ),
        "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        // Without a controller manager no namespace has a default service account.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--allow-privileged=true".to_owned(),
    ]
}

async fn connect(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("reading the kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(Client::try_from(config)?)
}

/// Waits until the API server says that it is ready and has its first namespace, or one of the processes ends.
async fn wait_until_ready(client: &Client, processes: &mut [&mut Process]) -> Result<()> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let mut polls = tokio::time::interval(Duration::from_millis(100));
    let ready = async {
        loop {
            polls.tick().await;
            for process in &mut *processes {
                process.ensure_running()?;
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok() && namespaces.get("default").await.is_ok() {
                return Ok(());
            }
        }
    };
    match tokio::time::timeout(START, ready).await {
        Ok(result) => result,
        Err(_) => bail!("the API server was not ready after {START:?}"),
    }
}

/// Ports of 127.0.0.1 nobody listens on at the moment.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held before the first is given back, so that they differ.
    let listeners: Vec<_> = (0..N)
        .map(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
        .collect::<std::io::Result<_>>()
        .context("looking for free ports")?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// A child process. Dropping it kills it.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn spawn(name: &'static str, program: &OsStr, args: &[String], folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        // setpriv becomes the program, which then ends with this thread even if nobody is left to drop it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name} with setpriv"))?;
        Ok(Self { name, child, log })
    }

    fn ensure_running(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n");
        bail!("{} ended with {status}:\n{end}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the names of the folders begin with; process id and number follow.
const FOLDER: &str = "metallb-api-server-";

/// A folder for one API server. Dropping it removes it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Self::remove_abandoned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{FOLDER}{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }

    /// Removes the folders of processes that were killed before they could do it.
    fn remove_abandoned() {
        let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let owner = name
                .to_str()
                .and_then(|name| name.strip_prefix(FOLDER)?.split('-').next()?.parse::<u32>().ok());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
                // Another test may do the same at the same time.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files with the certificates and keys of one API server.
struct Certificates {
    authority: PathBuf,
    server: PathBuf,
    server_key: PathBuf,
    admin: PathBuf,
    admin_key: PathBuf,
    service_account_key: PathBuf,
    service_account_public_key: PathBuf,
}

impl Certificates {
    fn write(folder: &Path) -> Result<Self> {
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            Ok(path)
        };
        let (authority, issuer) = authority()?;
        let (server, server_key) = leaf(&issuer, &["127.0.0.1", "localhost"], "kube-apiserver", None)?;
        let (admin, admin_key) = leaf(&issuer, &[], "tests", Some("system:masters"))?;
        let service_account = KeyPair::generate()?;
        Ok(Self {
            authority: file("ca.crt", &authority)?,
            server: file("server.crt", &server)?,
            server_key: file("server.key", &server_key)?,
            admin: file("admin.crt", &admin)?,
            admin_key: file("admin.key", &admin_key)?,
            service_account_key: file("service-account.key", &service_account.serialize_pem())?,
            service_account_public_key: file("service-account.pub", &service_account.public_key_pem())?,
        })
    }

    fn write_kubeconfig(&self, folder: &Path, port: u16) -> Result<PathBuf> {
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "tests", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": self.authority,
            }}],
            "users": [{ "name": "tests", "user": {
                "client-certificate": self.admin, "client-key": self.admin_key,
            }}],
            "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "tests" } }],
            "current-context": "tests",
        });
        let path = folder.join("kubeconfig");
        fs::write(&path, serde_json::to_vec_pretty(&kubeconfig)?).context("writing the kubeconfig")?;
        Ok(path)
    }
}

/// A new certificate authority, and its certificate in PEM.
fn authority() -> Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

/// A certificate and its key in PEM, for a server of these names or a client of this user and group.
fn leaf(
    issuer: &Issuer<'static, KeyPair>,
    names: &[&str],
    user: &str,
    group: Option<&str>,
) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

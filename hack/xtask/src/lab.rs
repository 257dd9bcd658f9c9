//! The lab: a Kubernetes cluster whose nodes are network namespaces, with routers and clients around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::images::PackedImage;
use crate::kubernetes_binaries::Binaries;
use crate::progress::Progress;
use crate::{command, images, packages};

pub mod addresses;
mod certificates;
mod control_plane;
pub mod daemon;
pub mod directory;
pub mod network;
pub mod node;
pub mod router;
pub mod status;
mod teardown;

use addresses::{CONTROL, Node};
use directory::Directory;

/// A lab on this machine, running or not.
#[derive(Clone, Debug)]
pub struct Lab {
    directory: Directory,
    binaries: Binaries,
}

impl Lab {
    /// Finds the lab's folder and the Kubernetes programs; touches nothing.
    ///
    /// # Errors
    /// There is no cache folder.
    pub fn open() -> Result<Self> {
        Ok(Self {
            directory: Directory::from_env(),
            binaries: Binaries::locate()?,
        })
    }

    /// The lab's folder.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The lab's nodes.
    pub fn nodes(&self) -> Vec<Node> {
        self.directory.nodes()
    }

    /// The programs of a node, to stop and start them one by one.
    pub fn programs(&self, node: &Node) -> node::Programs {
        node::programs(&self.directory, &self.binaries, node)
    }

    /// A command in the control plane's namespace with KUBECONFIG set and the Kubernetes programs in its PATH.
    pub fn command(&self, program: &str) -> Command {
        // The PATH is set by env(1), behind nsenter, because a command is looked up in its caller's PATH.
        let mut command = command::in_namespace(CONTROL.namespace, "env");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .arg(format!("PATH={}:{path}", self.binaries.dir().display()))
            .arg(format!("KUBECONFIG={}", self.directory.kubeconfig().display()))
            .arg(program);
        command
    }

    /// Brings the lab up, or repairs the one that runs: only what is missing is made.
    ///
    /// # Errors
    /// A step fails; its name is in the message. What was made stays, for a look and for the next attempt.
    pub fn up(&self, count: u8, progress: &Progress) -> Result<()> {
        ensure!(
            (1..=addresses::MAX_NODES).contains(&count),
            "--nodes must be 1 to {}",
            addresses::MAX_NODES
        );
        let lock = self.lock()?;
        progress.step("Debian packages", packages::ensure)?;
        Binaries::ensure(progress)?;
        let mut images = images::ensure_for_lab(progress)?;
        images.extend(project_images()?);
        if self.directory.is_stale()? {
            progress.say("the lab is from before the last boot: it is made anew");
            teardown::down(&self.directory, progress)?;
        }
        let count = count.max(u8::try_from(self.nodes().len())?);
        self.directory.create(count)?;
        let nodes = self.nodes();
        progress.step("certificates", || certificates::ensure(&self.directory, &nodes))?;
        progress.step("namespaces, links, routes", || network::up(&nodes))?;
        let changed = self.start(&nodes, &images, progress)?;
        self.write_scripts()?;
        self.wait_ready(&nodes, progress)?;
        self.replace_pods(&changed, progress)?;
        drop(lock);
        Ok(())
    }

    /// Takes the lab down. Works on a half-made, crashed or stale lab, and on none.
    ///
    /// # Errors
    /// A process, mount or namespace cannot be removed.
    pub fn down(&self, progress: &Progress) -> Result<()> {
        let lock = self.lock()?;
        teardown::down(&self.directory, progress)?;
        drop(lock);
        let _ = fs::remove_file(self.lock_path());
        Ok(())
    }

    /// Imports images into every node that does not have them, and replaces the pods that run an older one.
    ///
    /// # Errors
    /// A containerd refuses an image, or the API server the deletion of a pod.
    pub fn load(&self, images: &[PackedImage], progress: &Progress) -> Result<()> {
        let changed = self.import(images, progress)?;
        self.replace_pods(&changed, progress)
    }

    /// Imports images and returns those that a node did not have.
    fn import<'a>(&self, images: &'a [PackedImage], progress: &Progress) -> Result<Vec<&'a PackedImage>> {
        let mut changed = Vec::new();
        for image in images {
            let what = format!("load {}", image.reference);
            if progress.step(&what, || self.import_everywhere(image))? {
                changed.push(image);
            }
        }
        Ok(changed)
    }

    /// Deletes the pods of these images: a tag that now means another image makes no controller replace them.
    fn replace_pods(&self, changed: &[&PackedImage], progress: &Progress) -> Result<()> {
        let jsonpath = r#"jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.containers[*].image}{"\n"}{end}"#;
        let pods = command::output(
            self.command("kubectl")
                .args(["get", "pods", "-A", "-o", jsonpath]),
        )?;
        for line in pods.lines() {
            let mut words = line.split(' ');
            let (Some(namespace), Some(pod)) = (words.next(), words.next()) else {
                continue;
            };
            if words.any(|image| changed.iter().any(|changed| changed.is_called(image))) {
                progress.step(&format!("replace pod {pod}: its image changed"), || {
                    let delete = ["delete", "pod", "--wait=false", "-n", namespace, pod];
                    command::output(self.command("kubectl").args(delete)).map(drop)
                })?;
            }
        }
        Ok(())
    }

    /// Whether the API server runs.
    pub fn is_up(&self) -> bool {
        daemon::Record::read(&self.directory, "kube-apiserver").is_some_and(|record| record.is_alive())
    }

    /// Starts what does not run, and returns the images that a node did not have.
    fn start<'a>(
        &self,
        nodes: &[Node],
        images: &'a [PackedImage],
        progress: &Progress,
    ) -> Result<Vec<&'a PackedImage>> {
        let lab = &self.directory;
        progress.step("start etcd, API server and containerd", || {
            control_plane::write_configuration(lab)?;
            for daemon in control_plane::servers(lab, &self.binaries) {
                daemon.ensure(lab)?;
            }
            for node in nodes {
                node::write_configuration(lab, node)?;
                self.programs(node).containerd.ensure(lab)?;
            }
            Ok(())
        })?;
        progress.step("start the routers ebgp, ibgp, mhop", || {
            router::ROUTERS
                .iter()
                .try_for_each(|router| router.ensure(lab, nodes).map(|_| ()))
        })?;
        progress.step("containerd answers", || {
            nodes.iter().try_for_each(|node| node::wait_containerd(lab, node))
        })?;
        let changed = self.import(images, progress)?;
        progress.step("API server ready", || control_plane::wait_ready(lab))?;
        progress.step("start controllers, kubelet and kube-proxy", || {
            for daemon in control_plane::controllers(lab, &self.binaries) {
                daemon.ensure(lab)?;
            }
            for programs in nodes.iter().map(|node| self.programs(node)) {
                programs.kubelet.ensure(lab)?;
                programs.kube_proxy.ensure(lab)?;
            }
            Ok(())
        })?;
        Ok(changed)
    }

    fn import_everywhere(&self, image: &PackedImage) -> Result<bool> {
        let nodes = self.nodes();
        std::thread::scope(|scope| {
            let load = |node| scope.spawn(move || node::load(&self.directory, node, image));
            let loads: Vec<_> = nodes.iter().map(load).collect();
            let mut changed = false;
            for load in loads {
                changed |= load.join().expect("loading does not panic")?;
            }
            Ok(changed)
        })
    }

    fn wait_ready(&self, nodes: &[Node], progress: &Progress) -> Result<()> {
        for node in nodes {
            let jsonpath = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            progress.step(&format!("{} ready", node.name), || {
                command::wait_until("the node is ready", Duration::from_secs(120), || {
                    let mut kubectl = self.command("kubectl");
                    let ready = command::output(kubectl.args(["get", "node", &node.name, "-o", jsonpath]))?;
                    ensure!(
                        ready == "True",
                        "Ready is {ready:?}; see logs/{}-kubelet.log",
                        node.name
                    );
                    Ok(())
                })
            })?;
        }
        progress.step("default service account", || {
            command::wait_until("pods can be made", Duration::from_secs(60), || {
                command::output(self.command("kubectl").args(["get", "serviceaccount", "default"]))
                    .map(|_| ())
            })
        })?;
        let dead = daemon::Record::all(&self.directory)
            .into_iter()
            .find(|record| !record.is_alive());
        dead.map_or(Ok(()), |record| {
            bail!(
                "{0} ended; see {1}/logs/{0}.log",
                record.name,
                self.directory.root().display()
            )
        })
    }

    /// Small shell scripts, to use the lab without cargo.
    fn write_scripts(&self) -> Result<()> {
        let enter = format!("exec nsenter --net=/run/netns/{} -- env", CONTROL.namespace);
        let environment = format!(
            "KUBECONFIG={} PATH={}:\"$PATH\"",
            self.directory.kubeconfig().display(),
            self.binaries.dir().display()
        );
        let scripts = [
            ("kubectl", format!("#!/bin/sh\n{enter} {environment} kubectl \"$@\"\n")),
            ("exec", format!("#!/bin/sh\n{enter} {environment} \"$@\"\n")),
            (
                "vtysh",
                "#!/bin/sh\nname=$1; shift\nexec nsenter --net=\"/run/netns/lab-$name\" -- vtysh -N \"$name\" \"$@\"\n"
                    .to_owned(),
            ),
        ];
        for (name, text) in scripts {
            self.directory.write(name, &text)?;
            fs::set_permissions(self.directory.join(name), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn lock_path(&self) -> std::path::PathBuf {
        self.directory.root().with_extension("lock")
    }

    /// Keeps two `up` or `down` from running at once.
    fn lock(&self) -> Result<fs::File> {
        let path = self.lock_path();
        let file = fs::File::create(&path)
            .with_context(|| format!("cannot create {}: run as root", path.display()))?;
        file.lock()?;
        Ok(file)
    }
}

/// The project's own images, as far as they were packed already.
fn project_images() -> Result<Vec<PackedImage>> {
    let ours = |image: &PackedImage| {
        images::PROGRAMS
            .iter()
            .any(|program| program.reference == image.reference)
    };
    Ok(images::packed()?.into_iter().filter(ours).collect())
}

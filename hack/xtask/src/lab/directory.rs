//! The lab's folder, and what is where in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::addresses::{self, Node};

/// The lab's folder: `LAB_DIR`, or /var/lib/metallb-lab.
///
/// The file `boot-id` marks it as ours and tells whether what it describes can still be running.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Reads `LAB_DIR`; touches nothing.
    pub fn from_env() -> Self {
        let root = std::env::var_os("LAB_DIR").filter(|dir| !dir.is_empty());
        Self {
            root: root.map_or_else(|| PathBuf::from("/var/lib/metallb-lab"), PathBuf::from),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    /// The API server's audit log, one JSON object per line.
    pub fn audit_log(&self) -> PathBuf {
        self.join("logs/audit.log")
    }

    /// Everything of one node.
    pub fn of_node(&self, node: &Node) -> PathBuf {
        self.join(&node.name)
    }

    /// The socket of a node's containerd.
    pub fn containerd_socket(&self, node: &Node) -> PathBuf {
        self.of_node(node).join("containerd/state/containerd.sock")
    }

    /// Creates the folder for a lab with `count` nodes, if need be.
    ///
    /// # Errors
    /// The folder exists, holds something, and was not made by the lab.
    pub fn create(&self, count: u8) -> Result<()> {
        let foreign = fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_some())
            && !self.join("boot-id").exists();
        ensure!(
            !foreign,
            "{} exists and is not a lab: set LAB_DIR to another folder",
            self.root.display()
        );
        for dir in ["run", "logs", "pki", "control"] {
            fs::create_dir_all(self.join(dir)).with_context(|| format!("cannot create {dir} in LAB_DIR"))?;
        }
        self.write("boot-id", &boot_id()?)?;
        self.write("nodes", &count.to_string())
    }

    /// Whether a lab was made here, in this boot or an earlier one.
    pub fn exists(&self) -> bool {
        self.join("boot-id").exists()
    }

    /// Whether the lab here was made before the machine's last boot, so that nothing of it can be running.
    ///
    /// # Errors
    /// The kernel's boot id cannot be read.
    pub fn is_stale(&self) -> Result<bool> {
        Ok(self.exists() && fs::read_to_string(self.join("boot-id"))? != boot_id()?)
    }

    /// The nodes the lab was made with; none when there is no lab.
    pub fn nodes(&self) -> Vec<Node> {
        let count = fs::read_to_string(self.join("nodes"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        addresses::nodes(count.unwrap_or(0))
    }

    /// Writes a file inside, unless it holds `content` already.
    ///
    /// # Errors
    /// Its folder cannot be made or the file not be written.
    pub fn write(&self, path: impl AsRef<Path>, content: &str) -> Result<()> {
        write_if_changed(&self.join(path), content)
    }
}

/// Writes `content` to `path` and makes its folder, unless it is there already.
///
/// # Errors
/// The folder cannot be made or the file not be written.
pub fn write_if_changed(path: &Path, content: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// The kernel's name for the time since the last boot.
///
/// # Errors
/// /proc is not there.
pub fn boot_id() -> Result<String> {
    let text =
        fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the kernel's boot id")?;
    Ok(text.trim().to_owned())
}

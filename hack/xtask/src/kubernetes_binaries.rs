//! The Kubernetes programs the lab runs: built once from the Go module that hack/kubernetes pins.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::progress::Progress;
use crate::{command, workspace};

/// The version in hack/kubernetes/go.mod.
pub const VERSION: &str = "v1.36.3";
const PROGRAMS: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// A folder with all programs in it.
#[derive(Clone, Debug)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The folder where the programs are or would be: `KUBE_BIN_DIR`, or one in the cache.
    ///
    /// # Errors
    /// There is no cache folder.
    pub fn locate() -> Result<Self> {
        let given = std::env::var_os("KUBE_BIN_DIR").filter(|dir| !dir.is_empty());
        let dir = match given {
            Some(dir) => PathBuf::from(dir),
            None => workspace::cache()?.join(format!("kubernetes-{VERSION}")),
        };
        Ok(Self { dir })
    }

    /// Builds what is missing. With `KUBE_BIN_DIR` set nothing is built: it must hold everything.
    ///
    /// # Errors
    /// Go is missing or cannot build, or `KUBE_BIN_DIR` lacks a program.
    pub fn ensure(progress: &Progress) -> Result<Self> {
        let binaries = Self::locate()?;
        let given = std::env::var_os("KUBE_BIN_DIR").is_some_and(|dir| !dir.is_empty());
        for program in PROGRAMS.iter().filter(|program| !binaries.path(program).exists()) {
            ensure!(!given, "KUBE_BIN_DIR={} has no {program}", binaries.dir.display());
            progress.step(&format!("build {program} {VERSION} (once)"), || {
                binaries.build(program)
            })?;
        }
        Ok(binaries)
    }

    /// The path of a program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }

    /// The folder with the programs.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// Builds under another name and renames, so that a broken-off build leaves nothing that looks ready.
    fn build(&self, program: &str) -> Result<()> {
        fs::create_dir_all(&self.dir)?;
        let unfinished = self.path(&format!(".{program}.{}", std::process::id()));
        let mut go = Command::new("go");
        go.current_dir(workspace::root().join("hack/kubernetes"))
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-ldflags", &version_flags(), "-o"])
            .arg(&unfinished)
            .arg(format!("k8s.io/kubernetes/cmd/{program}"));
        command::output(&mut go)
            .context("the lab builds Kubernetes with Go: install it or set KUBE_BIN_DIR")?;
        fs::rename(&unfinished, self.path(program))?;
        Ok(())
    }
}

fn version_flags() -> String {
    let package = "k8s.io/component-base/version";
    let mut parts = VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!(
        "-s -w -X {package}.gitVersion={VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}

//! Installing our operator in the lab, the way a user does.

use std::fs;

use anyhow::{Context as _, Result};

use crate::checks::PATIENCE;
use crate::cluster::{Cluster, NAMESPACE};
use crate::progress::Progress;
use crate::{command, objects, workspace};

/// The install manifest for images packed from this checkout.
const MANIFEST: &str = "manifests/metallb-operator-dev.yaml";

/// Applies our own install manifest and waits until the operator is up and the API is known.
///
/// # Errors
/// The API server refuses the manifest, or the operator does not come up.
pub fn operator(cluster: &Cluster, progress: &Progress) -> Result<()> {
    progress.step(&format!("apply {MANIFEST}"), || {
        let path = workspace::root().join(MANIFEST);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // Namespace and CRDs come first in the file, but the API server may need a moment to serve them.
        command::wait_until("the manifest is taken", PATIENCE, || cluster.apply_text(&text))
    })?;
    progress.step("the operator is available", || {
        let words = format!(
            "-n {NAMESPACE} rollout status deployment/metallb-operator-controller-manager --timeout=120s"
        );
        cluster.kubectl(&words).map(drop)
    })
}

/// Creates the MetalLB object and waits for its conditions.
///
/// # Errors
/// It does not become available.
pub fn metallb(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let metallb = format!("metallb -n {NAMESPACE} metallb");
    progress.step("create the MetalLB object; it becomes Available", || {
        cluster.apply(&[objects::metallb()])?;
        cluster.wait_condition(&metallb, "Available", "True", PATIENCE * 2)
    })?;
    let object = cluster.get(&metallb)?;
    for type_ in ["Available", "Progressing", "Degraded", "Upgradeable"] {
        let (status, reason, message) =
            Cluster::condition(&object, type_).context("a condition is missing")?;
        progress.say(&format!("  {type_:<12} {status:<6} {reason} {message}"));
    }
    Ok(())
}

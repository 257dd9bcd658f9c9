//! Where things are: the repository, and the cache that outlives it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository this program was built from.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .ancestors()
        .nth(2)
        .expect("hack/xtask is two levels below the root")
        .to_path_buf()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What is slow to make and does not depend on the checkout: Kubernetes programs, FRR's root file system, tools.
///
/// `${XDG_CACHE_HOME:-$HOME/.cache}/metallb-lab`.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(cache).join("metallb-lab"));
    }
    let home =
        std::env::var_os("HOME").context("set HOME or XDG_CACHE_HOME: the lab keeps its cache there")?;
    Ok(PathBuf::from(home).join(".cache/metallb-lab"))
}

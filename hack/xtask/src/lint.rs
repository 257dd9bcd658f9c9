//! Formatting, lints, and what may be depended on.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::progress::Progress;
use crate::{command, workspace};

/// Version of cargo-deny; its file format changes between versions.
const DENY_VERSION: &str = "0.20.2";

/// Checks the whole workspace.
///
/// # Errors
/// Something is not as it should be; the tool has said what.
pub fn run(progress: &Progress) -> Result<()> {
    progress.step("formatting", || {
        command::visibly(cargo().args(["fmt", "--all", "--check"]))
    })?;
    progress.step("clippy", || {
        let all = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        command::visibly(cargo().args(all))
    })?;
    let deny = cargo_deny(progress)?;
    // Advisories are left out: they would be fetched, and a test run must not depend on what was published since.
    progress.step("bans, licenses, sources", || {
        let mut check = Command::new(deny);
        check
            .current_dir(workspace::root())
            .args(["--log-level", "error"]);
        command::visibly(check.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
    })
}

/// cargo-deny of the pinned version: installed into the cache once.
fn cargo_deny(progress: &Progress) -> Result<PathBuf> {
    let dir = workspace::cache()?.join(format!("cargo-deny-{DENY_VERSION}"));
    let program = dir.join("bin/cargo-deny");
    if !program.exists() {
        progress.step(&format!("install cargo-deny {DENY_VERSION} (once)"), || {
            let mut install = cargo();
            install.args([
                "install",
                "--quiet",
                "--locked",
                "--version",
                DENY_VERSION,
                "cargo-deny",
                "--root",
            ]);
            command::output(install.arg(&dir))
                .context("cannot install cargo-deny")
                .map(drop)
        })?;
    }
    Ok(program)
}

/// cargo, in the repository.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root());
    cargo
}

//! The programs of this checkout.

use std::path::PathBuf;
use std::process::Command;

/// Builds a program, unless cargo finds it fresh, and returns where it is. Its package is named as it is.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(xtask::workspace::root())
        .args(["build", "-q", "-p", name]);
    xtask::command::output(&mut build).unwrap();
    xtask::workspace::target().join("debug").join(name)
}

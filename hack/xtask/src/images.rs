//! Container images, packed from what cargo built, without a container engine and without a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::progress::Progress;
use crate::{command, workspace};

pub mod archive;
pub mod frr;
pub mod program;

pub use archive::PackedImage;
use archive::{Owner, Start};
use program::Program;

/// Name and tag of the image that holds a pod's namespaces.
pub const PAUSE_REFERENCE: &str = "docker.io/metallb-lab/pause:1";
/// Name and tag of the web server behind the Services of demo and tests.
pub const WEB_REFERENCE: &str = "docker.io/metallb-lab/web:1";

/// The project's programs.
pub const PROGRAMS: [Program; 4] = [
    Program {
        package: "metallb-operator",
        binary: "metallb-operator",
        reference: "docker.io/metallb/operator:dev",
        root: false,
    },
    Program {
        package: "metallb-controller",
        binary: "metallb-controller",
        reference: "docker.io/metallb/controller:dev",
        root: false,
    },
    Program {
        package: "metallb-speaker",
        binary: "metallb-speaker",
        reference: "docker.io/metallb/speaker:dev",
        root: true,
    },
    Program {
        package: "frr-agent",
        binary: "frr-agent",
        reference: "docker.io/metallb/frr-agent:dev",
        root: true,
    },
];

/// Builds the project's programs and packs every image.
///
/// # Errors
/// Cargo or a packing step fails.
pub fn ensure_all(progress: &Progress) -> Result<Vec<PackedImage>> {
    let mut images = ensure_for_lab(progress)?;
    let mut cargo = cargo_build();
    for program in PROGRAMS {
        cargo.args(["-p", program.package]);
    }
    progress.say("cargo builds the programs; the first time that takes some minutes:");
    progress.step("build the programs", || command::visibly(&mut cargo))?;
    let dir = folder()?;
    for program in PROGRAMS {
        let what = format!("pack {}", program.reference);
        images.push(progress.step(&what, || program.pack(&built(), &dir))?);
    }
    Ok(images)
}

/// Packs the images that do not depend on the project's programs: pause, web server, FRR.
///
/// # Errors
/// Cargo or a packing step fails.
pub fn ensure_for_lab(progress: &Progress) -> Result<Vec<PackedImage>> {
    let pause = progress.step("image pause", pause)?;
    let web = progress.step("image web", web)?;
    let frr = progress.step("image frr (the first time: Debian packages)", || {
        frr::ensure(&workspace::cache()?)
    })?;
    Ok(vec![pause, web, frr])
}

/// Every image that was packed already.
///
/// # Errors
/// There is no folder for them.
pub fn packed() -> Result<Vec<PackedImage>> {
    let (dir, cache) = (folder()?, workspace::cache()?);
    let ours = PROGRAMS
        .iter()
        .map(|program| program.reference)
        .chain([PAUSE_REFERENCE, WEB_REFERENCE]);
    let ours = ours.filter_map(|reference| PackedImage::read(&dir, reference));
    Ok(ours.chain(PackedImage::read(&cache, frr::REFERENCE)).collect())
}

fn pause() -> Result<PackedImage> {
    let source = workspace::root().join("hack/images/pause.c");
    pack_program(PAUSE_REFERENCE, "pause", |binary| {
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-Os", "-s", "-Wl,--build-id=none", "-o"])
            .arg(binary);
        command::output(gcc.arg(source)).map(drop)
    })
}

/// Compiled without cargo, so that the lab comes up also while a crate of the workspace does not compile.
fn web() -> Result<PackedImage> {
    let source = workspace::root().join("hack/xtask/src/bin/lab-web.rs");
    pack_program(WEB_REFERENCE, "web", |binary| {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        // Relative to the repository, because of the toolchain file there.
        rustc.current_dir(workspace::root());
        rustc.args([
            "--edition=2024",
            "-O",
            "-C",
            "strip=symbols",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ]);
        command::output(rustc.arg(binary).arg(source)).map(drop)
    })
}

/// Packs one static program that `build` writes to the path it is given.
fn pack_program(reference: &str, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PackedImage> {
    let dir = folder()?;
    let stage = dir.join(format!(".stage-{name}.{}", std::process::id()));
    fs::create_dir_all(&stage)?;
    let packed = build(&stage.join(name)).and_then(|()| {
        let start = Start {
            entrypoint: vec![format!("/{name}")],
            user: "65532:65532".into(),
        };
        archive::pack(&dir, reference, &stage, Owner::Root, &start)
    });
    fs::remove_dir_all(&stage)?;
    packed
}

fn cargo_build() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root()).arg("build");
    cargo
}

fn built() -> PathBuf {
    workspace::target().join("debug")
}

/// Images of this checkout live beside what they were made from.
fn folder() -> Result<PathBuf> {
    let dir = workspace::target().join("lab-images");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

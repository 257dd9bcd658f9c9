//! Container images, packed from what cargo built, without a container engine and without a registry.

use std::fs;
use std::path::PathBuf;
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

const WEB: Program = Program {
    package: "xtask",
    binary: "lab-web",
    reference: WEB_REFERENCE,
    root: false,
};

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
    let dir = folder()?;
    let pause = progress.step("image pause", pause)?;
    let web = progress.step("image web", || {
        command::output(cargo_build().args(["-p", WEB.package, "--bin", WEB.binary]))?;
        WEB.pack(&built(), &dir)
    })?;
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
    let dir = folder()?;
    let stage = dir.join(format!(".stage-pause.{}", std::process::id()));
    fs::create_dir_all(&stage)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-Os", "-s", "-Wl,--build-id=none", "-o"])
        .arg(stage.join("pause"));
    let packed = command::output(gcc.arg(workspace::root().join("hack/images/pause.c"))).and_then(|_| {
        let start = Start {
            entrypoint: vec!["/pause".into()],
            user: "65535:65535".into(),
        };
        archive::pack(&dir, PAUSE_REFERENCE, &stage, Owner::Root, &start)
    });
    fs::remove_dir_all(&stage)?;
    packed
}

fn cargo_build() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root()).args(["build", "--quiet"]);
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

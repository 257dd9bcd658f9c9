//! The FRR image: Debian 13 with FRR 10 and nothing that only people need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::archive::{self, Owner, PackedImage, Start};
use crate::{command, workspace};

/// Name and tag of the FRR image.
pub const REFERENCE: &str = "docker.io/library/frr:10";

/// Documentation, translations, package databases, device files and daemons of protocols MetalLB does not speak.
const LEFT_OUT: [&str; 12] = [
    "./dev/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/zoneinfo/*",
    "./usr/share/common-licenses/*",
    "./var/cache/*",
    "./var/lib/apt/*",
    "./var/lib/dpkg/info/*",
    "./var/log/*",
    "*/__pycache__",
];

/// Packs the image into `dir`, unless it is there.
///
/// # Errors
/// Debian's archive cannot be reached (only the first time), or packing fails.
pub fn ensure(dir: &Path) -> Result<PackedImage> {
    if let Some(image) = PackedImage::read(dir, REFERENCE) {
        return Ok(image);
    }
    let rootfs = root_file_system()?;
    let stage = dir.join(format!(".stage-frr.{}", std::process::id()));
    fs::create_dir_all(&stage)?;
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--preserve-permissions", "--wildcards"]);
    tar.args(LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}")));
    let packed = command::output(tar.arg("-C").arg(&stage).arg("-xf").arg(&rootfs)).and_then(|_| {
        let start = Start {
            entrypoint: vec!["/bin/sh".into()],
            user: String::new(),
        };
        archive::pack(dir, REFERENCE, &stage, Owner::Kept, &start)
    });
    fs::remove_dir_all(&stage)?;
    packed
}

/// The whole root file system as a folder in the cache, for tests that run FRR 10 without a container.
///
/// # Errors
/// As [`ensure`].
pub fn unpacked() -> Result<PathBuf> {
    let folder = workspace::cache()?.join("frr-10-rootfs");
    if !folder.exists() {
        let rootfs = root_file_system()?;
        let unfinished = folder.with_extension(std::process::id().to_string());
        fs::create_dir_all(&unfinished)?;
        command::output(
            Command::new("tar")
                .arg("-C")
                .arg(&unfinished)
                .arg("-xpf")
                .arg(&rootfs),
        )?;
        fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}

/// The root file system as a tar file in the cache; made under another name, so that it is whole or not there.
fn root_file_system() -> Result<PathBuf> {
    let path = workspace::cache()?.join("frr-10-rootfs.tar");
    if !path.exists() {
        fs::create_dir_all(workspace::cache()?)?;
        let unfinished = path.with_extension(format!("{}.tar", std::process::id()));
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args([
            "--variant=minbase",
            "--include=frr,frr-pythontools,iproute2",
            "trixie",
        ]);
        command::output(mmdebstrap.arg(&unfinished))?;
        fs::rename(&unfinished, &path)?;
    }
    Ok(path)
}

//! A folder as a one-layer container image, in the docker-archive format that `ctr images import` reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::command;

/// How a container of the image starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Program and fixed arguments.
    pub entrypoint: Vec<String>,
    /// `uid:gid`; empty is root.
    pub user: String,
}

/// Whose files the image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Everything belongs to root, whoever owns the staged files.
    Root,
    /// As staged.
    Kept,
}

/// An image ready to import.
#[derive(Clone, Debug)]
pub struct PackedImage {
    /// Full name with tag.
    pub reference: String,
    /// The docker-archive.
    pub archive: PathBuf,
    /// Digest of its configuration, which names its layer.
    pub digest: String,
}

impl PackedImage {
    /// A file name without slashes or colons.
    pub fn file_stem(&self) -> String {
        file_stem(&self.reference)
    }

    /// Whether `name`, as written in a pod, means this image: Docker Hub's name and library may be left out.
    pub fn is_called(&self, name: &str) -> bool {
        let hub = self.reference.strip_prefix("docker.io/");
        let library = hub.and_then(|rest| rest.strip_prefix("library/"));
        [Some(self.reference.as_str()), hub, library].contains(&Some(name))
    }

    /// The image packed earlier in `dir`, if any.
    pub fn read(dir: &Path, reference: &str) -> Option<Self> {
        let archive = dir.join(format!("{}.tar", file_stem(reference)));
        let digest = fs::read_to_string(archive.with_extension("digest")).ok()?;
        archive.exists().then(|| Self {
            reference: reference.to_owned(),
            archive,
            digest,
        })
    }
}

fn file_stem(reference: &str) -> String {
    reference.replace(['/', ':'], "_")
}

/// Packs `root` as the image `reference` into `dir`. The same content gives the same digest.
///
/// # Errors
/// tar or sha256sum fail, or a file cannot be written.
pub fn pack(dir: &Path, reference: &str, root: &Path, owner: Owner, start: &Start) -> Result<PackedImage> {
    let work = dir.join(format!(".{}.{}", file_stem(reference), std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let packed = pack_in(&work, dir, reference, root, owner, start);
    fs::remove_dir_all(&work)?;
    packed
}

fn pack_in(
    work: &Path,
    dir: &Path,
    reference: &str,
    root: &Path,
    owner: Owner,
    start: &Start,
) -> Result<PackedImage> {
    let layer = work.join("layer.tar");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--numeric-owner", "--mtime=@0"]);
    if owner == Owner::Root {
        tar.args(["--owner=0", "--group=0"]);
    }
    command::output(tar.arg("-C").arg(root).arg("-cf").arg(&layer).arg("."))?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": start.entrypoint,
            "User": start.user,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer)?)]},
        "history": [{"created_by": "cargo xtask images"}],
    });
    fs::write(work.join("config.json"), serde_json::to_string(&config)?)?;
    let digest = sha256(&work.join("config.json"))?;
    let config_name = format!("{digest}.json");
    fs::rename(work.join("config.json"), work.join(&config_name))?;
    let manifest = json!([{"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}]);
    fs::write(work.join("manifest.json"), serde_json::to_string(&manifest)?)?;
    let archive = work.join("image.tar");
    let mut tar = Command::new("tar");
    command::output(tar.arg("-C").arg(work).arg("-cf").arg(&archive).args([
        "manifest.json",
        &config_name,
        "layer.tar",
    ]))?;
    let image = PackedImage {
        reference: reference.to_owned(),
        archive: dir.join(format!("{}.tar", file_stem(reference))),
        digest,
    };
    fs::rename(&archive, &image.archive)?;
    fs::write(image.archive.with_extension("digest"), &image.digest)?;
    Ok(image)
}

/// The machine's architecture in the words of container images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn sha256(path: &Path) -> Result<String> {
    let text = command::output(Command::new("sha256sum").arg(path))?;
    Ok(text
        .split_whitespace()
        .next()
        .context("sha256sum printed nothing")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Owner, Start, pack};

    #[test]
    fn the_digest_follows_the_content_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("metallb-pack-{}", std::process::id()));
        let root = dir.join("root");
        fs::create_dir_all(&root).expect("a folder");
        let digest = |content: &str| {
            fs::write(root.join("file"), content).expect("a file");
            let packed = pack(&dir, "test:1", &root, Owner::Root, &Start::default());
            packed.expect("it can be packed").digest
        };
        let (first, again, other) = (digest("one"), digest("one"), digest("two"));
        fs::remove_dir_all(&dir).expect("the folder goes");
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
}

//! Images that hold one program of ours and the shared libraries it needs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::{self, Owner, PackedImage, Start};
use crate::command;

/// The user of programs that need no privilege.
const NONROOT: &str = "65532:65532";

/// A program of the workspace and the image made of it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Cargo package.
    pub package: &'static str,
    /// Its binary; in the image it is `/<binary>` and the entrypoint.
    pub binary: &'static str,
    /// Name and tag of the image.
    pub reference: &'static str,
    /// Whether it must run as root in its container.
    pub root: bool,
}

impl Program {
    /// Packs the binary that cargo built in `built` into an image in `dir`.
    ///
    /// # Errors
    /// The binary is not there, or packing fails.
    pub fn pack(&self, built: &Path, dir: &Path) -> Result<PackedImage> {
        let stage = dir.join(format!(".stage-{}.{}", self.binary, std::process::id()));
        fs::create_dir_all(&stage)?;
        let packed = self.stage(built, &stage).and_then(|()| {
            let user = if self.root {
                String::new()
            } else {
                NONROOT.to_owned()
            };
            let start = Start {
                entrypoint: vec![format!("/{}", self.binary)],
                user,
            };
            archive::pack(dir, self.reference, &stage, Owner::Root, &start)
        });
        fs::remove_dir_all(&stage)?;
        packed
    }

    fn stage(&self, built: &Path, stage: &Path) -> Result<()> {
        let source = built.join(self.binary);
        let program = stage.join(self.binary);
        // Debug information is nine tenths of a development build; symbols for backtraces stay.
        command::output(
            Command::new("strip")
                .arg("--strip-debug")
                .arg("-o")
                .arg(&program)
                .arg(&source),
        )?;
        for library in libraries(&source)? {
            let to = stage.join(library.strip_prefix("/").unwrap_or(&library));
            fs::create_dir_all(to.parent().context("a library at /")?)?;
            fs::copy(&library, &to).with_context(|| format!("cannot copy {}", library.display()))?;
        }
        fs::create_dir_all(stage.join("etc"))?;
        fs::create_dir_all(stage.join("tmp"))?;
        fs::set_permissions(stage.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::write(
            stage.join("etc/passwd"),
            "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
        )?;
        fs::write(stage.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
        Ok(())
    }
}

/// The shared libraries of a program and its loader, as `ldd` finds them. A static program has none.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = match command::output(Command::new("ldd").arg(program)) {
        Ok(text) => text,
        Err(error) if error.to_string().contains("not a dynamic executable") => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

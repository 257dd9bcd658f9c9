//! Taking the lab down, whatever state it is in.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::daemon::{self, Record};
use super::directory::Directory;
use super::{network, node, router};
use crate::command;
use crate::progress::Progress;

/// Ends every process of the lab, undoes every mount, deletes every namespace and the lab's folder.
///
/// # Errors
/// A process, mount or namespace cannot be removed. What was removed stays removed: run it again.
pub(super) fn down(lab: &Directory, progress: &Progress) -> Result<()> {
    let namespaces = present_namespaces()?;
    if !lab.exists() && namespaces.is_empty() {
        progress.say("there is no lab");
        return Ok(());
    }
    progress.step("stop the kubelets", || {
        stop(lab, |name| name.ends_with("-kubelet"))
    })?;
    progress.step("end the containers", || end_containers(lab, &namespaces))?;
    progress.step("stop control plane, nodes and routers", || stop(lab, |_| true))?;
    progress.step("undo mounts", || unmount_below(lab.root()))?;
    progress.step("delete namespaces", || {
        namespaces
            .iter()
            .try_for_each(|name| network::delete_namespace(name))
    })?;
    progress.step("remove files", || remove_files(lab))
}

fn stop(lab: &Directory, which: impl Fn(&str) -> bool) -> Result<()> {
    let records: Vec<Record> = Record::all(lab)
        .into_iter()
        .filter(|record| which(&record.name))
        .collect();
    daemon::stop_all(lab, &records)
}

fn present_namespaces() -> Result<Vec<String>> {
    let all = super::addresses::nodes(super::addresses::MAX_NODES);
    Ok(network::namespaces(&all)
        .into_iter()
        .filter(|name| network::namespace_exists(name))
        .collect())
}

/// Kills what lives in the network namespaces of nodes and pods, where nothing but the lab's programs and containers is.
fn end_containers(lab: &Directory, namespaces: &[String]) -> Result<()> {
    let spared: HashSet<u32> = Record::all(lab).iter().map(|record| record.pid).collect();
    let nodes = namespaces.iter().filter(|name| name.starts_with("lab-node"));
    let mut files: Vec<PathBuf> = nodes.map(|name| Path::new("/run/netns").join(name)).collect();
    for node in super::addresses::nodes(super::addresses::MAX_NODES) {
        let pods = fs::read_dir(node::pod_namespaces(lab, &node));
        files.extend(
            pods.into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path())),
        );
    }
    let inodes: HashSet<u64> = files
        .iter()
        .filter_map(|file| Some(fs::metadata(file).ok()?.ino()))
        .collect();
    command::wait_until("the end of the containers", Duration::from_secs(20), || {
        let left: Vec<u32> = processes_in(&inodes)
            .into_iter()
            .filter(|pid| !spared.contains(pid))
            .collect();
        for pid in &left {
            command::succeeds(Command::new("kill").args(["-KILL", &pid.to_string()]));
        }
        ensure!(
            left.is_empty(),
            "{} processes are left, for example {}",
            left.len(),
            left[0]
        );
        Ok(())
    })
}

/// The processes whose network namespace is one of these. Zombies have none.
fn processes_in(inodes: &HashSet<u64>) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|namespace| inodes.contains(&namespace.ino()))
    })
    .collect()
}

/// Undoes the mounts below `root`, the last one first.
fn unmount_below(root: &Path) -> Result<()> {
    for mount in mounts_below(root)?.iter().rev() {
        let plain = command::succeeds(Command::new("umount").arg(mount));
        if !plain {
            command::output(Command::new("umount").arg("--lazy").arg(mount))?;
        }
    }
    let left = mounts_below(root)?;
    match left.first() {
        Some(mount) => bail!("{} is still mounted", mount.display()),
        None => Ok(()),
    }
}

fn mounts_below(root: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    // Blanks in a path are written as \040.
    let points = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    Ok(points.filter(|point| point.starts_with(root)).collect())
}

fn remove_files(lab: &Directory) -> Result<()> {
    for router in router::ROUTERS {
        router.clean()?;
    }
    remove_cni_results()?;
    remove_cgroups()?;
    if lab.exists() {
        fs::remove_dir_all(lab.root()).with_context(|| format!("cannot remove {}", lab.root().display()))?;
    }
    Ok(())
}

/// What CNI remembers of our pods: files with the container's id in their name, ours and the loopback plugin's.
fn remove_cni_results() -> Result<()> {
    let files: Vec<PathBuf> = entries(Path::new("/var/lib/cni/results"));
    let name = |file: &PathBuf| {
        file.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let id = |name: String| {
        name.strip_prefix("metallb-lab-")?
            .split('-')
            .nth(1)
            .map(str::to_owned)
    };
    let ids: Vec<String> = files.iter().filter_map(|file| id(name(file))).collect();
    let ours = files
        .iter()
        .filter(|file| ids.iter().any(|id| name(file).contains(id)));
    ours.map(fs::remove_file)
        .collect::<Result<(), _>>()
        .context("cannot remove a CNI result")
}

/// Containers' cgroups are two levels below ours in each hierarchy, and empty once their processes ended.
fn remove_cgroups() -> Result<()> {
    for hierarchy in entries(Path::new("/sys/fs/cgroup")) {
        let root = hierarchy.join(node::CGROUP.trim_start_matches('/'));
        let nodes = entries(&root);
        let containers = nodes.iter().flat_map(|node| entries(node));
        for cgroup in containers
            .chain(nodes.clone())
            .chain([root])
            .filter(|path| path.is_dir())
        {
            fs::remove_dir(&cgroup).with_context(|| format!("cannot remove {}", cgroup.display()))?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

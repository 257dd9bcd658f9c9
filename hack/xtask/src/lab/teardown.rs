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
    let containers = containers(lab);
    progress.step("stop the kubelets", || {
        stop(lab, |name| name.ends_with("-kubelet"))
    })?;
    progress.step("end the containers", || end_containers(lab, &namespaces))?;
    progress.step("stop control plane, nodes and routers", || stop(lab, |_| true))?;
    progress.step("end what has no record", || end_unrecorded(lab, &namespaces))?;
    progress.step("undo mounts", || {
        remove_traces(&containers)?;
        unmount_below(lab.root())
    })?;
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
    kill_until_none("the end of the containers", || {
        processes_in(&inodes)
            .into_iter()
            .filter(|pid| !spared.contains(pid))
            .collect()
    })
}

/// Kills daemons of the lab whose record a crash has lost: in our namespaces, with our folder or FRR in their command
/// line. Other processes there, such as somebody's shell, are not ours to end.
fn end_unrecorded(lab: &Directory, namespaces: &[String]) -> Result<()> {
    let root = lab.root().display().to_string();
    let files = namespaces.iter().map(|name| Path::new("/run/netns").join(name));
    let inodes: HashSet<u64> = files
        .filter_map(|file| Some(fs::metadata(file).ok()?.ino()))
        .collect();
    let is_daemon = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(&root) || line.starts_with("/usr/lib/frr/")
    };
    kill_until_none("the end of daemons without a record", || {
        processes_in(&inodes).into_iter().filter(is_daemon).collect()
    })
}

fn kill_until_none(what: &str, find: impl Fn() -> Vec<u32>) -> Result<()> {
    command::wait_until(what, Duration::from_secs(20), || {
        let left: Vec<u32> = find()
            .into_iter()
            .filter(|pid| *pid != std::process::id())
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
    Ok(mount_points(&table)
        .filter(|point| point.starts_with(root))
        .collect())
}

/// The mount points in the format of proc(5), mountinfo, where a blank in a path is written as \040.
fn mount_points(table: &str) -> impl Iterator<Item = PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| point.replace("\\040", " ").into())
}

fn remove_files(lab: &Directory) -> Result<()> {
    for router in router::ROUTERS {
        router.clean()?;
    }
    if lab.exists() {
        fs::remove_dir_all(lab.root()).with_context(|| format!("cannot remove {}", lab.root().display()))?;
    }
    Ok(())
}

/// A container, and what is left of it outside of the lab's folder when it was killed.
struct Container {
    id: String,
    /// The socket of its shim.
    socket: Option<PathBuf>,
}

fn containers(lab: &Directory) -> Vec<Container> {
    let nodes = super::addresses::nodes(super::addresses::MAX_NODES);
    let folders = nodes
        .iter()
        .flat_map(|node| entries(&node::containers(lab, node)));
    let container = |folder: PathBuf| {
        let address = fs::read_to_string(folder.join("address")).ok();
        let socket = address.and_then(|address| Some(PathBuf::from(address.trim().strip_prefix("unix://")?)));
        Some(Container {
            id: folder.file_name()?.to_str()?.to_owned(),
            socket,
        })
    };
    folders.filter_map(container).collect()
}

/// Removes cgroups, shim sockets, and what CNI remembers of pods.
fn remove_traces(containers: &[Container]) -> Result<()> {
    let results = entries(Path::new("/var/lib/cni/results"));
    let hierarchies = entries(Path::new("/sys/fs/cgroup"));
    for container in containers {
        for cgroup in hierarchies
            .iter()
            .map(|root| root.join("k8s.io").join(&container.id))
        {
            if cgroup.exists() {
                fs::remove_dir(&cgroup).with_context(|| format!("cannot remove {}", cgroup.display()))?;
            }
        }
        if let Some(socket) = container.socket.iter().find(|socket| socket.exists()) {
            fs::remove_file(socket).with_context(|| format!("cannot remove {}", socket.display()))?;
        }
        for result in results
            .iter()
            .filter(|file| file.to_string_lossy().contains(&container.id))
        {
            fs::remove_file(result).with_context(|| format!("cannot remove {}", result.display()))?;
        }
    }
    for hierarchy in hierarchies {
        // Not empty: another cluster's containers are there.
        let _ = fs::remove_dir(hierarchy.join("k8s.io"));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::mount_points;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let table = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                     40 36 0:33 / /var/lib/my\\040lab/tmp rw shared:9 - tmpfs tmpfs rw\n";
        let points: Vec<PathBuf> = mount_points(table).collect();
        assert_eq!(
            points,
            [PathBuf::from("/mnt2"), PathBuf::from("/var/lib/my lab/tmp")]
        );
    }
}

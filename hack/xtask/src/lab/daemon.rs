//! Long-running programs of the lab: started once, found again, stopped by pid and start time.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::directory::{Directory, boot_id};
use crate::command;

/// A program that runs in a network namespace until it is stopped.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Unique in the lab; names its record and its log.
    pub name: String,
    /// Where it runs.
    pub namespace: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Additional environment.
    pub env: Vec<(String, String)>,
    /// Files it reads at start: when one changes, the program is started anew.
    pub inputs: Vec<PathBuf>,
}

/// What [`Daemon::ensure`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It ran already, as it should.
    Kept,
    /// It was not running, or with other arguments or inputs, and was started.
    Started,
}

/// What is known of a started program. Pid, start time and boot together never name another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Name of the daemon.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Start of the process in clock ticks since boot (field 22 of /proc/PID/stat).
    start_time: u64,
    boot_id: String,
    digest: u64,
}

impl Daemon {
    /// Starts the program unless it runs as described.
    ///
    /// # Errors
    /// The old one cannot be stopped or the new one not be started.
    pub fn ensure(&self, lab: &Directory) -> Result<Ensured> {
        let digest = self.digest();
        if let Some(record) = Record::read(lab, &self.name) {
            if record.is_alive() && record.digest == digest {
                return Ok(Ensured::Kept);
            }
            record.stop(lab)?;
        }
        self.start(lab, digest)?;
        Ok(Ensured::Started)
    }

    /// Stops the program if it runs.
    ///
    /// # Errors
    /// It outlives SIGKILL.
    pub fn stop(&self, lab: &Directory) -> Result<()> {
        Record::read(lab, &self.name).map_or(Ok(()), |record| record.stop(lab))
    }

    /// Whether it runs now.
    pub fn is_alive(&self, lab: &Directory) -> bool {
        Record::read(lab, &self.name).is_some_and(|record| record.is_alive())
    }

    fn start(&self, lab: &Directory, digest: u64) -> Result<()> {
        let path = lab.join(format!("logs/{}.log", self.name));
        let log = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        let program = self.argv.first().context("a daemon without a program")?;
        // setsid and nsenter replace themselves, so the child's pid is the daemon's.
        let child = Command::new("setsid")
            .arg("nsenter")
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg("--")
            .arg(program)
            .args(&self.argv[1..])
            .envs(self.env.iter().cloned())
            .current_dir(lab.root())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let start_time = stat(child.id()).context("it ended at once")?.start_time;
        let record = Record {
            name: self.name.clone(),
            pid: child.id(),
            start_time,
            boot_id: boot_id()?,
            digest,
        };
        let text = serde_json::to_string(&record)?;
        fs::write(lab.join(format!("run/{}.json", self.name)), text)?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.namespace, &self.argv, &self.env).hash(&mut hasher);
        for input in &self.inputs {
            fs::read(input).unwrap_or_default().hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Record {
    /// The record of the daemon with this name.
    pub fn read(lab: &Directory, name: &str) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(lab.join(format!("run/{name}.json"))).ok()?).ok()
    }

    /// All records, by name.
    pub fn all(lab: &Directory) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(lab.join("run")) else {
            return Vec::new();
        };
        let mut records: Vec<Self> = entries
            .filter_map(|entry| serde_json::from_str(&fs::read_to_string(entry.ok()?.path()).ok()?).ok())
            .collect();
        records.sort_by(|a, b| a.name.cmp(&b.name));
        records
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && stat(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !stat.is_dead)
    }

    /// Asks the process to end, insists after five seconds, and forgets it.
    ///
    /// # Errors
    /// It outlives SIGKILL.
    pub fn stop(&self, lab: &Directory) -> Result<()> {
        stop_all(lab, std::slice::from_ref(self))
    }
}

/// Ends several processes together: SIGTERM to all, SIGKILL to those left after five seconds.
///
/// # Errors
/// One outlives SIGKILL.
pub fn stop_all(lab: &Directory, records: &[Record]) -> Result<()> {
    for (signal, limit) in [("-TERM", 5), ("-KILL", 10)] {
        for record in records.iter().filter(|record| record.is_alive()) {
            command::succeeds(Command::new("kill").args([signal, &record.pid.to_string()]));
        }
        let done = command::wait_until("the end of a process", Duration::from_secs(limit), || {
            let left = records.iter().find(|record| record.is_alive());
            left.map_or(Ok(()), |record| {
                anyhow::bail!("{} (pid {}) still runs", record.name, record.pid)
            })
        });
        if done.is_err() && signal == "-KILL" {
            return done;
        }
        if done.is_ok() {
            break;
        }
    }
    for record in records {
        let _ = fs::remove_file(lab.join(format!("run/{}.json", record.name)));
    }
    Ok(())
}

struct Stat {
    start_time: u64,
    is_dead: bool,
}

/// Reads /proc/PID/stat. The command's name is in parentheses and may hold anything, so fields count from the last one.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let is_dead = matches!(*fields.first()?, "Z" | "X");
    Some(Stat {
        start_time: fields.get(19)?.parse().ok()?,
        is_dead,
    })
}

#[cfg(test)]
mod tests {
    use super::{Record, boot_id, stat};

    fn record_of_this_process() -> Record {
        let pid = std::process::id();
        let start_time = stat(pid).expect("this process runs").start_time;
        Record {
            name: "test".into(),
            pid,
            start_time,
            boot_id: boot_id().expect("a boot id"),
            digest: 0,
        }
    }

    #[test]
    fn a_running_process_is_found_by_its_record() {
        assert!(record_of_this_process().is_alive());
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_taken_for_the_recorded_one() {
        let mut record = record_of_this_process();
        record.start_time += 1;
        assert!(!record.is_alive());
    }

    #[test]
    fn nothing_of_an_earlier_boot_is_alive() {
        let mut record = record_of_this_process();
        record.boot_id = "00000000-0000-0000-0000-000000000000".into();
        assert!(!record.is_alive());
    }
}

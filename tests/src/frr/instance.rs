use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use metallb_frr::daemon::{Daemon, Version};
use metallb_frr::vty;
use serde_json::Value;

use super::network::run;
use super::{ROOT_VARIABLE, wait_for};

const RELOAD: &str = "/usr/lib/frr/frr-reload.py";

/// The exit code of timeout(1) when the time was over.
const TIMED_OUT: i32 = 124;

/// Where FRRouting comes from.
#[derive(Clone, Debug)]
pub struct Release {
    /// `/`, or a root file system of its own.
    root: PathBuf,
    pub version: Version,
}

impl Release {
    /// The installed FRRouting.
    pub fn installed() -> Self {
        Self::in_root(Path::new("/"))
    }

    /// The FRRouting of the root file system which [`ROOT_VARIABLE`] names, if it is set.
    pub fn other() -> Option<Self> {
        let root = std::env::var_os(ROOT_VARIABLE)?;
        Some(Self::in_root(Path::new(&root)))
    }

    /// All that can be tested with here.
    pub fn all() -> Vec<Self> {
        [Self::installed()].into_iter().chain(Self::other()).collect()
    }

    fn in_root(root: &Path) -> Self {
        let output = Command::new("chroot")
            .arg(root)
            .args(["/usr/lib/frr/bgpd", "--version"])
            .output()
            .expect("chroot exists");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .strip_prefix("bgpd version ")
            .expect("FRRouting is installed");
        Self {
            root: root.to_owned(),
            version: version.parse().expect("a version"),
        }
    }

    /// Whether `frr-reload.py` is there, too.
    pub fn can_reload(&self) -> bool {
        self.path(RELOAD).exists()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// The daemons of one FRRouting in a network namespace.
#[derive(Debug)]
pub struct Instance {
    release: Release,
    name: String,
    connections: BTreeMap<Daemon, Connection>,
}

impl Instance {
    /// Starts all daemons with an empty configuration. The instance is named after the namespace.
    pub fn start(release: &Release, namespace: &str) -> Self {
        let mut instance = Self {
            release: release.clone(),
            name: namespace.to_owned(),
            connections: BTreeMap::new(),
        };
        for folder in [instance.run_folder(), instance.configuration_folder()] {
            std::fs::create_dir_all(&folder).expect("a folder for FRRouting");
            let inside = Path::new("/").join(folder.strip_prefix(&release.root).expect("it is in there"));
            let root = release.root.to_str().expect("a plain path");
            run(&[
                "chroot",
                root,
                "chown",
                "frr:frr",
                inside.to_str().expect("a plain path"),
            ]);
        }
        // Devices the daemons want and an unpacked root file system may lack.
        for (device, minor) in [("null", "3"), ("urandom", "9")] {
            let path = release.path("/dev").join(device);
            if !path.exists() {
                run(&[
                    "mknod",
                    "-m",
                    "666",
                    path.to_str().expect("a plain path"),
                    "c",
                    "1",
                    minor,
                ]);
            }
        }
        for daemon in Daemon::all(release.version) {
            instance.start_daemon(*daemon);
        }
        instance
    }

    pub fn version(&self) -> Version {
        self.release.version
    }

    /// Starts a daemon, with what its configuration folder holds.
    pub fn start_daemon(&mut self, daemon: Daemon) {
        let program = format!("/usr/lib/frr/{daemon}");
        let status = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("chroot")
            .arg(&self.release.root)
            .args([&program, "-N", &self.name, "-d", "-u", "frr", "-g", "frr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("nsenter exists");
        assert!(status.success(), "{daemon} does not start");
        let socket = self.run_folder().join(daemon.socket());
        wait_for("the socket of a daemon", || UnixStream::connect(&socket).is_ok());
        self.connections.insert(daemon, Connection::open(&socket));
    }

    /// Ends a daemon at once.
    pub fn kill_daemon(&mut self, daemon: Daemon) {
        self.connections.remove(&daemon);
        self.signal(daemon, "-KILL");
        let pid = self.pid(daemon);
        wait_for("the end of a daemon", || {
            pid.as_ref()
                .is_none_or(|pid| !Path::new("/proc").join(pid).exists())
        });
    }

    /// Sends a signal, named as `kill` takes it, to a daemon.
    pub fn signal(&self, daemon: Daemon, signal: &str) {
        if let Some(pid) = self.pid(daemon) {
            // The daemon may be gone already.
            let _ = Command::new("kill")
                .args([signal, &pid])
                .stderr(Stdio::null())
                .status();
        }
    }

    fn pid(&self, daemon: Daemon) -> Option<String> {
        let text = std::fs::read_to_string(self.run_folder().join(format!("{daemon}.pid"))).ok()?;
        Some(text.trim().to_owned())
    }

    /// Sends one command to one daemon, in whatever mode the connection is.
    pub fn command(&mut self, daemon: Daemon, command: &str) -> vty::Reply {
        self.connections
            .get_mut(&daemon)
            .expect("the daemon runs")
            .command(command)
    }

    /// Configures a daemon; every line must succeed.
    #[track_caller]
    pub fn configure(&mut self, daemon: Daemon, lines: &[&str]) {
        for line in vty::TOP.iter().chain(lines) {
            let reply = self.command(daemon, line);
            assert_eq!(reply.status, vty::Status::Success, "{line}: {}", reply.text);
        }
    }

    /// What bgpd shows.
    pub fn show(&mut self, command: &str) -> String {
        self.command(Daemon::Bgpd, &format!("do show {command}")).text
    }

    /// What bgpd shows as JSON; null if it has nothing to show.
    pub fn json(&mut self, command: &str) -> Value {
        serde_json::from_str(&self.show(&format!("{command} json"))).unwrap_or(Value::Null)
    }

    /// The running configurations of all daemons.
    pub fn running(&mut self) -> Vec<(Daemon, String)> {
        let daemons = Daemon::all(self.version()).iter();
        daemons
            .map(|daemon| (*daemon, self.command(*daemon, "do show running-config").text))
            .collect()
    }

    /// Has FRRouting's own `frr-reload.py` bring all daemons to this configuration; `false` when that takes longer than
    /// `limit`. Of Debian it is in the package `frr-pythontools`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn reload(&self, configuration: &str, limit: Duration) -> bool {
        let folder = self.configuration_folder();
        let write =
            |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a folder to write to");
        write("vtysh.conf", "service integrated-vtysh-config\n");
        write("frr.conf", configuration);
        let output = Command::new("timeout")
            .arg(limit.as_secs().to_string())
            .arg("chroot")
            .arg(&self.release.root)
            .args([
                RELOAD,
                "--reload",
                "--stdout",
                "--log-level",
                "error",
                "-N",
                &self.name,
            ])
            .arg(Path::new("/etc/frr").join(&self.name).join("frr.conf"))
            .output()
            .expect("timeout exists");
        if output.status.code() == Some(TIMED_OUT) {
            return false;
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{RELOAD}: {said}");
        true
    }

    fn run_folder(&self) -> PathBuf {
        // Not /var/run: in a root file system of its own that may be an absolute link.
        self.release.path("/run/frr").join(&self.name)
    }

    fn configuration_folder(&self) -> PathBuf {
        self.release.path("/etc/frr").join(&self.name)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        for daemon in Daemon::all(self.version()) {
            self.signal(*daemon, "-KILL");
        }
        for folder in [self.run_folder(), self.configuration_folder()] {
            // What is left does not disturb the next test: names are unique.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A connection to a daemon's vty socket, in configuration mode.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    decoder: vty::Decoder,
}

impl Connection {
    fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        let timeout = Some(Duration::from_secs(120));
        stream.set_read_timeout(timeout).expect("sockets have timeouts");
        let mut connection = Self {
            stream,
            decoder: vty::Decoder::new(),
        };
        for command in vty::OPEN {
            connection.command(command);
        }
        connection
    }

    fn command(&mut self, command: &str) -> vty::Reply {
        self.stream
            .write_all(&vty::encode(command))
            .expect("the daemon runs");
        let mut bytes = [0; 65536];
        loop {
            if let Some(reply) = self.decoder.reply() {
                return reply;
            }
            let length = match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.expect("the daemon answers"),
            };
            assert!(length > 0, "the daemon hung up after {command:?}");
            self.decoder.push(&bytes[..length]);
        }
    }
}

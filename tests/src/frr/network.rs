use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Network namespaces with a common Ethernet segment, as if each had a cable to one switch.
///
/// Host `n` has the addresses `198.51.100.n` and `2001:db8:51::n` on its device `eth0`.
#[derive(Debug)]
pub struct Network {
    prefix: String,
    hosts: Vec<String>,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// A network with hosts 1 to `hosts`.
    pub fn new(hosts: u8) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("frrt{}x{number}", std::process::id());
        let mut network = Self {
            prefix,
            hosts: Vec::new(),
        };
        let switch = network.add_namespace("sw");
        run(&["ip", "-n", &switch, "link", "add", "br0", "type", "bridge"]);
        run(&["ip", "-n", &switch, "link", "set", "br0", "up"]);
        for number in 1..=hosts {
            let host = network.add_namespace(&number.to_string());
            let port = format!("port{number}");
            let (v4, v6) = (
                format!("198.51.100.{number}/24"),
                format!("2001:db8:51::{number}/64"),
            );
            let ip = |args: &[&str]| run(&[&["ip", "-n", &host], args].concat());
            ip(&[
                "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &switch,
            ]);
            run(&["ip", "-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            ip(&["address", "add", &v4, "dev", "eth0"]);
            ip(&["address", "add", &v6, "dev", "eth0", "nodad"]);
            ip(&["link", "set", "eth0", "up"]);
        }
        network
    }

    /// The name of the namespace of a host.
    pub fn host(&self, number: u8) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// A point-to-point link between two hosts; the device has this name on both sides.
    pub fn link(&self, one: u8, other: u8, device: &str) {
        let (one, other) = (self.host(one), self.host(other));
        run(&[
            "ip", "-n", &one, "link", "add", device, "type", "veth", "peer", "name", device, "netns", &other,
        ]);
        for host in [one, other] {
            run(&["ip", "-n", &host, "link", "set", device, "up"]);
        }
    }

    /// Gives a host another address, on `eth0`.
    pub fn add_address(&self, host: u8, address: &str) {
        run(&[
            "ip",
            "-n",
            &self.host(host),
            "address",
            "add",
            address,
            "dev",
            "eth0",
        ]);
    }

    /// Gives a host a route.
    pub fn add_route(&self, host: u8, prefix: &str, via: &str) {
        run(&["ip", "-n", &self.host(host), "route", "add", prefix, "via", via]);
    }

    fn add_namespace(&mut self, name: &str) -> String {
        let namespace = format!("{}-{name}", self.prefix);
        run(&["ip", "netns", "add", &namespace]);
        self.hosts.push(namespace.clone());
        run(&["ip", "-n", &namespace, "link", "set", "lo", "up"]);
        namespace
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            // Nothing can be done about a failure here; the next one may still succeed.
            let _ = Command::new("ip").args(["netns", "delete", host]).status();
        }
    }
}

/// Runs a command that must succeed.
#[track_caller]
pub(super) fn run(command: &[&str]) {
    let (program, args) = command.split_first().expect("a command has a program");
    let output = Command::new(program)
        .args(args)
        .output()
        .expect("the program exists");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

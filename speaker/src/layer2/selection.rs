//! On which interfaces of the host addresses are resolved at all.

use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use metallb_wire::{Interface, Mac};
use regex::RegexSet;
use serde::Deserialize;

/// Why the list of excluded interfaces is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The file exists but cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not the YAML it should be.
    #[error("{path} is not YAML with a list of regular expressions announcedInterfacesToExclude: {reason}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// One of the expressions does not compile.
    #[error("announcedInterfacesToExclude in {path} has an invalid regular expression")]
    Expression {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
}

/// Regular expressions of interface names that are never used. An interface is excluded when one of them matches
/// anywhere in its name.
#[derive(Clone, Debug, Default)]
pub struct Exclusions(RegexSet);

#[derive(Deserialize)]
struct ExclusionFile {
    #[serde(default, rename = "announcedInterfacesToExclude")]
    expressions: Vec<String>,
}

impl Exclusions {
    /// Reads the list from a YAML file; without a file nothing is excluded.
    ///
    /// # Errors
    /// When the file is there and wrong.
    pub fn load(path: &Path) -> Result<Self, ExclusionError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ExclusionError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ExclusionError> {
        let path = path.to_owned();
        let file: ExclusionFile = match serde_saphyr::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                return Err(ExclusionError::Yaml {
                    path,
                    reason: error.to_string(),
                });
            }
        };
        Self::new(&file.expressions).map_err(|source| ExclusionError::Expression { path, source })
    }

    /// Excludes the interfaces in whose name one of the expressions matches.
    ///
    /// # Errors
    /// When an expression does not compile.
    pub fn new(expressions: &[impl AsRef<str>]) -> Result<Self, regex::Error> {
        RegexSet::new(expressions).map(Self)
    }

    /// Whether an interface of this name is never used.
    pub fn exclude(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// How an interface is used: everything its sockets depend on, so that a difference means to open new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Name of the interface.
    pub(super) name: String,
    /// Its hardware address, which answers name.
    pub(super) mac: Mac,
    /// Answer ARP.
    pub(super) arp: bool,
    /// Answer NDP, speaking from this link-local address.
    pub(super) ndp: Option<Ipv6Addr>,
}

/// How an interface that is not excluded is used; `None` if not at all.
///
/// Ports of a bridge, bond or VRF are left to the interface they belong to. An IPv4 address is not needed.
pub(super) fn use_of(interface: &Interface) -> Option<Use> {
    let mac = interface.mac?;
    if !interface.up || interface.master.is_some() || interface.no_arp {
        return None;
    }
    let usage = Use {
        name: interface.name.clone(),
        mac,
        arp: interface.broadcast,
        ndp: interface.link_local,
    };
    (usage.arp || usage.ndp.is_some()).then_some(usage)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn eth0() -> Interface {
        Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            up: true,
            running: true,
            broadcast: true,
            no_arp: false,
            master: None,
            link_local: Some("fe80::1".parse().unwrap()),
        }
    }

    #[rstest]
    #[case::ordinary(eth0(), Some((true, true)))]
    #[case::no_link_local(Interface { link_local: None, ..eth0() }, Some((true, false)))]
    #[case::point_to_point(Interface { broadcast: false, ..eth0() }, Some((false, true)))]
    #[case::loopback(Interface { broadcast: false, link_local: None, ..eth0() }, None)]
    #[case::down(Interface { up: false, ..eth0() }, None)]
    #[case::bridge_port(Interface { master: Some(3), ..eth0() }, None)]
    #[case::noarp(Interface { no_arp: true, ..eth0() }, None)]
    #[case::tunnel_without_mac(Interface { mac: None, ..eth0() }, None)]
    #[case::cable_out(Interface { running: false, ..eth0() }, Some((true, true)))]
    fn interfaces(#[case] interface: Interface, #[case] expected: Option<(bool, bool)>) {
        assert_eq!(
            use_of(&interface).map(|usage| (usage.arp, usage.ndp.is_some())),
            expected
        );
    }

    fn load(content: &str) -> Result<Exclusions, ExclusionError> {
        Exclusions::parse(Path::new("excludel2.yaml"), content)
    }

    #[rstest]
    #[case("docker0", true)]
    #[case("mydocker0", false)]
    #[case("lo", true)]
    #[case("lower0", false)]
    #[case("a-virtual-b", true)]
    #[case("eth0", false)]
    fn expressions_search_the_name(#[case] name: &str, #[case] excluded: bool) {
        let list = "announcedInterfacesToExclude: [\"^docker.*\", \"^lo$\", \"virtual\"]\n";
        assert_eq!(load(list).unwrap().exclude(name), excluded);
    }

    #[test]
    fn no_file_excludes_nothing() {
        let exclusions = Exclusions::load(Path::new("/nonexistent/excludel2.yaml")).unwrap();
        assert!(!exclusions.exclude("lo"));
    }

    #[rstest]
    #[case("announcedInterfacesToExclude: [\"(\"]", "invalid regular expression")]
    #[case("announcedInterfacesToExclude: 3", "list of regular expressions")]
    fn a_wrong_file_is_an_error(#[case] content: &str, #[case] expected: &str) {
        let error = load(content).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

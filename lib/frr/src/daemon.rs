//! The programs FRRouting consists of, and which of them a command is for.

use std::fmt;
use std::str::FromStr;

/// A program of FRRouting that is configured through its own socket, `/var/run/frr/NAME.vty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Daemon {
    Zebra,
    Bgpd,
    Bfdd,
    Staticd,
    /// Since FRRouting 9; holds the configuration of those which were moved to it.
    Mgmtd,
}

impl Daemon {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zebra => "zebra",
            Self::Bgpd => "bgpd",
            Self::Bfdd => "bfdd",
            Self::Staticd => "staticd",
            Self::Mgmtd => "mgmtd",
        }
    }

    /// The name of its socket in FRRouting's run directory.
    pub fn socket(self) -> String {
        format!("{}.vty", self.name())
    }

    /// The programs that must run, in the order in which they are best asked.
    pub fn all(version: Version) -> &'static [Self] {
        if version.has_mgmtd() { &ALL } else { &ALL[1..] }
    }
}

static ALL: [Daemon; 5] = [
    Daemon::Mgmtd,
    Daemon::Zebra,
    Daemon::Bgpd,
    Daemon::Bfdd,
    Daemon::Staticd,
];

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of FRRouting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

impl Version {
    /// Whether some daemons are configured through mgmtd.
    pub fn has_mgmtd(self) -> bool {
        self.major >= 9
    }

    /// Whether zebra's commands are taken by mgmtd in its place, and next hops are resolved via the default route
    /// unless configured otherwise. Seen in 10.3, not in 8.4.
    pub(crate) fn zebra_in_mgmtd(self) -> bool {
        self >= Self { major: 10, minor: 1 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text without a version of FRRouting in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot find a version of FRRouting in {0:?}")]
pub struct UnknownVersion(String);

impl FromStr for Version {
    type Err = UnknownVersion;

    /// Reads `8.4.4`, or the output of `show version`, which begins with `FRRouting 8.4.4 (host) on Linux(...)`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let line = text.trim_start().lines().next().unwrap_or_default();
        let word = line
            .strip_prefix("FRRouting ")
            .unwrap_or(line)
            .split_whitespace()
            .next()
            .unwrap_or_default();
        let mut numbers = word.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err(UnknownVersion(word.to_owned())),
        }
    }
}

/// The programs which a one-line command outside of any block is for.
pub(crate) fn of_setting(line: &str, version: Version) -> Vec<Daemon> {
    let line = line.strip_prefix("no ").unwrap_or(line);
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["bgp", ..] | ["debug", "bgp", ..] => vec![Daemon::Bgpd],
        ["debug", "bfd", ..] => vec![Daemon::Bfdd],
        ["debug", "zebra", ..] => vec![Daemon::Zebra],
        ["ip" | "ipv6", "nht", ..] => vec![of_zebra(version)],
        _ => Daemon::all(version).to_vec(),
    }
}

/// The program that takes zebra's commands, all but `debug`.
pub(crate) fn of_zebra(version: Version) -> Daemon {
    if version.zebra_in_mgmtd() {
        Daemon::Mgmtd
    } else {
        Daemon::Zebra
    }
}

//! BGP communities as the API writes them and as FRRouting does.

use std::fmt;
use std::str::FromStr;

/// A standard community (RFC 1997) or a large one (RFC 8092). Standard ones come first.
///
/// The API writes `64500:31` and `large:64500:7:9`. Leading zeros have no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    Standard(u16, u16),
    Large(u32, u32, u32),
}

/// A text that is no community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid community {0:?}: write two 16-bit numbers as 64500:31, or large: and three 32-bit numbers as large:64500:7:9"
)]
pub struct InvalidCommunity(String);

impl FromStr for Community {
    type Err = InvalidCommunity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidCommunity(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Community> {
    let fields: Vec<&str> = text.split(':').collect();
    match fields[..] {
        [a, b] => Some(Community::Standard(number(a)?, number(b)?)),
        ["large", a, b, c] => Some(Community::Large(number(a)?, number(b)?, number(c)?)),
        _ => None,
    }
}

/// Unlike `str::parse` takes no sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Community {
    /// As FRRouting takes it, without `large:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(a, b) => write!(f, "{a}:{b}"),
            Self::Large(a, b, c) => write!(f, "{a}:{b}:{c}"),
        }
    }
}

/// The number behind a name FRRouting shows in place of it (RFC 1997, RFC 7611, RFC 7999, RFC 8326, RFC 9494), as text.
pub(crate) fn well_known(name: &str) -> Option<&'static str> {
    Some(match name {
        "internet" => "0:0",
        "graceful-shutdown" => "65535:0",
        "accept-own" => "65535:1",
        "route-filter-translated-v4" => "65535:2",
        "route-filter-v4" => "65535:3",
        "route-filter-translated-v6" => "65535:4",
        "route-filter-v6" => "65535:5",
        "llgr-stale" => "65535:6",
        "no-llgr" => "65535:7",
        "accept-own-nexthop" => "65535:8",
        "blackhole" => "65535:666",
        "no-export" => "65535:65281",
        "no-advertise" => "65535:65282",
        "local-AS" => "65535:65283",
        "no-peer" => "65535:65284",
        _ => return None,
    })
}

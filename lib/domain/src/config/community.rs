//! BGP communities and their aliases: `Community`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use metallb_crds::metallb::Community as CommunityObject;

use super::Backend;
use super::settle::Settling;

/// The value of a BGP community. Displayed as routers write it: `65000:1`, or `65000:1:2` for a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// RFC 1997: AS number and value.
    Standard(u16, u16),
    /// RFC 8092: global administrator and two values.
    Large(u32, u32, u32),
}

impl Community {
    /// Parses `A:B` or `large:A:B:C`, decimal digits only.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [a, b] => Ok(Self::Standard(number(a, text)?, number(b, text)?)),
            ["large", a, b, c] => Ok(Self::Large(number(a, text)?, number(b, text)?, number(c, text)?)),
            [_, _, _, _] => Err(format!(
                "invalid community value: expected community to be of format large:A:B:C: {text}"
            )),
            _ => Err(format!("invalid community format: {text}")),
        }
    }

    /// In the notation of the API: `65000:1`, or `large:65000:1:2`.
    pub fn api_text(&self) -> String {
        match self {
            Self::Standard(..) => self.to_string(),
            Self::Large(..) => format!("large:{self}"),
        }
    }

    /// True for a large community.
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Large(..))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(a, b) => write!(f, "{a}:{b}"),
            Self::Large(a, b, c) => write!(f, "{a}:{b}:{c}"),
        }
    }
}

fn number<T: std::str::FromStr>(part: &str, text: &str) -> Result<T, String> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|_| digits).ok_or_else(|| {
        format!(
            "invalid community value: invalid section \"{part}\" of community \"{text}\": write A:B with numbers up to \
             65535, or large:A:B:C with numbers up to 4294967295"
        )
    })
}

/// Checks all `Community` objects; an alias may be defined once.
pub(super) fn settle(settling: &mut Settling<'_>) -> BTreeMap<String, Arc<BTreeMap<String, Community>>> {
    let objects = settling.objects;
    let mut known = BTreeSet::new();
    settling.settle(
        "Community",
        &objects.communities,
        &settling.previous.communities,
        |community| &community.metadata,
        |_, community| parse(community, objects.backend),
        |aliases: &BTreeMap<String, Community>| {
            if let Some(alias) = aliases.keys().find(|alias| known.contains(*alias)) {
                return Err(duplicate(alias));
            }
            known.extend(aliases.keys().cloned());
            Ok(())
        },
    )
}

fn parse(community: &CommunityObject, backend: Backend) -> Result<BTreeMap<String, Community>, String> {
    let mut aliases = BTreeMap::new();
    for alias in &community.spec.communities {
        let value = Community::parse(&alias.value)
            .map_err(|error| format!("parsing community \"{}\": {error}", alias.name))?;
        if backend == Backend::Native && value.is_large() {
            return Err(format!(
                "community \"{}\": the native backend has no large communities: use A:B or bgpBackend frr",
                alias.name
            ));
        }
        if aliases.insert(alias.name.clone(), value).is_some() {
            return Err(duplicate(&alias.name));
        }
    }
    Ok(aliases)
}

fn duplicate(alias: &str) -> String {
    format!(
        "duplicate definition of community \"{alias}\": each alias may be defined once in all Community objects"
    )
}

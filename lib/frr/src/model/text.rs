//! Texts that may be pasted into commands of FRRouting.

use std::fmt;
use std::str::FromStr;

/// Why a text cannot be handed to FRRouting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    #[error("must not be empty")]
    Empty,
    #[error("must not be longer than {0} characters")]
    TooLong(usize),
    #[error("character {0} is not allowed; use printable ASCII without blanks")]
    Printable(usize),
    #[error("character {0} is not allowed; use letters, digits, `.`, `_`, `-`, `+` and `:`")]
    Name(usize),
    #[error("must not start with `-`")]
    LeadingDash,
}

/// Linux' limit for the name of an interface, and with it of a VRF device.
const MAX_INTERFACE_NAME: usize = 15;
/// FRRouting's limit for the name of a BFD profile.
const MAX_PROFILE_NAME: usize = 63;
/// Linux' limit for a TCP-MD5 key.
const MAX_PASSWORD: usize = 80;

fn check(text: &str, max: usize) -> Result<(), InvalidText> {
    if text.is_empty() {
        return Err(InvalidText::Empty);
    }
    if text.len() > max {
        return Err(InvalidText::TooLong(max));
    }
    match text.chars().position(|c| !c.is_ascii_graphic()) {
        Some(position) => Err(InvalidText::Printable(position + 1)),
        None => Ok(()),
    }
}

fn check_name(text: &str, max: usize) -> Result<(), InvalidText> {
    check(text, max)?;
    if text.starts_with('-') {
        return Err(InvalidText::LeadingDash);
    }
    match text
        .chars()
        .position(|c| !(c.is_ascii_alphanumeric() || "._-+:".contains(c)))
    {
        Some(position) => Err(InvalidText::Name(position + 1)),
        None => Ok(()),
    }
}

/// Declares a name: a text that is one word to FRRouting and free of characters with a meaning of their own.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check_name(text, $max)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a network interface, 1 to 15 characters.
    InterfaceName,
    MAX_INTERFACE_NAME
);
name!(
    /// Name of a BFD profile, 1 to 63 characters.
    ProfileName,
    MAX_PROFILE_NAME
);

/// A VRF: the default one, which comes first, or a VRF device of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vrf {
    #[default]
    Default,
    Named(InterfaceName),
}

impl FromStr for Vrf {
    type Err = InvalidText;

    /// The empty text and `default` are the default VRF.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" | "default" => Ok(Self::Default),
            name => name.parse().map(Self::Named),
        }
    }
}

impl fmt::Display for Vrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// The password of a TCP session (RFC 2385): 1 to 80 printable ASCII characters, no blanks. Its `Debug` prints nothing
/// of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The clear text, for the command that sets it and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Password {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text, MAX_PASSWORD)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

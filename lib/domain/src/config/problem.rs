//! What is wrong with an object.

use std::fmt;

/// An object that is not in force as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind of the object, e.g. `IPAddressPool`.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// What is wrong and what to do about it.
    pub message: String,
    /// What is in force instead.
    pub effect: Effect,
}

/// What is in force in place of a bad object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its last good version.
    LastGood,
    /// Nothing: the object was never good.
    LeftOut,
    /// The object, except for the part named in the message.
    Partly,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.contains(&self.name) {
            f.write_str(&self.message)
        } else {
            write!(f, "{} {}: {}", self.kind, self.name, self.message)
        }
    }
}

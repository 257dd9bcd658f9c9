//! What one node does about one Service.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use metallb_domain::config::Pool;

use crate::layer2::Links;

/// Whether this node announces a Service, and what that depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The pool the addresses are of.
    pub pool: Option<Arc<Pool>>,
    /// An advertisement that matters names interfaces.
    pub names_interfaces: bool,
    /// The answer.
    pub outcome: Outcome,
}

/// The answer of a [`Decision`].
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Announce these addresses.
    Announce(Announcement),
    /// Announce nothing.
    Withhold {
        /// Why.
        reason: Reason,
        /// A node that comes before this one; nothing that happens to others matters while it stands.
        rival: Option<String>,
    },
}

/// What is announced for a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The addresses, in the order of the status.
    pub addresses: Vec<IpAddr>,
    /// Where.
    pub links: Links,
}

impl Decision {
    /// Announces nothing, for a reason that does not depend on the configuration.
    pub fn withhold(reason: Reason) -> Self {
        Self {
            pool: None,
            names_interfaces: false,
            outcome: Outcome::Withhold { reason, rival: None },
        }
    }

    /// What is announced.
    pub fn announcement(&self) -> Option<&Announcement> {
        match &self.outcome {
            Outcome::Announce(announcement) => Some(announcement),
            Outcome::Withhold { .. } => None,
        }
    }

    /// Why nothing is announced.
    pub fn reason(&self) -> Option<Reason> {
        match &self.outcome {
            Outcome::Announce(_) => None,
            Outcome::Withhold { reason, .. } => Some(*reason),
        }
    }
}

/// Why a node does not announce a Service. The text is what logs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such Service.
    ServiceDeleted,
    /// It is of a class that other programs serve.
    OtherClass,
    /// It is not of type LoadBalancer.
    NotLoadBalancer,
    /// It has no address yet.
    NoIpAllocated,
    /// Its status has an entry that is not an address.
    InvalidIp,
    /// No pool holds all its addresses.
    IpNotAllowed,
    /// Another node announces it, or none can.
    NotOwner,
    /// No advertisement that applies to it selects this node.
    NoMatchingAdvertisement,
    /// It shares its address, and an advertisement that applies chooses Services by label.
    SharedIpWithServiceSelector,
    /// This node has none of the interfaces the advertisements name.
    NoInterface,
}

impl Reason {
    /// The Service is none of this program's business: nothing about nodes or configuration can change that.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::ServiceDeleted
                | Self::OtherClass
                | Self::NotLoadBalancer
                | Self::NoIpAllocated
                | Self::InvalidIp
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceDeleted => "serviceDeleted",
            Self::OtherClass => "otherClass",
            Self::NotLoadBalancer => "notLoadBalancer",
            Self::NoIpAllocated => "noIPAllocated",
            Self::InvalidIp => "invalidIP",
            Self::IpNotAllowed => "ipNotAllowed",
            Self::NotOwner => "notOwner",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::SharedIpWithServiceSelector => "sharedIPWithServiceSelector",
            Self::NoInterface => "noInterface",
        })
    }
}

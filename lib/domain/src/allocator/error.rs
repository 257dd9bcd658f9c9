//! Why a Service cannot have addresses.

use std::net::IpAddr;

use crate::ip_range::IpFamily;
use crate::service::{Families, Port, ServiceKey};

/// Why a Service cannot have addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// No single pool contains all of them (or the pool avoids one of them).
    #[error("{} is not allowed in config: choose addresses that lie in one pool", list(.0))]
    NotInPool(Vec<IpAddr>),
    /// The pool does not admit the Service.
    #[error("pool {0} not compatible for ip assignment: its serviceAllocation does not admit this Service")]
    Incompatible(String),
    /// More than one address of a family, or more than two.
    #[error("{} are not one address per family", list(.0))]
    NotOnePerFamily(Vec<IpAddr>),
    /// Others use the address and cannot share it with this Service.
    #[error(
        "can't share {address} with {}: all must have the same metallb.io/allow-shared-ip, and the same selector under \
         externalTrafficPolicy Local", names(.users)
    )]
    NotSharable {
        /// The address.
        address: IpAddr,
        /// The Services that use it.
        users: Vec<ServiceKey>,
    },
    /// Another Service has the port on the address.
    #[error(
        "port {port} of {address} is already in use by {user}: Services that share an address need different ports"
    )]
    PortInUse {
        /// The address.
        address: IpAddr,
        /// The port.
        port: Port,
        /// The Service that has it.
        user: ServiceKey,
    },
    /// The requested addresses are from another pool than the requested one.
    #[error(
        "requested addresses are from pool {actual}, not from the requested pool {wanted}: drop one of the two requests"
    )]
    WrongPool {
        /// The pool asked for.
        wanted: String,
        /// The pool the addresses are from.
        actual: String,
    },
    /// The requested addresses are not of the families of the Service.
    #[error("requested addresses {} do not match the ipFamily of the Service, which is {families}", list(.addresses))]
    WrongFamily {
        /// The addresses asked for.
        addresses: Vec<IpAddr>,
        /// What the cluster IPs call for.
        families: Families,
    },
    /// There is no such pool.
    #[error("unknown pool \"{0}\": correct metallb.io/address-pool or create the pool")]
    UnknownPool(String),
    /// The pool has no range of a family that is needed.
    #[error("pool {pool} has no {family} addresses, which the Service needs")]
    NoFamily {
        /// The pool.
        pool: String,
        /// What it lacks.
        family: IpFamily,
    },
    /// The pool is full.
    #[error("no available IPs in pool \"{0}\": add addresses to it, or release some")]
    PoolExhausted(String),
    /// No pool that this Service may use has what it needs.
    #[error(
        "no available IPs: no pool with autoAssign that admits this Service has a free address of every family it needs"
    )]
    Exhausted,
}

fn list(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn names(services: &[ServiceKey]) -> String {
    services
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

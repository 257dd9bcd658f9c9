use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use metallb_crds::duration::Duration;
use metallb_crds::frrk8s::{self, AddressFamily, DynamicASN};

use super::{Object, advertise, receive, text};
use crate::merge::problem::{Fault, Problem};
use crate::merge::{BASIC_AUTH, Secrets};
use crate::model::{Families, Neighbor, Password, Peer, RemoteAs, Timers, Unicast, UpdateSource};

/// How messages call a neighbor: `<asn or mode>@<address or interface>`.
pub(super) fn label(neighbor: &frrk8s::Neighbor) -> String {
    let asn = match (neighbor.asn, neighbor.dynamic_asn) {
        (Some(asn), _) => asn.to_string(),
        (None, Some(DynamicASN::Internal)) => "internal".to_owned(),
        (None, Some(DynamicASN::External)) => "external".to_owned(),
        (None, None) => String::new(),
    };
    let peer = neighbor.address.as_deref().or(neighbor.interface.as_deref());
    // Quoted where it holds something to quote: the text is not checked yet.
    format!("{asn}@{}", peer.unwrap_or_default().escape_debug())
}

impl Object<'_> {
    /// `asn` is the router's, `announced` are the prefixes the router originates or imports in this object.
    pub(super) fn neighbor(
        &self,
        neighbor: &frrk8s::Neighbor,
        asn: u32,
        announced: &BTreeSet<IpNet>,
        warnings: &mut Vec<String>,
    ) -> Result<(Peer, Neighbor), Problem> {
        let peer = peer(neighbor)?;
        let remote_as = remote_as(neighbor)?;
        let families = families(neighbor, &peer);
        self.warn(neighbor, warnings);
        let value = Neighbor {
            remote_as,
            port: neighbor.port.filter(|port| *port != 0 && *port != 179),
            source: neighbor
                .source_address
                .as_deref()
                .map(update_source)
                .transpose()?,
            password: self.password(neighbor)?,
            timers: timers(neighbor.hold_time.as_ref(), neighbor.keepalive_time.as_ref())?,
            connect_time: neighbor.connect_time.as_ref().map(connect_time).transpose()?,
            ebgp_multihop: neighbor.ebgp_multi_hop,
            graceful_restart: neighbor.enable_graceful_restart,
            local_as: neighbor
                .local_asn
                .map(|local| local_as(local, asn, remote_as))
                .transpose()?,
            bfd_profile: self.bfd_profile(neighbor)?,
            families,
            advertise: advertise::convert(&neighbor.to_advertise, families.unicast, announced)?,
            receive: receive::convert(&neighbor.to_receive)?,
        };
        Ok((peer, value))
    }

    fn warn(&self, neighbor: &frrk8s::Neighbor, warnings: &mut Vec<String>) {
        let label = label(neighbor);
        if neighbor.disable_mp {
            warnings.push(format!(
                "neighbor {label}: disableMP is deprecated and has no effect"
            ));
        }
        let namespace = &neighbor.password_secret.namespace;
        if !namespace.is_empty() && *namespace != self.name.namespace {
            warnings.push(format!(
                "neighbor {label}: passwordSecret.namespace has no effect, the secret is looked up in {}",
                self.name.namespace
            ));
        }
    }

    fn bfd_profile(&self, neighbor: &frrk8s::Neighbor) -> Result<Option<crate::model::ProfileName>, Fault> {
        let Some(name) = &neighbor.bfd_profile else {
            return Ok(None);
        };
        let profile = text("bfdProfile", name)?;
        if self.profiles.contains(&profile) {
            Ok(Some(profile))
        } else {
            Err(Fault::UnknownProfile(name.clone()))
        }
    }

    fn password(&self, neighbor: &frrk8s::Neighbor) -> Result<Option<Password>, Fault> {
        let name = &neighbor.password_secret.name;
        let known = match (&neighbor.password, self.secrets) {
            (Some(password), _) if name.is_empty() => {
                return text("password", &password.0).map(Some);
            }
            (None, _) if name.is_empty() => return Ok(None),
            (Some(_), _) => return Err(Fault::TwoPasswords),
            (None, Secrets::Ignored) => return Ok(None),
            (None, Secrets::Known(known)) => known,
        };
        let secret = known
            .get(name)
            .ok_or_else(|| Fault::SecretMissing(name.clone()))?;
        if secret.type_ != BASIC_AUTH {
            return Err(Fault::SecretType {
                name: name.clone(),
                type_: secret.type_.clone(),
            });
        }
        let password = secret
            .password
            .as_ref()
            .ok_or_else(|| Fault::SecretKey(name.clone()))?;
        let parsed = password.0.parse();
        parsed.map(Some).map_err(|fault| Fault::SecretText {
            name: name.clone(),
            fault,
        })
    }
}

fn peer(neighbor: &frrk8s::Neighbor) -> Result<Peer, Fault> {
    match (neighbor.address.as_deref(), neighbor.interface.as_deref()) {
        (None, None) => Err(Fault::NoPeer),
        (Some(_), Some(_)) => Err(Fault::TwoPeers),
        (None, Some(name)) => text("interface", name).map(Peer::Interface),
        (Some(address), None) => match address.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(Peer::Address(ip.to_canonical())),
            _ => Err(Fault::PeerAddress(address.to_owned())),
        },
    }
}

fn remote_as(neighbor: &frrk8s::Neighbor) -> Result<RemoteAs, Fault> {
    match (neighbor.asn, neighbor.dynamic_asn) {
        (None, None) => Err(Fault::NoAsn),
        (Some(_), Some(_)) => Err(Fault::TwoAsns),
        (Some(number), None) => Ok(RemoteAs::Number(number)),
        (None, Some(DynamicASN::Internal)) => Ok(RemoteAs::Internal),
        (None, Some(DynamicASN::External)) => Ok(RemoteAs::External),
    }
}

fn families(neighbor: &frrk8s::Neighbor, peer: &Peer) -> Families {
    let unicast = match peer {
        _ if neighbor.dual_stack_address_family => Unicast::Dual,
        Peer::Interface(_) => Unicast::Dual,
        Peer::Address(IpAddr::V4(_)) => Unicast::Ipv4,
        Peer::Address(IpAddr::V6(_)) => Unicast::Ipv6,
    };
    let families = &neighbor.address_families;
    Families {
        unicast,
        activate_unicast: families.is_empty() || families.contains(&AddressFamily::Unicast),
        activate_evpn: families.contains(&AddressFamily::Evpn),
    }
}

fn update_source(source: &str) -> Result<UpdateSource, Fault> {
    match source.parse::<IpAddr>() {
        Ok(address) => Ok(UpdateSource::Address(address)),
        Err(_) => text("sourceaddress", source).map(UpdateSource::Interface),
    }
}

/// FRRouting refuses the cases that are refused here, at a time when it is too late to tell the user.
fn local_as(local: u32, router: u32, remote: RemoteAs) -> Result<u32, Fault> {
    match remote {
        RemoteAs::Internal => Err(Fault::LocalAsnInternal),
        RemoteAs::Number(number) if number == router => Err(Fault::LocalAsnInternal),
        RemoteAs::Number(number) if number == local => Err(Fault::LocalAsnSame("peer")),
        _ if local == router => Err(Fault::LocalAsnSame("router")),
        _ => Ok(local),
    }
}

const NANOSECONDS: i128 = 1_000_000_000;

/// Whole seconds; a fraction is cut off.
fn seconds(field: &'static str, duration: &Duration) -> Result<u16, Fault> {
    let seconds = duration
        .nanoseconds()
        .map(|nanoseconds| nanoseconds / NANOSECONDS);
    seconds
        .and_then(|seconds| u16::try_from(seconds).ok())
        .ok_or_else(|| Fault::Duration {
            field,
            text: duration.as_str().to_owned(),
        })
}

fn timers(hold: Option<&Duration>, keepalive: Option<&Duration>) -> Result<Option<Timers>, Fault> {
    let (hold, keepalive) = match (hold, keepalive) {
        (None, None) => return Ok(None),
        (Some(hold), Some(keepalive)) => (hold, keepalive),
        _ => return Err(Fault::HalfTimers),
    };
    if hold.nanoseconds().is_some_and(|nanoseconds| nanoseconds < 0) {
        return Err(Fault::HoldTime);
    }
    let timers = Timers {
        hold: seconds("holdTime", hold)?,
        keepalive: seconds("keepaliveTime", keepalive)?,
    };
    if matches!(timers.hold, 1 | 2) {
        Err(Fault::HoldTime)
    } else if timers.keepalive > timers.hold {
        Err(Fault::KeepaliveTime)
    } else {
        Ok(Some(timers))
    }
}

fn connect_time(duration: &Duration) -> Result<u16, Fault> {
    match duration.nanoseconds() {
        Some(nanoseconds) if nanoseconds % NANOSECONDS == 0 => u16::try_from(nanoseconds / NANOSECONDS)
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or(Fault::ConnectTime),
        _ => Err(Fault::ConnectTime),
    }
}

//! The rules for one `BGPPeer`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use metallb_crds::metallb::{BGPPeerSpec, Password};

use super::{Peer, PeerAddress, PeerPassword, RemoteAsn};
use crate::config::{Backend, BfdProfile, Objects, References};
use crate::ip_range::parse_address;
use crate::selector::{Selector, check_duplicates, parse_list};

/// Port of BGP (RFC 4271 section 8.2.1).
const BGP_PORT: u16 = 179;
/// Longest hold time in seconds (RFC 4271 section 4.2: two bytes).
const MAX_HOLD: u64 = 65535;
/// Longest key of a TCP MD5 signature in Linux, in bytes.
const MAX_PASSWORD: usize = 80;
/// Longest name of a network interface in Linux, in bytes.
const MAX_INTERFACE: usize = 15;

pub(super) fn parse(
    name: &str,
    spec: &BGPPeerSpec,
    objects: &Objects,
    profiles: &BTreeMap<String, Arc<BfdProfile>>,
) -> Result<Peer, String> {
    if objects.backend == Backend::Native {
        check_native(spec).map_err(|error| {
            format!("peer {name} {error}: the native backend cannot do this; remove it or use bgpBackend frr")
        })?;
    }
    let wrap = |error: String| format!("parsing peer {name} {error}");
    let peer = Peer {
        name: name.to_owned(),
        my_asn: if spec.my_asn == 0 {
            return Err(wrap("missing local ASN: set spec.myASN".into()));
        } else {
            spec.my_asn
        },
        remote: remote(spec).map_err(wrap)?,
        local_asn: spec.local_asn,
        address: address(spec).map_err(wrap)?,
        port: spec.peer_port.unwrap_or(BGP_PORT),
        timers: timers(spec).map_err(wrap)?,
        router_id: router_id(spec).map_err(wrap)?,
        source_address: literal(
            "invalid source IP",
            "sourceAddress",
            spec.source_address.as_deref(),
        )
        .map_err(wrap)?,
        connect_time: connect_time(spec).map_err(wrap)?,
        node_selectors: node_selectors(spec).map_err(wrap)?,
        password: password(name, spec, objects)?,
        bfd_profile: spec.bfd_profile.clone(),
        graceful_restart: spec.enable_graceful_restart,
        ebgp_multi_hop: spec.ebgp_multi_hop,
        vrf: vrf(spec).map_err(wrap)?,
        disable_mp: spec.disable_mp,
        dual_stack: spec.dual_stack_address_family,
    };
    match &peer.bfd_profile {
        Some(profile) if objects.references == References::Checked && !profiles.contains_key(profile) => Err(
            format!("peer {name} referencing non existing bfd profile {profile}"),
        ),
        _ => Ok(peer),
    }
}

fn remote(spec: &BGPPeerSpec) -> Result<RemoteAsn, String> {
    match (spec.peer_asn.filter(|asn| *asn != 0), spec.dynamic_asn) {
        (None, None) => {
            Err("missing peer ASN and dynamicASN: set exactly one of spec.peerASN and spec.dynamicASN".into())
        }
        (Some(_), Some(_)) => {
            Err("both peer ASN and dynamicASN specified: remove spec.peerASN or spec.dynamicASN".into())
        }
        (Some(asn), None) if asn == spec.my_asn && spec.ebgp_multi_hop => Err(
            "ebgp-multihop set for an ibgp peer: remove spec.ebgpMultiHop, or give spec.peerASN another AS"
                .into(),
        ),
        (Some(asn), None) => Ok(RemoteAsn::Asn(asn)),
        (None, Some(dynamic)) => Ok(RemoteAsn::Dynamic(dynamic)),
    }
}

fn address(spec: &BGPPeerSpec) -> Result<PeerAddress, String> {
    match (&spec.peer_address, &spec.interface) {
        (None, None) => {
            Err("no Address or Interface: set exactly one of spec.peerAddress and spec.interface".into())
        }
        (Some(_), Some(_)) => {
            Err("both Address and Interface specified: remove spec.peerAddress or spec.interface".into())
        }
        (Some(text), None) => parse_address(text)
            .filter(|address| !address.is_unspecified() && !address.is_multicast())
            .map(PeerAddress::Address)
            .ok_or_else(|| {
                format!(
                    "invalid BGPPeer address \"{text}\": spec.peerAddress must be the IP address of a host, not a name"
                )
            }),
        (None, Some(name)) => device("interface", name).map(PeerAddress::Interface),
    }
}

/// A name that can be a Linux network device, of the characters that have no meaning of their own to FRRouting.
fn device(field: &str, name: &str) -> Result<String, String> {
    let sound = !matches!(name, "" | "." | "..")
        && name.len() <= MAX_INTERFACE
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    if sound {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "invalid {field} {name:?}: spec.{field} must be the name of a network device, at most 15 letters, digits, \
             '.', '_', '-' and '+'"
        ))
    }
}

/// The VRF of a session; the default one has two more names.
fn vrf(spec: &BGPPeerSpec) -> Result<Option<String>, String> {
    let named = spec.vrf.as_deref().filter(|vrf| !matches!(*vrf, "" | "default"));
    named.map(|vrf| device("vrf", vrf)).transpose()
}

/// RFC 6286 section 2.1: a number of four bytes that is not zero, written as an IPv4 address.
fn router_id(spec: &BGPPeerSpec) -> Result<Option<IpAddr>, String> {
    match literal("invalid router ID", "routerID", spec.router_id.as_deref())? {
        Some(id) if id.is_ipv6() || id.is_unspecified() => Err(format!(
            "invalid router ID \"{id}\": spec.routerID must be an IPv4 address other than 0.0.0.0"
        )),
        id => Ok(id),
    }
}

fn literal(what: &str, field: &str, text: Option<&str>) -> Result<Option<IpAddr>, String> {
    let parse = |text: &str| {
        parse_address(text).ok_or_else(|| format!("{what} \"{text}\": spec.{field} must be an IP address"))
    };
    text.map(parse).transpose()
}

/// Completes the timers: one alone determines the other, in the ratio of RFC 4271 section 4.4 (a third).
fn timers(spec: &BGPPeerSpec) -> Result<Option<(Duration, Duration)>, String> {
    let hold = spec
        .hold_time
        .as_ref()
        .map(|time| duration("holdTime", time))
        .transpose()?;
    let keepalive = spec
        .keepalive_time
        .as_ref()
        .map(|time| duration("keepaliveTime", time))
        .transpose()?;
    let (hold, keepalive) = match (hold, keepalive) {
        (None, None) => return Ok(None),
        (Some(hold), None) => (hold, hold / 3),
        (None, Some(keepalive)) => (keepalive.saturating_mul(3), keepalive),
        (Some(hold), Some(keepalive)) => (hold, keepalive),
    };
    if !matches!(hold.as_secs(), 0 | 3..) {
        return Err(format!(
            "invalid hold time {hold:?}, must be 0 or >=3s: change spec.holdTime or spec.keepaliveTime"
        ));
    }
    if hold.as_secs() > MAX_HOLD {
        return Err(format!(
            "invalid hold time {hold:?}, must be at most {MAX_HOLD}s: lower spec.holdTime or spec.keepaliveTime"
        ));
    }
    if keepalive > hold {
        return Err(format!(
            "invalid keepaliveTime {keepalive:?}, must be lower than holdTime {hold:?}: lower spec.keepaliveTime"
        ));
    }
    Ok(Some((hold, keepalive)))
}

fn duration(field: &str, time: &metallb_crds::duration::Duration) -> Result<Duration, String> {
    match (time.nanoseconds(), time.as_std()) {
        (_, Some(time)) => Ok(time),
        (Some(_), None) => Err(format!(
            "invalid hold time or keepalive time {time}, must be 0 or >=3s: spec.{field} is negative"
        )),
        (None, _) => Err(format!(
            "invalid duration {time:?} in spec.{field}: write e.g. 90s or 1m30s"
        )),
    }
}

fn connect_time(spec: &BGPPeerSpec) -> Result<Option<Duration>, String> {
    let Some(time) = &spec.connect_time else {
        return Ok(None);
    };
    let time = duration("connectTime", time)?;
    match time.as_secs() {
        seconds @ 1..=65535 => Ok(Some(Duration::from_secs(seconds))),
        _ => Err("connect time should be between 1 seconds to 65535: change spec.connectTime".to_owned()),
    }
}

fn node_selectors(spec: &BGPPeerSpec) -> Result<Vec<Selector>, String> {
    check_duplicates("nodeSelectors", &spec.node_selectors).map_err(|error| error.to_string())?;
    parse_list(&spec.node_selectors).map_err(|error| format!("failed to convert spec.nodeSelectors: {error}"))
}

fn password(name: &str, spec: &BGPPeerSpec, objects: &Objects) -> Result<Option<PeerPassword>, String> {
    let reference = &spec.password_secret;
    let plain = spec.password.as_ref().filter(|password| !password.0.is_empty());
    match (plain, reference.name.is_empty()) {
        (None, true) => Ok(None),
        (Some(_), false) => Err(format!(
            "parsing peer {name} both password and secret ref set: remove spec.password, the Secret is the safer place"
        )),
        (Some(password), true) => {
            check_password(password)
                .map_err(|error| format!("parsing peer {name} {error} in spec.password"))?;
            Ok(Some(PeerPassword::Plain(password.clone())))
        }
        (None, false) => {
            let value = secret_password(name, &reference.name, objects).map_err(|error| {
                format!("parsing peer {name} {error}\nfailed to parse peer {name} password secret")
            })?;
            Ok(Some(PeerPassword::Secret {
                name: reference.name.clone(),
                namespace: reference.namespace.clone(),
                value,
            }))
        }
    }
}

fn secret_password(peer: &str, secret: &str, objects: &Objects) -> Result<Option<Password>, String> {
    let Some(secrets) = objects
        .secrets
        .as_ref()
        .filter(|_| objects.references == References::Checked)
    else {
        return Ok(None);
    };
    let namespace = &objects.namespace;
    let found: &Secret = secrets
        .get(secret)
        .ok_or_else(|| format!("secret ref not found for peer config \"{namespace}\"/\"{peer}\""))?;
    if found.type_.as_deref() != Some("kubernetes.io/basic-auth") {
        return Err(format!(
            "secret type mismatch on \"{namespace}\"/\"{secret}\", type \"kubernetes.io/basic-auth\" is expected "
        ));
    }
    let value = found.data.as_ref().and_then(|data| data.get("password"));
    let value =
        value.ok_or_else(|| format!("password not specified in the secret \"{namespace}\"/\"{secret}\""))?;
    let text = String::from_utf8(value.0.clone())
        .map_err(|_| format!("password in the secret \"{namespace}\"/\"{secret}\" is not text"))?;
    let password = Password(text);
    check_password(&password)
        .map_err(|error| format!("{error} in the secret \"{namespace}\"/\"{secret}\""))?;
    Ok(Some(password))
}

/// The text of a password never goes into a message.
fn check_password(password: &Password) -> Result<(), &'static str> {
    if password.0.is_empty() {
        Err("empty password")
    } else if password.0.len() > MAX_PASSWORD {
        Err("password longer than 80 bytes")
    } else if password.0.chars().any(char::is_control) {
        Err("password with line breaks or other control characters")
    } else if !password.0.chars().all(|c| c.is_ascii_graphic()) {
        Err("password with blanks or characters beyond ASCII, which FRRouting does not take")
    } else {
        Ok(())
    }
}

fn check_native(spec: &BGPPeerSpec) -> Result<(), &'static str> {
    let keepalive = spec
        .keepalive_time
        .as_ref()
        .is_some_and(|time| time.nanoseconds() != Some(0));
    let unsupported = [
        (spec.bfd_profile.is_some(), "has spec.bfdProfile set"),
        (keepalive, "has spec.keepaliveTime set"),
        (spec.vrf.is_some(), "has spec.vrf set"),
        (spec.connect_time.is_some(), "has spec.connectTime set"),
        (spec.enable_graceful_restart, "has spec.enableGracefulRestart set"),
        (spec.disable_mp, "has spec.disableMP set"),
        (
            spec.dual_stack_address_family,
            "has spec.dualStackAddressFamily set",
        ),
        (spec.dynamic_asn.is_some(), "has spec.dynamicASN set"),
        (spec.interface.is_some(), "has spec.interface set"),
        (spec.local_asn.is_some(), "has spec.localASN set"),
    ];
    unsupported
        .into_iter()
        .find(|(set, _)| *set)
        .map_or(Ok(()), |(_, what)| Err(what))
}

//! BFD profiles: `BFDProfile`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use metallb_crds::metallb::BFDProfile;

use super::Backend;
use super::settle::Settling;

/// Longest name of a profile in FRRouting.
const MAX_NAME: usize = 63;

/// One checked `BFDProfile`. What is `None` is left to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdProfile {
    /// Name of the object.
    pub name: String,
    /// Milliseconds, 10 to 60000.
    pub receive_interval: Option<u32>,
    /// Milliseconds, 10 to 60000.
    pub transmit_interval: Option<u32>,
    /// Lost packets until the peer is down, 2 to 255.
    pub detect_multiplier: Option<u32>,
    /// Milliseconds, 10 to 60000.
    pub echo_interval: Option<u32>,
    /// Use the echo function (RFC 5880 section 6.4).
    pub echo_mode: bool,
    /// Wait for the peer to start.
    pub passive_mode: bool,
    /// Smallest accepted TTL of packets over several hops (RFC 5883), 1 to 254.
    pub minimum_ttl: Option<u32>,
}

/// Checks all BFD profiles.
pub(super) fn settle(settling: &mut Settling<'_>) -> BTreeMap<String, Arc<BfdProfile>> {
    let objects = settling.objects;
    settling.settle(
        "BFDProfile",
        &objects.bfd_profiles,
        &settling.previous.bfd_profiles,
        |profile| &profile.metadata,
        |name, profile| parse(name, profile, objects.backend),
        |_| Ok(()),
    )
}

fn parse(name: &str, profile: &BFDProfile, backend: Backend) -> Result<BfdProfile, String> {
    if backend == Backend::Native {
        return Err(format!(
            "bfd profile {name}: the native backend has no BFD: remove the profile or use bgpBackend frr"
        ));
    }
    if name.len() > MAX_NAME {
        return Err(format!(
            "bfd profile {name}: the name is longer than the {MAX_NAME} characters FRRouting takes: choose a shorter one"
        ));
    }
    let spec = &profile.spec;
    check(name, "detectMultiplier", spec.detect_multiplier, 2..=255)?;
    check(name, "receiveInterval", spec.receive_interval, 10..=60000)?;
    check(name, "transmitInterval", spec.transmit_interval, 10..=60000)?;
    check(name, "minimumTtl", spec.minimum_ttl, 1..=254)?;
    check(name, "echoInterval", spec.echo_interval, 10..=60000)?;
    Ok(BfdProfile {
        name: name.to_owned(),
        receive_interval: spec.receive_interval,
        transmit_interval: spec.transmit_interval,
        detect_multiplier: spec.detect_multiplier,
        echo_interval: spec.echo_interval,
        echo_mode: spec.echo_mode,
        passive_mode: spec.passive_mode,
        minimum_ttl: spec.minimum_ttl,
    })
}

fn check(profile: &str, field: &str, value: Option<u32>, allowed: RangeInclusive<u32>) -> Result<(), String> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            let (low, high) = (allowed.start(), allowed.end());
            Err(format!(
                "parsing bfd profile {profile}: invalid value {value}, must be in {low}-{high} range\nspec.{field}"
            ))
        }
        _ => Ok(()),
    }
}

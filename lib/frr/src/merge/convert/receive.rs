use metallb_crds::frrk8s::{self, AllowMode};

use super::prefix;
use crate::merge::problem::Fault;
use crate::model::{Family, Receive, Selector};

pub(super) fn convert(receive: &frrk8s::Receive) -> Result<Receive, Fault> {
    match receive.allowed.mode {
        AllowMode::All => Ok(Receive::All),
        AllowMode::Filtered => receive
            .allowed
            .prefixes
            .iter()
            .map(selector)
            .collect::<Result<_, _>>()
            .map(Receive::Filtered),
    }
}

/// The range of lengths: without `ge` and `le` the prefix' own, with only one of them everything up to, or from, it.
fn selector(selector: &frrk8s::PrefixSelector) -> Result<Selector, Fault> {
    let prefix = prefix("toReceive.allowed.prefixes", &selector.prefix)?;
    let (length, bits) = (prefix.prefix_len(), Family::of(&prefix).bits());
    let fault = || Fault::Lengths {
        prefix,
        length,
        max: bits,
    };
    let bound = |value: u32| u8::try_from(value).map_err(|_| fault());
    let ge = selector.ge.map(bound).transpose()?;
    let le = selector.le.map(bound).transpose()?;
    let (min, max) = match (ge, le) {
        (None, None) => (length, length),
        (ge, le) => (ge.unwrap_or(length), le.unwrap_or(bits)),
    };
    if length <= min && min <= max && max <= bits {
        Ok(Selector { prefix, min, max })
    } else {
        Err(fault())
    }
}

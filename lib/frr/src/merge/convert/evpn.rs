use std::collections::BTreeSet;

use metallb_crds::frrk8s::{self, AdvertiseVNIs, AdvertisedFamily, ExportRouteTarget, ImportRouteTarget};

use super::range;
use crate::merge::combine;
use crate::merge::problem::{Fault, Problem, Within};
use crate::model::Vrf;
use crate::model::evpn::{Evpn, RouteTarget, VniTargets};

const MAX_VNI: u32 = 16_777_215;

pub(super) fn convert(evpn: &frrk8s::EVPNConfig, vrf: &Vrf) -> Result<Evpn, Problem> {
    let mut converted = Evpn {
        advertise_all_vnis: evpn.advertise_vnis == Some(AdvertiseVNIs::All),
        advertise_svi: evpn.advertise_svi,
        ..Evpn::default()
    };
    for l2 in &evpn.l2_vnis {
        let vni = vni(l2.vni)?;
        let value =
            targets(l2.rd.as_ref(), &l2.import_rts, &l2.export_rts).within(|| format!("l2vni {vni}"))?;
        combine::add_l2_vni(&mut converted.l2_vnis, vni, value)?;
    }
    if let Some(l3) = &evpn.l3_vni {
        if *vrf == Vrf::Default {
            return Err(Fault::L3VniDefaultVrf.into());
        }
        if l3.advertise_prefixes != [AdvertisedFamily::Unicast] {
            return Err(Fault::AdvertisePrefixes.into());
        }
        let vni = vni(l3.vni)?;
        let value =
            targets(l3.rd.as_ref(), &l3.import_rts, &l3.export_rts).within(|| format!("l3vni {vni}"))?;
        converted.l3_vni = Some((vni, value));
    }
    Ok(converted)
}

fn vni(vni: u32) -> Result<u32, Fault> {
    range("vni", Some(vni), 1, MAX_VNI).map(|_| vni)
}

fn targets(
    rd: Option<&frrk8s::RouteDistinguisher>,
    import: &[ImportRouteTarget],
    export: &[ExportRouteTarget],
) -> Result<VniTargets, Fault> {
    Ok(VniTargets {
        rd: rd.map(|rd| rd.0.parse()).transpose()?,
        import: import
            .iter()
            .map(|target| Ok(target.0.parse()?))
            .collect::<Result<_, Fault>>()?,
        export: export
            .iter()
            .map(|target| export_target(&target.0))
            .collect::<Result<BTreeSet<_>, Fault>>()?,
    })
}

fn export_target(text: &str) -> Result<RouteTarget, Fault> {
    let target: RouteTarget = text.parse()?;
    if target.is_wildcard() {
        return Err(Fault::WildcardExport(text.to_owned()));
    }
    Ok(target)
}

//! Routes on the routers, from Services.

use anyhow::ensure;
use serde_json::json;
use xtask::checks::{self, PATIENCE};
use xtask::command::wait_until;
use xtask::lab::addresses::BGP_CLIENT;
use xtask::lab::router::ROUTERS;
use xtask::{objects, observe};

use super::world::{WEB, world};

#[test]
fn a_service_is_routed_through_every_node_and_answers_from_behind_the_router() {
    let world = world();
    let service = world.expose("bgp-reach", objects::BGP_POOL_NAME);
    for address in &service.addresses {
        for router in &ROUTERS {
            checks::routed(router, *address, &world.nodes()).unwrap();
        }
        let body = checks::answers(&BGP_CLIENT, *address).unwrap();
        assert!(body.starts_with("pod=web-"), "{body}");
    }
    for address in service.delete() {
        for router in &ROUTERS {
            checks::routed(router, address, &[]).unwrap();
        }
    }
}

#[test]
fn bfd_watches_the_sessions_whose_peer_has_a_profile() {
    let world = world();
    checks::bfd_up(&ROUTERS[0], &world.nodes()).unwrap();
    for node in world.nodes() {
        assert_ne!(
            observe::bfd(&ROUTERS[1], node.v4.into()).unwrap().as_deref(),
            Some("up"),
            "ibgp has no profile"
        );
    }
}

#[test]
fn only_nodes_with_endpoints_announce_a_service_of_local_traffic_policy() {
    let world = world();
    let mut service = objects::service("bgp-local", objects::BGP_POOL_NAME);
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    let service = world.expose_as(service);
    let address = service.addresses[0];
    checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();

    world
        .cluster
        .kubectl(&format!("-n {WEB} scale deployment/web --replicas=1"))
        .unwrap();
    let mut remaining = Vec::new();
    wait_until("one pod is left", PATIENCE, || {
        let pods = world.cluster.items(&format!("pods -n {WEB} -l app=web"))?;
        ensure!(pods.len() == 1, "there are {}", pods.len());
        let node = pods[0]["spec"]["nodeName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        remaining = world
            .nodes()
            .into_iter()
            .filter(|known| known.name == node)
            .collect();
        Ok(())
    })
    .unwrap();
    let narrowed = checks::routed(&ROUTERS[0], address, &remaining);
    world
        .cluster
        .kubectl(&format!(
            "-n {WEB} scale deployment/web --replicas={}",
            world.nodes().len()
        ))
        .unwrap();
    world
        .cluster
        .kubectl(&format!("-n {WEB} rollout status deployment/web --timeout=120s"))
        .unwrap();
    narrowed.unwrap();
    checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();
}

#[test]
fn local_preference_and_communities_of_an_advertisement_arrive() {
    let world = world();
    let spec = json!({
        "ipAddressPools": [objects::BGP_POOL_NAME], "localPref": 250, "communities": ["64512:77", "large:64512:1:2"],
        "serviceSelectors": [{ "matchLabels": { "tier": "gold" } }],
    });
    let gold = objects::object("metallb.io/v1beta1", "BGPAdvertisement", "gold", spec);
    // The plain advertisement must not claim the same route with another preference.
    let plain = objects::advertisements().remove(0);
    let mut without_gold = plain.clone();
    without_gold["spec"]["serviceSelectors"] =
        json!([{ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }]);
    world.cluster.apply(&[without_gold]).unwrap();
    let restore = scopeguard(|| world.cluster.apply(std::slice::from_ref(&plain)).unwrap());
    let _gold = world.create(vec![gold]);

    let mut service = objects::service("bgp-gold", objects::BGP_POOL_NAME);
    service["metadata"]["labels"] = json!({ "tier": "gold" });
    let service = world.expose_as(service);
    let prefix = checks::host_route(service.addresses[0]);
    wait_until(
        "the internal router sees preference and communities",
        PATIENCE,
        || {
            let route = observe::route(&ROUTERS[1], &prefix)?;
            let path = &route["paths"][0];
            ensure!(path["locPrf"] == 250, "local preference is {}", path["locPrf"]);
            ensure!(
                path["community"]["string"] == "64512:77",
                "communities are {}",
                path["community"]
            );
            ensure!(
                path["largeCommunity"]["string"] == "64512:1:2",
                "large communities are {}",
                path["largeCommunity"]
            );
            Ok(())
        },
    )
    .unwrap();
    drop(service);
    drop(restore);
}

/// Runs `action` when dropped, also while a failed test unwinds.
fn scopeguard<F: FnMut()>(action: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(action)
}

//! What must be so around the cluster, with a deadline; shared by the demo and the end-to-end tests.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::command::wait_until;
use crate::lab::Lab;
use crate::lab::addresses::{Node, Station};
use crate::lab::router::Router;
use crate::observe;

/// How long anything may take that follows from a change by itself. Generous, because machines are slow and noisy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The route of one address: /32 or /128.
pub fn host_route(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// The addresses of these nodes in the family of `like`.
pub fn addresses_of(nodes: &[Node], like: IpAddr) -> BTreeSet<IpAddr> {
    nodes
        .iter()
        .map(|node| {
            if like.is_ipv4() {
                node.v4.into()
            } else {
                node.v6.into()
            }
        })
        .collect()
}

/// Waits until a router reaches `address` through exactly these nodes; none means that it has no route.
///
/// # Errors
/// It does not within [`PATIENCE`].
pub fn routed(router: &Router, address: IpAddr, nodes: &[Node]) -> Result<()> {
    let (prefix, wanted) = (host_route(address), addresses_of(nodes, address));
    wait_until(
        &format!("{} routes {prefix} through {wanted:?}", router.name),
        PATIENCE,
        || {
            let found = observe::next_hops(router, &prefix)?;
            ensure!(found == wanted, "its next hops are {found:?}");
            Ok(())
        },
    )
}

/// Waits until the BFD sessions of a router with these nodes are up, both families.
///
/// # Errors
/// One is not within [`PATIENCE`].
pub fn bfd_up(router: &Router, nodes: &[Node]) -> Result<()> {
    for peer in nodes
        .iter()
        .flat_map(|node| [IpAddr::from(node.v4), node.v6.into()])
    {
        wait_until(
            &format!("BFD session of {} with {peer}", router.name),
            PATIENCE,
            || {
                let state = observe::bfd(router, peer)?;
                ensure!(
                    state.as_deref() == Some("up"),
                    "it is {}",
                    state.as_deref().unwrap_or("absent")
                );
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Waits until a client gets an HTTP answer from `address`, and returns it.
///
/// # Errors
/// None comes within [`PATIENCE`].
pub fn answers(client: &Station, address: IpAddr) -> Result<String> {
    let mut body = String::new();
    wait_until(
        &format!("HTTP from {} to {address}", client.namespace),
        PATIENCE,
        || {
            body = observe::http(client, address)?.trim().to_owned();
            Ok(())
        },
    )?;
    Ok(body)
}

/// Waits until exactly one node owns `address` on the segment, and returns its name and MAC address.
///
/// # Errors
/// Nobody, somebody else, or more than one node answers all through [`PATIENCE`].
pub fn owned_by_one_node(lab: &Lab, address: IpAddr) -> Result<(String, String)> {
    let mut owner = None;
    wait_until(
        &format!("one node owns {address} on the segment"),
        PATIENCE,
        || {
            let macs = observe::owners(address)?;
            ensure!(macs.len() == 1, "answers came from {macs:?}");
            let mac = macs.into_iter().next().context("one answer")?;
            for node in lab.nodes() {
                if observe::mac(lab, &node.name)? == mac {
                    owner = Some((node.name, mac.clone()));
                }
            }
            ensure!(owner.is_some(), "{mac} is no node's address");
            Ok(())
        },
    )?;
    owner.context("no owner")
}

/// Waits until nobody answers for `address` on the segment.
///
/// # Errors
/// Somebody still does after [`PATIENCE`].
pub fn unowned(address: IpAddr) -> Result<()> {
    wait_until(&format!("nobody answers for {address}"), PATIENCE, || {
        let macs = observe::owners(address)?;
        ensure!(macs.is_empty(), "answers came from {macs:?}");
        Ok(())
    })
}

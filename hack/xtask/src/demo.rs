//! `make demo`: the main job, on a real cluster, with every claim checked.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};

use crate::checks::{self, PATIENCE};
use crate::cluster::{Cluster, NAMESPACE};
use crate::lab::Lab;
use crate::lab::addresses::{BGP_CLIENT, CLIENT, Node};
use crate::lab::router::ROUTERS;
use crate::lab::status;
use crate::progress::Progress;
use crate::{command, images, install, objects};

const NODES: u8 = 2;
const WEB: &str = objects::WEB_NAMESPACE;

/// Brings a cluster up, installs the operator, announces two Services, checks what routers and clients see, deletes
/// the Services, checks again, and takes the cluster down unless `keep` (or unless it ran before).
///
/// # Errors
/// The first thing that is not so. The lab then stays up for a look.
pub fn run(keep: bool, progress: &Progress) -> Result<()> {
    let lab = Lab::open()?;
    let keep = keep || lab.is_up();
    let cluster = Cluster::new(lab.clone());
    let result = show(&cluster, progress);
    if result.is_err() {
        explain(&cluster);
        status::print_hints(&lab);
        println!("The lab stays up for a look. `make lab-down` takes it down.");
        return result;
    }
    if keep {
        status::print_hints(&lab);
        println!("The lab stays up. `make lab-down` takes it down.");
    } else {
        lab.down(progress)?;
    }
    println!(
        "\nDemo finished in {:.0} s: everything above was checked and is so.",
        progress.elapsed()
    );
    Ok(())
}

fn show(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let lab = cluster.lab();
    let images = images::ensure_all(progress)?;
    lab.up(NODES, progress)?;
    lab.load(&images, progress)?;
    install::operator(cluster, progress)?;
    install::metallb(cluster, progress)?;
    progress.step("create pools, BFD profile, peers, advertisements", || {
        cluster.apply(&objects::pools())?;
        cluster.apply(&objects::peers())?;
        cluster.apply(&objects::advertisements())
    })?;
    progress.step("create a web Deployment with two replicas", || {
        cluster.apply(&objects::web(usize::from(NODES)))?;
        cluster
            .kubectl(&format!("-n {WEB} rollout status deployment/web --timeout=120s"))
            .map(drop)
    })?;
    let bgp = expose(cluster, "web-bgp", objects::BGP_POOL_NAME, progress)?;
    let layer2 = expose(cluster, "web-layer2", objects::L2_POOL_NAME, progress)?;
    show_bgp(&lab.nodes(), &bgp, progress)?;
    show_layer2(lab, &layer2, progress)?;
    show_metrics(cluster, progress)?;
    withdraw(cluster, &bgp, &layer2, progress)
}

/// Creates a Service and waits for its addresses, one per family.
fn expose(cluster: &Cluster, name: &str, pool: &str, progress: &Progress) -> Result<Vec<IpAddr>> {
    let addresses = progress.step(&format!("Service {name} gets an address of each family"), || {
        cluster.apply(&[objects::service(name, pool)])?;
        cluster.wait_addresses(WEB, name, 2, PATIENCE)
    })?;
    progress.say(&format!("  {name}: {}", addresses.join(", ")));
    addresses
        .iter()
        .map(|text| text.parse().with_context(|| format!("{text} is no address")))
        .collect()
}

fn show_bgp(nodes: &[Node], addresses: &[IpAddr], progress: &Progress) -> Result<()> {
    for router in &ROUTERS {
        for address in addresses {
            let route = checks::host_route(*address);
            progress.step(
                &format!(
                    "{} (AS {}) routes {route} through every node",
                    router.name, router.asn
                ),
                || checks::routed(router, *address, nodes),
            )?;
            progress.say(&format!(
                "  next hops {:?}",
                checks::addresses_of(nodes, *address)
            ));
        }
    }
    progress.step("BFD sessions of ebgp with every node are up", || {
        checks::bfd_up(&ROUTERS[0], nodes)
    })?;
    for address in addresses {
        let body = progress.step(&format!("HTTP to {address} from behind the router ebgp"), || {
            checks::answers(&BGP_CLIENT, *address)
        })?;
        progress.say(&format!("  {body}"));
    }
    Ok(())
}

fn show_layer2(lab: &Lab, addresses: &[IpAddr], progress: &Progress) -> Result<()> {
    for address in addresses {
        let protocol = if address.is_ipv4() { "ARP" } else { "NDP" };
        let (node, mac) = progress.step(&format!("one node answers {protocol} for {address}"), || {
            checks::owned_by_one_node(lab, *address)
        })?;
        progress.say(&format!("  {mac} is {node}"));
        let body = progress.step(&format!("HTTP to {address} from the nodes' segment"), || {
            checks::answers(&CLIENT, *address)
        })?;
        progress.say(&format!("  {body}"));
    }
    Ok(())
}

/// A few lines of what each program reports.
fn show_metrics(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let node = cluster
        .lab()
        .nodes()
        .into_iter()
        .next()
        .context("the lab has no node")?;
    let (controller, _) = pod_address(cluster, "controller")?;
    let wanted = [
        (
            "controller",
            controller,
            9120,
            "metallb_allocator_addresses_in_use_total",
        ),
        ("speaker", node.v4.into(), 9120, "metallb_speaker_announced"),
        ("frr-agent", node.v4.into(), 9140, "frrk8s_bgp_session_up"),
    ];
    for (program, address, port, metric) in wanted {
        let lines = progress.step(&format!("{program} reports {metric}"), || {
            let mut lines = Vec::new();
            command::wait_until(metric, PATIENCE, || {
                lines = scrape(cluster, address, port, metric)?;
                ensure!(!lines.is_empty(), "it does not appear in /metrics");
                Ok(())
            })?;
            Ok(lines)
        })?;
        lines
            .iter()
            .take(3)
            .for_each(|line| progress.say(&format!("  {line}")));
    }
    Ok(())
}

/// Address and name of the pod of a component.
fn pod_address(cluster: &Cluster, component: &str) -> Result<(IpAddr, String)> {
    let pods = cluster.items(&format!("pods -n {NAMESPACE} -l component={component}"))?;
    let pod = pods.first().with_context(|| format!("no pod of {component}"))?;
    let address = pod["status"]["podIP"]
        .as_str()
        .context("the pod has no address")?
        .parse()?;
    Ok((
        address,
        pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
    ))
}

fn scrape(cluster: &Cluster, address: IpAddr, port: u16, metric: &str) -> Result<Vec<String>> {
    let url = format!("http://{address}:{port}/metrics");
    let mut curl = cluster.lab().command("curl");
    let text = command::output(curl.args(["-sS", "--max-time", "5", &url]))?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with(metric))
        .map(str::to_owned)
        .collect())
}

fn withdraw(cluster: &Cluster, bgp: &[IpAddr], layer2: &[IpAddr], progress: &Progress) -> Result<()> {
    progress.step("delete both Services", || {
        cluster
            .kubectl(&format!("-n {WEB} delete service web-bgp web-layer2"))
            .map(drop)
    })?;
    progress.step("no router has a route to them any more", || {
        ROUTERS.iter().try_for_each(|router| {
            bgp.iter()
                .try_for_each(|address| checks::routed(router, *address, &[]))
        })
    })?;
    progress.step("nobody answers ARP or NDP for them any more", || {
        layer2.iter().try_for_each(|address| checks::unowned(*address))
    })
}

/// Prints what helps to see why something is not so.
fn explain(cluster: &Cluster) {
    let looks = [
        "get pods -A -o wide".to_owned(),
        format!("get metallb,configurationstates -n {NAMESPACE} -o yaml"),
        format!("get events -n {NAMESPACE} --sort-by=.lastTimestamp"),
        format!("logs -n {NAMESPACE} deployment/metallb-operator-controller-manager --tail=30"),
    ];
    for words in looks {
        println!("\n$ kubectl {words}");
        println!(
            "{}",
            cluster
                .kubectl(&words)
                .unwrap_or_else(|error| format!("{error:#}"))
        );
    }
}

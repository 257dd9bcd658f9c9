//! What the world outside of the cluster sees: routes and sessions on the routers, answers to the clients.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv6Addr};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command;
use crate::lab::Lab;
use crate::lab::addresses::{CLIENT, Station};
use crate::lab::router::Router;

/// The next hops a router uses for a prefix; empty when it has no route. All equally good paths count.
///
/// # Errors
/// FRR does not answer.
pub fn next_hops(router: &Router, prefix: &str) -> Result<BTreeSet<IpAddr>> {
    let route = route(router, prefix)?;
    let in_use = |path: &&Value| {
        path["valid"] == true && (path["multipath"] == true || path["bestpath"]["overall"] == true)
    };
    let global = |path: &Value| {
        let hops = path["nexthops"].as_array()?;
        let hop = hops.iter().find(|hop| hop["scope"] != "link-local")?;
        hop["ip"].as_str()?.parse().ok()
    };
    Ok(route["paths"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(in_use)
        .filter_map(global)
        .collect())
}

/// Everything a router knows of a prefix, as FRR prints it; an empty object when it has no route.
///
/// # Errors
/// FRR does not answer.
pub fn route(router: &Router, prefix: &str) -> Result<Value> {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let text = router.vtysh(&format!("show bgp {family} unicast {prefix} json"))?;
    serde_json::from_str(&text)
        .with_context(|| format!("show bgp {family} unicast {prefix} json on {}", router.name))
}

/// Prefixes that a router has learned, both families.
///
/// # Errors
/// FRR does not answer.
pub fn prefixes(router: &Router) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for family in ["ipv4", "ipv6"] {
        let table: Value = serde_json::from_str(&router.vtysh(&format!("show bgp {family} unicast json"))?)?;
        let routes = table["routes"].as_object();
        found.extend(routes.into_iter().flat_map(|routes| routes.keys().cloned()));
    }
    Ok(found)
}

/// State of the BGP session with a neighbor: `Established`, `Active`, …
///
/// # Errors
/// FRR does not answer or does not know the neighbor.
pub fn session(router: &Router, neighbor: IpAddr) -> Result<String> {
    let all: Value = serde_json::from_str(&router.vtysh(&format!("show bgp neighbors {neighbor} json"))?)?;
    let state = all[neighbor.to_string()]["bgpState"].as_str();
    state
        .map(str::to_owned)
        .with_context(|| format!("{} does not know the neighbor {neighbor}", router.name))
}

/// How often the session with a neighbor was established since the router started.
///
/// # Errors
/// FRR does not answer or does not know the neighbor.
pub fn established_count(router: &Router, neighbor: IpAddr) -> Result<u64> {
    let all: Value = serde_json::from_str(&router.vtysh(&format!("show bgp neighbors {neighbor} json"))?)?;
    let count = all[neighbor.to_string()]["connectionsEstablished"].as_u64();
    count.with_context(|| format!("{} does not know the neighbor {neighbor}", router.name))
}

/// State of the BFD session with a peer: `up`, `down`, `init`; `None` when there is no such session.
///
/// # Errors
/// FRR does not answer.
pub fn bfd(router: &Router, peer: IpAddr) -> Result<Option<String>> {
    let peers: Value = serde_json::from_str(&router.vtysh("show bfd peers json")?)?;
    let wanted = peer.to_string();
    let found = peers
        .as_array()
        .into_iter()
        .flatten()
        .find(|session| session["peer"] == wanted.as_str());
    Ok(found
        .and_then(|session| session["status"].as_str())
        .map(str::to_owned))
}

/// The body of an HTTP answer to a client, or why there is none. The client gives up after three seconds.
///
/// # Errors
/// There is no answer.
pub fn http(client: &Station, address: IpAddr) -> Result<String> {
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let mut curl = command::in_namespace(client.namespace, "curl");
    command::output(curl.args(["-sS", "-g", "--max-time", "3", &format!("http://{host}/")]))
}

/// Every MAC address that answers on the nodes' segment for `address`: by ARP for IPv4, by neighbor discovery for
/// IPv6. Empty when nobody answers. Each question is broadcast, so that a second owner is not missed.
///
/// # Errors
/// The asking program cannot be run.
pub fn owners(address: IpAddr) -> Result<BTreeSet<String>> {
    let text = match address {
        IpAddr::V4(address) => {
            let mut arping = command::in_namespace(CLIENT.namespace, "arping");
            let address = address.to_string();
            answer(arping.args(["-b", "-c", "2", "-w", "2", "-I", "eth0", &address]))?
        }
        IpAddr::V6(address) => solicit(address)?,
    };
    Ok(text
        .split([' ', '\n', '[', ']'])
        .filter(|word| is_mac(word))
        .map(str::to_lowercase)
        .collect())
}

/// MAC address of a node on the segment.
///
/// # Errors
/// The node's namespace does not exist.
pub fn mac(lab: &Lab, node: &str) -> Result<String> {
    let nodes = lab.nodes();
    let node = nodes
        .iter()
        .find(|known| known.name == node)
        .with_context(|| format!("no node {node}"))?;
    let mut ip = command::in_namespace(&node.namespace, "ip");
    let links: Value = serde_json::from_str(&command::output(ip.args(["-j", "link", "show", "eth0"]))?)?;
    links[0]["address"]
        .as_str()
        .map(str::to_owned)
        .context("eth0 has no address")
}

/// Asks for an IPv6 address twice, and returns what tcpdump prints of the neighbor advertisements for it. ndisc6 only
/// asks: its own ear is deaf to answers that are sent, rightly, from a link-local address.
fn solicit(address: Ipv6Addr) -> Result<String> {
    let mut tcpdump = command::in_namespace(CLIENT.namespace, "tcpdump");
    tcpdump.args(["-lneti", "eth0", "-Q", "in", "icmp6 and ip6[40] = 136"]);
    let mut tcpdump = tcpdump
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run tcpdump")?;
    let mut notices = BufReader::new(tcpdump.stderr.take().context("tcpdump has no standard error")?);
    let mut notice = String::new();
    while !notice.contains("listening on") && notices.read_line(&mut notice)? > 0 {}
    let mut ndisc6 = command::in_namespace(CLIENT.namespace, "ndisc6");
    let asked = answer(ndisc6.args(["-m", "-r", "2", "-w", "700", &address.to_string(), "eth0"]));
    // SIGTERM makes tcpdump print what it still holds.
    command::output(Command::new("kill").arg(tcpdump.id().to_string()))?;
    let heard = tcpdump.wait_with_output()?;
    asked?;
    let target = format!("tgt is {address},");
    let heard = String::from_utf8_lossy(&heard.stdout);
    // Each line begins with the sender's MAC address; the receiver's follows.
    let senders = heard
        .lines()
        .filter(|line| line.contains(&target))
        .filter_map(|line| line.split(' ').next());
    Ok(senders.collect::<Vec<_>>().join("\n"))
}

/// Output of a program for which "nobody answered" is an exit status and no failure.
fn answer(command: &mut Command) -> Result<String> {
    let result = command.output().context("cannot run the asking program")?;
    match result.status.code() {
        Some(0..=2) => Ok(String::from_utf8_lossy(&result.stdout).into_owned()),
        _ => bail!("{}", String::from_utf8_lossy(&result.stderr).trim()),
    }
}

fn is_mac(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
}

//! Layer 2 on real interfaces: veth pairs in a network namespace that lives as long as the test's thread. The end
//! called `nodeN` belongs to the speaker, `lanN` is where the neighbors are. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use metallb_domain::service::ServiceKey;
use metallb_speaker::layer2::{Announcer, Exclusions, Layer2, Layer2Metrics, Links};
use metallb_wire::arp::{ArpFrame, Operation};
use metallb_wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6};
use metallb_wire::ndp::{ALL_NODES, Advertisement, Solicitation};
use metallb_wire::{Interface, InterfaceEvents, Mac, PacketSocket, sys};
use nix::sched::{CloneFlags, unshare};
use prometheus::{Encoder, TextEncoder};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OWNED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
const OWNED6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11);

/// Runs a test in a network namespace of its own, which vanishes with the thread.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("making a network namespace needs root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let hung = runtime.block_on(async { tokio::time::timeout(DEADLINE, test()).await.is_err() });
        assert!(!hung, "what the test waits for never happened");
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Waits until interfaces can carry frames; what is sent before is dropped.
async fn running(names: &[&str]) {
    let events = InterfaceEvents::subscribe().unwrap();
    while !names.iter().all(|name| interface(name).running) {
        events.changed().await.unwrap();
    }
}

/// A network the node is attached to with interface `node{number}`.
async fn lan(number: u8) -> Lan {
    ip(&format!("link add node{number} type veth peer name lan{number}"));
    ip(&format!("link set node{number} up"));
    ip(&format!("link set lan{number} up"));
    running(&[&format!("node{number}"), &format!("lan{number}")]).await;
    Lan::of(number)
}

/// The far end of a link of the node.
struct Lan {
    node: Interface,
    me: Mac,
    arp: PacketSocket,
    ndp: PacketSocket,
}

impl Lan {
    fn of(number: u8) -> Self {
        let far = interface(&format!("lan{number}"));
        Self {
            node: interface(&format!("node{number}")),
            me: far.mac.unwrap(),
            arp: PacketSocket::capture(far.index, ETHERTYPE_ARP).unwrap(),
            ndp: PacketSocket::capture(far.index, ETHERTYPE_IPV6).unwrap(),
        }
    }

    async fn ask(&self, target: Ipv4Addr) {
        self.arp
            .send(&ArpFrame::request(self.me, ASKER, target).to_bytes())
            .await
            .unwrap();
    }

    /// The next ARP frame that is addressed to this end alone.
    async fn answer(&self) -> ArpFrame {
        loop {
            let frame = self.next_arp().await;
            if frame.destination == self.me {
                return frame;
            }
        }
    }

    async fn next_arp(&self) -> ArpFrame {
        ArpFrame::parse(&next(&self.arp).await).unwrap()
    }

    /// The next Neighbor Advertisement about an address that is not link-local.
    async fn next_advertisement(&self) -> Advertisement {
        loop {
            if let Ok(said) = Advertisement::parse(&next(&self.ndp).await)
                && !said.target.is_unicast_link_local()
            {
                return said;
            }
        }
    }

    /// The next Neighbor Advertisement that answers a question.
    async fn advertisement(&self) -> Advertisement {
        loop {
            let said = self.next_advertisement().await;
            if said.solicited {
                return said;
            }
        }
    }
}

async fn next(socket: &PacketSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.receive(&mut buffer).await.unwrap();
    buffer[..length].to_vec()
}

fn interface(name: &str) -> Interface {
    let all = sys::interfaces().unwrap();
    all.into_iter()
        .find(|interface| interface.name == name)
        .expect("the interface exists")
}

/// A running speaker's layer 2, which keeps off the neighbors' ends of the links.
struct Node {
    announcer: Announcer,
    names: tokio::sync::watch::Receiver<BTreeSet<String>>,
    registry: prometheus::Registry,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Node {
    fn start() -> Self {
        let registry = prometheus::Registry::new();
        let metrics = Layer2Metrics::new(&registry).unwrap();
        let layer2 = Layer2::start(Exclusions::new(&["^lan"]).unwrap(), metrics).unwrap();
        let (announcer, names) = (layer2.announcer(), layer2.names());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(layer2.run(shutdown.clone()));
        Self {
            announcer,
            names,
            registry,
            shutdown,
            task,
        }
    }

    fn announce(&self, service: &str, addresses: &[IpAddr], links: &Links) {
        let addresses = addresses.iter().map(|address| (*address, links.clone()));
        self.announcer.set(&key(service), addresses.collect());
    }

    fn withdraw(&self, service: &str) {
        self.announcer.set(&key(service), BTreeMap::new());
    }

    fn metrics(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .unwrap();
        String::from_utf8(text).unwrap()
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey {
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn only(name: &str) -> Links {
    Links::Named(BTreeSet::from([name.to_owned()]))
}

/// Waits until the link has a usable link-local address, without which there is no NDP.
async fn ndp_ready(lan: u8) -> Interface {
    loop {
        let found = interface(&format!("node{lan}"));
        if found.link_local.is_some() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn arp_is_answered_for_owned_addresses_only() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        lan.ask(FOREIGN).await;
        lan.ask(OWNED).await;
        let answer = lan.answer().await;
        assert_eq!(
            answer.sender_ip, OWNED,
            "the foreign address, asked for first, is not answered"
        );
        assert_eq!(
            (answer.operation, answer.sender_mac),
            (Operation::Reply, lan.node.mac.unwrap())
        );
        assert_eq!((answer.target_mac, answer.target_ip), (lan.me, ASKER));
        let metrics = node.metrics();
        assert!(
            metrics.contains("metallb_layer2_requests_received{ip=\"192.0.2.10\"} 1"),
            "{metrics}"
        );
        assert!(
            metrics.contains("metallb_layer2_responses_sent{ip=\"192.0.2.10\"} 1"),
            "{metrics}"
        );
        assert!(!metrics.contains("192.0.2.99"), "{metrics}");
    });
}

#[test]
fn a_request_to_another_station_is_not_answered() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into(), OTHER.into()], &Links::All);
        let to_another = ArpFrame {
            destination: Mac([2, 0, 0, 0, 0, 99]),
            ..ArpFrame::request(lan.me, ASKER, OWNED)
        };
        lan.arp.send(&to_another.to_bytes()).await.unwrap();
        let to_node = ArpFrame {
            destination: lan.node.mac.unwrap(),
            ..ArpFrame::request(lan.me, ASKER, OTHER)
        };
        lan.arp.send(&to_node.to_bytes()).await.unwrap();
        assert_eq!(lan.answer().await.sender_ip, OTHER);
    });
}

#[test]
fn answers_stay_on_the_interfaces_of_the_advertisement() {
    in_namespace(|| async {
        let (first, second) = (lan(0).await, lan(1).await);
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &only("node0"));
        node.announce("b", &[OTHER.into()], &Links::All);
        second.ask(OWNED).await;
        second.ask(OTHER).await;
        let answer = second.answer().await;
        assert_eq!(
            (answer.sender_ip, answer.sender_mac),
            (OTHER, second.node.mac.unwrap())
        );
        first.ask(OWNED).await;
        let answer = first.answer().await;
        assert_eq!(
            (answer.sender_ip, answer.sender_mac),
            (OWNED, first.node.mac.unwrap())
        );
    });
}

#[test]
fn a_withdrawn_address_falls_silent() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        node.announce("b", &[OTHER.into()], &Links::All);
        lan.ask(OWNED).await;
        assert_eq!(lan.answer().await.sender_ip, OWNED);
        node.withdraw("a");
        lan.ask(OWNED).await;
        lan.ask(OTHER).await;
        assert_eq!(lan.answer().await.sender_ip, OTHER);
        while node.metrics().contains("192.0.2.10") {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn taking_over_is_announced_and_repeated() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        for round in 0..5 {
            for operation in [Operation::Request, Operation::Reply] {
                let frame = lan.next_arp().await;
                let mac = lan.node.mac.unwrap();
                assert_eq!(frame.operation, operation, "round {round}");
                assert_eq!((frame.destination, frame.source), (Mac::BROADCAST, mac));
                assert_eq!(
                    (frame.sender_mac, frame.sender_ip, frame.target_ip),
                    (mac, OWNED, OWNED)
                );
            }
        }
        // Saying the same again is no news: the next frames are about another address.
        node.announce("a", &[OWNED.into()], &Links::All);
        node.announce("b", &[OTHER.into()], &Links::All);
        assert_eq!(lan.next_arp().await.sender_ip, OTHER);
    });
}

#[test]
fn a_burst_ends_when_the_address_is_withdrawn() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        lan.next_arp().await;
        lan.next_arp().await;
        node.withdraw("a");
        node.announce("b", &[OTHER.into()], &Links::All);
        // Two rounds of the other address cover the time in which the next round of the first would have come.
        for _ in 0..4 {
            assert_eq!(lan.next_arp().await.sender_ip, OTHER);
        }
    });
}

#[test]
fn bursts_go_only_to_the_interfaces_of_the_advertisement() {
    in_namespace(|| async {
        let (first, second) = (lan(0).await, lan(1).await);
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &only("node0"));
        assert_eq!(first.next_arp().await.sender_ip, OWNED);
        node.announce("b", &[OTHER.into()], &only("node1"));
        assert_eq!(second.next_arp().await.sender_ip, OTHER);
    });
}

#[test]
fn neighbor_solicitations_are_answered() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED6.into()], &Links::All);
        // The interface gets its link-local address only now, after the address was registered.
        let usable = ndp_ready(0).await;
        let said = lan.next_advertisement().await;
        assert_eq!((said.target, said.destination), (OWNED6, ALL_NODES));
        assert_eq!(
            (said.solicited, said.override_known, said.router),
            (false, true, false)
        );
        assert_eq!(said.target_link_layer, lan.node.mac);

        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let question = |target| Solicitation::multicast(lan.me, source, target);
        let detection = Solicitation {
            source: Ipv6Addr::UNSPECIFIED,
            source_link_layer: None,
            ..question(OWNED6)
        };
        lan.ndp.send(&detection.to_bytes()).await.unwrap();
        lan.ndp.send(&question(OTHER6).to_bytes()).await.unwrap();
        lan.ndp.send(&question(OWNED6).to_bytes()).await.unwrap();
        let answer = lan.advertisement().await;
        assert_eq!((answer.target, answer.destination), (OWNED6, source));
        assert_eq!(
            (answer.source, answer.target_link_layer),
            (usable.link_local.unwrap(), lan.node.mac)
        );
        assert_eq!((answer.solicited, answer.override_known), (true, false));

        // A neighbor that knows the address asks it directly whether it is still there.
        let probe = Solicitation {
            ethernet_destination: lan.node.mac.unwrap(),
            destination: OWNED6,
            source_link_layer: None,
            ..question(OWNED6)
        };
        lan.ndp.send(&probe.to_bytes()).await.unwrap();
        let answer = lan.advertisement().await;
        assert_eq!((answer.target, answer.ethernet_destination), (OWNED6, lan.me));
        drop(node);
    });
}

#[test]
fn solicited_node_groups_follow_the_addresses() {
    in_namespace(|| async {
        lan(0).await;
        ndp_ready(0).await;
        let joined = || {
            let output = Command::new("ip")
                .args(["-6", "maddress", "show", "dev", "node0"])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.split_whitespace().any(|word| word == "ff02::1:ff00:10")
        };
        let until = async |wanted| {
            while joined() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let same_group: Ipv6Addr = "2001:db8:1::10".parse().unwrap();
        let node = Node::start();
        assert!(!joined());
        node.announce("a", &[OWNED6.into()], &Links::All);
        until(true).await;
        node.announce("b", &[same_group.into()], &Links::All);
        node.withdraw("a");
        // When the loop has seen this third address, it has seen the withdrawal too.
        node.announce("c", &["2001:db8::ff".parse().unwrap()], &Links::All);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(joined(), "another address still needs the group");
        node.withdraw("b");
        until(false).await;
    });
}

#[test]
fn the_kernel_of_a_neighbor_learns_the_addresses() {
    in_namespace(|| async {
        let lan = lan(0).await;
        ndp_ready(0).await;
        ip("addr add 192.0.2.1/24 dev lan0");
        ip("addr add 2001:db8::1/64 dev lan0 nodad");
        let node = Node::start();
        node.announce("a", &[OWNED.into(), OWNED6.into()], &Links::All);
        for (local, target) in [("192.0.2.1", IpAddr::from(OWNED)), ("2001:db8::1", OWNED6.into())] {
            let expected = lan.node.mac.unwrap().to_string();
            loop {
                let socket = std::net::UdpSocket::bind((local, 0)).unwrap();
                let _ = socket.send_to(b"anybody?", (target, 9));
                let output = Command::new("ip")
                    .args(["neigh", "show", &target.to_string()])
                    .output()
                    .unwrap();
                if String::from_utf8(output.stdout).unwrap().contains(&expected) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        drop(node);
    });
}

#[test]
fn an_interface_that_comes_back_is_answered_with_its_new_address() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let mut node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        assert_eq!(lan.next_arp().await.source, lan.node.mac.unwrap());
        ip("link del node0");
        node.names
            .wait_for(|names| !names.contains("node0"))
            .await
            .unwrap();

        ip("link add node0 address 02:00:00:00:00:77 type veth peer name lan0");
        ip("link set lan0 up");
        let lan = Lan::of(0);
        ip("link set node0 up");
        let frame = lan.next_arp().await;
        assert_eq!(
            (frame.sender_ip, frame.sender_mac),
            (OWNED, Mac([2, 0, 0, 0, 0, 0x77])),
            "told unasked"
        );
        lan.ask(OWNED).await;
        assert_eq!(lan.answer().await.sender_mac, Mac([2, 0, 0, 0, 0, 0x77]));

        ip("link set node0 address 02:00:00:00:00:78");
        while lan.next_arp().await.sender_mac != Mac([2, 0, 0, 0, 0, 0x78]) {}
        lan.ask(OWNED).await;
        assert_eq!(lan.answer().await.sender_mac, Mac([2, 0, 0, 0, 0, 0x78]));
    });
}

#[test]
fn a_bridge_port_is_left_to_the_bridge() {
    in_namespace(|| async {
        let lan = lan(0).await;
        ip("link add bridge type bridge");
        ip("link set bridge address 02:00:00:00:00:88 up");
        ip("link set node0 master bridge");
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        lan.ask(OWNED).await;
        assert_eq!(lan.answer().await.sender_mac, Mac([2, 0, 0, 0, 0, 0x88]));
        lan.ask(OWNED).await;
        assert_eq!(lan.answer().await.sender_mac, Mac([2, 0, 0, 0, 0, 0x88]));
    });
}

#[test]
fn shutdown_ends_all_answers() {
    in_namespace(|| async {
        let lan = lan(0).await;
        let node = Node::start();
        node.announce("a", &[OWNED.into()], &Links::All);
        lan.ask(OWNED).await;
        lan.answer().await;
        node.shutdown.cancel();
        node.task.await.unwrap().unwrap();
        // A second speaker shows that the request arrived and the first one kept silent.
        let heir = Node::start();
        heir.announce("b", &[OTHER.into()], &Links::All);
        lan.ask(OWNED).await;
        lan.ask(OTHER).await;
        assert_eq!(lan.answer().await.sender_ip, OTHER);
    });
}

//! Real sockets on a veth pair, in a network namespace that lives as long as the test's thread. Needs root.

use std::future::Future;
use std::net::Ipv6Addr;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::{InterfaceEvents, MulticastGroups, PacketSocket, interfaces};
use crate::arp::ArpFrame;
use crate::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6};
use crate::ndp::{Advertisement, Solicitation, solicited_node};
use crate::{Interface, Mac};

const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test in a network namespace of its own, which vanishes with the thread.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("making a network namespace needs root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(DEADLINE, test())
                .await
                .expect("the test hangs");
        });
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
    while !names.iter().all(|name| named(name).running) {
        events.changed().await.unwrap();
    }
}

/// A veth pair, both ends up.
async fn veth() -> (Interface, Interface) {
    ip("link add left type veth peer name right");
    ip("link set left up");
    ip("link set right up");
    running(&["left", "right"]).await;
    (named("left"), named("right"))
}

fn named(name: &str) -> Interface {
    let all = interfaces().unwrap();
    all.into_iter()
        .find(|interface| interface.name == name)
        .expect("the interface exists")
}

async fn next(socket: &PacketSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.receive(&mut buffer).await.unwrap();
    buffer[..length].to_vec()
}

#[test]
fn arp_requests_arrive_and_answers_leave() {
    in_namespace(|| async {
        let (left, right) = veth().await;
        let me = left.mac.unwrap();
        let responder = PacketSocket::arp(left.index).unwrap();
        let client = PacketSocket::capture(right.index, ETHERTYPE_ARP).unwrap();

        let request = ArpFrame::request(right.mac.unwrap(), [192, 0, 2, 1].into(), [192, 0, 2, 10].into());
        client
            .send(&request.reply(right.mac.unwrap()).to_bytes())
            .await
            .unwrap();
        client.send(&request.to_bytes()).await.unwrap();
        let received = ArpFrame::parse(&next(&responder).await).unwrap();
        assert_eq!(
            received, request,
            "the filter lets requests through and drops replies"
        );

        responder.send(&received.reply(me).to_bytes()).await.unwrap();
        let answer = ArpFrame::parse(&next(&client).await).unwrap();
        assert_eq!(
            (answer.sender_mac, answer.sender_ip),
            (me, [192, 0, 2, 10].into())
        );
    });
}

#[test]
fn arp_on_another_interface_is_not_seen() {
    in_namespace(|| async {
        let (left, right) = veth().await;
        ip("link add other type veth peer name far");
        ip("link set other up");
        ip("link set far up");
        running(&["other", "far"]).await;
        let responder = PacketSocket::arp(left.index).unwrap();
        let request =
            |last| ArpFrame::request(Mac([2, 0, 0, 0, 0, 1]), [0; 4].into(), [192, 0, 2, last].into());
        let far = PacketSocket::capture(named("far").index, ETHERTYPE_ARP).unwrap();
        far.send(&request(1).to_bytes()).await.unwrap();
        let client = PacketSocket::capture(right.index, ETHERTYPE_ARP).unwrap();
        client.send(&request(2).to_bytes()).await.unwrap();
        assert_eq!(ArpFrame::parse(&next(&responder).await).unwrap(), request(2));
    });
}

#[test]
fn only_solicitations_reach_an_ndp_socket() {
    in_namespace(|| async {
        let (left, right) = veth().await;
        let responder = PacketSocket::ndp(left.index).unwrap();
        let client = PacketSocket::capture(right.index, ETHERTYPE_IPV6).unwrap();
        let (source, target): (Ipv6Addr, Ipv6Addr) =
            ("fe80::1".parse().unwrap(), "2001:db8::10".parse().unwrap());
        let mac = right.mac.unwrap();
        let question = Solicitation::multicast(mac, source, target);
        let mut forwarded = question.to_bytes();
        forwarded[21] = 64;
        client.send(&forwarded).await.unwrap();
        client
            .send(&Advertisement::unsolicited(mac, source, target).to_bytes())
            .await
            .unwrap();
        client.send(&question.to_bytes()).await.unwrap();
        loop {
            // The kernel's own duplicate address detection asks too; those questions are about fe80 addresses.
            let received = Solicitation::parse(&next(&responder).await).unwrap();
            if !received.target.is_unicast_link_local() {
                assert_eq!(received, question);
                break;
            }
        }
    });
}

#[test]
fn groups_are_joined_and_left() {
    in_namespace(|| async {
        let (left, _) = veth().await;
        let joined = |group: Ipv6Addr| {
            let output = Command::new("ip")
                .args(["-6", "maddress", "show", "dev", "left"])
                .output()
                .unwrap();
            String::from_utf8(output.stdout)
                .unwrap()
                .split_whitespace()
                .any(|word| word == group.to_string())
        };
        let mut groups = MulticastGroups::new(left.index);
        let many: Vec<_> = (1..=300u16)
            .map(|last| solicited_node(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 7, last)))
            .collect();
        for group in &many {
            groups.join(*group).unwrap();
            groups.join(*group).unwrap();
        }
        assert_eq!(groups.joined().count(), 300);
        assert!(many.iter().all(|group| joined(*group)));
        groups.leave(many[0]).unwrap();
        assert!(!joined(many[0]), "{} left", many[0]);
        assert!(joined(many[1]), "{} joined", many[1]);
        groups.leave(many[0]).unwrap();
        drop(groups);
        assert!(!joined(many[1]));
    });
}

#[test]
fn the_listing_agrees_with_the_c_library() {
    in_namespace(|| async {
        let (left, _) = veth().await;
        assert!(left.up && left.broadcast && left.master.is_none() && !left.no_arp);
        ip("link add bridge type bridge");
        ip("link set left master bridge");
        ip("link set right arp off");
        assert_eq!(named("left").master, Some(named("bridge").index));
        assert!(named("right").no_arp);

        for interface in interfaces().unwrap() {
            let mac = nix::ifaddrs::getifaddrs()
                .unwrap()
                .filter(|entry| entry.interface_name == interface.name)
                .find_map(|entry| entry.address?.as_link_addr()?.addr());
            assert_eq!(interface.mac, mac.map(Mac), "{}", interface.name);
        }
    });
}

#[test]
fn changes_wake_the_listener() {
    in_namespace(|| async {
        let events = InterfaceEvents::subscribe().unwrap();
        ip("link add left type veth peer name right");
        events.changed().await.unwrap();
        assert!(!named("left").up);
        ip("link set left up");
        ip("link set right up");
        // The link-local address is usable once duplicate address detection is over.
        while named("left").link_local.is_none() {
            events.changed().await.unwrap();
        }
        ip("link del left");
        events.changed().await.unwrap();
        assert!(
            interfaces()
                .unwrap()
                .iter()
                .all(|interface| interface.name != "left")
        );
    });
}

#[test]
fn a_missing_interface_is_an_error() {
    in_namespace(|| async {
        assert!(PacketSocket::arp(4242).is_err());
        assert!(PacketSocket::arp(u32::MAX).is_err());
        assert!(
            MulticastGroups::new(4242)
                .join("ff02::1:ff00:1".parse().unwrap())
                .is_err()
        );
    });
}

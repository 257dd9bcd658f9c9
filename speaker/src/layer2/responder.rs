//! Answers requests that arrive on one interface.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use metallb_wire::arp::{ArpFrame, Operation};
use metallb_wire::ndp::{Advertisement, Solicitation};
use metallb_wire::{Mac, PacketSocket};

use super::Shared;

/// Room for a request: ARP is 42 bytes, a solicitation with options seldom more than 100.
const BUFFER: usize = 512;
/// Pause after a socket error. The interface is probably going down, and the scan that news of it triggers ends this
/// task; until then a lasting error must not keep a core busy.
const PAUSE: Duration = Duration::from_millis(250);

/// Answers ARP requests for ever.
pub(super) async fn answer_arp(socket: Arc<PacketSocket>, interface: String, mac: Mac, shared: Arc<Shared>) {
    let mut buffer = [0; BUFFER];
    loop {
        let Some(frame) = receive(&socket, &mut buffer, &interface).await else {
            continue;
        };
        let Ok(request) = ArpFrame::parse(frame) else {
            continue;
        };
        let for_us = request.destination == Mac::BROADCAST || request.destination == mac;
        let target = IpAddr::V4(request.target_ip);
        if request.operation == Operation::Request && for_us && shared.answers(target, &interface) {
            shared.metrics.request(target);
            let sent = socket.send(&request.reply(mac).to_bytes()).await;
            report(sent, target, &interface, &shared);
        }
    }
}

/// Answers Neighbor Solicitations for ever, speaking from the link-local address `source`.
pub(super) async fn answer_ndp(
    socket: Arc<PacketSocket>,
    interface: String,
    mac: Mac,
    source: Ipv6Addr,
    shared: Arc<Shared>,
) {
    let mut buffer = [0; BUFFER];
    loop {
        let Some(frame) = receive(&socket, &mut buffer, &interface).await else {
            continue;
        };
        let Ok(question) = Solicitation::parse(frame) else {
            continue;
        };
        let for_us = question.ethernet_destination.is_group() || question.ethernet_destination == mac;
        let target = IpAddr::V6(question.target);
        if !for_us || question.source == source || !shared.answers(target, &interface) {
            continue;
        }
        if let Some(answer) = Advertisement::reply(&question, mac, source) {
            shared.metrics.request(target);
            let sent = socket.send(&answer.to_bytes()).await;
            report(sent, target, &interface, &shared);
        }
    }
}

async fn receive<'a>(socket: &PacketSocket, buffer: &'a mut [u8], interface: &str) -> Option<&'a [u8]> {
    match socket.receive(buffer).await {
        Ok(length) => buffer.get(..length),
        Err(error) => {
            tracing::debug!(interface, error = %error, "receiving failed");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

fn report(sent: io::Result<()>, target: IpAddr, interface: &str, shared: &Shared) {
    match sent {
        Ok(()) => {
            tracing::trace!(ip = %target, interface, "answered");
            shared.metrics.response(target);
        }
        Err(error) => tracing::debug!(ip = %target, interface, error = %error, "answer not sent"),
    }
}

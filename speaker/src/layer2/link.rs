//! One interface in use: its sockets, its multicast groups and the tasks that answer on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use metallb_wire::arp::ArpFrame;
use metallb_wire::ndp::Advertisement;
use metallb_wire::{MulticastGroups, PacketSocket};
use tokio::task::{AbortHandle, JoinSet};

use super::Shared;
use super::responder::{answer_arp, answer_ndp};
use super::selection::Use;

/// How long to wait for room for a frame in the queue of an interface.
const SEND_LIMIT: Duration = Duration::from_millis(100);

/// An interface in use. Dropping it closes the sockets and ends the tasks.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) usage: Use,
    /// Whether it could carry frames at the last look.
    pub(super) running: bool,
    arp: Option<Arc<PacketSocket>>,
    ndp: Option<Ndp>,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
struct Ndp {
    socket: Arc<PacketSocket>,
    source: Ipv6Addr,
    groups: MulticastGroups,
}

impl Link {
    /// Opens what the interface is used for and starts to answer on it.
    pub(super) fn open(
        index: u32,
        usage: Use,
        running: bool,
        shared: &Arc<Shared>,
        responders: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        let mut link = Self {
            usage,
            running,
            arp: None,
            ndp: None,
            tasks: Vec::new(),
        };
        let (name, mac) = (link.usage.name.clone(), link.usage.mac);
        if link.usage.arp {
            let socket = Arc::new(PacketSocket::arp(index)?);
            link.arp = Some(Arc::clone(&socket));
            link.tasks
                .push(responders.spawn(answer_arp(socket, name.clone(), mac, Arc::clone(shared))));
        }
        if let Some(source) = link.usage.ndp {
            let socket = Arc::new(PacketSocket::ndp(index)?);
            link.ndp = Some(Ndp {
                socket: Arc::clone(&socket),
                source,
                groups: MulticastGroups::new(index),
            });
            link.tasks
                .push(responders.spawn(answer_ndp(socket, name, mac, source, Arc::clone(shared))));
        }
        Ok(link)
    }

    /// Joins a multicast group so that solicitations to it arrive.
    pub(super) fn join(&mut self, group: Ipv6Addr) {
        if let Some(ndp) = &mut self.ndp
            && let Err(error) = ndp.groups.join(group)
        {
            tracing::warn!(interface = self.usage.name, %group, error = %error, "multicast group not joined");
        }
    }

    /// Leaves a multicast group.
    pub(super) fn leave(&mut self, group: Ipv6Addr) {
        if let Some(ndp) = &mut self.ndp
            && let Err(error) = ndp.groups.leave(group)
        {
            tracing::debug!(interface = self.usage.name, %group, error = %error, "multicast group not left");
        }
    }

    /// Tells the neighbors, unasked, that an address is here. Returns whether the interface takes frames.
    pub(super) async fn announce(&self, address: IpAddr, shared: &Shared) -> bool {
        let sending = async {
            match address {
                IpAddr::V4(address) => self.announce_arp(address, shared).await,
                IpAddr::V6(address) => self.announce_ndp(address, shared).await,
            }
        };
        let sent = in_time(sending).await;
        if let Err(error) = &sent {
            tracing::debug!(ip = %address, interface = self.usage.name, error = %error, "announcement not sent");
        }
        !sent.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    async fn announce_arp(&self, address: Ipv4Addr, shared: &Shared) -> io::Result<()> {
        let Some(socket) = &self.arp else { return Ok(()) };
        for frame in ArpFrame::gratuitous(self.usage.mac, address) {
            socket.send(&frame.to_bytes()).await?;
            shared.metrics.gratuitous(address.into());
        }
        Ok(())
    }

    async fn announce_ndp(&self, address: Ipv6Addr, shared: &Shared) -> io::Result<()> {
        let Some(ndp) = &self.ndp else { return Ok(()) };
        let frame = Advertisement::unsolicited(self.usage.mac, ndp.source, address);
        ndp.socket.send(&frame.to_bytes()).await?;
        shared.metrics.gratuitous(address.into());
        Ok(())
    }
}

/// An interface whose queue does not drain, because the switch stopped it, must not keep the others from being served.
async fn in_time(sending: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    match tokio::time::timeout(SEND_LIMIT, sending).await {
        Ok(sent) => sent,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interface_that_takes_nothing_is_not_waited_for() {
        let error = in_time(std::future::pending()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(in_time(async { Ok(()) }).await.is_ok());
    }
}

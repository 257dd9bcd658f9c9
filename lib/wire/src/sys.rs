//! The sockets. This is the only file of the workspace with `unsafe` code: building socket addresses the
//! standard library does not know, and handing descriptors to tokio.

#![allow(
    unsafe_code,
    reason = "socket addresses of AF_PACKET and AF_NETLINK, AsyncFd::register"
)]

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::Ipv6Addr;

use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6};
use crate::filter;
use crate::interface::Interface;
use crate::netlink::{CHANGE_GROUPS, Dump, Listing, Progress};

/// Sends and receives whole Ethernet frames of one protocol on one interface. Needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct PacketSocket(AsyncFd<Socket>);

impl PacketSocket {
    /// For ARP: receives the requests that arrive on this interface.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2): not privileged, or no such interface.
    ///
    /// # Panics
    /// Outside a tokio runtime, as do the other constructors.
    pub fn arp(interface: u32) -> io::Result<Self> {
        Self::open(interface, ETHERTYPE_ARP, Some(filter::arp_requests()))
    }

    /// For NDP: receives the Neighbor Solicitations that arrive on this interface, whatever address they are
    /// sent to. An ICMPv6 socket would miss the unicast ones, because their destination is not local.
    ///
    /// # Errors
    /// As for [`PacketSocket::arp`].
    pub fn ndp(interface: u32) -> io::Result<Self> {
        Self::open(interface, ETHERTYPE_IPV6, Some(filter::neighbor_solicitations()))
    }

    /// Receives every frame of this EtherType that arrives on this interface: for watching, as tests do.
    ///
    /// # Errors
    /// As for [`PacketSocket::arp`].
    pub fn capture(interface: u32, ethertype: u16) -> io::Result<Self> {
        Self::open(interface, ethertype, None)
    }

    fn open(interface: u32, ethertype: u16, program: Option<Vec<SockFilter>>) -> io::Result<Self> {
        // Protocol 0 receives nothing: until the filter is in place and the interface chosen, no frame may
        // get into the queue.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        if let Some(program) = program {
            socket.attach_filter(&program)?;
        }
        socket.bind(&link_layer_address(interface, ethertype)?)?;
        register(socket).map(Self)
    }

    /// Waits for the next frame and returns how many of its bytes are in `buffer`; the rest is lost.
    ///
    /// # Errors
    /// Those of recv(2), notably `ENETDOWN` once when the interface goes down; receiving may go on after it.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .async_io(Interest::READABLE, |mut socket| socket.read(buffer))
            .await
    }

    /// Sends a frame that starts with its Ethernet header.
    ///
    /// # Errors
    /// Those of send(2), notably `ENETDOWN` and `ENXIO` when the interface is down or gone.
    pub async fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0
            .async_io(Interest::WRITABLE, |socket| socket.send(frame))
            .await
            .map(|_| ())
    }
}

/// How many groups one socket joins. The kernel counts memberships against a socket's ancillary memory
/// (`net.core.optmem_max`, 20 kB on older kernels), so many groups need several sockets.
const GROUPS_PER_SOCKET: usize = 128;

/// Membership of one interface in IPv6 multicast groups, which makes the hardware and snooping switches let
/// their frames through. Memberships end when this is dropped. Needs no privilege.
#[derive(Debug)]
pub struct MulticastGroups {
    interface: u32,
    sockets: Vec<(Socket, usize)>,
    joined: HashMap<Ipv6Addr, usize>,
}

impl MulticastGroups {
    /// Joins nothing yet.
    pub fn new(interface: u32) -> Self {
        Self {
            interface,
            sockets: Vec::new(),
            joined: HashMap::new(),
        }
    }

    /// Joins a group; joining twice is joining once.
    ///
    /// # Errors
    /// Those of `IPV6_JOIN_GROUP`, notably `ENODEV` when the interface is gone.
    pub fn join(&mut self, group: Ipv6Addr) -> io::Result<()> {
        if self.joined.contains_key(&group) {
            return Ok(());
        }
        let slot = self.free_socket()?;
        let (socket, count) = self
            .sockets
            .get_mut(slot)
            .expect("free_socket returns an index in range");
        socket.join_multicast_v6(&group, self.interface)?;
        *count += 1;
        self.joined.insert(group, slot);
        Ok(())
    }

    /// Leaves a group; leaving one that was never joined does nothing.
    ///
    /// # Errors
    /// Those of `IPV6_LEAVE_GROUP`.
    pub fn leave(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let Some(slot) = self.joined.remove(&group) else {
            return Ok(());
        };
        let Some((socket, count)) = self.sockets.get_mut(slot) else {
            return Ok(());
        };
        *count -= 1;
        socket.leave_multicast_v6(&group, self.interface)
    }

    /// The groups joined now.
    pub fn joined(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.joined.keys().copied()
    }

    fn free_socket(&mut self) -> io::Result<usize> {
        if let Some(slot) = self
            .sockets
            .iter()
            .position(|(_, count)| *count < GROUPS_PER_SOCKET)
        {
            return Ok(slot);
        }
        // Not bound, so it receives nothing itself.
        self.sockets
            .push((Socket::new(Domain::IPV6, Type::DGRAM, None)?, 0));
        Ok(self.sockets.len() - 1)
    }
}

/// Tells when an interface or one of its IPv6 addresses appears, changes or goes.
#[derive(Debug)]
pub struct InterfaceEvents(AsyncFd<Socket>);

impl InterfaceEvents {
    /// Subscribes to the kernel's announcements, from now on.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn subscribe() -> io::Result<Self> {
        let socket = route_socket()?;
        socket.set_nonblocking(true)?;
        socket.bind(&netlink_address(CHANGE_GROUPS)?)?;
        register(socket).map(Self)
    }

    /// Waits until something changed since the last call; any number of changes count as one. What changed is
    /// found by [`interfaces`].
    ///
    /// # Errors
    /// Those of recv(2). A queue that overflowed is a change, not an error.
    pub async fn changed(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let overflowed = |error: &io::Error| error.raw_os_error() == Some(libc::ENOBUFS);
        match self
            .0
            .async_io(Interest::READABLE, |mut socket| socket.read(&mut buffer))
            .await
        {
            Err(error) if !overflowed(&error) => return Err(error),
            _ => {}
        }
        loop {
            let mut socket = self.0.get_ref();
            match socket.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if !overflowed(&error) => return Err(error),
                _ => {}
            }
        }
    }
}

/// Lists the interfaces of this network namespace, ordered by index. Cost is one pass over all interfaces and
/// IPv6 addresses of the host.
///
/// # Errors
/// Those of the netlink socket.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    // The kernel marks a dump as interrupted when something changed meanwhile. On a host that changes without
    // pause a last answer is still better than none: the next event brings the next listing.
    const ATTEMPTS: usize = 5;
    let mut last = Listing::default();
    for _ in 0..ATTEMPTS {
        let socket = route_socket()?;
        last = Listing::default();
        let links = dump(&socket, Dump::Links, &mut last)?;
        let addresses = dump(&socket, Dump::Ipv6Addresses, &mut last)?;
        if links == Progress::Complete && addresses == Progress::Complete {
            break;
        }
    }
    Ok(last.into_interfaces())
}

fn dump(socket: &Socket, what: Dump, listing: &mut Listing) -> io::Result<Progress> {
    // The kernel fills buffers of up to 32 KiB when it dumps.
    let mut buffer = vec![0; 64 * 1024];
    socket.send(&what.request())?;
    loop {
        let mut reader = socket;
        let length = reader.read(&mut buffer)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        match listing
            .take(datagram)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        {
            Progress::More => {}
            Progress::Refused(code) => return Err(io::Error::from_raw_os_error(code)),
            ended => return Ok(ended),
        }
    }
}

fn route_socket() -> io::Result<Socket> {
    Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_ROUTE)),
    )
}

fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: the socket owns an open descriptor, always returns the same one, and closes it only when it is
    // dropped, which the AsyncFd does as its last act; nothing here takes the socket out or replaces it.
    let registered = unsafe { AsyncFd::register(socket) };
    registered.map_err(io::Error::from)
}

// The C library has these as `int`, the address structures as shorter types.
#[expect(
    clippy::cast_possible_truncation,
    reason = "address families are small numbers"
)]
const PACKET_FAMILY: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[expect(
    clippy::cast_possible_truncation,
    reason = "address families are small numbers"
)]
const NETLINK_FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "20 bytes")]
const LINK_LAYER_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
#[expect(clippy::cast_possible_truncation, reason = "12 bytes")]
const NETLINK_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_nl>() as libc::socklen_t;

/// The address that binds a packet socket to an interface and an EtherType (packet(7)).
fn link_layer_address(interface: u32, ethertype: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(interface)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "interface index out of range"))?;
    // SAFETY: the closure writes a complete sockaddr_ll into storage that is large and aligned enough for
    // every socket address, and sets the length of that type.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = PACKET_FAMILY;
            (*address).sll_protocol = ethertype.to_be();
            (*address).sll_ifindex = index;
            *length = LINK_LAYER_LENGTH;
            Ok(())
        })
    }?;
    Ok(address)
}

/// The address that subscribes a netlink socket to multicast groups (netlink(7)).
fn netlink_address(groups: u32) -> io::Result<SockAddr> {
    // SAFETY: as above, for sockaddr_nl. The storage is zeroed, so the port stays 0: the kernel picks one.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_nl>();
            (*address).nl_family = NETLINK_FAMILY;
            (*address).nl_groups = groups;
            *length = NETLINK_LENGTH;
            Ok(())
        })
    }?;
    Ok(address)
}

#[cfg(test)]
mod tests;

//! The web server behind the Services of demo and tests: answers every request with who it is and who asked.
//!
//! ```text
//! pod=web-abc node=node1 client=172.30.2.2
//! ```

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(8080);
    // The unspecified IPv6 address takes IPv4 connections too.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            // A client that goes away in the middle concerns nobody else.
            let _ = answer(&stream);
        });
    }
    Ok(())
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let client = match stream.peer_addr()?.ip() {
        IpAddr::V6(address) => address.to_canonical(),
        address => address,
    };
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "-".to_owned());
    let body = format!(
        "pod={} node={} client={client}\n",
        variable("POD_NAME"),
        variable("NODE_NAME")
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

//! Flags that every program takes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::logging::LogLevel;

/// Logging and the observability endpoint; flatten it into the flags of a program.
#[derive(Clone, Debug, clap::Args)]
pub struct Observability {
    /// Which log lines are written.
    #[arg(long, value_enum, default_value_t)]
    pub log_level: LogLevel,
    /// Address on which metrics and health are served.
    #[arg(long, env = "METALLB_HOST", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port on which `/metrics`, `/healthz` and `/readyz` are served; each program has its own default.
    #[arg(long, visible_alias = "metrics-port")]
    pub port: Option<u16>,
}

impl Observability {
    /// Where to serve; `default_port` is the program's own.
    pub fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.host, self.port.unwrap_or(default_port))
    }
}

//! The BGP and BFD sessions of this node: what FRRouting says about them, and the BGPSessionStates that show it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metallb_kit::dirty::Dirty;
use tokio_util::sync::CancellationToken;

use crate::metrics::Shared;
use crate::vty::{Connection, Error};

pub mod publish;
mod read;

/// How long a daemon may take to list its sessions.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// For how many looks in a row bgpd may be away, because it restarts, before its sessions count as gone.
const PATIENCE: u32 = 5;

/// All sessions of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    pub bgp: Vec<BgpSession>,
    pub bfd: Vec<BfdSession>,
}

/// A BGP session. The counters start at 0 when bgpd does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpSession {
    /// Address or interface.
    pub peer: String,
    /// As FRRouting calls it: `default` for the default one.
    pub vrf: String,
    /// In FRRouting's words, for example `Established`.
    pub state: String,
    /// State of the BFD session of this peer, for example `Up`; empty without BFD.
    pub bfd_state: String,
    /// Sum over all families.
    pub prefixes_sent: u64,
    pub prefixes_accepted: u64,
    pub opens_sent: u64,
    pub opens_received: u64,
    pub notifications_sent: u64,
    pub updates_sent: u64,
    pub updates_received: u64,
    pub keepalives_sent: u64,
    pub keepalives_received: u64,
    pub route_refreshes_sent: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
}

impl BgpSession {
    /// Whether routes can be exchanged.
    pub fn is_established(&self) -> bool {
        self.state == "Established"
    }
}

/// A BFD session. The counters start at 0 when bfdd does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BfdSession {
    pub peer: String,
    pub vrf: String,
    /// In FRRouting's words, for example `up`.
    pub status: String,
    pub control_in: u64,
    pub control_out: u64,
    pub echo_in: u64,
    pub echo_out: u64,
    pub up_events: u64,
    pub down_events: u64,
    pub zebra_notifications: u64,
}

impl BfdSession {
    /// Whether the peer is alive.
    pub fn is_up(&self) -> bool {
        self.status == "up"
    }
}

/// Looks at the sessions of FRRouting over connections of its own, so that it need not wait for configuration.
#[derive(Debug)]
pub struct Poller {
    sockets: PathBuf,
    bgpd: Option<Connection>,
    bfdd: Option<Connection>,
    interval: Duration,
    sessions: Shared,
    changed: Dirty<()>,
}

impl Poller {
    /// Looks every `interval` and puts what it sees into `sessions`; marks `changed` when BGPSessionStates may differ.
    pub fn new(sockets: &Path, interval: Duration, sessions: Shared, changed: Dirty<()>) -> Self {
        Self {
            sockets: sockets.to_owned(),
            bgpd: None,
            bfdd: None,
            interval,
            sessions,
            changed,
        }
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            match self.look().await {
                Ok(sessions) => {
                    failures = 0;
                    self.show(sessions);
                }
                Err(error) => {
                    failures += 1;
                    if failures == PATIENCE {
                        tracing::warn!(error = %format!("{error:#}"), "sessions cannot be seen");
                        self.show(Sessions::default());
                    }
                }
            }
        }
    }

    fn show(&self, sessions: Sessions) {
        let before = self.sessions.get();
        let states = |sessions: &Sessions| {
            let states = sessions.bgp.iter().map(|s| {
                (
                    s.vrf.clone(),
                    s.peer.clone(),
                    s.state.clone(),
                    s.bfd_state.clone(),
                )
            });
            states.collect::<Vec<_>>()
        };
        let differs = states(&before) != states(&sessions);
        self.sessions.set(Arc::new(sessions));
        if differs {
            self.changed.mark(());
        }
    }

    /// Cost: one command to bgpd and two to bfdd.
    async fn look(&mut self) -> anyhow::Result<Sessions> {
        let bgpd = self.sockets.join("bgpd.vty");
        let bgp = read::bgp(&ask(&mut self.bgpd, &bgpd, "show bgp vrf all neighbors json").await?)?;
        // BGP runs without BFD, too.
        let bfd = self.look_at_bfd().await.unwrap_or_else(|error| {
            tracing::debug!(error = %format!("{error:#}"), "BFD sessions cannot be seen");
            Vec::new()
        });
        Ok(Sessions { bgp, bfd })
    }

    async fn look_at_bfd(&mut self) -> anyhow::Result<Vec<BfdSession>> {
        let bfdd = self.sockets.join("bfdd.vty");
        let peers = ask(&mut self.bfdd, &bfdd, "show bfd peers json").await?;
        let counters = ask(&mut self.bfdd, &bfdd, "show bfd peers counters json").await?;
        read::bfd(&peers, &counters)
    }
}

/// Asks a daemon, connecting first if need be; a connection that failed is given up.
async fn ask(connection: &mut Option<Connection>, socket: &Path, command: &str) -> Result<String, Error> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(socket, ANSWER_LIMIT).await?,
    };
    let reply = open.run(command).await?;
    *connection = Some(open);
    Ok(reply.text)
}

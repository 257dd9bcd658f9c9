//! The BGP and BFD sessions of this node: what FRRouting says about them, and the BGPSessionStates that show it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metallb_frr::daemon::Daemon;
use metallb_frr::json::{self, BfdCounters, BfdPeer, Neighbor};
use metallb_kit::dirty::Dirty;
use tokio_util::sync::CancellationToken;

use crate::metrics::Shared;
use crate::vty::{Connection, Error};

pub mod publish;

/// How long a daemon may take to list its sessions.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// For how many looks in a row bgpd may be away, because it restarts, before its sessions count as gone.
const PATIENCE: u32 = 5;

/// All sessions of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    pub bgp: Vec<Neighbor>,
    pub bfd: Vec<BfdSession>,
}

/// A BFD session and what was counted about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BfdSession {
    pub peer: BfdPeer,
    pub counters: BfdCounters,
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
                    s.bfd_status.clone(),
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
        let bgpd = self.sockets.join(Daemon::Bgpd.socket());
        let bgp = json::neighbors(&ask(&mut self.bgpd, &bgpd, json::NEIGHBORS).await?)?;
        // BGP runs without BFD, too.
        let bfd = self.look_at_bfd().await.unwrap_or_else(|error| {
            tracing::debug!(error = %format!("{error:#}"), "BFD sessions cannot be seen");
            Vec::new()
        });
        Ok(Sessions { bgp, bfd })
    }

    async fn look_at_bfd(&mut self) -> anyhow::Result<Vec<BfdSession>> {
        let bfdd = self.sockets.join(Daemon::Bfdd.socket());
        let peers = json::bfd_peers(&ask(&mut self.bfdd, &bfdd, json::BFD_PEERS).await?)?;
        let counters = json::bfd_counters(&ask(&mut self.bfdd, &bfdd, json::BFD_COUNTERS).await?)?;
        Ok(with_counters(peers, counters))
    }
}

fn with_counters(peers: Vec<BfdPeer>, counters: Vec<BfdCounters>) -> Vec<BfdSession> {
    let key = |vrf: &str, peer: &str, interface: &str| [vrf, peer, interface].map(str::to_owned);
    let mut counters: HashMap<_, _> = counters
        .into_iter()
        .map(|counted| (key(&counted.vrf, &counted.peer, &counted.interface), counted))
        .collect();
    let sessions = peers.into_iter().map(|peer| {
        let counters = counters
            .remove(&key(&peer.vrf, &peer.peer, &peer.interface))
            .unwrap_or_default();
        BfdSession { peer, counters }
    });
    sessions.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_with_their_session() {
        let peer = |vrf: &str| BfdPeer {
            vrf: vrf.into(),
            peer: "192.0.2.1".into(),
            ..BfdPeer::default()
        };
        let counted = BfdCounters {
            vrf: "blue".into(),
            peer: "192.0.2.1".into(),
            session_down: 2,
            ..BfdCounters::default()
        };
        let sessions = with_counters(vec![peer("default"), peer("blue")], vec![counted]);
        let downs: Vec<_> = sessions
            .iter()
            .map(|session| session.counters.session_down)
            .collect();
        assert_eq!(downs, [0, 2]);
    }
}

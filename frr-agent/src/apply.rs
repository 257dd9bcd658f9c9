//! The daemons of FRRouting on this node: what they run with, and how they are told to run otherwise.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use metallb_frr::config::{Config, redact};
use metallb_frr::daemon::{Daemon, Version};
use metallb_frr::diff::{Batch, Plan, plan};

use crate::vty::{Connection, Error};

mod transmit;

/// How long a daemon may take for one answer. To commit thousands of prefix-list entries takes FRRouting 8.4 seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How often in a row FRRouting is compared and corrected before it counts as not converging.
const ROUNDS: usize = 3;

/// Connections to the daemons. One owner may change their configuration, since FRRouting itself has no lock for it.
#[derive(Debug)]
pub struct Frr {
    sockets: PathBuf,
    limit: Duration,
    daemons: BTreeMap<Daemon, Connection>,
    version: Option<Version>,
    /// What the daemons ran with when last asked, and have been told since.
    seen: Option<Seen>,
    /// Whether that may be wrong, so that they must be asked before anything else.
    is_doubtful: bool,
    /// What they were found to run with, as far as they are there, when last asked.
    settled: Option<Arc<Config>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Seen {
    /// Of the text, to tell without parsing that nothing has changed; `None` when more has been told since.
    hash: Option<u64>,
    config: Config,
}

/// A line that a daemon did not take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    pub daemon: Daemon,
    /// Without the password, if it has one.
    pub line: String,
    /// What the daemon said.
    pub answer: String,
}

/// How an attempt to configure FRRouting ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What FRRouting runs with now, without passwords, if that has changed.
    pub running: Option<String>,
    /// Lines sent.
    pub sent: usize,
    pub refused: Vec<Refused>,
    /// Lines about which a daemon had something to say.
    pub warned: Vec<Refused>,
    /// What kept the attempt from being finished, if anything did.
    pub unfinished: Option<String>,
    /// FRRouting took all that was told, and was not yet asked what it runs with now. See [`Frr::doubt`].
    pub is_unverified: bool,
}

impl Outcome {
    /// Whether FRRouting now runs as wanted.
    pub fn is_success(&self) -> bool {
        self.refused.is_empty() && self.unfinished.is_none()
    }

    /// The same in words, for a status.
    pub fn summary(&self) -> String {
        if self.is_success() {
            return "success".to_owned();
        }
        let refused = self.refused.iter().map(|Refused { daemon, line, answer }| {
            format!("ERROR: {daemon} refused \"{}\": {}", line.trim(), answer.trim())
        });
        let lines: Vec<_> = refused
            .chain(self.unfinished.iter().map(|reason| format!("ERROR: {reason}")))
            .collect();
        lines.join("\n")
    }
}

impl Frr {
    /// Connects to nothing yet. `sockets` is the directory of the daemons' vty sockets.
    pub fn new(sockets: &Path) -> Self {
        Self::with_limit(sockets, ANSWER_LIMIT)
    }

    /// The same with another limit for one answer.
    pub fn with_limit(sockets: &Path, limit: Duration) -> Self {
        Self {
            sockets: sockets.to_owned(),
            limit,
            daemons: BTreeMap::new(),
            version: None,
            seen: None,
            is_doubtful: true,
            settled: None,
            hasher: RandomState::new(),
        }
    }

    /// Whether every daemon is connected.
    pub fn is_complete(&self) -> bool {
        self.required()
            .iter()
            .all(|daemon| self.daemons.contains_key(daemon))
    }

    /// The daemons that must run; until one of them has told its version, the one to ask.
    fn required(&self) -> &'static [Daemon] {
        self.version.map_or(&[Daemon::Zebra], Daemon::all)
    }

    /// Makes the next [`Frr::bring_to`] ask the daemons what they run with instead of trusting its memory.
    pub fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// Waits until a connected daemon goes away. Can be dropped and called again at any time.
    pub async fn disturbed(&mut self) {
        if self.daemons.is_empty() {
            return std::future::pending().await;
        }
        let ends = self.daemons.iter().map(|(daemon, connection)| {
            Box::pin(async {
                connection.ended().await;
                *daemon
            })
        });
        let (daemon, ..) = select_all(ends).await;
        self.lose(daemon);
    }

    /// Makes FRRouting run as `wanted`, changing nothing that is so already.
    ///
    /// Whether it does is looked at, too, except after a change that all daemons took without a word: then the caller
    /// looks later, for many changes at once ([`Outcome::is_unverified`]).
    ///
    /// A line that is refused does not keep other batches from being applied; a daemon that is away gets its part when
    /// it is back and this is called again.
    ///
    /// Cost: nothing when the same is wanted as before and nothing is in doubt. Otherwise a comparison with what
    /// FRRouting is known to run with, and the differing lines. A look is linear in the size of the configuration.
    pub async fn bring_to(&mut self, wanted: &Arc<Config>) -> Outcome {
        let mut outcome = Outcome::default();
        self.connect(&mut outcome).await;
        self.converge(wanted, &mut outcome).await;
        outcome.is_unverified = self.seen.as_ref().is_some_and(|seen| seen.hash.is_none());
        outcome
    }

    async fn converge(&mut self, wanted: &Arc<Config>, outcome: &mut Outcome) {
        let may_trust = !self.is_doubtful;
        if self.is_doubtful {
            self.look(outcome).await;
        }
        if self
            .settled
            .as_ref()
            .is_some_and(|settled| Arc::ptr_eq(settled, wanted))
        {
            return;
        }
        for round in 0..=ROUNDS {
            let (Some(version), Some(seen)) = (self.version, &self.seen) else {
                return;
            };
            let Plan { mut batches, result } = plan(&seen.config, wanted, version);
            batches.retain(|batch| self.has_any(&batch.daemons));
            if batches.is_empty() {
                self.settled = seen.hash.is_some().then(|| Arc::clone(wanted));
                return;
            }
            if !outcome.refused.is_empty() || round == ROUNDS {
                // What comes next shall not be believed without a look.
                self.is_doubtful = true;
            }
            if !outcome.refused.is_empty() {
                return;
            }
            if round == ROUNDS {
                outcome.refused = std::mem::take(&mut outcome.warned);
                outcome.unfinished.get_or_insert_with(|| remainder(&batches));
                return;
            }
            outcome.warned.clear();
            self.tell(&batches, outcome).await;
            let is_silent = outcome.is_success() && outcome.warned.is_empty();
            if may_trust && is_silent && self.is_complete() {
                (self.seen, self.is_doubtful) = (
                    Some(Seen {
                        hash: None,
                        config: result,
                    }),
                    false,
                );
                return;
            }
            self.look(outcome).await;
        }
    }

    fn has_any(&self, daemons: &[Daemon]) -> bool {
        daemons.iter().any(|daemon| self.daemons.contains_key(daemon))
    }

    async fn tell(&mut self, batches: &[Batch], outcome: &mut Outcome) {
        // Whatever happens now, what was seen is not what is.
        self.is_doubtful = true;
        self.settled = None;
        for batch in batches {
            for (daemon, error) in transmit::transmit(&mut self.daemons, batch, outcome).await {
                self.fail(daemon, error, outcome);
            }
        }
    }

    /// Asks all daemons what they run with.
    async fn look(&mut self, outcome: &mut Outcome) {
        let Some(version) = self.version else { return };
        let (mut texts, mut failures) = (Vec::new(), Vec::new());
        for (daemon, connection) in &mut self.daemons {
            match connection.run("show running-config").await {
                Ok(reply) => texts.push((*daemon, reply.text)),
                Err(error) => failures.push((*daemon, error)),
            }
        }
        let is_whole = failures.is_empty();
        for (daemon, error) in failures {
            self.fail(daemon, error, outcome);
        }
        let hash = Some(self.hasher.hash_one(&texts));
        if self.seen.as_ref().is_none_or(|seen| seen.hash != hash) {
            self.settled = None;
            let texts = texts.iter().map(|(daemon, text)| (*daemon, text.as_str()));
            let config = Config::running(texts, version);
            outcome.running = Some(config.redacted());
            self.seen = Some(Seen { hash, config });
        }
        self.is_doubtful = !is_whole;
    }

    /// Connects to the daemons that are not connected; says why it could not.
    async fn connect(&mut self, outcome: &mut Outcome) {
        loop {
            let required = self.required();
            for daemon in required {
                if !self.daemons.contains_key(daemon)
                    && let Err(error) = self.open(*daemon).await
                {
                    self.fail(*daemon, error, outcome);
                }
            }
            // The first answer of a daemon tells the version, and with it which others there must be.
            if self.required() == required {
                return;
            }
        }
    }

    async fn open(&mut self, daemon: Daemon) -> Result<(), Error> {
        let socket = self.sockets.join(daemon.socket());
        let mut connection = Connection::open(&socket, self.limit).await?;
        match connection.run("show version").await?.text.parse() {
            Ok(version) => self.version = Some(version),
            Err(error) => tracing::warn!(daemon = %daemon, error = %error, "unknown version of FRRouting"),
        }
        tracing::info!(daemon = %daemon, "connected to FRRouting");
        self.daemons.insert(daemon, connection);
        self.is_doubtful = true;
        Ok(())
    }

    fn fail(&mut self, daemon: Daemon, error: Error, outcome: &mut Outcome) {
        self.lose(daemon);
        outcome
            .unfinished
            .get_or_insert_with(|| format!("{daemon}: {:#}", anyhow::Error::from(error)));
    }

    fn lose(&mut self, daemon: Daemon) {
        // One that was away before has changed nothing by being away still.
        if self.daemons.remove(&daemon).is_some() {
            tracing::warn!(daemon = %daemon, "connection to FRRouting lost");
            self.is_doubtful = true;
        }
    }
}

/// Says that FRRouting took lines and yet does not run with them.
fn remainder(batches: &[Batch]) -> String {
    let count: usize = batches.iter().map(|batch| batch.lines.len()).sum();
    let lines = batches.iter().flat_map(|batch| &batch.lines);
    let telling: Vec<_> = lines
        .filter(|line| !line.starts_with("XFRR") && !line.starts_with("exit"))
        .take(5)
        .collect();
    let telling: Vec<_> = telling.into_iter().map(|line| redact(line)).collect();
    format!("{count} lines do not take effect: {}", telling.join(" / "))
}

#[cfg(test)]
mod tests;

//! One conversation with one FRRouting daemon over its vty socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use metallb_frr::vty::{Decoder, Reply, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a daemon may take to accept a connection, and again for its first answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why a daemon gave no answer. The command itself is not named: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The daemon does not run, or not yet.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The daemon went away in the middle of a conversation.
    #[error("{} was closed by the daemon", socket.display())]
    Closed { socket: PathBuf },
    /// The connection broke.
    #[error("conversation over {}", socket.display())]
    Io {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The daemon is alive but does not answer.
    #[error("no answer over {} within {limit:?}", socket.display())]
    TimedOut { socket: PathBuf, limit: Duration },
}

/// An open vty. After an [`Error`] it must be dropped: an answer that comes late would be taken for that to the next
/// command.
#[derive(Debug)]
pub struct Connection {
    socket: PathBuf,
    stream: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    limit: Duration,
}

impl Connection {
    /// Connects to the daemon behind `socket` and enters its privileged mode. `limit` bounds the wait for each answer.
    pub async fn open(socket: &Path, limit: Duration) -> Result<Self, Error> {
        let refused = |source| Error::Connect {
            socket: socket.to_owned(),
            source,
        };
        let stream = match timeout(CONNECT_LIMIT, UnixStream::connect(socket)).await {
            Ok(stream) => stream.map_err(refused)?,
            Err(_) => {
                return Err(Error::TimedOut {
                    socket: socket.to_owned(),
                    limit: CONNECT_LIMIT,
                });
            }
        };
        let mut connection = Self {
            socket: socket.to_owned(),
            stream,
            decoder: Decoder::new(),
            buffer: vec![0; 64 * 1024],
            limit,
        };
        connection.limit = limit.min(CONNECT_LIMIT);
        connection.run("enable").await?;
        connection.limit = limit;
        Ok(connection)
    }

    /// Sends one command and waits for the answer to it, be it good or bad.
    pub async fn run(&mut self, command: &str) -> Result<Reply, Error> {
        match timeout(self.limit, self.exchange(command)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut {
                socket: self.socket.clone(),
                limit: self.limit,
            }),
        }
    }

    async fn exchange(&mut self, command: &str) -> Result<Reply, Error> {
        self.stream
            .write_all(&encode(command))
            .await
            .map_err(|source| self.broken(source))?;
        loop {
            if let Some(reply) = self.decoder.reply() {
                return Ok(reply);
            }
            let read = self
                .stream
                .read(&mut self.buffer)
                .await
                .map_err(|source| self.broken(source))?;
            if read == 0 {
                return Err(Error::Closed {
                    socket: self.socket.clone(),
                });
            }
            self.decoder.push(self.buffer.get(..read).unwrap_or_default());
        }
    }

    fn broken(&self, source: std::io::Error) -> Error {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        match source.kind() {
            BrokenPipe | ConnectionReset => Error::Closed {
                socket: self.socket.clone(),
            },
            _ => Error::Io {
                socket: self.socket.clone(),
                source,
            },
        }
    }

    /// Waits, between two commands, until the daemon goes away. Can be dropped and called again at any time.
    pub async fn ended(&self) {
        let mut byte = [0];
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            match self.stream.try_read(&mut byte) {
                // Nobody asked, so whatever comes, this conversation has lost its order.
                Ok(_) => return,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The protocol of the daemons' vty sockets, without the socket.
//!
//! A command is its text and a NUL byte. The answer is text, three NUL bytes and a status byte. Commands are answered
//! one by one and in order, so several may be sent before the first answer is read. The mode (`enable`,
//! `configure terminal`, the current block) is kept per connection.

/// Commands that bring a new connection into configuration mode.
pub const OPEN: [&str; 2] = ["enable", "configure terminal"];

/// Leads back to configuration mode outside of any block, from wherever the connection is in configuration mode.
pub const TOP: [&str; 2] = ["end", "configure terminal"];

/// From here on prefix lists, route maps and BFD profiles are collected and put into force together, by the first
/// command of another kind or by [`END`]. Without it each one costs a transaction of its own.
pub const START: &str = "XFRR_start_configuration";

/// Ends what [`START`] began; its answer tells whether the collected commands could be put into force.
pub const END: &str = "XFRR_end_configuration";

/// The bytes to send for a command. A line break or NUL in it would begin another command, so all after it is dropped.
pub fn encode(command: &str) -> Vec<u8> {
    let line = command.split(['\0', '\n', '\r']).next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(0);
    bytes
}

/// How a daemon took a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Success,
    /// Done, with something to say about it; FRRouting also uses it for commands it did not carry out.
    Warning,
    /// The daemon has no such command (here).
    Unknown,
    /// The configuration was refused.
    Refused,
    /// Any other status byte of FRRouting's `lib/command.h`; a failure.
    Other(u8),
}

impl From<u8> for Status {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Success,
            1 => Self::Warning,
            2 => Self::Unknown,
            13 => Self::Refused,
            other => Self::Other(other),
        }
    }
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the daemon has to say; bytes that are not UTF-8 are replaced.
    pub text: String,
    pub status: Status,
}

/// Cuts a stream of bytes into replies.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer in which no end of a reply begins.
    searched: usize,
}

/// What separates the text of a reply from its status.
const MARK: [u8; 3] = [0; 3];

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete reply. Costs time in proportion to the bytes added since the last call, and to the reply.
    pub fn reply(&mut self) -> Option<Reply> {
        let unsearched = self.buffer.get(self.searched..)?;
        let Some(found) = unsearched.windows(MARK.len()).position(|window| window == MARK) else {
            self.searched = self.buffer.len().saturating_sub(MARK.len() - 1);
            return None;
        };
        let end = self.searched + found;
        let status = Status::from(*self.buffer.get(end + MARK.len())?);
        let text = String::from_utf8_lossy(self.buffer.get(..end)?).into_owned();
        self.buffer.drain(..=end + MARK.len());
        self.searched = 0;
        Some(Reply { text, status })
    }

    /// Whether part of a reply was read: a stream must not end here.
    pub fn is_within_reply(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests;

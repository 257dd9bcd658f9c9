//! Reading fixed-size fields off the front of a byte slice without ever indexing past its end.

/// Why received bytes are not the message they were expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bytes end before the named part is complete.
    #[error("frame ends inside the {0}")]
    Truncated(&'static str),
    /// A field has a value this codec does not handle.
    #[error("{field} is {found:#x}")]
    Field {
        /// The protocol field, in words.
        field: &'static str,
        /// The value found.
        found: u32,
    },
    /// The ICMPv6 checksum is wrong (RFC 4443 section 2.3).
    #[error("checksum does not match")]
    Checksum,
    /// A rule of the protocol about the whole message is broken.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A cursor over received bytes; every read either returns the whole field or says what was cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; `part` names what is being read, for errors.
    pub(crate) fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, part }
    }

    /// The bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(ParseError::Truncated(self.part))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ParseError::Truncated(self.part))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8, ParseError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes in network order.
    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a 16-bit field that must have exactly this value.
    pub(crate) fn expect_u16(&mut self, field: &'static str, expected: u16) -> Result<(), ParseError> {
        match self.u16()? {
            found if found == expected => Ok(()),
            found => Err(ParseError::Field {
                field,
                found: found.into(),
            }),
        }
    }

    /// Reads an 8-bit field that must have exactly this value.
    pub(crate) fn expect_u8(&mut self, field: &'static str, expected: u8) -> Result<(), ParseError> {
        match self.u8()? {
            found if found == expected => Ok(()),
            found => Err(ParseError::Field {
                field,
                found: found.into(),
            }),
        }
    }
}

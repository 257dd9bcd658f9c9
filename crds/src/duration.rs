//! Durations as Go writes them, which is how all kinds of this API spell time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration in Go's notation, for example `90s`, `1m30s`, `1.5h` or `-2s`. The text is kept as it was written.
///
/// Reading an object accepts any text, because the schema of a stored object may do so too and one bad object must
/// not stop a watch; [`Duration::nanoseconds`] and [`Duration::as_std`] are `None` for what is not a duration.
/// [`FromStr`] is strict. Two durations are equal when their texts are: `90s` differs from `1m30s`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Duration {
    text: String,
    nanoseconds: Option<i128>,
}

/// A text that is not a duration in Go's notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDuration(String);

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration such as \"90s\" or \"1m30s\"", self.0)
    }
}

impl std::error::Error for InvalidDuration {}

impl Duration {
    /// Whole nanoseconds, negative for a duration with a minus sign, `None` for a text that is not a duration.
    pub fn nanoseconds(&self) -> Option<i128> {
        self.nanoseconds
    }

    /// The duration for the standard library, `None` when the text is no duration or a negative one.
    pub fn as_std(&self) -> Option<std::time::Duration> {
        u64::try_from(self.nanoseconds?)
            .ok()
            .map(std::time::Duration::from_nanos)
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same time in the form Go programs write: `90s` becomes `1m30s`, `1500ms` becomes `1.5s`, zero becomes
    /// `0s`. A text that is not a duration stays as it is.
    pub fn canonical(&self) -> Self {
        match self.nanoseconds {
            Some(nanoseconds) => Self::from_nanoseconds(nanoseconds),
            None => self.clone(),
        }
    }

    fn from_nanoseconds(nanoseconds: i128) -> Self {
        Self {
            text: go_text(nanoseconds),
            nanoseconds: Some(nanoseconds),
        }
    }
}

impl From<std::time::Duration> for Duration {
    /// Times longer than 292 years, the longest Go knows, become that.
    fn from(duration: std::time::Duration) -> Self {
        let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self::from_nanoseconds(i128::from(nanoseconds))
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nanoseconds = parse(text).ok_or_else(|| InvalidDuration(text.to_owned()))?;
        Ok(Self {
            text: text.to_owned(),
            nanoseconds: Some(nanoseconds),
        })
    }
}

/// Writes like Go's `time.Duration.String`: hours, minutes and seconds, or a single smaller unit below one second.
fn go_text(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let (unit, name) = match total {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    if name != "s" {
        return format!("{sign}{}{name}", decimal(total, unit));
    }
    let (minutes, seconds) = (total / 60_000_000_000, decimal(total % 60_000_000_000, unit));
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` as a decimal number without trailing zeros; `unit` is a power of ten.
fn decimal(value: u128, unit: u128) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

fn parse(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total = total.checked_add(scaled(number, unit_in_nanoseconds(unit)?)?)?;
        rest = tail;
    }
    i64::try_from(total).ok()?;
    Some(sign * total)
}

fn unit_in_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number`, which may have a fraction, times `unit`.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut scale = unit;
    for digit in fraction.chars() {
        scale /= 10;
        total += i128::from(digit.to_digit(10)?) * scale;
    }
    Some(total)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let nanoseconds = parse(&text);
        Ok(Self { text, nanoseconds })
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests;

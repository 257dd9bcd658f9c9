//! Sending a batch of lines, and going on after a refusal without losing the place.

use std::collections::BTreeMap;

use metallb_frr::config::redact;
use metallb_frr::daemon::Daemon;
use metallb_frr::diff::Batch;
use metallb_frr::vty::{END, START, Status};

use super::{Outcome, Refused};
use crate::vty::{Connection, Error};

/// Refusals that are told one by one; when FRRouting refuses more, the first ones show what is wrong.
const MOST_REFUSALS: usize = 20;

/// Sends all lines of `batch` to those of its daemons that are connected.
///
/// A daemon that fails gets no further lines; it is returned with its error.
pub(super) async fn transmit(
    connections: &mut BTreeMap<Daemon, Connection>,
    batch: &Batch,
    outcome: &mut Outcome,
) -> Vec<(Daemon, Error)> {
    let told = outcome.refused.len();
    let mut failures = send(connections, batch, &batch.lines, outcome).await;
    // When a transaction is refused, all of it is. One by one, only the bad lines are.
    let is_transaction = outcome
        .refused
        .iter()
        .skip(told)
        .any(|refused| refused.line == END);
    if is_transaction && failures.is_empty() {
        outcome.refused.retain(|refused| refused.line != END);
        let lines: Vec<_> = batch
            .lines
            .iter()
            .filter(|line| *line != START && *line != END)
            .cloned()
            .collect();
        failures = send(connections, batch, &lines, outcome).await;
    }
    failures
}

async fn send(
    connections: &mut BTreeMap<Daemon, Connection>,
    batch: &Batch,
    lines: &[String],
    outcome: &mut Outcome,
) -> Vec<(Daemon, Error)> {
    let mut receivers: Vec<Receiver<'_>> = connections
        .iter_mut()
        .filter(|(daemon, _)| batch.daemons.contains(daemon))
        .map(|(daemon, connection)| Receiver {
            daemon: *daemon,
            connection,
            place: Place::default(),
            failure: None,
        })
        .collect();
    for receiver in &mut receivers {
        receiver.run("configure terminal").await;
    }
    for (index, line) in lines.iter().enumerate() {
        send_line(&mut receivers, line, outcome).await;
        let next = lines.get(index + 1);
        if is_exit(line) && next.is_some_and(|next| !is_exit(next)) {
            receivers
                .iter_mut()
                .for_each(|receiver| receiver.place.is_astray = false);
        }
    }
    for receiver in &mut receivers {
        receiver.run("end").await;
    }
    receivers
        .into_iter()
        .filter_map(|receiver| Some((receiver.daemon, receiver.failure?)))
        .collect()
}

/// Sends one line to all who can make sense of it. It is done when one of them takes it; that others do not know the
/// command does not matter.
async fn send_line(receivers: &mut [Receiver<'_>], line: &str, outcome: &mut Outcome) {
    let (mut is_taken, mut answers) = (false, Vec::new());
    for receiver in receivers {
        if !receiver.place.admits(line) {
            continue;
        }
        let Some((status, text)) = receiver.run(line).await else {
            continue;
        };
        match status {
            Status::Success => is_taken = true,
            // Often the line has taken effect all the same; a look at the result will tell.
            Status::Warning => {
                is_taken = true;
                if outcome.warned.len() < MOST_REFUSALS {
                    outcome.warned.push(refusal(receiver.daemon, line, &text));
                }
            }
            status => {
                receiver.place.refuse(line, status);
                answers.push((status, refusal(receiver.daemon, line, &text)));
            }
        }
    }
    outcome.sent += usize::from(is_taken || !answers.is_empty());
    let matter = answers
        .into_iter()
        .filter(|(status, _)| *status != Status::Unknown || !is_taken);
    let room = MOST_REFUSALS.saturating_sub(outcome.refused.len());
    outcome
        .refused
        .extend(matter.map(|(_, refused)| refused).take(room));
}

fn refusal(daemon: Daemon, line: &str, answer: &str) -> Refused {
    Refused {
        daemon,
        line: redact(line),
        answer: redact(answer),
    }
}

struct Receiver<'a> {
    daemon: Daemon,
    connection: &'a mut Connection,
    place: Place,
    failure: Option<Error>,
}

impl Receiver<'_> {
    async fn run(&mut self, line: &str) -> Option<(Status, String)> {
        if self.failure.is_some() {
            return None;
        }
        match self.connection.run(line).await {
            Ok(reply) => Some((reply.status, reply.text)),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }
}

/// Where a daemon is in the blocks of a batch, after it has refused something.
///
/// The lines of a block whose header was refused must not reach the block around it, and `exit` must not lead out of
/// a block that was never entered. Plain lines need no care: FRRouting looks for a command it does not find in a block
/// in the blocks around it.
#[derive(Debug, Default)]
struct Place {
    /// What ends the block that is skipped, and how many blocks with the same end are open within it.
    skipping: Option<(&'static str, usize)>,
    /// A line of unknown kind was refused; it may have been a header.
    is_astray: bool,
}

impl Place {
    /// Whether the line is for this daemon.
    fn admits(&mut self, line: &str) -> bool {
        let Some((end, depth)) = &mut self.skipping else {
            return !(self.is_astray && is_exit(line));
        };
        if line == *end {
            if *depth == 0 {
                self.skipping = None;
            } else {
                *depth -= 1;
            }
        } else if end_of_block(line) == Some(*end) {
            *depth += 1;
        } else if is_exit(line) && encloses(line, end) {
            // What was refused was no header after all: `vni` is a plain line in the block `vrf`.
            self.skipping = None;
            return true;
        }
        false
    }

    fn refuse(&mut self, line: &str, status: Status) {
        match end_of_block(line) {
            Some(end) => self.skipping = Some((end, 0)),
            None => self.is_astray |= status == Status::Unknown,
        }
    }
}

/// How the block ends that `line` opens, if it is known to open one.
fn end_of_block(line: &str) -> Option<&'static str> {
    match line.split(' ').next()? {
        "router" | "route-map" | "bfd" | "profile" => Some("exit"),
        "vrf" => Some("exit-vrf"),
        "address-family" => Some("exit-address-family"),
        "vni" => Some("exit-vni"),
        _ => None,
    }
}

/// Whether `exit` ends a block around those that end with `inner`.
fn encloses(exit: &str, inner: &str) -> bool {
    match inner {
        "exit-vni" => exit != inner,
        "exit-address-family" => exit == "exit",
        _ => false,
    }
}

fn is_exit(line: &str) -> bool {
    line == "exit" || line.starts_with("exit-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that reach a daemon which refuses some of them.
    fn sent(lines: &[&'static str], refused: &[&str], status: Status) -> Vec<&'static str> {
        let mut place = Place::default();
        let mut sent = Vec::new();
        for line in lines {
            if place.admits(line) {
                sent.push(*line);
                if refused.contains(line) {
                    place.refuse(line, status);
                }
            }
        }
        sent
    }

    #[test]
    fn a_block_that_was_not_entered_is_skipped_whole() {
        let lines = [
            "router bgp 65001 vrf blue",
            "neighbor 192.0.2.1 remote-as 65002",
            "address-family ipv4 unicast",
            "network 10.0.0.0/24",
            "exit-address-family",
            "exit",
            "router bgp 64500",
            "exit",
        ];
        let expected = ["router bgp 65001 vrf blue", "router bgp 64500", "exit"];
        assert_eq!(
            sent(&lines, &["router bgp 65001 vrf blue"], Status::Refused),
            expected
        );
    }

    #[test]
    fn blocks_within_a_skipped_block_are_skipped_too() {
        let lines = [
            "bfd",
            "profile a",
            "passive-mode",
            "exit",
            "profile b",
            "exit",
            "exit",
            "hostname a",
        ];
        assert_eq!(sent(&lines, &["bfd"], Status::Unknown), ["bfd", "hostname a"]);
    }

    #[test]
    fn a_refused_line_does_not_keep_the_rest_of_its_block_away() {
        let lines = [
            "router bgp 64500",
            "neighbor 192.0.2.1 local-as 64500",
            "neighbor 192.0.2.1 port 1790",
            "exit",
        ];
        assert_eq!(
            sent(&lines, &["neighbor 192.0.2.1 local-as 64500"], Status::Refused),
            lines
        );
    }

    #[test]
    fn a_refused_vni_of_a_vrf_is_not_taken_for_a_block() {
        let lines = ["vrf blue", "vni 4000", "exit-vrf", "hostname a"];
        assert_eq!(sent(&lines, &["vni 4000"], Status::Refused), lines);
    }

    #[test]
    fn the_end_of_an_unknown_block_does_not_lead_out_of_configuration_mode() {
        let lines = ["segment-routing", "traffic-eng", "exit", "exit", "hostname a"];
        let unknown = ["segment-routing", "traffic-eng"];
        assert_eq!(
            sent(&lines, &unknown, Status::Unknown),
            ["segment-routing", "traffic-eng", "hostname a"]
        );
    }
}

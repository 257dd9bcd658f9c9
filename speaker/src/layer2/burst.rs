//! When to repeat unasked announcements.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Rounds per burst: single frames get lost, above all while a switch is still learning.
const ROUNDS: u8 = 5;
/// Pause between rounds.
const INTERVAL: Duration = Duration::from_millis(1100);

/// One thing to announce: an address, on all interfaces or only on the one with this index.
pub(super) type Subject = (IpAddr, Option<u32>);

/// The bursts that are under way. Each operation is O(log bursts) per subject.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    left: BTreeMap<Subject, (Instant, u8)>,
    queue: BTreeSet<(Instant, Subject)>,
}

impl Bursts {
    /// Starts a burst, the first round of which is due at once. One that is under way starts over.
    pub(super) fn start(&mut self, subject: Subject, now: Instant) {
        self.remove(subject);
        self.schedule(subject, now, ROUNDS);
    }

    /// Ends all bursts of an address.
    pub(super) fn stop(&mut self, address: IpAddr) {
        let of_address = (address, None)..=(address, Some(u32::MAX));
        let subjects: Vec<Subject> = self.left.range(of_address).map(|(subject, _)| *subject).collect();
        for subject in subjects {
            self.remove(subject);
        }
    }

    /// When the next round is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes what is due and schedules its next round.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Subject> {
        let mut subjects = Vec::new();
        while let Some((due, subject)) = self.queue.first().copied()
            && due <= now
        {
            let rounds = self.remove(subject);
            if rounds > 1 {
                // In step with the round before, unless so late that two would fall together.
                let next = due + INTERVAL;
                self.schedule(
                    subject,
                    if next > now { next } else { now + INTERVAL },
                    rounds - 1,
                );
            }
            subjects.push(subject);
        }
        subjects
    }

    fn schedule(&mut self, subject: Subject, due: Instant, rounds: u8) {
        self.left.insert(subject, (due, rounds));
        self.queue.insert((due, subject));
    }

    fn remove(&mut self, subject: Subject) -> u8 {
        let Some((due, rounds)) = self.left.remove(&subject) else {
            return 0;
        };
        self.queue.remove(&(due, subject));
        rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 11));

    /// Runs the clock until nothing is due any more; returns when each round took place, in milliseconds.
    fn rounds(bursts: &mut Bursts, start: Instant) -> Vec<(u128, Subject)> {
        let mut rounds = Vec::new();
        while let Some(now) = bursts.next() {
            rounds.extend(
                bursts
                    .due(now)
                    .into_iter()
                    .map(|subject| ((now - start).as_millis(), subject)),
            );
        }
        rounds
    }

    #[test]
    fn five_rounds_then_silence() {
        let start = Instant::now();
        let mut bursts = Bursts::default();
        bursts.start((A, None), start);
        let expected = [0, 1100, 2200, 3300, 4400].map(|at| (at, (A, None)));
        assert_eq!(rounds(&mut bursts, start), expected);
        assert_eq!(bursts.next(), None);
    }

    #[test]
    fn stopping_drops_the_rounds_that_remain() {
        let start = Instant::now();
        let mut bursts = Bursts::default();
        for subject in [(A, None), (A, Some(3)), (B, None)] {
            bursts.start(subject, start);
        }
        assert_eq!(bursts.due(start).len(), 3);
        bursts.stop(A);
        let rest = rounds(&mut bursts, start);
        assert_eq!(rest.len(), 4);
        assert!(rest.iter().all(|(_, subject)| *subject == (B, None)));
    }

    #[test]
    fn starting_again_starts_over() {
        let start = Instant::now();
        let mut bursts = Bursts::default();
        bursts.start((A, None), start);
        bursts.due(start);
        bursts.start((A, None), start + Duration::from_millis(500));
        let expected = [500, 1600, 2700, 3800, 4900].map(|at| (at, (A, None)));
        assert_eq!(rounds(&mut bursts, start), expected);
    }

    #[test]
    fn after_a_stall_rounds_do_not_fall_together() {
        let start = Instant::now();
        let mut bursts = Bursts::default();
        bursts.start((A, None), start);
        let late = start + Duration::from_secs(60);
        assert_eq!(bursts.due(late).len(), 1);
        let expected = [61_100, 62_200, 63_300, 64_400].map(|at| (at, (A, None)));
        assert_eq!(rounds(&mut bursts, start), expected);
    }
}

//! The addresses of one family in one pool, numbered in the order in which they are handed out.
//!
//! The numbers (*slots*) leave out addresses that must be avoided, so the free address that comes first is found by
//! looking at the first gap among the used slots, and counting needs no enumeration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ip_range::{IpFamily, IpRange, bits, is_buggy};

/// Usable last octets under `avoidBuggyIPs`: 1 to 254.
const USABLE_OCTETS: u128 = 254;
/// A prefix with this many host bits or more counts as having `i64::MAX` addresses.
const COUNTED_HOST_BITS: u32 = 62;

/// The addresses of one family in one pool.
#[derive(Clone, Debug)]
pub(super) struct Space {
    family: IpFamily,
    avoid_buggy: bool,
    /// In slot order.
    segments: Vec<Segment>,
    /// Indexes of `segments`, by address.
    by_address: Vec<usize>,
    last_slot: Option<u128>,
    used: Intervals,
    used_count: u64,
    capacity: i64,
}

/// A run of addresses whose slots follow each other.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first_slot: u128,
    last_slot: u128,
    first_ordinal: u128,
    last_ordinal: u128,
}

impl Space {
    /// Numbers the addresses of `family` in `ranges`, which must not overlap. O(ranges × log ranges).
    pub(super) fn new(family: IpFamily, ranges: &[IpRange], avoid_buggy: bool) -> Self {
        let mut space = Self {
            family,
            avoid_buggy,
            segments: Vec::new(),
            by_address: Vec::new(),
            last_slot: None,
            used: Intervals::default(),
            used_count: 0,
            capacity: 0,
        };
        for range in ranges.iter().filter(|range| range.family() == family) {
            space.add(range);
        }
        space.by_address = (0..space.segments.len()).collect();
        space
            .by_address
            .sort_by_key(|index| space.segments[*index].first_ordinal);
        space
    }

    fn add(&mut self, range: &IpRange) {
        let Some((first_ordinal, last_ordinal)) = self.ordinals(range) else {
            return;
        };
        let first_slot = match self.last_slot {
            None => 0,
            Some(last) => last.saturating_add(1),
        };
        let last_slot = first_slot.saturating_add(last_ordinal - first_ordinal);
        self.segments.push(Segment {
            first_slot,
            last_slot,
            first_ordinal,
            last_ordinal,
        });
        self.last_slot = Some(last_slot);
        let count = last_ordinal - first_ordinal;
        let counted = if count >= (1 << COUNTED_HOST_BITS) - 1 {
            i64::MAX
        } else {
            to_i64(count + 1)
        };
        self.capacity = self.capacity.saturating_add(counted);
    }

    /// First and last ordinal of the usable addresses of a range; `None` when it has none.
    fn ordinals(&self, range: &IpRange) -> Option<(u128, u128)> {
        let (mut first, mut last) = (bits(range.first()), bits(range.last()));
        if self.avoids() {
            first += match first & 0xff {
                0 => 1,
                0xff => 2,
                _ => 0,
            };
            last = last.checked_sub(match last & 0xff {
                0 => 2,
                0xff => 1,
                _ => 0,
            })?;
        }
        (first <= last).then(|| (self.ordinal(first), self.ordinal(last)))
    }

    fn avoids(&self) -> bool {
        self.avoid_buggy && self.family == IpFamily::V4
    }

    /// A monotonous numbering of the usable addresses of the family.
    fn ordinal(&self, address: u128) -> u128 {
        if self.avoids() {
            (address >> 8) * USABLE_OCTETS + (address & 0xff) - 1
        } else {
            address
        }
    }

    fn address(&self, ordinal: u128) -> IpAddr {
        let bits = if self.avoids() {
            ((ordinal / USABLE_OCTETS) << 8) | (ordinal % USABLE_OCTETS + 1)
        } else {
            ordinal
        };
        self.family.address(bits)
    }

    /// Slot of `address`, when it is one of the usable addresses. O(log ranges).
    pub(super) fn slot(&self, address: IpAddr) -> Option<u128> {
        if IpFamily::of(address) != self.family || (self.avoids() && is_buggy(address)) {
            return None;
        }
        let ordinal = self.ordinal(bits(address));
        let after = self
            .by_address
            .partition_point(|index| self.segments[*index].first_ordinal <= ordinal);
        let segment = self.segments[*self.by_address.get(after.checked_sub(1)?)?];
        (ordinal <= segment.last_ordinal).then(|| segment.first_slot + (ordinal - segment.first_ordinal))
    }

    /// Address in `slot`. O(log ranges).
    pub(super) fn at(&self, slot: u128) -> Option<IpAddr> {
        let after = self
            .segments
            .partition_point(|segment| segment.first_slot <= slot);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (slot <= segment.last_slot).then(|| self.address(segment.first_ordinal + (slot - segment.first_slot)))
    }

    /// The lowest slot nobody uses. O(1).
    pub(super) fn first_free(&self) -> Option<u128> {
        let gap = self.used.first_gap()?;
        (gap <= self.last_slot?).then_some(gap)
    }

    /// Marks a slot as used. O(log used).
    pub(super) fn take(&mut self, slot: u128) {
        if self.used.insert(slot) {
            self.used_count += 1;
        }
    }

    /// Marks a slot as free. O(log used).
    pub(super) fn free(&mut self, slot: u128) {
        if self.used.remove(slot) {
            self.used_count -= 1;
        }
    }

    /// Number of usable addresses; saturates at `i64::MAX`.
    pub(super) fn capacity(&self) -> i64 {
        self.capacity
    }

    /// Number of distinct addresses in use.
    pub(super) fn used(&self) -> i64 {
        to_i64(u128::from(self.used_count))
    }
}

fn to_i64(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A set of numbers kept as maximal intervals: first to last, both inclusive.
#[derive(Clone, Debug, Default)]
struct Intervals {
    runs: BTreeMap<u128, u128>,
}

impl Intervals {
    /// The lowest number that is not in the set; `None` when all are.
    fn first_gap(&self) -> Option<u128> {
        match self.runs.first_key_value() {
            Some((0, last)) => last.checked_add(1),
            _ => Some(0),
        }
    }

    fn containing(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.runs.range(..=number).next_back()?;
        (number <= *last).then_some((*first, *last))
    }

    /// False when the number was there already.
    fn insert(&mut self, number: u128) -> bool {
        if self.containing(number).is_some() {
            return false;
        }
        let before = number
            .checked_sub(1)
            .and_then(|previous| self.containing(previous));
        let after = number.checked_add(1).and_then(|next| self.runs.remove(&next));
        let first = before.map_or(number, |(first, _)| first);
        self.runs.insert(first, after.unwrap_or(number));
        true
    }

    /// False when the number was not there.
    fn remove(&mut self, number: u128) -> bool {
        let Some((first, last)) = self.containing(number) else {
            return false;
        };
        if first == number {
            self.runs.remove(&first);
        } else {
            self.runs.insert(first, number - 1);
        }
        if number < last {
            self.runs.insert(number + 1, last);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn space(family: IpFamily, ranges: &[&str], avoid: bool) -> Space {
        let ranges: Vec<IpRange> = ranges.iter().map(|text| IpRange::parse(text).unwrap()).collect();
        Space::new(family, &ranges, avoid)
    }

    /// All addresses in the order in which they are handed out.
    fn drain(mut space: Space) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(slot) = space.first_free() {
            let address = space.at(slot).unwrap();
            assert_eq!(space.slot(address), Some(slot));
            order.push(address.to_string());
            space.take(slot);
        }
        order
    }

    #[rstest]
    #[case(&["192.0.2.10-192.0.2.12", "192.0.2.0/31"], false, &["192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.0", "192.0.2.1"])]
    #[case(&["192.0.2.254-192.0.3.1"], true, &["192.0.2.254", "192.0.3.1"])]
    #[case(&["192.0.2.0/32", "192.0.2.255/32"], true, &[])]
    #[case(&["0.0.0.0/32"], true, &[])]
    #[case(&["255.255.255.254/31"], true, &["255.255.255.254"])]
    #[case(&["2001:db8::/128"], true, &[])]
    fn order(#[case] ranges: &[&str], #[case] avoid: bool, #[case] expected: &[&str]) {
        assert_eq!(drain(space(IpFamily::V4, ranges, avoid)), expected);
    }

    #[rstest]
    #[case(IpFamily::V4, &["198.51.100.0/24", "192.0.2.0/25"], true, 381)]
    #[case(IpFamily::V4, &["198.51.100.0/24", "192.0.2.128/25"], true, 381)]
    #[case(IpFamily::V4, &["192.0.2.0/32"], true, 0)]
    #[case(IpFamily::V4, &["10.0.0.0/16"], true, 256 * 254)]
    #[case(IpFamily::V6, &["2001:db8::/120"], true, 256)]
    #[case(IpFamily::V6, &["2001:db8::/64", "2001:db8:1::/120"], false, i64::MAX)]
    #[case(IpFamily::V6, &["2001:db8::/67", "2001:db8:1::/67", "2001:db8:2::/67", "2001:db8:3::/67"], false, i64::MAX)]
    #[case(IpFamily::V6, &["::/0"], false, i64::MAX)]
    fn capacity(
        #[case] family: IpFamily,
        #[case] ranges: &[&str],
        #[case] avoid: bool,
        #[case] expected: i64,
    ) {
        assert_eq!(space(family, ranges, avoid).capacity(), expected);
    }

    proptest! {
        #[test]
        fn intervals_behave_like_a_set(steps in prop::collection::vec((any::<bool>(), 0u128..24), 0..200)) {
            let (mut intervals, mut model) = (Intervals::default(), BTreeSet::new());
            for (add, number) in steps {
                if add {
                    prop_assert_eq!(intervals.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(intervals.remove(number), model.remove(&number));
                }
                prop_assert_eq!(intervals.first_gap(), (0..).find(|number| !model.contains(number)));
                let flat: BTreeSet<u128> = intervals.runs.iter().flat_map(|(first, last)| *first..=*last).collect();
                prop_assert_eq!(&flat, &model);
            }
        }

        #[test]
        fn avoided_addresses_never_come_and_the_others_all_do(first in 0u32..2_000, length in 0u32..2_000) {
            let range = format!("{}-{}", IpFamily::V4.address(first.into()), IpFamily::V4.address((first + length).into()));
            let expected: Vec<String> = (first..=first + length)
                .filter(|address| !matches!(address & 0xff, 0 | 0xff))
                .map(|address| IpFamily::V4.address(address.into()).to_string())
                .collect();
            let space = space(IpFamily::V4, &[&range], true);
            prop_assert_eq!(space.capacity(), i64::try_from(expected.len()).unwrap());
            prop_assert_eq!(drain(space), expected);
        }
    }
}

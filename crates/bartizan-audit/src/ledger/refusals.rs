//! Refusals of callers who have not proven who they are, counted together so that a flood of them
//! can neither fill the log nor make anybody wait.

use std::collections::HashMap;
use std::net::IpAddr;

use bartizan_core::IpNetwork;

use crate::record::{Record, RefusalsRecord};
use crate::segment::put_frame;

/// How many address prefixes, with a code each, are counted apart in one second.
const MOST_APART: usize = 1024;

/// Addresses are counted by what one subscriber usually has.
const V4_BITS: u8 = 24;
/// As for [`V4_BITS`], of IPv6.
const V6_BITS: u8 = 56;

/// What is counted together. Layers and codes are bounded by the program; addresses are not, so
/// that there is a bound on keys. `None` takes all that are beyond it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Key {
    network: Option<IpNetwork>,
    layer: &'static str,
    code: &'static str,
}

/// The counts of one second.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    second: u64,
    counts: HashMap<Key, u64>,
}

impl Refusals {
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The second that is counted.
    pub(crate) fn second(&self) -> u64 {
        self.second
    }

    /// Begins to count in this second; what was counted before has been drained.
    pub(crate) fn begin(&mut self, second: u64) {
        self.second = second;
    }

    /// Counts one.
    pub(crate) fn count(
        &mut self,
        address: Option<IpAddr>,
        layer: &'static str,
        code: &'static str,
    ) {
        let network = address.map(|address| IpNetwork::of_client(address, V4_BITS, V6_BITS));
        let mut key = Key {
            network,
            layer,
            code,
        };
        if self.counts.len() >= MOST_APART && !self.counts.contains_key(&key) {
            key.network = None;
        }
        let count = self.counts.entry(key).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// Appends a frame for each count, and says how many there are.
    pub(crate) fn drain_into(&mut self, out: &mut Vec<u8>) -> u64 {
        let mut records = 0;
        for (key, count) in self.counts.drain() {
            let record = Record::Refusals(RefusalsRecord::new(
                self.second,
                count,
                key.network,
                key.layer,
                key.code,
            ));
            put_frame(out, |out| record.encode(out));
            records += 1;
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::segment::{FRAME_HEAD, frame_length};

    fn drained(refusals: &mut Refusals) -> Vec<(Option<String>, u64)> {
        let mut bytes = Vec::new();
        let records = refusals.drain_into(&mut bytes);
        let (mut rest, mut found) = (&*bytes, Vec::new());
        while let Some(length) = frame_length(rest) {
            let (frame, behind) = rest.split_at(length);
            let Ok(Record::Refusals(record)) = Record::decode(&frame[FRAME_HEAD..]) else {
                panic!("refusals");
            };
            found.push((record.network.map(|it| it.to_string()), record.count));
            rest = behind;
        }
        assert_eq!(found.len() as u64, records);
        found.sort();
        found
    }

    #[test]
    fn neighbours_are_counted_together() {
        let mut refusals = Refusals::default();
        for address in ["192.0.2.1", "192.0.2.77", "198.51.100.1", "2001:db8::1"] {
            refusals.count(Some(address.parse().unwrap()), "jwt", "jwt.missing");
        }
        refusals.count(None, "jwt", "jwt.missing");
        let expected = [
            (None, 1),
            (Some("192.0.2.0/24".to_owned()), 2),
            (Some("198.51.100.0/24".to_owned()), 1),
            (Some("2001:db8::/56".to_owned()), 1),
        ];
        assert_eq!(drained(&mut refusals), expected);
        assert!(refusals.is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_counted_exactly() {
        let mut refusals = Refusals::default();
        for number in 0..50_000_u32 {
            let address = Ipv4Addr::from(number << 8);
            refusals.count(Some(address.into()), "jwt", "jwt.missing");
        }
        let found = drained(&mut refusals);
        assert_eq!(found.len(), MOST_APART + 1);
        assert_eq!(found.iter().map(|(_, count)| count).sum::<u64>(), 50_000);
    }
}

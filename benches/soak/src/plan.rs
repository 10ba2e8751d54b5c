//! What goes wrong when.

use std::time::Duration;

/// Something that goes wrong, or that has to go on without anybody noticing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Fault {
    /// Nobody answers where the issuer was; meanwhile it signs with another key.
    AbsentIssuer,
    /// Connections that never say anything.
    FloodOfConnections,
    /// Requests of more addresses than limits have room for.
    FloodOfKeys,
    /// Tokens with made-up signatures, and more good ones than the cache has room for.
    FloodOfTokens,
    /// The disk of the ledger has no room left.
    FullDisk,
    /// Redis takes connections and answers none.
    HungRedis,
    /// Redis is killed, and started again with nothing remembered.
    KilledRedis,
    /// A new certificate authority, new certificates for all, and the old authority is dropped.
    NewCertificates,
    /// The issuer signs with another key, and withdraws the old one.
    NewSigningKey,
    /// The issuer's keys come a byte at a time; meanwhile it signs with another key.
    SlowIssuer,
}

impl Fault {
    /// What fills tables: before memory is looked at, and again after.
    const FLOODS: [Self; 3] = [
        Self::FloodOfKeys,
        Self::FloodOfTokens,
        Self::FloodOfConnections,
    ];

    /// The others, in the order in which they come.
    const OTHERS: [Self; 6] = [
        Self::NewSigningKey,
        Self::KilledRedis,
        Self::NewCertificates,
        Self::SlowIssuer,
        Self::HungRedis,
        Self::AbsentIssuer,
    ];

    /// What a person reads.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AbsentIssuer => "issuer absent, signing key rotated",
            Self::FloodOfConnections => "flood of silent connections",
            Self::FloodOfKeys => "flood of made-up addresses",
            Self::FloodOfTokens => "flood of made-up and of distinct tokens",
            Self::FullDisk => "ledger's disk full",
            Self::HungRedis => "Redis hung",
            Self::KilledRedis => "Redis killed and restarted",
            Self::NewCertificates => "authority and certificates rotated",
            Self::NewSigningKey => "signing key rotated, old one withdrawn",
            Self::SlowIssuer => "issuer slow, signing key rotated",
        }
    }
}

/// How a soak of some length goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    /// How long it takes in all.
    pub(crate) length: Duration,
    /// How long tables may fill before memory has to be flat.
    pub(crate) warm_up: Duration,
    /// How long a fault lasts.
    pub(crate) span: Duration,
    /// How long nothing happens between two.
    pub(crate) pause: Duration,
}

impl Plan {
    /// A plan for a soak of this length, at least 20 seconds: everything happens once in it.
    pub(crate) fn of(length: Duration) -> Self {
        let length = length.max(Duration::from_secs(20));
        let part = |whole: u32| length / whole;
        Self {
            length,
            warm_up: part(4).min(Duration::from_secs(120)),
            span: part(40).clamp(Duration::from_millis(800), Duration::from_secs(10)),
            pause: part(80).clamp(Duration::from_millis(400), Duration::from_secs(20)),
        }
    }

    /// The faults in their order, without an end: floods, everything once, and then everything but
    /// the full disk again and again.
    pub(crate) fn faults() -> impl Iterator<Item = Fault> {
        let round = || Fault::OTHERS.into_iter().chain(Fault::FLOODS);
        let first = round().chain([Fault::FullDisk]);
        let again = std::iter::repeat_with(round).flatten();
        Fault::FLOODS.into_iter().chain(first).chain(again)
    }

    /// How many floods come first.
    pub(crate) const FLOODS: usize = Fault::FLOODS.len();

    /// How many faults are due before a soak may end.
    pub(crate) const fn least() -> usize {
        Fault::FLOODS.len() * 2 + Fault::OTHERS.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everything_happens_once_before_anything_but_floods_happens_twice() {
        let first: Vec<_> = Plan::faults().take(Plan::least()).collect();
        let others: Vec<_> = first[Fault::FLOODS.len()..].to_vec();
        let distinct: HashSet<_> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
        assert_eq!(distinct.len(), 10);
    }

    #[test]
    fn the_disk_is_full_once() {
        let full = Plan::faults()
            .take(1000)
            .filter(|it| *it == Fault::FullDisk);
        assert_eq!(full.count(), 1);
    }

    #[test]
    fn long_soaks_have_longer_faults_up_to_a_limit() {
        let span = |minutes: u64| Plan::of(Duration::from_secs(minutes * 60)).span;
        assert!(span(0) < span(2) && span(2) < span(60));
        assert_eq!(span(60), span(600));
    }
}

//! The crowd before the gate: who is in a handshake, and who has to make room.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// After what time a client that has sent nothing makes room. A TLS client speaks first, and its
/// first packet follows the last one of the TCP handshake at once.
const SILENT_FOR: Duration = Duration::from_millis(100);

/// After what time a client that is in the middle makes room: three round trips around the world.
/// Sooner, a crowd of good clients that come all at once would push each other out.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// How far a client has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// It has sent nothing yet.
    Silent,
    /// The handshake is under way.
    Busy,
    /// It is refused, and may read why.
    Refused,
    /// The connection waits for the application, which is nothing that the client could hasten.
    Finished,
}

/// Everybody who is in a handshake, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Crowd {
    max: usize,
    max_per_address: usize,
    members: BTreeMap<u64, Member>,
    addresses: HashMap<IpAddr, usize>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    since: Instant,
    stage: Stage,
    must_go: Arc<Notify>,
}

/// What becomes of a new client.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It has a place, until it is told to go.
    Admitted { place: u64, must_go: Arc<Notify> },
    /// Its address has all the places that one may have, and none of them is idle.
    Refused,
    /// There is no place for anybody. Ask again a little later.
    Wait,
}

impl Crowd {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self {
            max,
            max_per_address,
            members: BTreeMap::new(),
            addresses: HashMap::new(),
            next: 0,
        }
    }

    /// Finds a place for a client; if there is none, another may have to go.
    ///
    /// 1. An address that has its share makes room among its own.
    /// 2. If all places are taken, the address with the most clients makes room, or else the one
    ///    that was there first.
    /// 3. Only those make room who have been idle, silent ones sooner than others.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Instant) -> Admission {
        let address = network(address);
        let (ours, all) = (self.of(address), self.len());
        if ours >= self.max_per_address {
            if !self.make_room(Some(address), now) {
                return Admission::Refused;
            }
        } else if all >= self.max {
            let crowded = self.addresses.iter().filter(|(_, count)| **count > 1);
            let crowded = crowded.max_by_key(|(_, count)| **count);
            let crowded = crowded.map(|(address, _)| *address);
            if !self.make_room(crowded, now) && !self.make_room(None, now) {
                return Admission::Wait;
            }
        }
        let place = self.next;
        self.next += 1;
        let must_go = Arc::new(Notify::new());
        self.members.insert(
            place,
            Member {
                address,
                since: now,
                stage: Stage::Silent,
                must_go: Arc::clone(&must_go),
            },
        );
        *self.addresses.entry(address).or_default() += 1;
        Admission::Admitted { place, must_go }
    }

    /// Notes how far a client has come.
    pub(crate) fn advance(&mut self, place: u64, stage: Stage) {
        if let Some(member) = self.members.get_mut(&place) {
            member.stage = stage;
        }
    }

    /// Frees a place. Those who had to go have none any more.
    pub(crate) fn leave(&mut self, place: u64) {
        if let Some(member) = self.members.remove(&place)
            && let Some(count) = self.addresses.get_mut(&member.address)
        {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&member.address);
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    fn of(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).copied().unwrap_or(0)
    }

    fn make_room(&mut self, address: Option<IpAddr>, now: Instant) -> bool {
        let among = |member: &Member| address.is_none_or(|address| member.address == address);
        let idle = self
            .members
            .iter()
            .find(|(_, member)| among(member) && member.is_idle(now));
        let Some((&place, member)) = idle else {
            return false;
        };
        member.must_go.notify_one();
        self.leave(place);
        true
    }
}

impl Member {
    fn is_idle(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        match self.stage {
            Stage::Silent => waited >= SILENT_FOR,
            Stage::Busy => waited >= BUSY_FOR,
            Stage::Refused => true,
            Stage::Finished => false,
        }
    }
}

/// What counts as one address: of IPv6 the /64 network, which one client has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Admits a client and says whether another had to go.
    struct Check {
        crowd: Crowd,
        now: Instant,
        inside: Vec<(u64, Arc<Notify>)>,
    }

    impl Check {
        fn new(max: usize, max_per_address: usize) -> Self {
            Self {
                crowd: Crowd::new(max, max_per_address),
                now: Instant::now(),
                inside: Vec::new(),
            }
        }

        fn comes(&mut self, last: u8) -> Result<u64, &'static str> {
            match self.crowd.admit(address(last), self.now) {
                Admission::Admitted { place, must_go } => {
                    self.inside.push((place, must_go));
                    Ok(place)
                }
                Admission::Refused => Err("refused"),
                Admission::Wait => Err("wait"),
            }
        }

        fn inside(&self) -> Vec<u64> {
            self.crowd.members.keys().copied().collect()
        }

        async fn was_told(&self, place: u64) {
            let (_, must_go) = self.inside.iter().find(|(p, _)| *p == place).unwrap();
            must_go.notified().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_make_room_and_the_first_of_them_first() {
        let mut check = Check::new(2, 2);
        assert_eq!((check.comes(1), check.comes(2)), (Ok(0), Ok(1)));
        check.now += SOON;
        assert_eq!(check.comes(3), Err("wait"));
        check.now += SOON;
        assert_eq!(check.comes(3), Ok(2));
        assert_eq!(check.inside(), [1, 2]);
        check.was_told(0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_busy_has_more_time_and_who_is_finished_stays() {
        let mut check = Check::new(2, 2);
        assert_eq!((check.comes(1), check.comes(2)), (Ok(0), Ok(1)));
        check.crowd.advance(0, Stage::Finished);
        check.crowd.advance(1, Stage::Busy);
        check.now += BUSY_FOR - SOON;
        assert_eq!(check.comes(3), Err("wait"));
        check.now += SOON;
        assert_eq!(check.comes(3), Ok(2));
        check.crowd.advance(2, Stage::Refused);
        assert_eq!(check.comes(4), Ok(3));
        assert_eq!(check.inside(), [0, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_makes_room_among_its_own() {
        let mut check = Check::new(10, 2);
        assert_eq!(check.comes(2), Ok(0));
        assert_eq!((check.comes(1), check.comes(1)), (Ok(1), Ok(2)));
        assert_eq!(check.comes(1), Err("refused"));
        check.now += SILENT_FOR;
        assert_eq!(check.comes(1), Ok(3));
        assert_eq!(check.inside(), [0, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_crowded_address_makes_room_for_others() {
        let mut check = Check::new(3, 3);
        assert_eq!(check.comes(2), Ok(0));
        assert_eq!((check.comes(1), check.comes(1)), (Ok(1), Ok(2)));
        check.now += SILENT_FOR;
        assert_eq!(check.comes(3), Ok(3));
        assert_eq!(check.inside(), [0, 2, 3]);
        // With one each, the one that was there first.
        check.now += SILENT_FOR;
        assert_eq!(check.comes(4), Ok(4));
        assert_eq!(check.inside(), [2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn places_become_free() {
        let mut check = Check::new(1, 1);
        for place in 0..3 {
            assert_eq!(check.comes(1), Ok(place));
            check.crowd.leave(place);
            check.crowd.leave(place);
        }
        assert!(check.crowd.members.is_empty() && check.crowd.addresses.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network(address).to_string(), expected);
        }
    }
}

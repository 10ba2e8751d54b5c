//! The crowd before the gate: who waits, who is in a handshake, and who has to make room.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How many clients may wait for each one in a handshake. One that has said nothing costs a
/// socket and some 4 KB; a handshake costs processor time.
const WAITING_PER_PLACE: usize = 8;

/// After what time a client that is in the middle makes room: three round trips around the world.
/// Sooner, a crowd of good clients that come all at once would push each other out.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// How often those in a handshake are looked through while others wait.
const SWEEP: Duration = Duration::from_millis(20);

/// How far a client has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// It has not said what it wants: nothing, or less than a whole ClientHello.
    Silent,
    /// It has, and waits for a place.
    Waiting,
    /// The handshake is under way.
    Busy,
    /// It is refused, and may read why.
    Refused,
    /// The connection waits for the application, which is nothing that the client could hasten.
    Finished,
}

/// Everybody who has come and is not let in yet, in the order of arrival.
///
/// There are two caps. Clients that have not said what they want may be many, because they cost
/// little, and the one that was silent for the longest makes room for the next at once: a good
/// client speaks in the packet after the one that opened its connection, so that a flood of
/// silent ones would have to be as fast as that. Handshakes, which cost, may be few.
#[derive(Debug)]
pub(crate) struct Crowd {
    max: usize,
    max_per_address: usize,
    room: usize,
    room_per_address: usize,
    members: HashMap<u64, Member>,
    addresses: HashMap<IpAddr, Address>,
    silent: BTreeSet<u64>,
    /// How many wait.
    waiting: usize,
    /// The first who waits, of each address that has not its share.
    line: BTreeSet<u64>,
    working: BTreeMap<u64, IpAddr>,
    next: u64,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    since: Instant,
    stage: Stage,
    signals: Arc<Signals>,
}

/// What one address has.
#[derive(Debug, Default)]
struct Address {
    members: usize,
    working: usize,
    silent: BTreeSet<u64>,
    waiting: BTreeSet<u64>,
    /// Who stands in the line for it.
    in_line: Option<u64>,
}

/// What a client's task is told.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// It has to make room for others.
    pub(crate) must_go: Notify,
    /// It has a place.
    pub(crate) may_begin: Notify,
}

/// What becomes of a new client.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It may say what it wants, until it is told to go.
    Admitted { place: u64, signals: Arc<Signals> },
    /// Its address has as many as one may have, and none of them is idle.
    Refused,
    /// There is no room for anybody. Ask again a little later.
    Wait,
}

impl Crowd {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self {
            max,
            max_per_address,
            room: max.saturating_mul(WAITING_PER_PLACE),
            room_per_address: max_per_address.saturating_mul(WAITING_PER_PLACE),
            members: HashMap::new(),
            addresses: HashMap::new(),
            silent: BTreeSet::new(),
            waiting: 0,
            line: BTreeSet::new(),
            working: BTreeMap::new(),
            next: 0,
            swept: None,
        }
    }

    /// Finds room for a client; if there is none, another may have to go.
    ///
    /// 1. An address that has its share makes room among its own, silent ones first.
    /// 2. If there are too many in all, the one makes room that was silent for the longest.
    /// 3. If nobody is silent, those do who have been in a handshake for too long.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Instant) -> Admission {
        let address = network(address);
        let ours = self.addresses.get(&address);
        if ours.map_or(0, |ours| ours.members) >= self.room_per_address {
            let silent = ours.and_then(|ours| ours.silent.first().copied());
            if !self.send_away(silent) && !self.make_place(Some(address), now) {
                return Admission::Refused;
            }
        } else if self.members.len() >= self.room
            && !self.make_room()
            && !self.make_place(None, now)
        {
            return Admission::Wait;
        }
        let place = self.next;
        self.next += 1;
        let signals = Arc::new(Signals::default());
        self.members.insert(
            place,
            Member {
                address,
                since: now,
                stage: Stage::Silent,
                signals: Arc::clone(&signals),
            },
        );
        self.silent.insert(place);
        let ours = self.addresses.entry(address).or_default();
        ours.members += 1;
        ours.silent.insert(place);
        Admission::Admitted { place, signals }
    }

    /// Whether a client that has said what it wants may begin. If not, it is told when it may;
    /// whoever asks again meanwhile makes those give way who are idle by then.
    pub(crate) fn begin(&mut self, place: u64, now: Instant) -> bool {
        let Some(member) = self.members.get_mut(&place) else {
            return false;
        };
        let address = member.address;
        match member.stage {
            Stage::Silent => {
                member.stage = Stage::Waiting;
                self.no_longer_silent(place, address);
                self.waiting += 1;
                let ours = self.addresses.entry(address).or_default();
                ours.waiting.insert(place);
                self.line_up(address);
            }
            Stage::Waiting => {}
            Stage::Busy | Stage::Refused | Stage::Finished => return true,
        }
        self.promote(now);
        if !self.working.contains_key(&place) {
            self.sweep(now);
            self.promote(now);
        }
        self.working.contains_key(&place)
    }

    /// Notes how far a client has come.
    pub(crate) fn advance(&mut self, place: u64, stage: Stage) {
        let Some(member) = self.members.get_mut(&place) else {
            return;
        };
        member.stage = stage;
        let address = member.address;
        self.no_longer_silent(place, address);
    }

    /// Frees a place. Those who had to go have none any more.
    pub(crate) fn leave(&mut self, place: u64, now: Instant) {
        if self.remove(place) {
            self.promote(now);
        }
    }

    /// Sends away the one that was silent for the longest, if anybody is.
    pub(crate) fn make_room(&mut self) -> bool {
        self.send_away(self.silent.first().copied())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    fn has_its_share(&self, address: IpAddr) -> bool {
        let ours = self.addresses.get(&address);
        ours.is_some_and(|ours| ours.working >= self.max_per_address)
    }

    fn no_longer_silent(&mut self, place: u64, address: IpAddr) {
        if self.silent.remove(&place)
            && let Some(ours) = self.addresses.get_mut(&address)
        {
            ours.silent.remove(&place);
        }
    }

    /// Has the first who waits of an address stand in the line, unless it has its share. Nobody
    /// has to pass over the others then, of whom one address may have thousands.
    fn line_up(&mut self, address: IpAddr) {
        let Some(ours) = self.addresses.get_mut(&address) else {
            return;
        };
        let may = ours.working < self.max_per_address;
        let first = ours.waiting.first().copied().filter(|_| may);
        let before = std::mem::replace(&mut ours.in_line, first);
        if let Some(before) = before {
            self.line.remove(&before);
        }
        self.line.extend(first);
    }

    /// Gives free places to those who wait, in the order of arrival; those whose address has its
    /// share are passed over.
    fn promote(&mut self, now: Instant) {
        while self.working.len() < self.max
            && let Some(place) = self.line.pop_first()
            && let Some(member) = self.members.get_mut(&place)
        {
            let address = member.address;
            (member.stage, member.since) = (Stage::Busy, now);
            member.signals.may_begin.notify_one();
            self.working.insert(place, address);
            self.waiting -= 1;
            let ours = self.addresses.entry(address).or_default();
            ours.waiting.remove(&place);
            ours.working += 1;
            self.line_up(address);
        }
    }

    /// Sends away those who have been in a handshake for too long and stand in the way of others,
    /// as many as wait.
    fn sweep(&mut self, now: Instant) {
        let soon = |swept| now.saturating_duration_since(swept) < SWEEP;
        if self.swept.is_some_and(soon) {
            return;
        }
        self.swept = Some(now);
        let full = self.working.len() >= self.max;
        let in_the_way = self.working.iter().filter(|(place, address)| {
            (full || self.has_its_share(**address))
                && self.members.get(place).is_some_and(|it| it.is_idle(now))
        });
        let in_the_way = in_the_way.map(|(place, _)| *place);
        let in_the_way: Vec<_> = in_the_way.take(self.waiting).collect();
        for place in in_the_way {
            self.send_away(Some(place));
        }
    }

    /// Sends away the first who has been in a handshake for too long, of one address or of all.
    fn make_place(&mut self, address: Option<IpAddr>, now: Instant) -> bool {
        let among = |theirs: &IpAddr| address.is_none_or(|address| *theirs == address);
        let idle = self.working.iter().find(|(place, theirs)| {
            among(theirs) && self.members.get(place).is_some_and(|it| it.is_idle(now))
        });
        let idle = idle.map(|(place, _)| *place);
        let sent = self.send_away(idle);
        self.promote(now);
        sent
    }

    fn send_away(&mut self, place: Option<u64>) -> bool {
        let Some(place) = place else {
            return false;
        };
        if let Some(member) = self.members.get(&place) {
            member.signals.must_go.notify_one();
        }
        self.remove(place)
    }

    fn remove(&mut self, place: u64) -> bool {
        let Some(member) = self.members.remove(&place) else {
            return false;
        };
        self.silent.remove(&place);
        let worked = self.working.remove(&place).is_some();
        let Some(ours) = self.addresses.get_mut(&member.address) else {
            return true;
        };
        ours.silent.remove(&place);
        ours.members -= 1;
        ours.working -= usize::from(worked);
        self.waiting -= usize::from(ours.waiting.remove(&place));
        let is_last = ours.members == 0;
        self.line_up(member.address);
        if is_last {
            self.addresses.remove(&member.address);
        }
        true
    }
}

impl Member {
    fn is_idle(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Busy => now.saturating_duration_since(self.since) >= BUSY_FOR,
            Stage::Refused => true,
            Stage::Silent | Stage::Waiting | Stage::Finished => false,
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
mod tests;

//! What is registered, by whom, and until when. It knows nothing of HTTP or of clocks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bartizan::core::{SpiffeId, SpiffePattern};

use crate::config;

/// The services that there may be, and their instances.
///
/// 1. A name belongs to one identity. Nobody else registers under it, renews or withdraws.
/// 2. Whoever may look a name up is told its instances; whoever may not is told the same as of a
///    name that does not exist.
/// 3. An instance that was not renewed is gone when its lease ends, whether or not somebody sweeps.
/// 4. There is room for so many instances, of each identity and in all. Renewing needs none.
#[derive(Debug)]
pub(crate) struct Catalog {
    services: BTreeMap<Box<str>, Service>,
    of_one: usize,
    in_all: usize,
}

#[derive(Debug)]
struct Service {
    owner: SpiffeId,
    readers: Box<[SpiffePattern]>,
    version: u64,
    /// Until when each is listed.
    instances: BTreeMap<SocketAddr, Duration>,
}

/// What is known of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) owner: SpiffeId,
    pub(crate) instances: Vec<SocketAddr>,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Registered {
    /// It is listed now.
    New,
    /// It was listed before, and is for longer.
    Renewed,
}

/// An instance that is listed no longer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Gone {
    pub(crate) service: Box<str>,
    pub(crate) address: SocketAddr,
    pub(crate) owner: SpiffeId,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// There is no room for anybody.
    Full,
    /// The name is another's, or nobody's.
    NotYours,
    /// There is no more room for this identity.
    TooMany,
}

impl Catalog {
    /// A catalog of these services without instances. Versions begin at `version`, which must be
    /// beyond those of an earlier run, for those who wait for something newer.
    pub(crate) fn new(services: &[config::Service], limits: config::Limits, version: u64) -> Self {
        let services = services.iter().map(|service| {
            let entry = Service {
                owner: service.owner.clone(),
                readers: service.readers.clone().into(),
                version,
                instances: BTreeMap::new(),
            };
            (service.name.as_str().into(), entry)
        });
        Self {
            services: services.collect(),
            of_one: limits.instances_of_one,
            in_all: limits.instances,
        }
    }

    /// The names that there may be.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(|name| &**name)
    }

    /// Lists an instance, or keeps it listed, until `end`.
    pub(crate) fn register(
        &mut self,
        name: &str,
        who: &SpiffeId,
        address: SocketAddr,
        now: Duration,
        end: Duration,
    ) -> Result<Registered, Refusal> {
        let owned = self
            .services
            .get(name)
            .filter(|service| service.owner == *who);
        let service = owned.ok_or(Refusal::NotYours)?;
        let listed = service
            .instances
            .get(&address)
            .is_some_and(|end| *end > now);
        if !listed {
            // What has ended takes no room.
            let live = |service: &Service| service.live(now).count();
            let of_one = self
                .services
                .values()
                .filter(|service| service.owner == *who);
            if of_one.map(live).sum::<usize>() >= self.of_one {
                return Err(Refusal::TooMany);
            }
            if self.services.values().map(live).sum::<usize>() >= self.in_all {
                return Err(Refusal::Full);
            }
        }
        let service = self.services.get_mut(name).ok_or(Refusal::NotYours)?;
        service.instances.insert(address, end);
        if listed {
            return Ok(Registered::Renewed);
        }
        service.version += 1;
        Ok(Registered::New)
    }

    /// Lists an instance no longer, and says whether it was.
    pub(crate) fn withdraw(
        &mut self,
        name: &str,
        who: &SpiffeId,
        address: SocketAddr,
        now: Duration,
    ) -> Result<bool, Refusal> {
        let owned = self
            .services
            .get_mut(name)
            .filter(|service| service.owner == *who);
        let service = owned.ok_or(Refusal::NotYours)?;
        let end = service.instances.remove(&address);
        if end.is_some() {
            service.version += 1;
        }
        Ok(end.is_some_and(|end| end > now))
    }

    /// Where a service is.
    pub(crate) fn look_up(
        &self,
        name: &str,
        who: &SpiffeId,
        now: Duration,
    ) -> Result<Snapshot, Refusal> {
        let may_know = |service: &&Service| {
            service.owner == *who || service.readers.iter().any(|reader| reader.matches(who))
        };
        let service = self.services.get(name).filter(may_know);
        let service = service.ok_or(Refusal::NotYours)?;
        Ok(Snapshot {
            version: service.version,
            owner: service.owner.clone(),
            instances: service.live(now).collect(),
        })
    }

    /// Forgets what has ended.
    pub(crate) fn sweep(&mut self, now: Duration) -> Vec<Gone> {
        let mut gone = Vec::new();
        for (name, service) in &mut self.services {
            let before = gone.len();
            service.instances.retain(|address, end| {
                if *end <= now {
                    gone.push(Gone {
                        service: name.clone(),
                        address: *address,
                        owner: service.owner.clone(),
                    });
                }
                *end > now
            });
            if gone.len() > before {
                service.version += 1;
            }
        }
        gone
    }
}

impl Service {
    fn live(&self, now: Duration) -> impl Iterator<Item = SocketAddr> {
        let live = self.instances.iter().filter(move |(_, end)| **end > now);
        live.map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests;

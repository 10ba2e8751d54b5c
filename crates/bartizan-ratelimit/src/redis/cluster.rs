//! A cluster: which node has which slot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::dial::Dialer;
use super::link::{Link, Target};
use super::script::{Failed, Script};
use crate::store::StoreError;

/// So often a command is sent on by nodes that do not have its slot.
const REDIRECTIONS: usize = 4;

/// How long one node may take to tell who has which slot.
const PATIENCE: Duration = Duration::from_millis(300);

/// Who has which slot is not asked for again sooner than after this.
const PAUSE: Duration = Duration::from_millis(100);

/// More nodes than this are not believed in.
const MOST_NODES: usize = 1_000;

/// A cluster. Commands go to the node that has their slot, and where that node sends them: it has
/// not run what it sends on.
#[derive(Debug)]
pub(super) struct Cluster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seeds: Vec<Address>,
    dialer: Dialer,
    nodes: Mutex<HashMap<Address, Arc<Link>>>,
    map: watch::Sender<Map>,
    is_asking: AtomicBool,
}

#[derive(Clone, Debug)]
enum Map {
    Failed(Arc<str>),
    Known(Arc<[Range]>),
    Unknown,
}

/// Slots that one node has.
#[derive(Debug, Eq, PartialEq)]
struct Range {
    first: u16,
    last: u16,
    node: Address,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, dialer: Dialer) -> Self {
        Self(Arc::new(Shared {
            seeds,
            dialer,
            nodes: Mutex::default(),
            map: watch::Sender::new(Map::Unknown),
            is_asking: AtomicBool::new(false),
        }))
    }

    /// Runs a script where the slot is.
    pub(super) async fn run(
        &self,
        slot: u16,
        script: &'static Script,
        keys: &[String],
        arguments: &[i64],
    ) -> Result<Value, StoreError> {
        let mut node = self.node_of(slot).await?;
        let mut is_asking = false;
        for _ in 0..REDIRECTIONS {
            let link = self.0.link(&node);
            let answer = match is_asking {
                true => script.run_asking(&link, keys, arguments).await,
                false => script.run(&link, keys, arguments).await,
            };
            let failed = match answer {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            match redirection(&failed, &node) {
                Some((next, asks)) => (node, is_asking) = (next, asks),
                None => {
                    // The node may be gone, and another have its slots.
                    self.refresh();
                    return Err(failed.into_error());
                }
            }
            if !is_asking {
                self.refresh();
            }
        }
        Err(StoreError::Refused("sent on too often".into()))
    }

    /// Whether all nodes answer that have slots.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.refresh();
        let mut nodes: Vec<Address> = match &*self.0.map.borrow() {
            Map::Known(ranges) => ranges.iter().map(|range| range.node.clone()).collect(),
            Map::Failed(reason) => return Err(StoreError::Disconnected(Arc::clone(reason))),
            Map::Unknown => return Err(StoreError::Disconnected("no nodes known yet".into())),
        };
        nodes.sort_by_key(ToString::to_string);
        nodes.dedup();
        let links: Vec<_> = nodes.iter().map(|node| self.0.link(node)).collect();
        let mut probes = tokio::task::JoinSet::new();
        for link in links {
            probes.spawn(async move { link.probe().await });
        }
        while let Some(probed) = probes.join_next().await {
            probed.unwrap_or_else(|_| Err(StoreError::Disconnected("closed".into())))?;
        }
        Ok(())
    }

    async fn node_of(&self, slot: u16) -> Result<Address, StoreError> {
        let mut map = self.0.map.subscribe();
        loop {
            match &*map.borrow_and_update() {
                Map::Known(ranges) => {
                    let has = |range: &&Range| (range.first..=range.last).contains(&slot);
                    if let Some(range) = ranges.iter().find(has) {
                        return Ok(range.node.clone());
                    }
                    self.refresh();
                    return Err(StoreError::Refused("nobody has the slot".into()));
                }
                Map::Failed(reason) => {
                    self.refresh();
                    return Err(StoreError::Disconnected(Arc::clone(reason)));
                }
                Map::Unknown => self.refresh(),
            }
            if map.changed().await.is_err() {
                return Err(StoreError::Disconnected("closed".into()));
            }
        }
    }

    /// Asks who has which slot, unless somebody does already.
    fn refresh(&self) {
        if !self.0.is_asking.swap(true, Ordering::AcqRel) {
            tokio::spawn(refresh(Arc::downgrade(&self.0)));
        }
    }
}

impl Shared {
    fn link(&self, node: &Address) -> Arc<Link> {
        let mut nodes = self.nodes();
        if nodes.len() > MOST_NODES {
            nodes.clear();
        }
        let link = nodes.entry(node.clone()).or_insert_with(|| {
            let target = Target::Server(node.clone());
            Arc::new(Link::new(target, self.dialer.clone()))
        });
        Arc::clone(link)
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Arc<Link>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes to ask: those that are known to be there, then the seeds.
    fn witnesses(&self) -> Vec<Address> {
        let mut witnesses: Vec<Address> = self.nodes().keys().cloned().collect();
        for seed in &self.seeds {
            if !witnesses.contains(seed) {
                witnesses.push(seed.clone());
            }
        }
        witnesses
    }
}

async fn refresh(shared: Weak<Shared>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let mut map = Map::Failed("no node answers".into());
    for witness in shared.witnesses() {
        match timeout(PATIENCE, ask(&shared.link(&witness), &witness)).await {
            Ok(Ok(ranges)) => {
                shared.nodes().retain(|node, _| {
                    let is_seed = shared.seeds.contains(node);
                    is_seed || ranges.iter().any(|range| range.node == *node)
                });
                map = Map::Known(ranges.into());
                break;
            }
            Ok(Err(error)) => map = Map::Failed(error.to_string().into()),
            Err(_) => {}
        }
    }
    // What was known stays: some of it may still hold.
    shared.map.send_if_modified(|known| match (&*known, &map) {
        (Map::Known(_), Map::Failed(_)) => false,
        _ => {
            *known = map;
            true
        }
    });
    sleep(PAUSE).await;
    shared.is_asking.store(false, Ordering::Release);
}

async fn ask(link: &Link, witness: &Address) -> Result<Vec<Range>, StoreError> {
    let mut connection = link.connection().await?;
    let answer = redis::cmd("CLUSTER")
        .arg("SLOTS")
        .query_async::<Value>(&mut connection)
        .await;
    let answer = answer.map_err(|error| Failed::Answered(error).into_error())?;
    ranges(&answer, witness)
        .filter(|ranges| !ranges.is_empty())
        .ok_or_else(|| StoreError::Refused("nobody has any slots".into()))
}

/// What `CLUSTER SLOTS` has answered: first and last slot, the node that has them, its replicas.
fn ranges(answer: &Value, witness: &Address) -> Option<Vec<Range>> {
    let Value::Array(entries) = answer else {
        return None;
    };
    let range = |entry: &Value| {
        let Value::Array(entry) = entry else {
            return None;
        };
        let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = entry.as_slice() else {
            return None;
        };
        let [host, Value::Int(port), ..] = node.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => std::str::from_utf8(host).ok()?,
            // A node that does not know its own address means: where you have found me.
            _ => "",
        };
        let host = if host.is_empty() { &witness.host } else { host };
        Some(Range {
            first: u16::try_from(*first).ok()?,
            last: u16::try_from(*last).ok()?,
            node: Address::new(host, u16::try_from(*port).ok()?),
        })
    };
    entries.iter().take(1 << 14).map(range).collect()
}

/// What an answer of a node comes to: slots, and the node that has them.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_slots(answer: &Value) -> Option<Vec<(u16, u16, String)>> {
    let ranges = ranges(answer, &Address::new("witness.internal", 6379))?;
    let told = ranges.into_iter();
    Some(
        told.map(|range| (range.first, range.last, range.node.to_string()))
            .collect(),
    )
}

/// Where a command was sent on to, and whether the node there has to be asked for it.
fn redirection(failed: &Failed, from: &Address) -> Option<(Address, bool)> {
    let Failed::Answered(error) = failed else {
        return None;
    };
    let is_asking = match error.code()? {
        "ASK" => true,
        "MOVED" => false,
        _ => return None,
    };
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { &from.host } else { host };
    Some((Address::new(host, port.parse().ok()?), is_asking))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port)])
    }

    fn entry(first: i64, last: i64, node: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn slots_are_read_strictly() {
        let witness = Address::new("seed", 1);
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let answer = Value::Array(vec![
            entry(0, 100, node(text("10.0.0.1"), 7000)),
            entry(101, 16_383, node(Value::Nil, 7001)),
        ]);
        let found = ranges(&answer, &witness).unwrap();
        let nodes: Vec<String> = found.iter().map(|range| range.node.to_string()).collect();
        assert_eq!(nodes, ["10.0.0.1:7000", "seed:7001"]);
        assert_eq!((found[1].first, found[1].last), (101, 16_383));
        for refused in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![entry(-1, 1, node(text("a"), 1))]),
            Value::Array(vec![entry(0, 1, node(text("a"), 70_000))]),
            Value::Array(vec![entry(0, 1, node(Value::BulkString(vec![255]), 1))]),
        ] {
            assert_eq!(ranges(&refused, &witness), None);
        }
    }
}

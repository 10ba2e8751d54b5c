//! A disk in memory that keeps through a power cut only what was synced, and some of the rest:
//! whichever sectors it happens to have written back, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use super::Storage;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// An operation that can be counted, ignored or made to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Create,
    Persist,
    Remove,
    Rename,
    Replace,
    Sync,
    SyncNames,
    Truncate,
    Write,
}

/// A failure that is planned: of this operation, as long as `times` lasts, after `skip` of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) operation: Operation,
    pub(crate) skip: usize,
    pub(crate) times: usize,
    pub(crate) error: io::ErrorKind,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl Inode {
    fn durable(bytes: Vec<u8>) -> Self {
        Self {
            synced: bytes.clone(),
            content: bytes,
            dirty: BTreeSet::new(),
        }
    }

    /// Writes one sector back.
    fn write_back(&mut self, sector: usize) {
        let begin = (sector * SECTOR).min(self.content.len());
        let end = (begin + SECTOR).min(self.content.len());
        if self.synced.len() < end {
            self.synced.resize(end, 0);
        }
        self.synced[begin..end].copy_from_slice(&self.content[begin..end]);
    }
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    operations: usize,
    power_lasts: Option<usize>,
    ignores: Option<Operation>,
    /// One operation of a kind that does nothing, after so many of them; and when that was.
    omits: Option<(Operation, usize)>,
    omitted: Option<usize>,
    planned: Vec<Planned>,
    longest_write: Option<usize>,
}

/// Cloning gives another handle to the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct FragileDisk(Arc<Mutex<State>>);

impl FragileDisk {
    /// Cuts the power after so many operations; all that follow fail.
    pub(crate) fn cut_power_after(&self, operations: usize) {
        self.0.lock().unwrap().power_lasts = Some(operations);
    }

    /// Makes one kind of operation succeed and do nothing.
    pub(crate) fn ignore(&self, operation: Operation) {
        self.0.lock().unwrap().ignores = Some(operation);
    }

    /// Makes one operation of this kind succeed and do nothing, after so many of them.
    pub(crate) fn omit(&self, operation: Operation, skip: usize) {
        self.0.lock().unwrap().omits = Some((operation, skip));
    }

    /// After how many operations one did nothing, if one has.
    pub(crate) fn omitted(&self) -> Option<usize> {
        self.0.lock().unwrap().omitted
    }

    pub(crate) fn plan(&self, planned: Planned) {
        self.0.lock().unwrap().planned.push(planned);
    }

    pub(crate) fn limit_writes(&self, bytes: usize) {
        self.0.lock().unwrap().longest_write = Some(bytes);
    }

    pub(crate) fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    /// Removes a file behind the writer's back.
    pub(crate) fn steal(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        state.names.remove(name);
        state.synced_names.remove(name);
    }

    /// Puts a file in place, durable.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock().unwrap();
        state.inodes.push(Inode::durable(bytes));
        let index = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), index);
        state.synced_names.insert(name.to_owned(), index);
    }

    /// What is found once the power is back. `luck` decides which sectors and names had been
    /// written back although nobody asked for it.
    pub(crate) fn after_power_cut(&self, luck: u64) -> Self {
        let state = self.0.lock().unwrap();
        let mut random = Luck(luck);
        let mut inodes = state.inodes.clone();
        for inode in &mut inodes {
            for sector in std::mem::take(&mut inode.dirty) {
                if random.strikes() {
                    inode.write_back(sector);
                }
            }
            inode.content = inode.synced.clone();
        }
        let mut names = state.synced_names.clone();
        if random.strikes() {
            names = state.names.clone();
        }
        Self(Arc::new(Mutex::new(State {
            inodes,
            synced_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// Counts an operation; says whether it takes effect.
    fn perform(&self, operation: Operation) -> io::Result<bool> {
        let state = &mut *self.0.lock().unwrap();
        if state
            .power_lasts
            .is_some_and(|lasts| state.operations >= lasts)
        {
            return Err(io::Error::other("no power"));
        }
        state.operations += 1;
        for planned in &mut state.planned {
            if planned.operation == operation {
                if planned.skip > 0 {
                    planned.skip -= 1;
                } else if planned.times > 0 {
                    planned.times -= 1;
                    return Err(planned.error.into());
                }
            }
        }
        if let Some((omitted, skip)) = &mut state.omits
            && *omitted == operation
        {
            match skip.checked_sub(1) {
                Some(fewer) => *skip = fewer,
                None => {
                    state.omits = None;
                    state.omitted = Some(state.operations);
                    return Ok(false);
                }
            }
        }
        Ok(state.ignores != Some(operation))
    }
}

/// A small generator, so that every crash can be repeated.
struct Luck(u64);

impl Luck {
    fn strikes(&mut self) -> bool {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}

impl Storage for FragileDisk {
    type File = usize;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.lock().unwrap();
        let index = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.inodes[index].content.clone())
    }

    fn create(&self, name: &str, length: u64) -> io::Result<usize> {
        self.perform(Operation::Create)?;
        let mut state = self.0.lock().unwrap();
        let zeros = vec![0; usize::try_from(length).unwrap()];
        state.inodes.push(Inode::durable(zeros));
        let index = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), index);
        Ok(index)
    }

    fn write_at(&self, file: &mut usize, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let effective = self.perform(Operation::Write)?;
        let state = &mut *self.0.lock().unwrap();
        let length = bytes.len().min(state.longest_write.unwrap_or(usize::MAX));
        if effective {
            let inode = &mut state.inodes[*file];
            let begin = usize::try_from(offset).unwrap();
            let end = begin + length;
            if inode.content.len() < end {
                inode.content.resize(end, 0);
            }
            inode.content[begin..end].copy_from_slice(&bytes[..length]);
            inode.dirty.extend(begin / SECTOR..=(end - 1) / SECTOR);
        }
        Ok(length)
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let performed = self.perform(Operation::Sync);
        let state = &mut *self.0.lock().unwrap();
        let inode = &mut state.inodes[*file];
        match performed {
            Ok(true) => {
                for sector in std::mem::take(&mut inode.dirty) {
                    inode.write_back(sector);
                }
            }
            Ok(false) => {}
            // As on Linux: a failed sync leaves the pages clean, so that no later sync of the
            // same file writes them.
            Err(_) if state.power_lasts.is_none() => inode.dirty.clear(),
            Err(_) => {}
        }
        performed.map(drop)
    }

    fn truncate(&self, file: &usize, length: u64) -> io::Result<()> {
        if self.perform(Operation::Truncate)? {
            let mut state = self.0.lock().unwrap();
            let inode = &mut state.inodes[*file];
            let length = usize::try_from(length).unwrap();
            inode.content.truncate(length);
            inode.synced.truncate(length);
            inode.dirty.retain(|sector| sector * SECTOR < length);
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.perform(Operation::Rename)?;
        let mut state = self.0.lock().unwrap();
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        if self.perform(Operation::SyncNames)? {
            let state = &mut *self.0.lock().unwrap();
            state.synced_names = state.names.clone();
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // One step: that it is one is shown where it is made, in `bartizan-source`.
        if self.perform(Operation::Replace)? {
            self.put(name, bytes.to_vec());
        }
        Ok(())
    }

    fn read_part(&self, name: &str, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?;
        let [from, most] = [from, most].map(|number| usize::try_from(number).unwrap());
        let end = bytes.len().min(from + most);
        Ok(bytes.get(from..end).unwrap_or_default().to_vec())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Contents and length are as good as unwritten until they are synced.
        let effective = self.perform(Operation::Write)?;
        let mut state = self.0.lock().unwrap();
        let mut inode = Inode::default();
        if effective {
            inode.content = bytes.to_vec();
            inode.dirty = (0..bytes.len().div_ceil(SECTOR)).collect();
        }
        state.inodes.push(inode);
        let index = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), index);
        Ok(())
    }

    fn persist(&self, names: &[String]) -> io::Result<()> {
        if !self.perform(Operation::Persist)? {
            return Ok(());
        }
        for name in names {
            let index = *self.0.lock().unwrap().names.get(name).unwrap();
            self.sync(&index)?;
        }
        self.sync_names()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.perform(Operation::Remove)?;
        let removed = self.0.lock().unwrap().names.remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn is_in_place(&self, file: &usize) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().names.values().any(|it| it == file))
    }
}

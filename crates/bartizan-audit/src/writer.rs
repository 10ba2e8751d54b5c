//! What writes a ledger: segments, checkpoints, epochs. It knows no threads and reads no clock.

mod open;

use std::io;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::epoch::{EpochKey, KeyFile};
use crate::merkle::Tree;
use crate::record::{EpochRecord, FaultRecord, Kind, Record, StopRecord, Totals, VERSION};
use crate::segment::{Header, frame_length, put_frame, seal_frame, segment_name};
use crate::storage::Storage;

pub(crate) use self::open::OpenError;

/// The file that holds the private keys.
pub(crate) const KEY_FILE: &str = "keys";
/// The file that holds the public key of the first epoch: what verifiers pin.
pub(crate) const VERIFIER_FILE: &str = "log.vkey";
/// The file that holds a checkpoint: the latest of a run's begin, rotation, heartbeat or end.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";
/// The file that holds the checkpoint that witnesses cosigned last.
pub(crate) const COSIGNED_FILE: &str = "checkpoint.cosigned";

/// Room for a checkpoint behind every chunk.
const CHECKPOINT_ROOM: u64 = 1024;

/// How much is written at once.
const LONGEST_CHUNK: usize = 4 * 1024 * 1024;

/// How often it is looked whether the segment is still there, in nanoseconds.
const LOOK_EVERY: u64 = 1_000_000_000;

/// How a ledger is written.
#[derive(Clone, Debug)]
pub(crate) struct WriterSettings {
    pub(crate) origin: String,
    pub(crate) service: String,
    pub(crate) detail: String,
    pub(crate) segment_bytes: u64,
    pub(crate) epoch_leaves: u64,
    pub(crate) epoch_nanoseconds: u64,
}

/// A file that was filled with zeros ahead of time, and its name.
pub(crate) type Spare<F> = Box<dyn FnMut() -> Option<(String, F)> + Send>;

pub(crate) struct Writer<S: Storage> {
    storage: S,
    settings: WriterSettings,
    key: EpochKey,
    /// Whether the key file still holds a key of an epoch that is over.
    stale_keys: bool,
    tree: Tree,
    next_segment: u64,
    previous_length: u64,
    active: Option<Active<S::File>>,
    fault: Option<Fault>,
    epoch_began: (u64, u64),
    looked: u64,
    note: Arc<str>,
    spare: Spare<S::File>,
}

struct Active<F> {
    file: F,
    number: u64,
    /// How many bytes are durable.
    length: u64,
    capacity: u64,
}

struct Fault {
    time: u64,
    segment: u64,
    length: u64,
    attempts: u32,
    reason: String,
}

/// Writing failed; what was written before is durable.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// How many bytes of the frames are durable.
    pub(crate) written: usize,
    pub(crate) error: io::Error,
}

impl<S: Storage> Writer<S> {
    /// The checkpoint that covers everything that is durable, as a signed note.
    pub(crate) fn note(&self) -> &Arc<str> {
        &self.note
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn set_spare(&mut self, spare: Spare<S::File>) {
        self.spare = spare;
    }

    /// Makes frames durable, with a checkpoint behind them.
    ///
    /// After a failure the segment is given up: nothing is ever synced again that could not be
    /// synced once, for the system may have dropped it. The next call begins another segment and
    /// goes on with what was not written.
    pub(crate) fn commit(&mut self, frames: &mut [u8], now: u64) -> Result<(), Interrupted> {
        let mut written = 0;
        let result = self.commit_from(frames, &mut written, now);
        let result = result.and_then(|()| self.end_epoch_if_due(now));
        result.map_err(|error| {
            if let Some(fault) = &mut self.fault {
                fault.attempts = fault.attempts.saturating_add(1);
            }
            Interrupted { written, error }
        })
    }

    fn commit_from(&mut self, frames: &mut [u8], written: &mut usize, now: u64) -> io::Result<()> {
        self.look(now);
        self.tell_fault(now)?;
        while let Some(rest) = frames.get_mut(*written..).filter(|rest| !rest.is_empty()) {
            let Some(first) = frame_length(rest) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.make_room(first, now)?;
            let chunk = self.fitting(rest);
            let Some(chunk) = rest.get_mut(..chunk) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.write_chunk(chunk, now)?;
            *written += chunk.len();
        }
        Ok(())
    }

    /// Writes one record of the ledger's own.
    pub(crate) fn record(&mut self, record: &Record<'_>, now: u64) -> io::Result<()> {
        let mut frame = Vec::with_capacity(512);
        put_frame(&mut frame, |out| record.encode(out));
        self.commit(&mut frame, now)
            .map_err(|interrupted| interrupted.error)
    }

    /// Says that nothing happened, and the service is alive.
    pub(crate) fn heartbeat(&mut self, now: u64) -> io::Result<()> {
        self.record(&Record::Heartbeat { time: now }, now)?;
        self.publish()
    }

    /// Ends the run in order.
    pub(crate) fn close(&mut self, totals: Totals, now: u64) -> io::Result<()> {
        let mut frame = Vec::with_capacity(64);
        let stop = Record::Stop(StopRecord::new(now, totals));
        put_frame(&mut frame, |out| stop.encode(out));
        // Nothing follows it, also no change of epochs: by its last record a run is known to have
        // ended in order.
        self.commit_from(&mut frame, &mut 0, now)?;
        self.end_segment();
        self.publish()
    }

    /// Puts the latest checkpoint where others find it.
    pub(crate) fn publish(&self) -> io::Result<()> {
        self.storage.replace(CHECKPOINT_FILE, self.note.as_bytes())
    }

    /// How many bytes of `frames` go into the segment, in whole frames; at least one does.
    fn fitting(&self, frames: &[u8]) -> usize {
        let room = self.active.as_ref().map_or(0, |active| {
            active
                .capacity
                .saturating_sub(active.length + CHECKPOINT_ROOM)
        });
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let most = room.min(LONGEST_CHUNK);
        let mut end = 0;
        while let Some(length) = frame_length(frames.get(end..).unwrap_or_default()) {
            if end + length > most && end > 0 {
                break;
            }
            end += length;
        }
        end
    }

    /// Sees to it that there is a segment with room for a frame of this length.
    fn make_room(&mut self, frame: usize, now: u64) -> io::Result<()> {
        let needed = frame as u64 + CHECKPOINT_ROOM;
        match &self.active {
            Some(active) if active.length + needed <= active.capacity => return Ok(()),
            Some(_) => {
                self.end_segment();
                // The rotation does not depend on it; the next heartbeat tries again.
                let _ = self.publish();
            }
            None => {}
        }
        self.begin_segment(needed).inspect_err(|error| {
            self.note_fault(error, now);
        })
    }

    fn begin_segment(&mut self, needed: u64) -> io::Result<()> {
        let number = self.next_segment;
        let header = Header {
            origin: self.settings.origin.clone(),
            number,
            previous_length: self.previous_length,
            epoch: self.key.epoch(),
            key: *self.key.verifier().public(),
            tree: self.tree.clone(),
        }
        .encode();
        let length = header.len() as u64;
        let needed = length + needed;
        let (capacity, prepared) = if needed <= self.settings.segment_bytes {
            (self.settings.segment_bytes, (self.spare)())
        } else {
            (needed, None)
        };
        let (temporary, created) = match prepared {
            Some((name, file)) => (name, Ok(file)),
            None => {
                let name = format!("{}.new", segment_name(number));
                let created = self.storage.create(&name, capacity);
                (name, created)
            }
        };
        let begun = created.and_then(|mut file| {
            self.storage.write_all_at(&mut file, 0, &header)?;
            self.storage.sync(&file)?;
            self.storage.rename(&temporary, &segment_name(number))?;
            self.storage.sync_names()?;
            Ok(file)
        });
        let file = begun.inspect_err(|_| {
            // What is half made would fill the disk that may be full already.
            let _ = self.storage.remove(&temporary);
        })?;
        self.active = Some(Active {
            file,
            number,
            length,
            capacity,
        });
        self.next_segment = number + 1;
        self.previous_length = length;
        Ok(())
    }

    /// Cuts the segment off behind its last durable byte. That it fails does no harm: the next
    /// segment says how much of this one counts.
    fn end_segment(&mut self) {
        if let Some(active) = self.active.take() {
            let _ = self.storage.truncate(&active.file, active.length);
        }
    }

    fn write_chunk(&mut self, chunk: &mut [u8], now: u64) -> io::Result<()> {
        let before = self.tree.clone();
        let mut at = 0;
        while let Some(length) = frame_length(chunk.get(at..).unwrap_or_default()) {
            if let Some(frame) = chunk.get_mut(at..at + length) {
                self.tree.push(seal_frame(frame));
            }
            at += length;
        }
        let checkpoint = Checkpoint::new(&self.settings.origin, self.tree.size(), self.tree.root());
        let note = self.key.sign(&checkpoint.to_string());
        let mut seal = Vec::with_capacity(note.len() + 32);
        put_frame(&mut seal, |out| {
            out.extend([VERSION, Kind::Checkpoint.byte()]);
            out.extend_from_slice(note.as_bytes());
        });
        seal_frame(&mut seal);
        let Some(active) = &mut self.active else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let behind = active.length + chunk.len() as u64;
        let written = self
            .storage
            .write_all_at(&mut active.file, active.length, chunk)
            .and_then(|()| self.storage.write_all_at(&mut active.file, behind, &seal))
            .and_then(|()| self.storage.sync(&active.file));
        match written {
            Ok(()) => {
                active.length = behind + seal.len() as u64;
                self.previous_length = active.length;
                self.note = note.into();
                Ok(())
            }
            Err(error) => {
                self.tree = before;
                self.note_fault(&error, now);
                self.end_segment();
                Err(error)
            }
        }
    }

    fn note_fault(&mut self, error: &io::Error, now: u64) {
        if self.fault.is_none() {
            let (segment, length) = match &self.active {
                Some(active) => (active.number, active.length),
                None => (self.next_segment.saturating_sub(1), self.previous_length),
            };
            self.fault = Some(Fault {
                time: now,
                segment,
                length,
                attempts: 0,
                reason: error.to_string(),
            });
        }
    }

    /// Writes down that writing failed, before anything else is written.
    fn tell_fault(&mut self, now: u64) -> io::Result<()> {
        let Some(fault) = &self.fault else {
            return Ok(());
        };
        let mut frame = Vec::with_capacity(512);
        let record = FaultRecord::new(
            fault.time,
            fault.segment,
            fault.length,
            fault.attempts,
            &fault.reason,
        );
        put_frame(&mut frame, |out| Record::Fault(record).encode(out));
        self.make_room(frame.len(), now)?;
        self.write_chunk(&mut frame, now)?;
        self.fault = None;
        Ok(())
    }

    /// Looks now and then whether somebody removed the segment that is being written.
    fn look(&mut self, now: u64) {
        if now.saturating_sub(self.looked) < LOOK_EVERY && now >= self.looked {
            return;
        }
        self.looked = now;
        let Some(active) = &self.active else {
            return;
        };
        if let Ok(false) = self.storage.is_in_place(&active.file) {
            self.note_fault(&io::Error::other("the segment was deleted"), now);
            self.active = None;
        }
    }

    /// Changes the key once the epoch has had its leaves or its time.
    fn end_epoch_if_due(&mut self, now: u64) -> io::Result<()> {
        if self.stale_keys {
            self.keep_keys(None);
        }
        let (leaves, time) = self.epoch_began;
        let due = self.tree.size().saturating_sub(leaves) >= self.settings.epoch_leaves
            || now.saturating_sub(time) >= self.settings.epoch_nanoseconds;
        if !due {
            return Ok(());
        }
        let number = self.key.epoch().saturating_add(1);
        let Some(next) = EpochKey::generate(&self.settings.origin, number) else {
            return Ok(());
        };
        // Both are on the disk before the ledger names the new one; which of them counts follows
        // from the ledger.
        if !self.keep_keys(Some(&next)) {
            return Ok(());
        }
        let change = EpochRecord::new(now, number, *next.verifier().public());
        let mut frame = Vec::with_capacity(64);
        put_frame(&mut frame, |out| Record::Epoch(change).encode(out));
        self.make_room(frame.len(), now)?;
        self.write_chunk(&mut frame, now)?;
        self.key = next;
        self.epoch_began = (self.tree.size(), now);
        self.keep_keys(None);
        Ok(())
    }

    /// Puts the keys on the disk: the epoch's own, and the next.
    fn keep_keys(&mut self, next: Option<&EpochKey>) -> bool {
        let content = KeyFile::print(&self.key, next);
        let kept = self.storage.replace(KEY_FILE, content.as_bytes()).is_ok();
        self.stale_keys = next.is_some() || !kept;
        kept
    }
}

#[cfg(test)]
pub(crate) mod tests;

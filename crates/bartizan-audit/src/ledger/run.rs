//! The writer's thread: takes what waits, makes it durable, says so, and begins again.

use std::time::Duration;

use bartizan_core::{Code, LifecycleKind, MonotonicTime};

use super::buffer::{Batch, FLUSH_AT};
use super::times::nanoseconds;
use super::{LedgerReport, Shared};
use crate::record::RecoveredRecord;
use crate::segment::frame_length;
use crate::storage::Storage;
use crate::writer::Writer;

const STORAGE_FAILED: Code = Code::new("audit.storage_failed");
const STORAGE_WORKS: Code = Code::new("audit.storage_recovered");
const RECORDS_LOST: Code = Code::new("audit.records_lost");

/// How often a run without events looks before it sleeps until it is woken. The model checker
/// tries every moment to fall asleep anyway.
const LOOKS_BEFORE_SLEEP: u32 = if cfg!(all(test, bartizan_loom)) {
    0
} else {
    64
};

/// How long a storage that failed is left alone before it is tried again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Refusals are written down once their second is over.
const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Run<'l, S: Storage> {
    shared: &'l Shared,
    writer: Writer<S>,
    batch: Batch,
    wakers: Vec<std::task::Waker>,
    last_commit: MonotonicTime,
    looks: u32,
}

impl<'l, S: Storage> Run<'l, S> {
    pub(super) fn new(shared: &'l Shared, writer: Writer<S>) -> Self {
        Self {
            shared,
            writer,
            batch: Batch {
                bytes: Vec::with_capacity(shared.settings.buffer_bytes),
                ..Batch::default()
            },
            wakers: Vec::new(),
            last_commit: shared.clock.monotonic(),
            looks: 0,
        }
    }

    /// Writes until the run is to end, and says what became of it.
    pub(super) fn run(mut self, recovered: Option<RecoveredRecord>) -> LedgerReport {
        while !self.wait() {
            self.write();
        }
        // What came in until the last request was finished.
        self.shared.buffer().closed = true;
        self.write();
        // The refusals of the last second found no room if those before had filled the buffer.
        let left = self.shared.buffer().has_refusals();
        if left {
            self.write();
        }
        let now = nanoseconds(&*self.shared.clock);
        // What came behind that is in no record, and must not be in the sum of them.
        let totals = self.shared.buffer().told();
        let complete = !self.shared.buffer().failing && self.writer.close(totals, now).is_ok();
        self.shared.publish(&self.writer);
        LedgerReport {
            totals,
            complete,
            entries: self.writer.size(),
            checkpoint: self.writer.note().to_string(),
            recovered,
        }
    }

    /// Waits until there is something to write, or nothing has been for as long as a heartbeat.
    /// Says whether the run is to end.
    fn wait(&mut self) -> bool {
        let settings = &self.shared.settings;
        let mut buffer = self.shared.buffer();
        loop {
            if buffer.closing && self.shared.is_idle(&buffer) {
                return true;
            }
            if buffer.urgent || buffer.len() >= FLUSH_AT {
                self.looks = 0;
                return false;
            }
            let was_empty = buffer.len() == 0 && !buffer.has_losses();
            let since = self
                .shared
                .clock
                .monotonic()
                .saturating_since(self.last_commit);
            let rest = settings.heartbeat.saturating_sub(since);
            if was_empty && rest.is_zero() {
                return false;
            }
            let pause = if !was_empty || self.looks < LOOKS_BEFORE_SLEEP {
                settings.flush_interval.min(rest.max(FIRST_PAUSE))
            } else {
                buffer.sleeping = true;
                rest
            };
            let pause = if buffer.has_refusals() {
                buffer.sleeping = false;
                pause.min(SECOND)
            } else {
                pause
            };
            let pause = if buffer.closing {
                pause.min(FIRST_PAUSE)
            } else {
                pause
            };
            buffer = self.shared.doze(buffer, pause);
            buffer.sleeping = false;
            buffer.end_second(self.shared.clock.wall().unix_seconds());
            if !was_empty {
                self.looks = 0;
                return false;
            }
            self.looks = self.looks.saturating_add(1);
        }
    }

    /// Takes what waits and makes it durable, however often that has to be tried.
    fn write(&mut self) {
        let now = nanoseconds(&*self.shared.clock);
        let (lost, closed) = {
            let mut buffer = self.shared.buffer();
            buffer.end_second(self.shared.clock.wall().unix_seconds());
            let lost = buffer.has_losses();
            buffer.take(&mut self.batch, now);
            (lost, buffer.closed)
        };
        if lost {
            self.shared.tell(
                LifecycleKind::SourceFailed,
                RECORDS_LOST,
                &"events were lost",
            );
        }
        if self.batch.bytes.is_empty() {
            // At the end of a run its end says as much.
            if !closed && self.writer.heartbeat(now).is_ok() {
                self.shared.publish(&self.writer);
            }
            // The batch has a number that somebody may wait for.
            self.shared
                .waiters
                .complete(self.batch.number, &mut self.wakers);
            self.last_commit = self.shared.clock.monotonic();
            return;
        }
        let mut pause = FIRST_PAUSE;
        let mut failed = false;
        loop {
            let now = nanoseconds(&*self.shared.clock);
            match self.writer.commit(&mut self.batch.bytes, now) {
                Ok(()) => break,
                Err(interrupted) => {
                    self.drop_written(interrupted.written);
                    if !std::mem::replace(&mut failed, true) {
                        let kind = LifecycleKind::SourceFailed;
                        self.shared.tell(kind, STORAGE_FAILED, &interrupted.error);
                    }
                    if !self.shared.pause(pause) {
                        return self.give_up();
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        if failed {
            self.shared.tell(
                LifecycleKind::SourceRefreshed,
                STORAGE_WORKS,
                &"writing goes on",
            );
        }
        let mut buffer = self.shared.buffer();
        buffer.failing = false;
        buffer.made_durable(self.batch.events);
        drop(buffer);
        self.shared.publish(&self.writer);
        self.shared
            .waiters
            .complete(self.batch.number, &mut self.wakers);
        self.last_commit = self.shared.clock.monotonic();
    }

    /// Takes out of the batch what is durable already.
    fn drop_written(&mut self, written: usize) {
        let mut at = 0;
        let mut events = 0;
        while at < written {
            let rest = self.batch.bytes.get(at..).unwrap_or_default();
            let Some(length) = frame_length(rest) else {
                break;
            };
            at += length;
            events += 1;
        }
        // The record of losses stands at the end, and is no event.
        let events = self.batch.events.min(events);
        self.batch.events -= events;
        self.batch.bytes.drain(..at);
        self.shared.buffer().made_durable(events);
    }

    /// The run ends, and the storage still fails.
    fn give_up(&mut self) {
        let events = std::mem::take(&mut self.batch.events);
        self.batch.bytes.clear();
        self.shared.buffer().gave_up(events);
    }
}

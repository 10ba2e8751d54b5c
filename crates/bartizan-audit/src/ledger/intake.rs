//! How events get into the ledger: what the threads of requests call.

use std::net::IpAddr;

use bartizan_core::{Clock, MonotonicTime};

use super::Ledger;
use super::buffer::NotTaken;
use super::receipt::Receipt;
use super::times::nanoseconds;
use crate::record::{Durability, Record};
use crate::segment::put_frame;
use crate::sync::Ordering;

/// A request that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// Its number within the run.
    pub(crate) number: u64,
    /// When, in nanoseconds since 1970-01-01T00:00:00Z.
    pub(crate) time: u64,
    pub(crate) moment: MonotonicTime,
}

/// Whether the event is the last one of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ends {
    /// It is none of a request, or there is more to come.
    Nothing,
    /// A shutdown need not wait for the request any more.
    Request,
}

impl Ledger {
    /// Begins a request, which a shutdown waits for until it was told that it ended: by the last
    /// of its events, or by [`leave`](Self::leave).
    pub(crate) fn begin(&self) -> Begun {
        let shared = &self.0.shared;
        let (moment, time) = shared.times.now(&*shared.clock);
        Begun {
            // How many have ended is counted by the buffer, under its lock.
            number: shared.begun.fetch_add(1, Ordering::Relaxed),
            time,
            moment,
        }
    }

    /// Says that a request ended without a last event.
    pub(crate) fn leave(&self) {
        let shared = &self.0.shared;
        if shared.buffer().leave() {
            shared.wake.notify_one();
        }
    }

    /// Appends the frame of an event. Nobody waits for it.
    pub(crate) fn append(
        &self,
        frame: &[u8],
        class: Durability,
        ends: Ends,
    ) -> Result<(), NotTaken> {
        self.push(frame, class, ends).map(drop)
    }

    /// Appends the frame of an event, and gives what tells when it is durable.
    pub(crate) fn append_durable(&self, frame: &[u8]) -> Result<Receipt, NotTaken> {
        let batch = self.push(frame, Durability::Durable, Ends::Nothing)?;
        Ok(Receipt::new(self.clone(), batch))
    }

    /// Appends a record, which becomes durable with the next batch.
    pub(crate) fn record(&self, record: &Record<'_>) -> Result<(), NotTaken> {
        let mut frame = Vec::with_capacity(256);
        put_frame(&mut frame, |out| record.encode(out));
        self.append(&frame, Durability::Buffered, Ends::Nothing)
    }

    fn push(&self, frame: &[u8], class: Durability, ends: Ends) -> Result<u64, NotTaken> {
        let shared = &self.0.shared;
        let mut buffer = shared.buffer();
        let taken = buffer.push(frame, class);
        let woken = ends == Ends::Request && buffer.leave();
        drop(buffer);
        if woken || taken.is_ok_and(|taken| taken.wake) {
            shared.wake.notify_one();
        }
        Ok(taken?.batch)
    }

    /// Counts a refusal of somebody who has not proven who they are.
    pub(crate) fn refuse(
        &self,
        address: Option<IpAddr>,
        layer: &'static str,
        code: &'static str,
        ends: Ends,
    ) {
        let shared = &self.0.shared;
        let second = shared.clock.wall().unix_seconds();
        let mut buffer = shared.buffer();
        let mut wake = buffer.refuse(second, address, layer, code);
        wake |= ends == Ends::Request && buffer.leave();
        drop(buffer);
        if wake {
            shared.wake.notify_one();
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.shared.clock
    }

    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.clock())
    }
}

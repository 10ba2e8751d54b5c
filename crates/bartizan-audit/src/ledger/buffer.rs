//! Where events wait for the writer: one buffer of bytes under one lock, swapped for an empty one.
//!
//! No channel, task or allocation per event: appending copies some hundred bytes.

use std::mem;

use super::refusals::Refusals;
use crate::record::{Durability, LossRecord, Record, Totals};
use crate::segment::put_frame;

/// Above this many bytes the writer is woken.
pub(super) const FLUSH_AT: usize = 256 * 1024;

/// An event was not taken. It is counted as lost, and the count goes into the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotTaken;

/// What an appended event means for the writer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    /// The batch that it will be written with.
    pub(crate) batch: u64,
    /// Whether the writer has to be woken.
    pub(crate) wake: bool,
}

#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    events: u64,
    batch: u64,
    losses: Losses,
    totals: Totals,
    refusals: Refusals,
    /// How many requests have ended.
    ended: u64,
    /// Somebody waits for the batch.
    pub(super) urgent: bool,
    /// The writer sleeps, and wakes only when told.
    pub(super) sleeping: bool,
    /// The storage fails: nothing can be made durable now.
    pub(super) failing: bool,
    /// No event is taken any more.
    pub(super) closed: bool,
    /// The run is to end.
    pub(super) closing: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Losses {
    lossy: u64,
    buffered: u64,
    durable: u64,
}

impl Losses {
    fn total(self) -> u64 {
        self.lossy + self.buffered + self.durable
    }
}

/// What the writer took out of the buffer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) events: u64,
    pub(super) number: u64,
}

impl Buffer {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(limit),
            limit,
            events: 0,
            batch: 1,
            losses: Losses::default(),
            totals: Totals::default(),
            refusals: Refusals::default(),
            ended: 0,
            urgent: false,
            sleeping: false,
            failing: false,
            closed: false,
            closing: false,
        }
    }

    /// Appends the frame of an event; one that is not taken is counted. What is too long for a
    /// frame comes as an empty one.
    pub(super) fn push(&mut self, frame: &[u8], class: Durability) -> Result<Taken, NotTaken> {
        self.totals.accepted += 1;
        let room = match class {
            // What may be left out makes way before it is full.
            Durability::Lossy => self.limit / 4 * 3,
            _ => self.limit,
        };
        let (before, after) = (self.bytes.len(), self.bytes.len() + frame.len());
        let durable = class == Durability::Durable;
        if frame.is_empty() || after > room || self.closed || (durable && self.failing) {
            self.lose(class);
            return Err(NotTaken);
        }
        self.bytes.extend_from_slice(frame);
        self.events += 1;
        let crossed = before < FLUSH_AT && after >= FLUSH_AT;
        let wake = mem::take(&mut self.sleeping) || crossed || (durable && !self.urgent);
        self.urgent |= durable;
        Ok(Taken {
            batch: self.batch,
            wake,
        })
    }

    /// Counts a request that has ended. Says whether the writer has to be woken: the end of a run
    /// waits for it.
    pub(super) fn leave(&mut self) -> bool {
        self.ended += 1;
        self.closing
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Counts an event that cannot be kept.
    fn lose(&mut self, class: Durability) {
        self.totals.lost += 1;
        let losses = &mut self.losses;
        *match class {
            Durability::Lossy => &mut losses.lossy,
            Durability::Buffered => &mut losses.buffered,
            Durability::Durable => &mut losses.durable,
        } += 1;
    }

    /// Counts a refusal of somebody unknown. Says whether the writer has to be woken.
    pub(super) fn refuse(
        &mut self,
        second: u64,
        address: Option<std::net::IpAddr>,
        layer: &'static str,
        code: &'static str,
    ) -> bool {
        if self.closed {
            self.totals.accepted += 1;
            self.lose(Durability::Buffered);
            return false;
        }
        if self.refusals.second() != second {
            self.drain_refusals();
            if self.refusals.is_empty() {
                self.refusals.begin(second);
            }
        }
        self.refusals.count(address, layer, code);
        mem::take(&mut self.sleeping)
    }

    /// Writes down what was counted, once its second is over.
    pub(super) fn end_second(&mut self, now: u64) {
        if self.closed || self.refusals.second() != now {
            self.drain_refusals();
        }
    }

    /// They have room of their own: the table is bounded, and drained once a second. While the
    /// buffer is full they stay in the table, and are told as of its second.
    fn drain_refusals(&mut self) {
        if !self.refusals.is_empty() && self.bytes.len() < self.limit {
            let records = self.refusals.drain_into(&mut self.bytes);
            self.events += records;
            self.totals.accepted += records;
        }
    }

    pub(super) fn has_refusals(&self) -> bool {
        !self.refusals.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn has_losses(&self) -> bool {
        self.losses != Losses::default()
    }

    /// Hands everything over to the writer, and goes on in the emptied buffer of the last batch.
    /// What was lost meanwhile is the batch's last record.
    pub(super) fn take(&mut self, batch: &mut Batch, now: u64) {
        batch.bytes.clear();
        mem::swap(&mut self.bytes, &mut batch.bytes);
        batch.events = mem::take(&mut self.events);
        batch.number = self.batch;
        self.batch += 1;
        self.urgent = false;
        let losses = mem::take(&mut self.losses);
        if losses != Losses::default() {
            let Losses {
                lossy,
                buffered,
                durable,
            } = losses;
            let record = Record::Loss(LossRecord::new(now, lossy, buffered, durable));
            put_frame(&mut batch.bytes, |out| record.encode(out));
        }
    }

    /// Counts what became durable.
    pub(super) fn made_durable(&mut self, events: u64) {
        self.totals.durable += events;
    }

    /// Counts what will never be written.
    pub(super) fn gave_up(&mut self, events: u64) {
        self.totals.lost += events;
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// As [`totals`](Self::totals), without what no record of losses tells of yet.
    pub(super) fn told(&self) -> Totals {
        let untold = self.losses.total();
        Totals {
            accepted: self.totals.accepted - untold,
            lost: self.totals.lost - untold,
            ..self.totals
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{FRAME_HEAD, frame_length};

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        put_frame(&mut frame, |out| out.resize(FRAME_HEAD + length, 1));
        frame
    }

    fn kinds(mut frames: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some(length) = frame_length(frames) {
            let (frame, rest) = frames.split_at(length);
            kinds.push(frame[FRAME_HEAD + 1]);
            frames = rest;
        }
        kinds
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        let mut buffer = Buffer::new(400);
        let entry = frame(87);
        let push = |buffer: &mut Buffer, class| buffer.push(&entry, class).is_ok();
        assert!(push(&mut buffer, Durability::Buffered));
        assert!(push(&mut buffer, Durability::Lossy));
        assert!(push(&mut buffer, Durability::Lossy));
        assert!(
            !push(&mut buffer, Durability::Lossy),
            "a quarter is reserved"
        );
        assert!(push(&mut buffer, Durability::Durable));
        assert!(!push(&mut buffer, Durability::Durable));
        assert!(!push(&mut buffer, Durability::Buffered));
        let totals = buffer.totals();
        assert_eq!((totals.accepted, totals.lost), (7, 3));
        let mut batch = Batch::default();
        buffer.take(&mut batch, 5);
        assert_eq!(batch.events, 4);
        assert_eq!(
            kinds(&batch.bytes),
            [1, 1, 1, 1, 8],
            "the loss is the last record"
        );
        buffer.take(&mut batch, 6);
        assert!(batch.bytes.is_empty(), "a loss is told once");
    }

    #[test]
    fn what_is_too_long_for_a_frame_is_lost_and_counted() {
        let mut buffer = Buffer::new(1 << 20);
        assert_eq!(frame(65_536), b"", "no frame can say how long it is");
        let taken = buffer.push(&frame(65_536), Durability::Buffered);
        assert_eq!(taken, Err(NotTaken));
        assert!(buffer.push(&frame(65_535), Durability::Buffered).is_ok());
        assert_eq!((buffer.totals().accepted, buffer.totals().lost), (2, 1));
    }

    #[test]
    fn the_writer_is_woken_once() {
        let mut buffer = Buffer::new(1 << 20);
        let entry = frame(40_000);
        let push = |buffer: &mut Buffer, class| buffer.push(&entry, class).unwrap().wake;
        buffer.sleeping = true;
        assert!(push(&mut buffer, Durability::Buffered));
        assert!(!push(&mut buffer, Durability::Buffered));
        assert!(push(&mut buffer, Durability::Durable));
        assert!(!push(&mut buffer, Durability::Durable));
        assert!(!push(&mut buffer, Durability::Buffered));
        assert!(!push(&mut buffer, Durability::Buffered));
        assert!(push(&mut buffer, Durability::Buffered), "much is waiting");
        assert!(!push(&mut buffer, Durability::Buffered));
    }

    #[test]
    fn nothing_is_taken_for_durable_while_the_storage_fails() {
        let mut buffer = Buffer::new(1000);
        buffer.failing = true;
        assert_eq!(buffer.push(&frame(2), Durability::Durable), Err(NotTaken));
        assert!(buffer.push(&frame(2), Durability::Buffered).is_ok());
    }

    #[test]
    fn a_flood_of_strangers_does_not_grow_a_full_buffer() {
        let mut buffer = Buffer::new(1000);
        for second in 1..500 {
            for network in 0..20_u32 {
                let address = std::net::Ipv4Addr::from(network << 8);
                buffer.refuse(second, Some(address.into()), "jwt", "jwt.missing");
            }
        }
        assert!(buffer.len() < 3000, "{}", buffer.len());
        let mut batch = Batch::default();
        buffer.take(&mut batch, 1);
        buffer.end_second(501);
        let mut counted = 0;
        for bytes in [&batch.bytes, &buffer.bytes] {
            let mut rest = bytes.as_slice();
            while let Some(length) = frame_length(rest) {
                let (frame, behind) = rest.split_at(length);
                let Ok(Record::Refusals(record)) = Record::decode(&frame[FRAME_HEAD..]) else {
                    panic!("refusals");
                };
                counted += record.count;
                rest = behind;
            }
        }
        assert_eq!(counted, 499 * 20, "exactly");
    }

    #[test]
    fn what_comes_behind_the_last_batch_is_not_told_and_still_counted() {
        let mut buffer = Buffer::new(1000);
        assert!(buffer.push(&frame(2), Durability::Buffered).is_ok());
        buffer.closed = true;
        assert!(buffer.push(&frame(2), Durability::Lossy).is_err());
        let mut batch = Batch::default();
        buffer.take(&mut batch, 5);
        assert_eq!(
            buffer.told(),
            buffer.totals(),
            "the batch tells of the loss"
        );
        assert!(buffer.push(&frame(2), Durability::Durable).is_err());
        let (told, totals) = (buffer.told(), buffer.totals());
        assert_eq!((told.accepted, told.lost), (2, 1));
        assert_eq!((totals.accepted, totals.lost), (3, 2));
    }

    #[test]
    fn a_closed_buffer_takes_and_counts_nothing_but_losses() {
        let mut buffer = Buffer::new(1000);
        buffer.closed = true;
        assert_eq!(buffer.push(&frame(2), Durability::Buffered), Err(NotTaken));
        assert!(!buffer.refuse(7, None, "jwt", "jwt.missing"));
        assert_eq!(buffer.totals().lost, 2);
    }
}

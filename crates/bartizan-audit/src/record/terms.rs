//! The words in which records tell of requests, and their bytes.

use bartizan_core::{Enforcement, Outcome, Protocol};

use super::wire::RecordError;

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Nothing.
    None,
    /// Who, what, when, where, the outcome and every decision; of a query nothing but the
    /// parameters that the rule names. The default.
    #[default]
    Metadata,
    /// That, and what the rule names of the request's headers and body.
    Request,
    /// That, and what the rule names of the response's headers and body.
    RequestResponse,
}

/// What is promised about an event before the answer to its request is sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Durability {
    /// May be left out when the buffer is three quarters full. It is counted then, and the count
    /// is in the log.
    Lossy,
    /// Written and synced soon; the answer does not wait. It is lost only if the buffer is full or
    /// the process dies first. The default.
    #[default]
    Buffered,
    /// The answer waits until the event is on the disk; if it cannot be put there in time, the
    /// answer is withheld and the client gets 503 or `UNAVAILABLE`.
    Durable,
}

impl Durability {
    /// A short stable name, fit for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Durable => "durable",
            Self::Lossy => "lossy",
        }
    }
}

/// Which part of a request's life a record tells of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// The answer was ready, and waited for this record to be durable. Another record of the same
    /// number tells how it ended, if there was more to come.
    Answered,
    /// How a request ended whose answer is recorded already.
    Completed,
    /// The request as a whole.
    Whole,
}

impl Stage {
    /// A short stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Completed => "completed",
            Self::Whole => "whole",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ending {
    /// The body of the answer broke off with an error.
    BodyFailed,
    /// The answer was given to the end.
    Complete,
    /// The client went away, or the server gave the request up.
    Disconnected,
    /// The service failed without an answer.
    Failed,
    /// The handler panicked.
    Panicked,
    /// The answer has begun and is not at its end yet.
    Pending,
    /// The answer was withheld, because its record could not be made durable.
    Withheld,
}

impl Ending {
    /// A short stable name, fit for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BodyFailed => "body_failed",
            Self::Complete => "complete",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Pending => "pending",
            Self::Withheld => "withheld",
        }
    }
}

/// Gives an enumeration of this crate or the core its byte, and reads it back.
macro_rules! bytes {
    ($to:ident, $from:ident, $type:ty, $($variant:ident = $byte:literal),+) => {
        pub(crate) fn $to(value: $type) -> u8 {
            #[allow(unreachable_patterns, reason = "some of them are non-exhaustive")]
            match value {
                $(<$type>::$variant => $byte,)+
                _ => u8::MAX,
            }
        }

        pub(crate) fn $from(byte: u8) -> Result<$type, RecordError> {
            match byte {
                $($byte => Ok(<$type>::$variant),)+
                _ => Err(RecordError::Value),
            }
        }
    };
}

bytes!(
    level_byte,
    level_from,
    Level,
    None = 0,
    Metadata = 1,
    Request = 2,
    RequestResponse = 3
);
bytes!(
    durability_byte,
    durability_from,
    Durability,
    Lossy = 0,
    Buffered = 1,
    Durable = 2
);
bytes!(
    stage_byte,
    stage_from,
    Stage,
    Whole = 0,
    Answered = 1,
    Completed = 2
);
bytes!(
    ending_byte,
    ending_from,
    Ending,
    Complete = 0,
    Pending = 1,
    BodyFailed = 2,
    Disconnected = 3,
    Failed = 4,
    Panicked = 5,
    Withheld = 6
);
bytes!(
    protocol_byte,
    protocol_from,
    Protocol,
    Http = 0,
    Grpc = 1,
    GrpcWeb = 2,
    GrpcWebText = 3
);
bytes!(
    outcome_byte,
    outcome_from,
    Outcome,
    Allowed = 0,
    CouldNotDecide = 1,
    Denied = 2,
    WouldHaveDenied = 3
);
bytes!(
    enforcement_byte,
    enforcement_from,
    Enforcement,
    Enforce = 0,
    Shadow = 1
);

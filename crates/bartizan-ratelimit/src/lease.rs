//! Cells that a store was charged for ahead, and that are spent here.

mod sketch;
mod table;
mod terms;

use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use self::table::Leases;
pub(crate) use self::terms::Terms;
use crate::store::{Charge, Standing, Subject};
use crate::ticks::Ticks;

/// Whose cells they are: the hash of a key, and which policies apply, as bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Place {
    pub(crate) hash: u64,
    pub(crate) policies: u8,
}

/// What a store has charged at once.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) subject: Subject,
    pub(crate) charges: Vec<Charge>,
    pub(crate) standings: Vec<Standing>,
    /// Before it was asked for.
    pub(crate) taken: Ticks,
}

/// What to do about a request.
#[derive(Debug)]
pub(crate) enum Seek {
    /// Cells may be charged ahead for this caller, and this request is the one to do it.
    Lead(Order),
    /// The store has to be asked for this request alone.
    One,
    /// The request was paid here.
    Paid(Arc<Grant>),
    /// Somebody else asks for cells at present.
    Wait(watch::Receiver<Landing>),
}

/// An order to charge cells ahead; somebody may wait for what comes of it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) place: Place,
    /// So many cells would do for a while.
    pub(crate) cells: u64,
    pub(crate) landing: watch::Sender<Landing>,
}

/// What has come of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Landing {
    /// The store gave no verdict.
    Failed,
    /// Nothing yet.
    Flying,
    /// There are cells.
    Landed,
    /// The store has refused.
    Refused,
}

/// Cells that were charged and not spent.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) grant: Arc<Grant>,
    pub(crate) cells: u64,
}

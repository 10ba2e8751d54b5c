//! Attacks on the order of layers: what a refusal tells, and who is asked for what before whom.

mod browsers;
mod limits;
mod open;
mod telling;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    telling::ATTACKS,
    browsers::ATTACKS,
    open::ATTACKS,
    limits::ATTACKS,
];

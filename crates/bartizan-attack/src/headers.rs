//! Attacks on header fields: RFC 9110, RFC 9112, and what proxies and frameworks make of them.

mod forwarded;
mod hop;
mod identity;
mod malformed;
mod products;
mod traces;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    identity::ATTACKS,
    products::ATTACKS,
    forwarded::ATTACKS,
    hop::ATTACKS,
    malformed::ATTACKS,
    traces::ATTACKS,
];

//! Attacks on tokens: RFC 7515 to 7519, 8725, 6750, 9068, 9449, 8705.

mod algorithm;
mod binding;
mod carriage;
mod claims;
mod encoding;
mod header;
mod issuer;
mod keys;
mod proof;
mod signature;
mod time;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    algorithm::ATTACKS,
    header::ATTACKS,
    keys::ATTACKS,
    encoding::ATTACKS,
    signature::ATTACKS,
    time::ATTACKS,
    issuer::ATTACKS,
    claims::ATTACKS,
    binding::ATTACKS,
    proof::ATTACKS,
    carriage::ATTACKS,
];

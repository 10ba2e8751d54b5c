//! Attacks on who connects: RFC 5280, RFC 8446, the X509-SVID standard of SPIFFE, and headers that
//! claim to speak of a certificate.

mod asserted;
mod identity;
mod issue;
mod preamble;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    issue::ATTACKS,
    identity::ATTACKS,
    asserted::ATTACKS,
    preamble::ATTACKS,
];

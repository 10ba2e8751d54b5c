//! Attacks on HTTP and gRPC themselves: RFC 9112, RFC 9113, and the spelling of paths and methods.

mod fields;
mod frames;
mod grpc;
mod methods;
mod paths;
mod smuggling;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    smuggling::ATTACKS,
    fields::ATTACKS,
    frames::ATTACKS,
    paths::ATTACKS,
    methods::ATTACKS,
    grpc::ATTACKS,
];

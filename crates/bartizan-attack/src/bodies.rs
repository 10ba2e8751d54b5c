//! Attacks on what requests carry: JSON, types, codings, framing, and messages of gRPC.

mod framing;
mod grpc;
mod json;
mod kinds;

use crate::attack::Attack;

pub(crate) const FAMILIES: &[&[Attack]] = &[
    json::ATTACKS,
    kinds::ATTACKS,
    framing::ATTACKS,
    grpc::ATTACKS,
];

//! Rewrites chosen fields of a protobuf message, and leaves every other byte as it is.

mod numbers;
mod scan;

pub(crate) use self::numbers::Numbers;
pub(crate) use self::scan::rewrite;

#[cfg(test)]
mod tests;

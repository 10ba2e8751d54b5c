//! Rewrites chosen values of a JSON document, and leaves every other byte as it is.

mod path;
mod scan;
mod text;

pub(crate) use self::path::Paths;
pub(crate) use self::scan::{Fate, rewrite, text_of};

#[cfg(test)]
mod tests;

//! The README's Rust snippets, as doctests: they compile, or the build fails.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

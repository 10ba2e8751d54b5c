//! The workspace's own tool: one command that judges a change, and the rules it judges by.
//!
//! `cargo xtask ci` is what `.ci/run` calls; `cargo xtask deep` is what `.ci/deep` calls. The rules
//! that no compiler checks (who may name whom, how many crypto libraries a package brings, what a
//! file may hold) are in [`tidy`], and run over the tree as the test `tests/tidy.rs`. Each rule is
//! a function from text or metadata to [`tidy::Violation`]s, so that each is itself tested on an
//! input that breaks it.
//!
//! The README's Rust snippets are compiled as doctests of this package.

pub mod ci;
pub mod clock;
pub mod command;
pub mod coverage;
pub mod deep;
pub mod face;
pub mod fuzz;
pub mod mask;
pub mod matrix;
pub mod packed;
pub mod run;
pub mod source;
pub mod tidy;
pub mod workspace;

mod readme;

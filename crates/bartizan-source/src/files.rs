//! Keeps a value in step with a set of files.

mod config;
mod read;
mod set;
mod source;

pub use self::config::FileSourceBuilder;
pub use self::set::FileSet;
pub use self::source::{FileSource, Refresh};

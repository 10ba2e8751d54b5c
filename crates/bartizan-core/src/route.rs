//! Where a request goes: its canonical path, and the template it matches.

mod path;
mod table;

pub use self::path::{CanonicalPath, PathError};
pub use self::table::{RouteTable, RouteTableError};

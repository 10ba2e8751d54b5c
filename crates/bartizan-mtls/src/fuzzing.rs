//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use bartizan_core::WallTime;

use crate::material::Material;

/// What a message of the Workload API comes to, in 2027.
pub fn workload_api_update(bytes: &[u8]) -> Option<Material> {
    crate::workload_api::read_message(bytes, WallTime::from_unix_seconds(1_800_000_000))
}

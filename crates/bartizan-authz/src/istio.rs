//! Policies of Istio: read into ours, and written from ours.

mod error;
mod export;
mod import;
mod lower;
mod read;
mod tree;
mod write;

pub use self::error::{IstioError, IstioErrorKind};
pub use self::export::{ExportError, Exported, IstioExport};
pub use self::import::{Imported, IstioImport, Note, Unmatched};
pub(crate) use self::write::quoted;

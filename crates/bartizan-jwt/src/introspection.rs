//! Asking the issuer what an opaque token stands for ([RFC 7662]).
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

mod answer;
mod config;
mod form;
mod introspector;

#[cfg(feature = "fuzzing")]
pub(crate) use self::answer::read_answer;
pub use self::config::{Introspection, IntrospectionBuilder};
#[cfg(feature = "fuzzing")]
pub(crate) use self::form::looks_signed;
pub(crate) use self::introspector::{Introspected, Introspector, Vouched};

//! A field, a place for it, and a value.

use bartizan_encrypt::{Encrypted, Field, KeyScope, Place, Prepared};

#[derive(Debug)]
pub(crate) struct Ssn;

impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

pub(crate) const NUMBER: &str = "078-05-1120";

pub(crate) fn acme() -> [KeyScope; 1] {
    [KeyScope::tenant("acme")]
}

pub(crate) fn place() -> Place {
    Place::new("acme").unwrap()
}

pub(crate) fn sealed(prepared: &Prepared) -> Encrypted<String, Ssn> {
    prepared.seal(&place(), &NUMBER.to_owned()).unwrap()
}

pub(crate) fn opens(prepared: &Prepared, value: &Encrypted<String, Ssn>) -> bool {
    prepared
        .open(&place(), value)
        .is_ok_and(|opened| opened.expose() == NUMBER)
}

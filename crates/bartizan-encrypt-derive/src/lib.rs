//! The derive macro of [`bartizan-encrypt`](https://docs.rs/bartizan-encrypt), which re-exports it
//! and documents it with examples. Depend on that crate instead.
//!
//! # How it decides
//!
//! 1. `#[encrypt(collection = "...", tenant = field)]` on the struct names the collection and the
//!    field that holds the tenant. `record = field` and `subject = field` bind to more,
//!    `sealed = Name` names the sealed struct, `derive(...)` lists what it derives, and
//!    `crate = path` says where `bartizan-encrypt` is found.
//! 2. `#[encrypt]` on a field seals it; `#[encrypt(path = "...")]` gives it another name than its
//!    own in ciphertexts.
//! 3. Everything else is a compile error that points at what is wrong.
//!
//! # What it does not protect against
//!
//! Renaming a field without a path of its own renames it in ciphertexts too: what was sealed
//! before does not open any more.
//!
//! # Features
//!
//! None.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod expand;
mod input;

/// Makes the sealed twin of a struct; see the crate documentation.
#[proc_macro_derive(Encrypt, attributes(encrypt))]
pub fn derive_encrypt(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::derive(input.into()).into()
}

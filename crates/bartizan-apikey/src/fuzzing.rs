//! What the fuzz target of this repository reaches beyond the public interface. Not part of it.

use crate::credential::Extraction;
use crate::file;
use crate::format::{KeyFormat, in_url};
use crate::record::KeyRecord;

/// The identifier of a key, if a text is one of this format.
pub fn parse(format: &KeyFormat, text: &[u8]) -> Option<String> {
    let key = format.parse(text).ok()?;
    Some(key.id.to_string())
}

/// Whether a key stands in a URL.
pub fn is_in_url(format: &KeyFormat, target: &[u8]) -> bool {
    in_url(format, target).is_some()
}

/// The records of a file, if it is one of keys.
pub fn file(bytes: &[u8]) -> Option<Vec<KeyRecord>> {
    file::parse(bytes).ok()
}

/// What a file says of when keys were used, as it is written.
pub fn uses(bytes: &[u8]) -> String {
    file::uses(&file::parse_uses(bytes))
}

/// The key of a request with one such field of each kind, if it presents one.
pub fn presented(format: &KeyFormat, field: &[u8], authorization: &[u8]) -> Option<Vec<u8>> {
    let extraction = Extraction {
        bearer: Some(format),
    };
    let fields = [field].into_iter().filter(|it| !it.is_empty());
    let authorization = [authorization].into_iter().filter(|it| !it.is_empty());
    let found = extraction.find(fields, authorization).ok()?;
    found.map(|found| found.bytes.to_vec())
}

/// A file of these records.
pub fn print(records: &[KeyRecord]) -> Option<String> {
    file::print(records).ok()
}

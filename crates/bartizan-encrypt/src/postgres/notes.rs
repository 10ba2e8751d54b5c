//! What those who share a table of keys tell each other about changes.

use std::collections::BTreeSet;

use crate::key::KeyScope;
use crate::store::KeyChange;

pub(super) const CHANNEL: &str = "bartizan_keys";

/// A longer note would not be taken; without one the listeners look at everything.
const LONGEST_NOTE: usize = 7000;

/// Which scopes others may hold keys of that are not what they were: not those whose first key
/// this is.
pub(super) fn notes(changes: &[KeyChange]) -> BTreeSet<String> {
    let known = |change: &&KeyChange| change.before.is_some() || change.after.version > 1;
    let spelled = |change: &KeyChange| serde_json::to_string(&change.after.scope);
    let notes = changes
        .iter()
        .filter(known)
        .filter_map(|it| spelled(it).ok());
    notes
        .map(|note| {
            if note.len() > LONGEST_NOTE {
                String::new()
            } else {
                note
            }
        })
        .collect()
}

/// The scopes that notes are about; none if one of them does not say.
pub(super) fn scopes(notes: &[String]) -> Vec<KeyScope> {
    let scopes: Result<Vec<_>, _> = notes
        .iter()
        .map(|note| serde_json::from_str(note))
        .collect();
    scopes.unwrap_or_default()
}

//! What is written often, kept away from what is read all the time.

use std::ops::Deref;

/// On lines of memory of its own: whoever writes to it does not slow down those who read what
/// would stand beside it. Processors fetch lines in pairs, hence two of them.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

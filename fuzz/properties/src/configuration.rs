//! Configuration files: whatever they say, what is wrong has a place, and what is right can be
//! printed; one unknown word more is always refused.

use bartizan::config::fuzzing::{read_toml, read_yaml};

use crate::input::{last_line, text};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let lines = last_line(text);
    for read in [read_toml, read_yaml] {
        match read(text) {
            Ok(config) => {
                let effective = config.effective();
                assert!(effective.to_string().contains("outermost first"));
                assert!(
                    effective
                        .entries()
                        .iter()
                        .all(|it| it.line() <= Some(lines))
                );
            }
            Err(error) => {
                assert!((1..=64).contains(&error.problems().len()));
                assert!(
                    error.problems().iter().all(|it| it.line() <= Some(lines)),
                    "{error}"
                );
                assert!(error.to_string().len() < 1 << 20);
            }
        }
    }
    if read_toml(text).is_ok() {
        let more = format!("{text}\n[nobody_knows_this]\n");
        assert!(read_toml(&more).is_err());
    }
}

//! Files of tokens: what is read reads the same when it is written anew, and what was torn off at
//! the end takes nothing along.

use bartizan_encrypt::Token;
use bartizan_encrypt::fuzzing::token_rows;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(token) = text.parse::<Token>()
    {
        assert_eq!(token.as_str(), text);
    }
    let Some(rows) = token_rows(bytes) else {
        return;
    };
    let lines = rows
        .iter()
        .map(|row| format!("+ {} {}\n", row.token, row.value));
    let mut anew = lines.fold("bartizan-tokens-1\n".to_owned(), |all, line| all + &line);
    assert_eq!(token_rows(anew.as_bytes()).as_ref(), Some(&rows));
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    assert_eq!(token_rows(&bytes[..whole]).as_ref(), Some(&rows));
    if let Some(first) = rows.first() {
        anew.push_str(&format!("- {}\n", first.token));
        assert_eq!(token_rows(anew.as_bytes()).as_deref(), Some(&rows[1..]));
    }
}

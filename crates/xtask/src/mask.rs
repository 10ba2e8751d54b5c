//! A Rust source text with the parts that do not count blanked out.
//!
//! The rules look for words in code. A word in a comment, in a string or in a test is another
//! matter, so each rule says which of these it wants to see. Blanked parts become spaces, byte for
//! byte and line for line, so that an offset in any view is an offset in the text.

/// The views of one source text.
#[derive(Clone, Debug)]
pub struct Masked {
    /// Without comments.
    pub commentless: String,
    /// Without comments, string and character literals.
    pub bare: String,
    /// As `commentless`, and without items under `#[cfg(test)]`.
    pub shipped: String,
    /// As `bare`, and without items under `#[cfg(test)]`.
    pub shipped_bare: String,
}

impl Masked {
    /// The views of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut commentless = String::with_capacity(text.len());
        let mut bare = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let (part, length) = next_part(rest);
            let (now, later) = rest.split_at(length);
            match part {
                Part::Code => {
                    commentless.push_str(now);
                    bare.push_str(now);
                }
                Part::Comment => {
                    blank_onto(&mut commentless, now);
                    blank_onto(&mut bare, now);
                }
                Part::Literal => {
                    commentless.push_str(now);
                    blank_onto(&mut bare, now);
                }
            }
            rest = later;
        }
        let tests = test_items(&bare);
        Self {
            shipped: without(&commentless, &tests),
            shipped_bare: without(&bare, &tests),
            commentless,
            bare,
        }
    }
}

/// The line, counted from 1, in which `offset` lies.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// The identifiers and keywords in a view without literals, each with its offset.
pub fn words(bare: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bare.get(at..)?.find(is_word)?;
        let rest = bare.get(start..)?;
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        at = start + length;
        Some((start, rest.get(..length)?))
    })
}

/// The offset just behind the bracket that closes the one at `open`.
#[must_use]
pub fn behind_bracket(bare: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bare.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    bare.len()
}

enum Part {
    Code,
    Comment,
    Literal,
}

/// What the text begins with, and how many bytes of it that is; never zero.
fn next_part(rest: &str) -> (Part, usize) {
    if rest.starts_with("//") {
        return (Part::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Part::Comment, block_comment(rest));
    }
    if let Some(length) = literal(rest) {
        return (Part::Literal, length);
    }
    let length = match rest.find(|c| !is_word(c)) {
        None => rest.len(),
        Some(0) => rest.chars().next().map_or(1, char::len_utf8),
        Some(word) => word,
    };
    (Part::Code, length)
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..) {
        if here.is_empty() {
            break;
        } else if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the literal that the text begins with, if it is one of text.
fn literal(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix)
            .is_some_and(|behind| behind.starts_with(['"', '#', '\'']))
    })?;
    let behind = rest.strip_prefix(prefix)?;
    let body = if prefix.ends_with('r') {
        raw_string(behind)?
    } else if behind.starts_with('"') {
        escaped(behind, '"')?
    } else if behind.starts_with('\'') && prefix != "c" {
        character(behind)?
    } else {
        return None;
    };
    Some(prefix.len() + body)
}

/// `r#name` is an identifier, and no quote follows its hashes.
fn raw_string(behind: &str) -> Option<usize> {
    let inside = behind.trim_start_matches('#');
    let hashes = behind.len() - inside.len();
    let end = format!("\"{}", "#".repeat(hashes));
    let body = inside.strip_prefix('"')?;
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

/// A lifetime has no second quote behind its first character.
fn character(behind: &str) -> Option<usize> {
    let mut chars = behind.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return escaped(behind, '\'');
    }
    match chars.next()? {
        (at, '\'') => Some(at + 1),
        _ => None,
    }
}

fn escaped(behind: &str, quote: char) -> Option<usize> {
    let mut chars = behind.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(at + c.len_utf8());
        }
    }
    Some(behind.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank_onto(view: &mut String, part: &str) {
    for c in part.chars() {
        if c == '\n' {
            view.push('\n');
        } else {
            view.extend(std::iter::repeat_n(' ', c.len_utf8()));
        }
    }
}

fn without(view: &str, ranges: &[(usize, usize)]) -> String {
    let mut left = String::with_capacity(view.len());
    let mut at = 0;
    for &(start, end) in ranges {
        left.push_str(view.get(at..start).unwrap_or_default());
        blank_onto(&mut left, view.get(start..end).unwrap_or_default());
        at = end;
    }
    left.push_str(view.get(at..).unwrap_or_default());
    left
}

/// Where the items under `#[cfg(test)]`, `#[cfg(all(test, ...))]` or `#[cfg(doctest)]` are.
fn test_items(bare: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(start) = bare.get(at..).and_then(|rest| rest.find('#')) {
        let start = at + start;
        let inner = bare.get(start..).is_some_and(|it| it.starts_with("#!["));
        let open = start + 1 + usize::from(inner);
        if bare.as_bytes().get(open) != Some(&b'[') {
            at = start + 1;
            continue;
        }
        let end = behind_bracket(bare, open);
        let attribute: String = bare
            .get(open..end)
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let test = ["[cfg(test)]", "[cfg(doctest)]"].contains(&attribute.as_str());
        if test || attribute.starts_with("[cfg(all(test,") {
            let end = if inner {
                bare.len()
            } else {
                behind_item(bare, end)
            };
            items.push((start, end));
            at = end;
        } else {
            at = end;
        }
    }
    items
}

/// The offset just behind the item whose first attribute ends at `at`.
fn behind_item(bare: &str, at: usize) -> usize {
    let mut at = at;
    while let Some(byte) = bare.as_bytes().get(at) {
        match byte {
            b'(' | b'[' => at = behind_bracket(bare, at),
            b'{' => return behind_bracket(bare, at),
            b';' => return at + 1,
            b'}' => return at,
            _ => at += 1,
        }
    }
    bare.len()
}

#[cfg(test)]
mod tests;

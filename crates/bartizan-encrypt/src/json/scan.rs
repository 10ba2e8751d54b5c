//! One pass over a document: strict, bounded in depth, byte for byte.

use std::borrow::Cow;
use std::collections::HashSet;

use zeroize::Zeroizing;

use crate::error::{EncryptError, EncryptErrorKind};
use crate::json::path::{Paths, Step};
use crate::json::text::plain;
use crate::wiped::WipedBytes;

/// How deep arrays and objects may nest: deeper than any sane document, and no danger to a stack.
const DEEPEST: usize = 64;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It stays as it is.
    Keep,
    /// Its member goes; in an array it becomes `null`.
    Omit,
    /// What was written takes its place.
    Replace,
}

/// Asked about each value that a path leads to: the path's rule, the value as it is written, and
/// where to write another.
pub(crate) type Visit<'v> =
    dyn FnMut(usize, &str, &mut WipedBytes) -> Result<Fate, EncryptError> + 'v;

/// The document with the values changed that `paths` lead to.
///
/// Refused are documents that are not JSON by the letter, that nest deeper than 64, that name a
/// meant member twice (parsers disagree which one counts), and that have something else where a
/// path expects an object or an array (it may hold what was to be found there).
pub(crate) fn rewrite(
    document: &str,
    paths: &Paths,
    visit: &mut Visit<'_>,
) -> Result<WipedBytes, EncryptError> {
    let mut scanner = Scanner {
        text: document,
        at: 0,
        copied: 0,
        paths,
        visit,
        out: WipedBytes::with_capacity(document.len() + 64),
        written: WipedBytes::default(),
    };
    scanner.space();
    scanner.place(Some(Paths::ROOT), 0)?;
    scanner.space();
    if scanner.at != document.len() {
        return malformed();
    }
    scanner.copy_to(document.len());
    Ok(scanner.out)
}

/// The text of a string as it is written, quotes and escapes and all; `None` of other values.
pub(crate) fn text_of(token: &str) -> Option<Zeroizing<String>> {
    if !token.starts_with('"') {
        return None;
    }
    serde_json::from_str(token).ok().map(Zeroizing::new)
}

struct Scanner<'s, 'v> {
    text: &'s str,
    at: usize,
    /// How much of the document is in `out`, or left out of it for good.
    copied: usize,
    paths: &'s Paths,
    visit: &'s mut Visit<'v>,
    out: WipedBytes,
    written: WipedBytes,
}

fn malformed<T>() -> Result<T, EncryptError> {
    Err(EncryptErrorKind::MalformedJson.into())
}

impl<'s> Scanner<'s, '_> {
    /// A value that is no member: what is omitted here leaves a `null`.
    fn place(&mut self, node: Option<usize>, depth: usize) -> Result<(), EncryptError> {
        let begin = self.at;
        if self.value(node, depth)? == Fate::Omit {
            self.copy_to(begin);
            self.out.extend_from_slice(b"null");
            self.copied = self.at;
        }
        Ok(())
    }

    fn value(&mut self, node: Option<usize>, depth: usize) -> Result<Fate, EncryptError> {
        if let Some(rule) = node.and_then(|node| self.paths.rule(node)) {
            let begin = self.at;
            self.value(None, depth)?;
            let token = self.text.get(begin..self.at).unwrap_or_default();
            self.written.clear();
            let fate = (self.visit)(rule, token, &mut self.written)?;
            if fate == Fate::Replace {
                self.copy_to(begin);
                self.out.append(&self.written);
                self.copied = self.at;
            }
            return Ok(fate);
        }
        match self.peek() {
            Some(b'{') => self.object(node, depth)?,
            Some(b'[') => self.array(node, depth)?,
            Some(b'n') => self.word("null")?,
            _ => {
                self.scalar()?;
                if node.is_some() {
                    return Err(EncryptErrorKind::UnexpectedShape.into());
                }
            }
        }
        Ok(Fate::Keep)
    }

    fn scalar(&mut self) -> Result<(), EncryptError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            _ => self.number(),
        }
    }

    fn object(&mut self, node: Option<usize>, depth: usize) -> Result<(), EncryptError> {
        self.deeper(depth)?;
        let mut named = 0_u64;
        let mut names = HashSet::new();
        // A member begins with the comma in front of it, so that it can go with it.
        let (mut member, mut kept) = (self.at, false);
        self.space();
        if self.skip(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let next = match node {
                Some(node) => self.step(node, name, &mut named, &mut names)?,
                None => None,
            };
            let omitted = self.value(next, depth + 1)? == Fate::Omit;
            if omitted {
                self.copy_to(member);
                self.copied = self.at;
            }
            kept |= !omitted;
            self.space();
            member = self.at;
            if self.skip(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            if !kept {
                // Nothing is in front of it any more.
                self.copy_to(member);
                self.copied = self.at;
                member = self.at;
            }
        }
    }

    fn array(&mut self, node: Option<usize>, depth: usize) -> Result<(), EncryptError> {
        self.deeper(depth)?;
        let next = node.and_then(|node| self.paths.element(node));
        if node.is_some() && next.is_none() {
            return Err(EncryptErrorKind::UnexpectedShape.into());
        }
        self.space();
        if self.skip(b']') {
            return Ok(());
        }
        loop {
            self.space();
            self.place(next, depth + 1)?;
            self.space();
            if self.skip(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Where a member leads; escapes in its name are decoded first, as the handler will.
    fn step(
        &self,
        node: usize,
        name: &'s str,
        named: &mut u64,
        names: &mut HashSet<Cow<'s, str>>,
    ) -> Result<Option<usize>, EncryptError> {
        let name = if name.contains('\\') {
            let quoted = format!("\"{name}\"");
            let decoded = serde_json::from_str::<String>(&quoted);
            Cow::Owned(decoded.map_err(|_| EncryptErrorKind::MalformedJson)?)
        } else {
            Cow::Borrowed(name)
        };
        let (next, first) = match self.paths.member(node, &name) {
            Step::Nowhere => return Ok(None),
            Step::Named(number, next) => {
                let bit = 1 << number;
                let first = *named & bit == 0;
                *named |= bit;
                (next, first)
            }
            Step::Every(next) => (next, names.insert(name)),
        };
        if !first {
            return Err(EncryptErrorKind::DuplicateMember.into());
        }
        Ok(Some(next))
    }

    /// Steps over a string; gives what is between the quotes.
    fn string(&mut self) -> Result<&'s str, EncryptError> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(plain) = plain(rest) else {
                return malformed();
            };
            self.at += plain;
            match self.next() {
                Some(b'"') => return Ok(self.text.get(begin..self.at - 1).unwrap_or_default()),
                Some(b'\\') => self.escape()?,
                _ => return malformed(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), EncryptError> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.unit()? {
                // Half a character has no meaning that two parsers agree on.
                0xDC00..=0xDFFF => malformed(),
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.unit()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => malformed(),
                    }
                }
                _ => Ok(()),
            },
            _ => malformed(),
        }
    }

    fn unit(&mut self) -> Result<u16, EncryptError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or(EncryptErrorKind::MalformedJson.into())
    }

    fn number(&mut self) -> Result<(), EncryptError> {
        self.skip(b'-');
        match self.next() {
            Some(b'0') => {}
            Some(b'1'..=b'9') => drop(self.digits()),
            _ => return malformed(),
        }
        if self.skip(b'.') && self.digits() == 0 {
            return malformed();
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _sign = self.skip(b'+') || self.skip(b'-');
            if self.digits() == 0 {
                return malformed();
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn word(&mut self, word: &str) -> Result<(), EncryptError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return malformed();
        }
        self.at += word.len();
        Ok(())
    }

    fn deeper(&mut self, depth: usize) -> Result<(), EncryptError> {
        if depth >= DEEPEST {
            return Err(EncryptErrorKind::TooDeep.into());
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), EncryptError> {
        match self.skip(byte) {
            true => Ok(()),
            false => malformed(),
        }
    }

    fn copy_to(&mut self, end: usize) {
        let piece = self.text.as_bytes().get(self.copied..end);
        self.out.append(piece.unwrap_or_default());
        self.copied = self.copied.max(end);
    }
}

//! Several texts in one buffer: a principal is made for each verified token, and a handful of
//! little strings would cost more than all the rest of it.

use std::ops::Range;

/// How many texts a list holds in place. Most tokens grant fewer scopes.
const INLINE: usize = 8;

/// Where one text lies in the buffer. 32 bits: a credential of four gigabytes was refused long
/// before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span(u32, u32);

impl Span {
    /// Appends a text to the buffer.
    pub(super) fn append(buffer: &mut String, text: &str) -> Self {
        let start = buffer.len();
        buffer.push_str(text);
        let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Self(at(start), at(buffer.len()))
    }

    pub(super) fn of(self, buffer: &str) -> &str {
        let range: Range<usize> = self.0 as usize..self.1 as usize;
        buffer.get(range).unwrap_or_default()
    }
}

/// Where the texts of a list lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    first: [Span; INLINE],
    count: usize,
    more: Vec<Span>,
}

impl Spans {
    /// Appends the texts of a list to the buffer.
    pub(super) fn append<'t>(
        buffer: &mut String,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let mut spans = Self::default();
        for text in texts {
            let span = Span::append(buffer, text);
            match spans.first.get_mut(spans.count) {
                Some(place) => {
                    *place = span;
                    spans.count += 1;
                }
                None => spans.more.push(span),
            }
        }
        spans
    }

    pub(super) fn of<'b>(&self, buffer: &'b str) -> impl Iterator<Item = &'b str> {
        self.first
            .iter()
            .take(self.count)
            .chain(&self.more)
            .map(|span| span.of(buffer))
    }
}

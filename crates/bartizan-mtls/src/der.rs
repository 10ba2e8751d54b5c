//! A strict reader for the little DER that a certificate needs.
//!
//! It borrows, allocates nothing and never panics. Lengths are definite, minimal and below 64 KiB,
//! which the size limit on certificates makes enough.

/// The bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;

/// What is left to read of one DER value's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// The content of the one value that `input` consists of.
    pub(crate) fn only(input: &'a [u8], tag: u8) -> Result<&'a [u8], Malformed> {
        let mut reader = Self::new(input);
        let content = reader.expect(tag)?;
        reader.finish()?;
        Ok(content)
    }

    /// Reads the next value, whatever it is: tag and content.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.rest.split_first().ok_or(Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed); // a tag of several bytes occurs in no certificate
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok((tag, content))
    }

    /// Reads the next value as it stands, with its tag and length.
    #[cfg(feature = "workload-api")]
    pub(crate) fn whole(&mut self) -> Result<&'a [u8], Malformed> {
        let before = self.rest;
        self.next()?;
        let length = before.len().saturating_sub(self.rest.len());
        before.get(..length).ok_or(Malformed)
    }

    /// Reads a value that must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            (seen, content) if seen == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// Reads the next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.first() == Some(&tag) {
            self.expect(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads a `BOOLEAN DEFAULT FALSE`.
    ///
    /// DER leaves a default out, but certificates that spell `FALSE` are in use and mean the same.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.optional(BOOLEAN)? {
            None | Some([0x00]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(Malformed),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Asserts that everything was read.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

fn length(input: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    match *input {
        [short @ 0..=0x7f, ref rest @ ..] => Ok((usize::from(short), rest)),
        [0x81, one @ 0x80..=0xff, ref rest @ ..] => Ok((usize::from(one), rest)),
        [0x82, high @ 1..=0xff, low, ref rest @ ..] => {
            Ok((usize::from(u16::from_be_bytes([high, low])), rest))
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &[u8], expected: Result<(u8, usize), Malformed>) {
        let seen = Reader::new(input)
            .next()
            .map(|(tag, content)| (tag, content.len()));
        assert_eq!(seen, expected, "{input:02x?}");
    }

    #[test]
    fn reads_definite_minimal_lengths_alone() {
        check(&[0x04, 0x00], Ok((4, 0)));
        check(&[0x04, 0x01, 0xaa, 0xbb], Ok((4, 1)));
        check(&[], Err(Malformed));
        check(&[0x04], Err(Malformed));
        check(&[0x04, 0x02, 0xaa], Err(Malformed));
        check(&[0x04, 0x80, 0x00, 0x00], Err(Malformed)); // indefinite
        check(&[0x04, 0x81, 0x01, 0xaa], Err(Malformed)); // not minimal
        check(&[0x1f, 0x01, 0xaa], Err(Malformed)); // long tag
        check(
            &[&[0x04, 0x82, 0x00, 0x80][..], &[0; 0x80]].concat(),
            Err(Malformed),
        );
        check(
            &[&[0x04, 0x81, 0x80][..], &[0; 0x80]].concat(),
            Ok((4, 0x80)),
        );
        check(
            &[&[0x04, 0x82, 0x01, 0x00][..], &[0; 0x100]].concat(),
            Ok((4, 0x100)),
        );
        check(
            &[&[0x04, 0x83, 0x01, 0x00, 0x00][..], &[0; 0x1_0000]].concat(),
            Err(Malformed),
        );
    }

    #[test]
    fn a_flag_is_absent_false_or_true() {
        for (input, expected) in [
            (&[][..], Ok(false)),
            (&[1, 1, 0], Ok(false)),
            (&[1, 1, 0xff], Ok(true)),
            (&[1, 1, 1], Err(Malformed)),
            (&[1, 2, 0, 0], Err(Malformed)),
        ] {
            assert_eq!(Reader::new(input).flag(), expected, "{input:02x?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::new(&input);
            let mut values = 0;
            while reader.next().is_ok() {
                values += 1;
            }
            prop_assert!(values <= input.len() / 2);
        }
    }
}

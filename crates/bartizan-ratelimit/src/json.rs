//! How deep and how large a JSON document is, told while it comes in.

/// What a JSON document may look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct JsonLimits {
    /// How many objects and arrays may stand inside of one another.
    pub(crate) depth: u32,
    /// How many values and names there may be.
    pub(crate) values: u64,
    /// How many bytes a string or a number may have, as it is written.
    pub(crate) text: u64,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum JsonExcess {
    /// It is deeper than allowed.
    Depth,
    /// It has more values, or longer ones, than allowed.
    Size,
}

/// Looks at a JSON document piece by piece, in memory of a few words.
///
/// It is no parser: what is not JSON passes, and is refused by the parser behind. Up to where a
/// strict parser gives up, both count the same; what comes behind no parser reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonScan {
    limits: JsonLimits,
    depth: u32,
    values: u64,
    text: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Between values.
    Between,
    /// In a string, behind a backslash.
    Escape,
    /// In a number, `true`, `false` or `null`.
    Literal,
    /// In a string.
    Text,
}

impl JsonScan {
    pub(crate) fn new(limits: JsonLimits) -> Self {
        Self {
            limits,
            depth: 0,
            values: 0,
            text: 0,
            place: Place::Between,
        }
    }

    /// Looks at the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), JsonExcess> {
        for byte in piece {
            match (self.place, *byte) {
                (Place::Text, b'"') => self.place = Place::Between,
                (Place::Text, b'\\') => {
                    self.lengthen()?;
                    self.place = Place::Escape;
                }
                (Place::Text, _) => self.lengthen()?,
                (Place::Escape, _) => {
                    self.lengthen()?;
                    self.place = Place::Text;
                }
                (_, b'"') => {
                    self.begin_value()?;
                    self.place = Place::Text;
                }
                (_, b'{' | b'[') => {
                    self.begin_value()?;
                    self.place = Place::Between;
                    self.depth = self.depth.saturating_add(1);
                    if self.depth > self.limits.depth {
                        return Err(JsonExcess::Depth);
                    }
                }
                (_, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.place = Place::Between;
                }
                (_, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') => self.place = Place::Between,
                (Place::Literal, _) => self.lengthen()?,
                (Place::Between, _) => {
                    self.begin_value()?;
                    self.lengthen()?;
                    self.place = Place::Literal;
                }
            }
        }
        Ok(())
    }

    fn begin_value(&mut self) -> Result<(), JsonExcess> {
        self.text = 0;
        self.values = self.values.saturating_add(1);
        match self.values > self.limits.values {
            true => Err(JsonExcess::Size),
            false => Ok(()),
        }
    }

    fn lengthen(&mut self) -> Result<(), JsonExcess> {
        self.text = self.text.saturating_add(1);
        match self.text > self.limits.text {
            true => Err(JsonExcess::Size),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits {
        depth: 3,
        values: 8,
        text: 6,
    };

    /// Whole, and byte by byte.
    fn check(document: &str, expected: Result<(), JsonExcess>) {
        let whole = JsonScan::new(LIMITS).feed(document.as_bytes());
        assert_eq!(whole, expected, "{document}");
        let mut scan = JsonScan::new(LIMITS);
        let pieces = document.as_bytes().chunks(1);
        let found = pieces.map(|piece| scan.feed(piece)).find(Result::is_err);
        assert_eq!(found.unwrap_or(Ok(())), expected, "{document} in pieces");
    }

    #[test]
    fn depth_is_what_stands_inside_of_one_another() {
        check(r#"{"a":[{"b":1}]}"#, Ok(()));
        check(r#"{"a":[[{"b":1}]]}"#, Err(JsonExcess::Depth));
        check("[[[]],[[]]]", Ok(()));
        check("[[[[", Err(JsonExcess::Depth));
        // In a string a bracket is a letter.
        check(r#"["[[[[[["]"#, Ok(()));
        check(r#"["\"[[[["]"#, Ok(()));
        check(r#"["\\",[[[1]]]]"#, Err(JsonExcess::Depth));
        // Brackets that close nothing win no depth.
        check("]]]]]][[[[", Err(JsonExcess::Depth));
    }

    #[test]
    fn values_and_names_are_counted() {
        check("[1,2,3,4,5,6,7]", Ok(()));
        check("[1,2,3,4,5,6,7,8]", Err(JsonExcess::Size));
        check(r#"{"a":1,"b":true,"c":null}"#, Ok(()));
        check(r#"{"a":1,"b":true,"c":null,"d":0}"#, Err(JsonExcess::Size));
        check("[1 2 3 4 5 6 7 8]", Err(JsonExcess::Size));
        check("1:1:1:1:1:1:1:1:1", Err(JsonExcess::Size));
        check(r#""""""""""""""""""""#, Err(JsonExcess::Size));
    }

    #[test]
    fn texts_and_numbers_are_measured_as_they_are_written() {
        check(r#"["123456"]"#, Ok(()));
        check(r#"["1234567"]"#, Err(JsonExcess::Size));
        check(r#"["\u0041"]"#, Ok(()));
        check(r#"["\u0041b"]"#, Err(JsonExcess::Size));
        check("[123456,-12345]", Ok(()));
        check("[1234567]", Err(JsonExcess::Size));
        check(r#"["äöü"]"#, Ok(()));
        check(r#"["äöüx"]"#, Err(JsonExcess::Size));
    }
}

//! JSON read once and strictly: no member twice, no deep nesting, no trailing bytes.

mod members;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub(crate) use self::members::{Members, read_members};

/// How deep objects and lists may nest, the outermost counted as one.
///
/// Tokens and key sets in use need four. serde_json alone would go to 128.
const MAX_DEPTH: u8 = 16;

/// How many members one object may have, so that comparing their names stays cheap.
const MAX_MEMBERS: usize = 256;

/// How many names are kept without allocating.
const NEAR: usize = 12;

/// The member names seen so far in one object.
#[derive(Debug)]
pub(crate) struct Names<'de> {
    near: [Cow<'de, str>; NEAR],
    far: Vec<Cow<'de, str>>,
    count: usize,
}

impl<'de> Names<'de> {
    /// Notes a name, which must be new.
    pub(crate) fn add<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        let mut near = self.near.iter().take(self.count);
        if near.any(|seen| *seen == name) || self.far.contains(&name) {
            return Err(E::custom("a member appears twice"));
        }
        if self.count >= MAX_MEMBERS {
            return Err(E::custom("an object has too many members"));
        }
        match self.near.get_mut(self.count) {
            Some(free) => *free = name,
            None => self.far.push(name),
        }
        self.count += 1;
        Ok(())
    }
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self {
            near: [const { Cow::Borrowed("") }; NEAR],
            far: Vec::new(),
            count: 0,
        }
    }
}

/// Reads a string, borrowed from the input where it holds no escape.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads any value and drops it, holding it to the same rules as one that is kept.
pub(crate) struct Skip {
    depth: u8,
}

impl Skip {
    /// Skips a value inside the outermost object.
    pub(crate) const fn member() -> Self {
        Self { depth: 1 }
    }

    /// Skips a value that `depth` objects and lists are around.
    pub(crate) const fn inside(depth: u8) -> Self {
        Self { depth }
    }

    fn deeper<E: Error>(&self) -> Result<Self, E> {
        deeper(self.depth).map(|depth| Self { depth })
    }
}

fn deeper<E: Error>(depth: u8) -> Result<u8, E> {
    if depth >= MAX_DEPTH {
        return Err(E::custom("nested too deeply"));
    }
    Ok(depth + 1)
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.deeper::<A::Error>()?.depth;
        while items.next_element_seed(Self { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.deeper::<A::Error>()?.depth;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            names.add(name)?;
            members.next_value_seed(Self { depth })?;
        }
        Ok(())
    }
}

/// Reads a whole document into a tree, for what is read rarely: key sets, discovery documents.
pub(crate) fn read_tree(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Tree { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Tree {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = deeper::<A::Error>(self.depth)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self { depth })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = deeper::<A::Error>(self.depth)?;
        let mut map = Map::new();
        while let Some(name) = members.next_key_seed(Text)? {
            let value = members.next_value_seed(Self { depth })?;
            if map.insert(name.into_owned(), value).is_some() {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skip(text: &str) -> bool {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Skip { depth: 0 }.deserialize(&mut deserializer);
        read.is_ok() && deserializer.end().is_ok()
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(skip(text), expected, "skipping {text:?}");
        assert_eq!(read_tree(text).is_ok(), expected, "reading {text:?}");
    }

    #[test]
    fn reads_what_is_json() {
        check(r#"{"a":[1,-2,3.5,"x",null,true,{"b":{}}]}"#, true);
        check(" [ ] \n", true);
        check(r#""é\n""#, true);
    }

    #[test]
    fn a_tree_holds_what_was_written() {
        let text = r#"{"a":[1,-2,3.5,"x",null,true,false,{"b":{}},18446744073709551615]}"#;
        let theirs: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read_tree(text).unwrap(), theirs);
        assert_eq!(read_tree(text).unwrap().to_string(), text);
    }

    #[test]
    fn refuses_a_member_that_appears_twice() {
        check(r#"{"a":1,"a":1}"#, false);
        check(r#"{"a":1,"\u0061":2}"#, false);
        check(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#, false);
        check(r#"{"a":{"a":1}}"#, true);
        let many: Vec<_> = (0..30).map(|index| format!("\"m{index}\":0")).collect();
        check(&format!("{{{}}}", many.join(",")), true);
        for twice in [0, 11, 12, 29] {
            check(&format!("{{{},\"m{twice}\":0}}", many.join(",")), false);
        }
    }

    #[test]
    fn refuses_what_nests_deeper_than_sixteen() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(&nested(16), true);
        check(&nested(17), false);
        check(&nested(5_000), false);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            "{",
            "{}x",
            "{'a':1}",
            "[1,]",
            "\u{feff}{}",
            r#""\ud800""#,
            "NaN",
            "1e400",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn skipping_refuses_an_object_with_too_many_members() {
        let object = |members: usize| {
            let list: Vec<_> = (0..members).map(|index| format!("\"{index}\":0")).collect();
            format!("{{{}}}", list.join(","))
        };
        assert!(skip(&object(MAX_MEMBERS)));
        assert!(!skip(&object(MAX_MEMBERS + 1)));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = (skip(&text), read_tree(&text).is_ok());
        }

        #[test]
        fn both_readers_agree(text in r#"[\[\]{}",:a1\\u0 -]{0,40}"#) {
            prop_assert_eq!(skip(&text), read_tree(&text).is_ok());
        }
    }
}

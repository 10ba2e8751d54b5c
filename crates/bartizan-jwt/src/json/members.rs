//! What an authorization server answers: a JSON object, of which some members matter.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, Visitor};

use super::{Names, Skip, Text};

/// The members of an answer that matter.
pub(crate) trait Members<'a>: Default {
    /// Reads the value of the member `name` if it matters, and says whether it does.
    fn take<A: MapAccess<'a>>(&mut self, name: &str, input: &mut A) -> Result<bool, A::Error>;
}

/// Reads an answer strictly: each name once, within bounds, and nothing behind the object. Gives
/// the text as well; an error says what keeps it from being an answer.
pub(crate) fn read_members<'a, M: Members<'a>>(
    body: &'a [u8],
) -> Result<(&'a str, M), &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Reader(PhantomData));
    let members = members.and_then(|members| deserializer.end().map(|()| members));
    Ok((text, members.map_err(|_| "the answer is not strict JSON")?))
}

struct Reader<M>(PhantomData<M>);

impl<'de, M: Members<'de>> Visitor<'de> for Reader<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of an authorization server")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<M, A::Error> {
        let (mut names, mut members) = (Names::default(), M::default());
        while let Some(name) = input.next_key_seed(Text)? {
            names.add(name.clone())?;
            if !members.take(&name, &mut input)? {
                input.next_value_seed(Skip::member())?;
            }
        }
        Ok(members)
    }
}

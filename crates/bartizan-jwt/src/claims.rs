//! The claims of a token as the payload states them ([RFC 7519 §4]), read once and type-checked.
//!
//! [RFC 7519 §4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::confirmation::{Confirmation, ConfirmationSeed};
use crate::error::JwtError;
use crate::json::{Names, Skip, Text};

/// 9999-12-31T23:59:59Z: a later moment is no date, and refusing it here keeps sums from
/// overflowing.
const LAST_SECOND: u64 = 253_402_300_799;

/// One string, or a list of strings.
#[derive(Debug)]
pub(crate) enum Strings<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Strings<'a> {
    fn into_one(self) -> Option<Cow<'a, str>> {
        match self {
            Self::One(text) => Some(text),
            Self::Many(_) => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::One(text) => (Some(&**text), [].as_slice()),
            Self::Many(list) => (None, list.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|text| &**text))
    }
}

/// The claims that this crate understands. What they mean is not judged here.
#[derive(Debug, Default)]
pub(crate) struct ClaimSet<'a> {
    pub(crate) issuer: Option<Cow<'a, str>>,
    pub(crate) subject: Option<Cow<'a, str>>,
    pub(crate) audience: Option<Strings<'a>>,
    pub(crate) expires: Option<u64>,
    pub(crate) not_before: Option<u64>,
    pub(crate) issued_at: Option<u64>,
    pub(crate) token_id: Option<Cow<'a, str>>,
    pub(crate) client: Option<Cow<'a, str>>,
    pub(crate) authorized_party: Option<Cow<'a, str>>,
    pub(crate) scope: Option<Strings<'a>>,
    pub(crate) scp: Option<Strings<'a>>,
    pub(crate) roles: Option<Strings<'a>>,
    pub(crate) realm_roles: Option<Strings<'a>>,
    pub(crate) session: Option<Cow<'a, str>>,
    pub(crate) context_class: Option<Cow<'a, str>>,
    pub(crate) authenticated_at: Option<u64>,
    /// What the token is bound to; the inner `None` is a binding that is not understood.
    pub(crate) confirmation: Option<Option<Confirmation>>,
}

impl<'a> ClaimSet<'a> {
    /// Reads a payload.
    pub(crate) fn parse(payload: &'a str) -> Result<Self, JwtError> {
        let reading = Cell::new(None);
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        let claims = deserializer
            .deserialize_map(ClaimSetVisitor { reading: &reading })
            .map_err(|error| match (reading.get(), error.classify()) {
                (Some(name), Category::Data) => JwtError::claim(name, "has the wrong type"),
                _ => JwtError::malformed("payload"),
            })?;
        deserializer
            .end()
            .map_err(|_| JwtError::malformed("payload"))?;
        Ok(claims)
    }
}

struct ClaimSetVisitor<'r> {
    /// The understood claim whose value is being read, so that an error can name it.
    reading: &'r Cell<Option<&'static str>>,
}

impl ClaimSetVisitor<'_> {
    fn read<'de, A, S>(
        &self,
        input: &mut A,
        name: &'static str,
        seed: S,
        place: &mut Option<S::Value>,
    ) -> Result<(), A::Error>
    where
        A: MapAccess<'de>,
        S: DeserializeSeed<'de>,
    {
        if place.is_some() {
            return Err(A::Error::custom("a member appears twice"));
        }
        self.reading.set(Some(name));
        *place = Some(input.next_value_seed(seed)?);
        self.reading.set(None);
        Ok(())
    }
}

impl<'de> Visitor<'de> for ClaimSetVisitor<'_> {
    type Value = ClaimSet<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<ClaimSet<'de>, A::Error> {
        let mut claims = ClaimSet::default();
        let (mut roles, mut realm_roles, mut session, mut class) = (None, None, None, None);
        let mut others = Names::default();
        let from = &mut input;
        while let Some(name) = from.next_key_seed(Text)? {
            match &*name {
                "iss" => self.read(from, "iss", Text, &mut claims.issuer)?,
                "sub" => self.read(from, "sub", Text, &mut claims.subject)?,
                "aud" => self.read(from, "aud", StringOrList, &mut claims.audience)?,
                "exp" => self.read(from, "exp", NumericDate, &mut claims.expires)?,
                "nbf" => self.read(from, "nbf", NumericDate, &mut claims.not_before)?,
                "iat" => self.read(from, "iat", NumericDate, &mut claims.issued_at)?,
                "jti" => self.read(from, "jti", Text, &mut claims.token_id)?,
                "client_id" => self.read(from, "client_id", Text, &mut claims.client)?,
                "azp" => self.read(from, "azp", Text, &mut claims.authorized_party)?,
                "scope" => self.read(from, "scope", StringOrList, &mut claims.scope)?,
                "scp" => self.read(from, "scp", StringOrList, &mut claims.scp)?,
                "roles" => self.read(from, "roles", Loose::MEMBER, &mut roles)?,
                "realm_access" => self.read(from, "realm_access", RolesOf, &mut realm_roles)?,
                "sid" => self.read(from, "sid", Loose::MEMBER, &mut session)?,
                "acr" => self.read(from, "acr", Loose::MEMBER, &mut class)?,
                "auth_time" => {
                    self.read(from, "auth_time", NumericDate, &mut claims.authenticated_at)?;
                }
                "cnf" => self.read(from, "cnf", ConfirmationSeed, &mut claims.confirmation)?,
                _ => {
                    others.add(name)?;
                    from.next_value_seed(Skip::member())?;
                }
            }
        }
        claims.roles = roles.flatten();
        claims.realm_roles = realm_roles.flatten();
        claims.session = session.flatten().and_then(Strings::into_one);
        claims.context_class = class.flatten().and_then(Strings::into_one);
        Ok(claims)
    }
}

/// Reads a NumericDate ([RFC 7519 §2]): seconds, possibly with a fraction, which is cut off.
///
/// Cutting makes `exp` earlier, never later.
///
/// [RFC 7519 §2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
struct NumericDate;

impl<'de> DeserializeSeed<'de> for NumericDate {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        // Asking for a number, and not for anything, gives the same answer when some other crate
        // turns on serde_json's `arbitrary_precision`.
        deserializer.deserialize_f64(self)
    }
}

impl Visitor<'_> for NumericDate {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since the epoch")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<u64, E> {
        if seconds > LAST_SECOND {
            return Err(E::custom("past the last representable date"));
        }
        Ok(seconds)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<u64, E> {
        // The comparison also refuses what is not a number.
        if !(0.0..=LAST_SECOND as f64).contains(&seconds) {
            return Err(E::custom("not a date"));
        }
        Ok(seconds as u64)
    }
}

/// Reads one string or a list of strings, and nothing else.
struct StringOrList;

impl<'de> DeserializeSeed<'de> for StringOrList {
    type Value = Strings<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let strings = Loose::MEMBER.deserialize(deserializer)?;
        strings.ok_or_else(|| D::Error::custom("neither a string nor a list of strings"))
    }
}

/// Reads one string or a list of strings; anything else is read as nothing.
pub(crate) struct Loose {
    /// How many objects and lists are around the value.
    depth: u8,
    /// Whether the value is an item of such a list itself.
    is_item: bool,
}

impl Loose {
    const MEMBER: Self = Self::at(1, false);
    const MEMBER_OF_MEMBER: Self = Self::at(2, false);
    pub(crate) const ITEM: Self = Self::at(2, true);

    const fn at(depth: u8, is_item: bool) -> Self {
        Self { depth, is_item }
    }
}

impl<'de> DeserializeSeed<'de> for Loose {
    type Value = Option<Strings<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Loose {
    type Value = Option<Strings<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Strings::One(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Strings::One(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if self.is_item {
            return Skip::inside(self.depth).visit_seq(items).map(|()| None);
        }
        let (mut list, mut is_clean) = (Vec::new(), true);
        while let Some(item) = items.next_element_seed(Self::at(self.depth + 1, true))? {
            match item {
                Some(Strings::One(text)) => list.push(text),
                _ => is_clean = false,
            }
        }
        Ok(is_clean.then_some(Strings::Many(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, input: A) -> Result<Self::Value, A::Error> {
        Skip::inside(self.depth).visit_map(input).map(|()| None)
    }
}

/// Reads the `roles` of an object, as Keycloak writes them; anything else is read as nothing.
struct RolesOf;

impl<'de> DeserializeSeed<'de> for RolesOf {
    type Value = Option<Strings<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RolesOf {
    type Value = Option<Strings<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with roles")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut roles) = (Names::default(), None);
        while let Some(name) = input.next_key_seed(Text)? {
            let is_roles = name == "roles";
            names.add(name)?;
            if is_roles {
                roles = input.next_value_seed(Loose::MEMBER_OF_MEMBER)?;
            } else {
                input.next_value_seed(Skip::inside(2))?;
            }
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests;

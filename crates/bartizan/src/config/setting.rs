//! What options take: kinds of values, and how each is read.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{Enforcement, IpNetwork, SpiffeId, SpiffePattern, TrustDomain, WallTime};
use bartizan_ratelimit::Rate;
use http::HeaderName;

use crate::config::describe::{Kind, Need};
use crate::config::node::{Node, Value};
use crate::config::problem::{quoted, whole_message};
use crate::config::reader::Reader;
use crate::config::secret::Secret;
use crate::config::units;

/// A kind of value that an option takes.
pub(crate) trait Setting: Sized {
    const KIND: Kind;
    /// Whether it may be left out although there is no default.
    const NEED: Need = Need::Required;

    /// Reads a value; `None` if something is wrong with it, which is noted.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;

    /// What holds if it is left out.
    fn absent(_: &mut Reader<'_>) -> Option<Self> {
        None
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size(pub(crate) u64);

/// An HTTPS URL, or a plain one to loopback; the layers check it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Url(pub(crate) String);

impl Size {
    /// On a machine whose sizes are smaller, the largest.
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Bool;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::Bool(value) = node.value else {
            return reader.expected(node, "true or false");
        };
        reader.show(node.at, value.to_string());
        Some(value)
    }
}

macro_rules! counts {
    ($($kind:ty: $least:expr, $most:expr;)*) => {$(
        impl Setting for $kind {
            const KIND: Kind = Kind::Count($least, $most);

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let Value::Integer(number) = node.value else {
                    return reader.expected(node, "a number");
                };
                let (least, most): (u64, u64) = ($least, $most);
                let in_range = u64::try_from(number).ok().filter(|it| (least..=most).contains(it));
                let value = in_range.and_then(|number| Self::try_from(number as usize).ok());
                match value {
                    Some(value) => {
                        reader.show(node.at, value.to_string());
                        Some(value)
                    }
                    None => {
                        let message = format!("{number} is not within {least} and {most}");
                        reader.problem(node.at, message)
                    }
                }
            }
        }
    )*};
}

// What TOML calls an integer ends at 2^63.
counts! {
    u8: 0, u8::MAX as u64;
    u16: 0, u16::MAX as u64;
    u32: 0, u32::MAX as u64;
    u64: 0, i64::MAX as u64;
    usize: 0, i64::MAX as u64;
    NonZeroUsize: 1, i64::MAX as u64;
}

impl Setting for Size {
    const KIND: Kind = Kind::Size;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a size such as \"64KiB\"")?;
        let Some(bytes) = units::size(&text) else {
            let message = format!(
                "{} is no size, such as \"64KiB\": a whole number and B, KiB, MiB or GiB",
                quoted(node.written())
            );
            return reader.problem(node.at, message);
        };
        reader.show(node.at, units::written_size(bytes));
        Some(Self(bytes))
    }
}

impl Setting for Duration {
    const KIND: Kind = Kind::Span;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a duration such as \"30s\"")?;
        let Some(span) = units::span(&text) else {
            let message = format!(
                "{} is no duration, such as \"30s\": a whole number and ns, us, ms, s, min, h or d",
                quoted(node.written())
            );
            return reader.problem(node.at, message);
        };
        reader.show(node.at, units::written_span(span));
        Some(span)
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text("text", "");

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a text")?;
        if text.is_empty() {
            return reader.problem(node.at, "is empty");
        }
        if text.contains(char::is_control) {
            return reader.problem(node.at, "has control characters");
        }
        reader.show(node.at, node.written().to_owned());
        Some(text)
    }
}

impl Setting for Url {
    const KIND: Kind = Kind::Text("URL", "https://issuer.example");

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = String::read(node, reader)?;
        if !(text.starts_with("https://") || text.starts_with("http://")) {
            let message = format!(
                "{} is no URL: it begins with https://",
                quoted(node.written())
            );
            return reader.problem(node.at, message);
        }
        Some(Self(text))
    }
}

impl Setting for Secret {
    const KIND: Kind = Kind::Secret;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let secret = reader.secret(node)?;
        reader.show(node.at, format!("(secret, {})", secret.origin()));
        Some(secret)
    }
}

impl Setting for PathBuf {
    const KIND: Kind = Kind::Path;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.file(node)?;
        reader.show(node.at, path.display().to_string());
        Some(path)
    }
}

impl Setting for WallTime {
    const KIND: Kind = Kind::Text("moment", "2027-03-01T00:00:00Z");

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a moment such as \"2027-03-01T00:00:00Z\"")?;
        let Some(moment) = units::moment(&text) else {
            let message = format!(
                "{} is no moment, such as \"2027-03-01T00:00:00Z\"",
                quoted(node.written())
            );
            return reader.problem(node.at, message);
        };
        reader.show(node.at, node.written().to_owned());
        Some(moment)
    }
}

macro_rules! parsed {
    ($($kind:ty: $what:literal, $example:literal;)*) => {$(
        impl Setting for $kind {
            const KIND: Kind = Kind::Text($what, $example);

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let text = reader.text(node, concat!("a text such as \"", $example, "\""))?;
                match text.parse::<Self>() {
                    Ok(value) => {
                        reader.show(node.at, node.written().to_owned());
                        Some(value)
                    }
                    Err(error) => {
                        let no = concat!("is no ", $what, ", such as \"", $example, "\"");
                        let message = match node.is_plain() {
                            true => {
                                let error = whole_message(&error);
                                format!("{} {no}: {error}", quoted(node.written()))
                            }
                            // What the error quotes is what a variable holds.
                            false => format!("{} {no}", quoted(node.written())),
                        };
                        reader.problem(node.at, message)
                    }
                }
            }
        }
    )*};
}

parsed! {
    HeaderName: "name of a header", "x-api-key";
    IpNetwork: "network", "10.0.0.0/8";
    Rate: "rate", "50/s burst 200";
    SocketAddr: "address and port", "0.0.0.0:8443";
    SpiffeId: "SPIFFE ID", "spiffe://example.org/ns/shop/sa/orders";
    SpiffePattern: "SPIFFE ID or pattern", "spiffe://example.org/ns/shop/**";
    TrustDomain: "trust domain", "example.org";
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const NEED: Need = Need::Optional;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(Some)
    }

    fn absent(_: &mut Reader<'_>) -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const NEED: Need = Need::Optional;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            return reader.expected(node, "a list");
        };
        // Where nothing said is everything, a list that was emptied would open what it closed.
        if items.is_empty() {
            return reader.problem(
                node.at,
                "is an empty list: leave the option out for its default",
            );
        }
        // All of them, so that all that is wrong is told at once.
        let read = |(number, item): (usize, &Node)| {
            reader.within(format!("[{number}]"), |reader| T::read(item, reader))
        };
        let items: Vec<_> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }

    fn absent(_: &mut Reader<'_>) -> Option<Self> {
        Some(Self::new())
    }
}

/// Words of which one is chosen.
macro_rules! choice {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// As it is written.
            #[allow(dead_code, reason = "not every choice is written again")]
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl crate::config::setting::Setting for $name {
            const KIND: crate::config::describe::Kind =
                crate::config::describe::Kind::Choice(&[$(($word, concat!($($doc),+)),)+]);

            fn read(
                node: &crate::config::node::Node,
                reader: &mut crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                let word = reader.text(node, "a text")?;
                $(if word == $word {
                    reader.show(node.at, word);
                    return Some(Self::$variant);
                })+
                let written = node.written();
                let message = crate::config::setting::no_choice(written, &[$($word),+]);
                reader.problem(node.at, message)
            }
        }
    };
}

pub(crate) use choice;

pub(crate) fn no_choice(given: &str, words: &[&'static str]) -> String {
    let given_text = quoted(given);
    match crate::config::suggest::nearest(given, words.iter().copied()) {
        Some(near) => format!("{given_text} is not known, did you mean \"{near}\"?"),
        None => format!("{given_text} is not known, there are {}", words.join(", ")),
    }
}

choice! {
    /// Whether a refusal reaches the client.
    Mode {
        /// What is refused is refused.
        Enforce = "enforce",
        /// It is recorded, and passes.
        Shadow = "shadow",
    }
}

impl From<Mode> for Enforcement {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Shadow => Self::Shadow,
        }
    }
}

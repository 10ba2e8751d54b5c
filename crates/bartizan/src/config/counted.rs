//! What requests are counted by, as it is written: `subject + template`.

use std::fmt;
use std::str::FromStr;

use bartizan_ratelimit::Key;

use crate::config::describe::Kind;
use crate::config::limits::LimitPlace;
use crate::config::node::Node;
use crate::config::reader::Reader;
use crate::config::setting::{Setting, no_choice};

/// What requests are counted by, as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CountedBy(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Address(u8, u8),
    Header(http::HeaderName),
    Word(&'static str),
}

/// Words for keys, and from which place on each is proven.
const WORDS: [(&str, LimitPlace); 10] = [
    ("address", LimitPlace::Address),
    ("api_key", LimitPlace::Principal),
    ("client", LimitPlace::Principal),
    ("everybody", LimitPlace::Address),
    ("grpc_method", LimitPlace::Address),
    ("issuer", LimitPlace::Principal),
    ("peer", LimitPlace::Peer),
    ("subject", LimitPlace::Principal),
    ("template", LimitPlace::Address),
    ("trust_domain", LimitPlace::Peer),
];

/// A text that names no key.
#[derive(Debug)]
pub(crate) struct NoKey(String);

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoKey {}

impl CountedBy {
    /// What of it is not known yet at this place.
    pub(crate) fn not_proven_at(&self, place: LimitPlace) -> Option<&'static str> {
        let words = self.0.iter().filter_map(|part| match part {
            Part::Word(word) => Some(*word),
            Part::Address(..) | Part::Header(_) => None,
        });
        let mut of = words.filter_map(|word| WORDS.iter().find(|(known, _)| *known == word));
        of.find(|(_, proven)| *proven > place)
            .map(|(word, _)| *word)
    }

    /// Whether it takes the route, which a service without a table of routes does not know.
    pub(crate) fn takes_route(&self) -> bool {
        self.0.contains(&Part::Word("template"))
    }

    pub(crate) fn key(&self) -> Result<Key, bartizan_ratelimit::ConfigError> {
        let keys = self.0.iter().map(Part::key);
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            (last, _) => Ok(Key::all(keys.into_iter().chain(last))),
        }
    }
}

impl FromStr for CountedBy {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let parts = text.split('+').map(|part| Part::read(part.trim()));
        let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        match parts.len() {
            1..=8 => Ok(Self(parts)),
            count => Err(NoKey(format!("{count} keys are more than 8"))),
        }
    }
}

impl Part {
    fn read(text: &str) -> Result<Self, NoKey> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            let no_name = |_| NoKey(format!("{text:?} names no header"));
            return name.map(Self::Header).map_err(no_name);
        }
        if let Some(bits) = text.strip_prefix("address/") {
            let (v4, v6) = bits.split_once('/').unwrap_or((bits, "64"));
            let read = |text: &str, most: u8| text.parse::<u8>().ok().filter(|it| *it <= most);
            return match (read(v4, 32), read(v6, 128)) {
                (Some(v4), Some(v6)) => Ok(Self::Address(v4, v6)),
                _ => Err(NoKey(format!(
                    "{text:?} names no bits such as address/24/56"
                ))),
            };
        }
        let found = WORDS.iter().find(|(word, _)| *word == text);
        let words = || WORDS.map(|(word, _)| word);
        found
            .map(|(word, _)| Self::Word(word))
            .ok_or_else(|| NoKey(no_choice(text, &words())))
    }

    fn key(&self) -> Result<Key, bartizan_ratelimit::ConfigError> {
        Ok(match self {
            Self::Address(v4, v6) => Key::network(*v4, *v6),
            Self::Header(name) => return Key::header(name.clone()),
            Self::Word(word) => match *word {
                "address" => Key::address(),
                "api_key" => Key::api_key(),
                "client" => Key::client(),
                "everybody" => Key::everybody(),
                "grpc_method" => Key::grpc_method(),
                "issuer" => Key::issuer(),
                "peer" => Key::peer(),
                "template" => Key::template(),
                "trust_domain" => Key::trust_domain(),
                _ => Key::subject(),
            },
        })
    }
}

impl Setting for CountedBy {
    const KIND: Kind = Kind::Text("key", "subject + template");

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, "a text such as \"address\"")?;
        match text.parse::<Self>() {
            Ok(by) => {
                reader.show(node.at, node.written().to_owned());
                Some(by)
            }
            Err(error) if node.is_plain() => reader.problem(node.at, error.to_string()),
            Err(_) => reader.problem(node.at, "names no key"),
        }
    }
}

//! The tokens of everybody.

use anyhow::Context as _;
use bartizan_testkit::TokenBuilder;
use http::HeaderValue;

use super::call::Call;
use crate::scene::Issuer;

/// How many users there are.
const USERS: u32 = 64;

/// What everybody may do.
const ALL: &str = "read write";

/// Tokens signed by one key.
#[derive(Debug)]
pub(crate) struct Tokens {
    users: Vec<HeaderValue>,
    forged: Vec<HeaderValue>,
    greedy: HeaderValue,
    meek: HeaderValue,
    /// What others are made of.
    pattern: TokenBuilder,
}

impl Tokens {
    /// New tokens for everybody.
    ///
    /// # Errors
    ///
    /// If one could not be signed.
    pub(crate) fn new(issuer: &Issuer) -> anyhow::Result<Self> {
        let pattern = issuer.token().scope(ALL);
        let user = |user: u32| bearer(&pattern.clone().subject(&format!("user-{user}")));
        let users: Vec<_> = (0..USERS).map(user).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            forged: users.iter().map(forged).collect::<anyhow::Result<_>>()?,
            users,
            greedy: bearer(&pattern.clone().subject("greedy"))?,
            meek: bearer(&pattern.clone().subject("meek").scope("read"))?,
            pattern,
        })
    }

    /// The token for a call.
    pub(crate) fn of(&self, call: Call, number: u32) -> Option<HeaderValue> {
        let one_of = |tokens: &[HeaderValue]| {
            let at = usize::try_from(number).unwrap_or_default() % tokens.len().max(1);
            tokens.get(at).cloned()
        };
        match call {
            Call::Bare => None,
            Call::Forged => one_of(&self.forged),
            Call::Greedy => Some(self.greedy.clone()),
            Call::Meek => Some(self.meek.clone()),
            _ => one_of(&self.users),
        }
    }

    /// A good token that nobody else has.
    ///
    /// # Errors
    ///
    /// If it could not be signed.
    pub(crate) fn distinct(&self, number: u32) -> anyhow::Result<HeaderValue> {
        let token = self.pattern.clone().subject(&format!("visitor-{number}"));
        bearer(&token.token_id(format!("visit-{number}")))
    }

    /// One that nobody signed.
    ///
    /// # Errors
    ///
    /// If it could not be made.
    pub(crate) fn made_up(&self, number: u32) -> anyhow::Result<HeaderValue> {
        forged(&self.distinct(number)?)
    }
}

/// A token as the header that carries it.
///
/// # Errors
///
/// If it could not be signed.
pub(crate) fn bearer(token: &TokenBuilder) -> anyhow::Result<HeaderValue> {
    Ok(HeaderValue::try_from(format!("Bearer {}", token.sign()?))?)
}

/// The same token, with one character of its signature changed.
fn forged(token: &HeaderValue) -> anyhow::Result<HeaderValue> {
    let mut bytes = token.as_bytes().to_vec();
    // Not the last: its lowest bits say nothing.
    let at = bytes.len() - 10;
    let byte = bytes.get_mut(at).context("a token is longer")?;
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    Ok(HeaderValue::from_bytes(&bytes)?)
}

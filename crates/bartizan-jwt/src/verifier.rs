//! Who is trusted to issue tokens, and what was verified already.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;

use crate::cache::{Remembered, TokenCache};
use crate::error::{JwtError, JwtErrorKind};
use crate::key_set::KeySet;
use crate::key_source::KeySource;
use crate::rules::Rules;
use crate::sync::{AtomicU64, Ordering};
use crate::token::{VerifiedClaims, VerifiedToken};
use crate::verify::{Unverified, peek_issuer, verify_claims};

/// One issuer: what its tokens must fulfil, and its keys.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) rules: Rules,
    pub(crate) keys: KeySource,
    /// The generation of the keys for which the cache was last gone through.
    seen: AtomicU64,
}

/// The issuers that a layer trusts, each with its own keys and rules, and the tokens of all.
#[derive(Debug)]
pub(crate) struct Verifiers {
    list: Box<[Verifier]>,
    cache: Option<TokenCache>,
}

/// Why a token does not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) error: JwtError,
    /// The keys that the verdict hinges on, if it does.
    pub(crate) hinge: Option<Hinge>,
}

/// What a token was judged by that other keys might verify.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hinge {
    pub(crate) verifier: usize,
    /// The generation of the keys; `None` if there were none to rely on.
    pub(crate) generation: Option<u64>,
    /// When the token says that it was issued, unproven.
    pub(crate) issued_at: Option<WallTime>,
}

/// A token that holds at present, and which verifier found so.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) token: VerifiedToken,
    pub(crate) verifier: usize,
}

impl Verifier {
    pub(crate) fn new(rules: Rules, keys: KeySource) -> Self {
        Self {
            rules,
            keys,
            seen: AtomicU64::new(0),
        }
    }
}

impl Verifiers {
    pub(crate) fn new(list: Vec<Verifier>, cache: Option<TokenCache>) -> Self {
        Self {
            list: list.into(),
            cache,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Verifier> {
        self.list.iter()
    }

    pub(crate) fn of(&self, verifier: usize) -> Option<&Verifier> {
        self.list.get(verifier)
    }

    /// How many tokens are remembered.
    pub(crate) fn cached(&self) -> usize {
        self.cache.as_ref().map_or(0, TokenCache::len)
    }

    /// Finds a token that was verified before and still holds: its time has not run out, and its
    /// key is one that its issuer still publishes.
    pub(crate) fn recall(&self, token: &[u8], now: WallTime) -> Option<Holding> {
        let cache = self.cache.as_ref()?;
        let mut verifier = 0;
        let token = cache.get(token, now, |remembered| {
            verifier = remembered.verifier as usize;
            self.still_trusts(remembered)
        })?;
        Some(Holding { token, verifier })
    }

    /// Whether there are other keys now than those that a verdict hinged on.
    pub(crate) fn has_other_keys(&self, hinge: &Hinge) -> bool {
        self.of(hinge.verifier)
            .is_some_and(|verifier| verifier.keys.generation() != hinge.generation)
    }

    /// Whether a token may have been signed with a key that was published only after its issuer
    /// was last asked, `age` before `now`.
    pub(crate) fn may_be_newer(&self, hinge: &Hinge, age: Duration, now: WallTime) -> bool {
        let leeway = self.of(hinge.verifier).map(|of| of.rules.leeway());
        let asked = now.saturating_sub(age.saturating_add(leeway.unwrap_or_default()));
        hinge.issued_at.is_none_or(|issued| issued >= asked)
    }

    fn still_trusts(&self, remembered: &Remembered) -> bool {
        let Some(verifier) = self.list.get(remembered.verifier as usize) else {
            return false;
        };
        verifier.keys.read(|keys| match keys {
            // Without keys that may be relied on, nothing that rests on them counts.
            None => false,
            Some((keys, generation)) => {
                if remembered.generation.load(Ordering::Relaxed) == generation {
                    return true;
                }
                let is_trusted = keys.trusts(remembered.token.key());
                if is_trusted {
                    remembered.generation.store(generation, Ordering::Relaxed);
                }
                is_trusted
            }
        })
    }

    /// Which verifier is responsible for a token. There is no other that would take it: an issuer
    /// vouches for its own tokens alone.
    pub(crate) fn responsible(&self, token: &str) -> Result<usize, JwtError> {
        if let [only] = &*self.list {
            let _ = only;
            return Ok(0);
        }
        let limit = self.iter().map(|v| v.rules.max_token_bytes()).max();
        let issuer = peek_issuer(token, limit.unwrap_or_default())?;
        let position = self
            .list
            .iter()
            .position(|verifier| verifier.rules.issuer().as_str() == issuer);
        position.ok_or(JwtError::new(JwtErrorKind::WrongIssuer))
    }

    /// Verifies a token, and remembers it if it holds.
    pub(crate) fn verify(
        &self,
        responsible: usize,
        token: &str,
        now: WallTime,
    ) -> Result<Holding, Failed> {
        let verifier = self
            .list
            .get(responsible)
            .ok_or(JwtError::new(JwtErrorKind::WrongIssuer))?;
        let rules = &verifier.rules;
        let (verified, generation) = verifier.keys.read(|keys| match keys {
            Some((keys, generation)) => {
                self.forget_untrusted(responsible, keys, generation);
                verify_claims(token, keys, rules, now)
                    .map(|token| (token, generation))
                    .map_err(|unverified| Failed::new(unverified, responsible, Some(generation)))
            }
            // What is wrong by itself is wrong without keys too; the rest cannot be judged.
            None => verify_claims(token, &KeySet::default(), rules, now)
                .map(|token| (token, 0))
                .map_err(|unverified| {
                    let failed = Failed::new(unverified, responsible, None);
                    Failed {
                        error: cannot_check(failed.error),
                        ..failed
                    }
                }),
        })?;
        if let Some(cache) = &self.cache {
            let until = rules.end_of(verified.claims());
            let remembered = Remembered::new(verified.clone(), place(responsible), generation);
            cache.insert(token.as_bytes(), remembered, now, until);
        }
        Ok(Holding {
            token: verified,
            verifier: responsible,
        })
    }

    /// Goes through the cache once for each new generation of keys, so that what rested on a key
    /// that was withdrawn does not stay in memory.
    fn forget_untrusted(&self, verifier: usize, keys: &KeySet, generation: u64) {
        let (Some(cache), Some(of)) = (&self.cache, self.list.get(verifier)) else {
            return;
        };
        if of.seen.load(Ordering::Relaxed) < generation
            && of.seen.fetch_max(generation, Ordering::Relaxed) < generation
        {
            cache.retain(|remembered| {
                remembered.verifier != place(verifier) || keys.trusts(remembered.token.key())
            });
        }
    }

    /// Whether what was found to hold has ended meanwhile, and why.
    pub(crate) fn ended(
        &self,
        verifier: usize,
        token: &VerifiedToken,
        now: WallTime,
    ) -> Option<JwtError> {
        let verifier = self.list.get(verifier)?;
        if now >= verifier.rules.end_of(token.claims()) {
            return Some(JwtError::expired(token.claims().expires(), now));
        }
        // Keys that are away are no reason to end what was begun: nobody said that it is wrong.
        let is_trusted = verifier
            .keys
            .read(|keys| keys.is_none_or(|(keys, _)| keys.trusts(token.key())));
        (!is_trusted).then_some(JwtError::new(JwtErrorKind::UnknownKey))
    }
}

/// The place of a verifier, as the cache holds it. Nobody trusts four billion issuers.
fn place(verifier: usize) -> u32 {
    u32::try_from(verifier).unwrap_or(u32::MAX)
}

/// Without the issuer's present keys, an unknown key is no fault of the token.
pub(crate) fn cannot_check(error: JwtError) -> JwtError {
    match error.kind() {
        JwtErrorKind::UnknownKey => JwtError::new(JwtErrorKind::KeysUnavailable),
        _ => error,
    }
}

impl Failed {
    fn new(unverified: Unverified, verifier: usize, generation: Option<u64>) -> Self {
        let hinge = unverified.hinges_on_keys.then(|| Hinge {
            verifier,
            generation,
            issued_at: unverified.issued_at.map(WallTime::from_unix_seconds),
        });
        Self {
            error: unverified.error,
            hinge,
        }
    }
}

impl From<JwtError> for Failed {
    fn from(error: JwtError) -> Self {
        Self { error, hinge: None }
    }
}

impl Holding {
    pub(crate) fn claims(&self) -> &Arc<VerifiedClaims> {
        self.token.shared_claims()
    }
}

#[cfg(test)]
mod tests;

//! Nonces that need no memory: a time, and a mark that only we can make.

use std::fmt;
use std::time::Duration;

use bartizan_core::WallTime;

use crate::base64url;
use crate::crypto::{self, hmac};
use crate::error::ConfigError;

/// How long a nonce is accepted. Clients get a new one before that.
const LIFETIME: Duration = Duration::from_secs(300);

/// The length of the mark in bytes. Guessing it is not the way in: a proof needs a key as well.
const MARK: usize = 16;

#[derive(Clone)]
pub(super) struct Nonces(hmac::Key);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NonceState {
    Young,
    /// It still counts, and the next one is due.
    Old,
    /// Not ours, or from too long ago.
    Unknown,
}

impl Nonces {
    pub(super) fn random() -> Result<Self, ConfigError> {
        let key = crypto::random_bytes().ok_or(ConfigError::NoRandomness)?;
        Ok(Self::with_key(&key))
    }

    pub(super) fn with_key(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(super) fn make(&self, now: WallTime) -> String {
        let time = now.unix_seconds().to_be_bytes();
        let mark = hmac::sign(&self.0, &time);
        let mark = mark.as_ref().get(..MARK).unwrap_or_default();
        base64url::encode(&[&time, mark].concat())
    }

    pub(super) fn state(&self, nonce: &str, now: WallTime) -> NonceState {
        let Some(bytes) = base64url::decode(nonce.as_bytes(), 8 + MARK) else {
            return NonceState::Unknown;
        };
        let Some((time, _)) = bytes.split_first_chunk::<8>() else {
            return NonceState::Unknown;
        };
        let made = WallTime::from_unix_seconds(u64::from_be_bytes(*time));
        let age = now.saturating_since(made);
        // Making it again and comparing tells a guesser of marks nothing of use: what counts is
        // the key of the proof, and the time is no secret.
        if made > now || age > LIFETIME || self.make(made) != nonce {
            NonceState::Unknown
        } else if age > LIFETIME / 2 {
            NonceState::Old
        } else {
            NonceState::Young
        }
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    #[test]
    fn a_nonce_ages_and_ends() {
        let nonces = Nonces::with_key(&[1; 32]);
        let nonce = nonces.make(now());
        let after = |seconds| nonces.state(&nonce, now() + Duration::from_secs(seconds));
        assert_eq!(after(0), NonceState::Young);
        assert_eq!(after(150), NonceState::Young);
        assert_eq!(after(151), NonceState::Old);
        assert_eq!(after(300), NonceState::Old);
        assert_eq!(after(301), NonceState::Unknown);
        let before = now().saturating_sub(Duration::from_secs(1));
        assert_eq!(nonces.state(&nonce, before), NonceState::Unknown);
    }

    #[test]
    fn a_nonce_of_another_key_or_none_at_all_is_unknown() {
        let nonces = Nonces::with_key(&[1; 32]);
        let other = Nonces::random().unwrap().make(now());
        let mut changed = nonces.make(now()).into_bytes();
        changed[0] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        for nonce in [
            other.as_str(),
            &changed,
            "",
            "x",
            "AAAAAAAAAAA",
            &"A".repeat(500),
        ] {
            assert_eq!(nonces.state(nonce, now()), NonceState::Unknown, "{nonce}");
        }
        assert_eq!(
            Nonces::with_key(&[1; 32]).state(&nonces.make(now()), now()),
            NonceState::Young,
            "replicas with one key know each other's"
        );
    }

    proptest! {
        #[test]
        fn nothing_made_up_is_a_nonce(text in "[A-Za-z0-9_-]{0,40}", seconds: u64) {
            let nonces = Nonces::with_key(&[1; 32]);
            let made = WallTime::from_unix_seconds(seconds);
            for now in [now(), made] {
                prop_assert_eq!(nonces.state(&text, now), NonceState::Unknown);
            }
            prop_assert_eq!(nonces.state(&nonces.make(made), made), NonceState::Young);
        }
    }
}

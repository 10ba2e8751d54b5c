//! The known attacks on verifiers of tokens, one test each: header (H), encoding (E), claims (C),
//! signature (S), keys and state (K).
//!
//! Those that need more than one token and one layer stand with their subject: E8, C10, C12, C15
//! to C17, H16, K11 and K13 to K15, K18 in `binding`, `choices`, `proofs` and `streams`; K1 to K8
//! in `keys` and `discovery`, K3 and K10 also in `cache`.

mod claims;
mod encoding;
mod header;
mod signature;
mod state;

use std::sync::OnceLock;

use bartizan_jwt::JwtLayer;
use bartizan_testkit::{RsaKey, SigningAlgorithm, TokenBuilder};

use crate::support::{Offline, outcome, passed, refused};

/// An issuer, and a service that trusts it.
struct Target {
    offline: Offline,
    layer: JwtLayer,
}

impl Target {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let offline = Offline::new(algorithm);
        let layer = offline.layer();
        Self { offline, layer }
    }

    fn token(&self) -> TokenBuilder {
        self.offline.token()
    }

    #[track_caller]
    fn accepts(&self, token: &str) -> impl Future<Output = ()> {
        let layer = self.layer.clone();
        let token = token.to_owned();
        async move { assert_eq!(outcome(&layer, &token).await, passed(), "{token}") }
    }

    /// The attack is refused with this code, and a good token passes as ever.
    async fn refuses(&self, token: &str, code: &str) {
        assert_eq!(
            outcome(&self.layer, token).await,
            refused(401, code),
            "{token}"
        );
        let control = self.token().sign().unwrap();
        assert_eq!(outcome(&self.layer, &control).await, passed());
    }
}

fn target() -> Target {
    Target::new(SigningAlgorithm::Es256)
}

fn rsa() -> &'static RsaKey {
    static KEY: OnceLock<RsaKey> = OnceLock::new();
    KEY.get_or_init(|| RsaKey::generate(2048).unwrap())
}

//! Opaque tokens, and asking their issuer about them.

mod answers;
mod forms;
mod outages;
mod races;

use std::sync::Arc;
use std::time::Duration;

use bartizan_jwt::{
    ClientAuthentication, HttpsFetcher, Introspection, IntrospectionBuilder, JwtConfig,
    JwtConfigBuilder, JwtLayer, Rules,
};
use bartizan_testkit::{Endpoint, TokenBuilder};

use crate::support::{AUDIENCE, Online};

const SECRET: &str = "s3cr3t-of-orders";

/// An issuer that can be asked about tokens.
struct Desk {
    online: Online,
}

impl Desk {
    async fn new() -> Self {
        let online = Online::new().await;
        online.issuer.add_client("orders", SECRET);
        Self { online }
    }

    fn rules(&self) -> Rules {
        let rules = Rules::builder(self.online.issuer.issuer(), AUDIENCE);
        rules.build().unwrap()
    }

    fn introspection(&self) -> IntrospectionBuilder {
        let url = self.online.issuer.introspection_endpoint();
        let secret = ClientAuthentication::basic("orders", SECRET);
        // Without much patience.
        let fetcher = HttpsFetcher::builder()
            .with_roots(self.online.roots())
            .with_deadline(Duration::from_millis(300))
            .with_body_limit(64 * 1024);
        let fetcher = fetcher.build().unwrap();
        Introspection::builder(self.rules(), &url, secret).with_fetcher(fetcher)
    }

    /// Signed tokens are verified, and opaque ones asked about.
    fn config(&self) -> JwtConfigBuilder {
        let introspection = self.introspection().build().unwrap();
        self.online.config().with_introspection(introspection)
    }

    async fn layer(&self) -> JwtLayer {
        JwtLayer::load(self.config().build().unwrap())
            .await
            .unwrap()
    }

    /// All tokens are asked about.
    fn asking(&self, introspection: IntrospectionBuilder) -> JwtLayer {
        let config = JwtConfig::introspecting(introspection.build().unwrap())
            .with_clock(Arc::new(self.online.clock.clone()));
        JwtLayer::start(config.build().unwrap()).unwrap()
    }

    fn token(&self) -> TokenBuilder {
        self.online.token().scope("orders:read")
    }

    fn opaque(&self) -> String {
        self.online.issuer.opaque(&self.token())
    }

    fn asked(&self) -> usize {
        self.online.issuer.requests(Endpoint::Introspection)
    }

    fn pass(&self, seconds: u64) {
        self.online.clock.advance(Duration::from_secs(seconds));
    }
}

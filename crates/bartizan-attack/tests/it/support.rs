//! A service behind the whole stack of this family, its issuer, and its authority.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use bartizan_attack::{Authority, Remote, Signer, Target};
use bartizan_authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan_core::{AxumListener, Connection, SystemClock};
use bartizan_jwt::{JwtConfig, JwtLayer, KeySet, Rules};
use bartizan_mtls::{MaterialFiles, MtlsLayer, MtlsListener};
use bartizan_ratelimit::{Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer};
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, SigningKey, TokenMint};
use serde_json::Value;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const LIMIT: u32 = 100;

/// An issuer, and an authority of workloads.
pub(crate) struct Town {
    pub(crate) mint: TokenMint,
    pub(crate) ca: DevelopmentCa,
}

impl Town {
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
        Self {
            mint: TokenMint::with_key(ISSUER, key, Arc::new(SystemClock)),
            ca: DevelopmentCa::new("example.org").unwrap(),
        }
    }

    pub(crate) fn tokens(&self) -> JwtLayer {
        let keys = KeySet::from_json(&self.mint.jwks().to_string()).unwrap();
        let rules = Rules::builder(ISSUER, "orders").build().unwrap();
        let config = JwtConfig::builder(rules).with_keys(keys).build();
        JwtLayer::start(config.unwrap()).unwrap()
    }

    /// Makes tokens that the service takes.
    pub(crate) fn signer(&self) -> Signer {
        let token = self.mint.token().audience("orders").scope("orders:read");
        let (header, claims) = (token.headers().clone(), token.claims().clone());
        let key = self.mint.signing_key();
        Signer::new(header.into(), claims.into(), move |input| {
            key.sign(input).unwrap()
        })
    }

    /// All that there is to be given, but how to get there.
    pub(crate) fn target(&self) -> Target {
        Target::get("/orders/7")
            .with_signer(self.signer())
            .with_key_set(self.mint.jwks())
            .with_open_path("/healthz")
            .with_forbidden("GET", "/admin/orders")
    }

    /// The service as it should be.
    pub(crate) fn app(&self, peers: bool) -> Router {
        let read = Callers::anybody().scope("orders:read");
        let all = Rule::allow("readers")
            .from(read)
            .to(Targets::any_method("/orders/{*rest}"));
        let policy = Policy::builder().add(all).build().unwrap();
        let rate = Rate::per_minute(u64::from(LIMIT)).with_burst(u64::from(LIMIT));
        let limit =
            RateLimitConfig::builder(Key::address()).add_policy(Limit::new("address", rate));
        let rules = AuthzLayer::builder().with_policy(policy).build().unwrap();
        // The last layer is the outermost.
        let mut app = routes().layer(rules).layer(self.tokens());
        if peers {
            let web = MtlsLayer::builder().allow_peer("spiffe://example.org/web".parse().unwrap());
            app = app.layer(web.build().unwrap());
        }
        let app = app.layer(RateLimitLayer::new(limit.build().unwrap()));
        app.route("/healthz", get(async || "alive"))
    }

    /// Serves over TCP, and gives how to get there.
    pub(crate) async fn plain(app: Router) -> Remote {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<Connection>();
        tokio::spawn(async move { axum::serve(AxumListener::new(listener), app).await });
        Remote::new(&format!("http://{address}")).unwrap()
    }

    /// Serves over mutual TLS, and gives how to get there as the workload `web`.
    pub(crate) async fn tls(&self, name: &str, app: Router) -> Remote {
        let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.join(format!("attack-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        self.ca.write_pem(&folder, "ca").unwrap();
        let own = self.ca.workload("/orders").unwrap();
        own.write_pem(&folder, "tls").unwrap();
        let files = MaterialFiles::new(folder.join("tls.pem"), folder.join("tls-key.pem"));
        let files = files.with_bundle("example.org".parse().unwrap(), folder.join("ca.pem"));
        let files = files.load().unwrap();
        let listener = MtlsListener::builder(files.published());
        let listener = listener.bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(async move {
            let _files = files;
            bartizan_mtls::serve(listener, app).await
        });
        self.remote(address)
    }

    pub(crate) fn remote(&self, address: SocketAddr) -> Remote {
        let ca = self.ca.certificate_pem();
        let web = self.ca.workload("/web").unwrap();
        let authority = Authority::from_pem(&ca, &self.ca.key().pem()).unwrap();
        Remote::new(&format!("https://{address}"))
            .and_then(|it| it.with_roots(&ca))
            .and_then(|it| it.with_certificate(&web.chain_pem(), &web.key_pem()))
            .unwrap()
            .with_authority(authority)
    }
}

/// What there is to be asked for.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/orders/{id}", get(read).post(write))
        .route("/admin/orders", get(async || "all of them"))
        .route("/orders", post(write))
}

async fn read(Path(id): Path<String>) -> String {
    format!("order {id}")
}

async fn write(axum::Json(document): axum::Json<Value>) -> axum::Json<Value> {
    axum::Json(document)
}

//! Tokens or API keys, in one stack.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan::Stack;
use bartizan::apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, KeyFormat, KeyRecord, NewKey, Peppers,
};
use bartizan::core::{Clock as _, Connection, Enforcement};
use bartizan::jwt::{JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, Rules};
use bartizan::ratelimit::{
    Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer, Settlement,
};
use bartizan_testkit::{Answer, Call, Host, ManualClock, SigningAlgorithm, TokenMint};
use http::{HeaderName, HeaderValue};

const ISSUER: &str = "https://issuer.example";

struct Town {
    clock: ManualClock,
    mint: TokenMint,
    key: NewKey,
}

impl Town {
    fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            mint: TokenMint::new(ISSUER, SigningAlgorithm::Es256, clock.clone()).unwrap(),
            key: NewKey::generate(&KeyFormat::live()).unwrap(),
            clock,
        }
    }

    fn tokens(&self) -> JwtConfigBuilder {
        let keys = KeySet::from_json(&self.mint.jwks().to_string()).unwrap();
        JwtConfig::builder(Rules::builder(ISSUER, "orders").build().unwrap())
            .with_keys(keys)
            .with_clock(Arc::new(self.clock.clone()))
    }

    fn keys(&self) -> ApiKeyConfigBuilder {
        let now = self.clock.wall();
        let record = KeyRecord::builder(&self.key, &Peppers::none(), "reports", now);
        ApiKeyConfig::builder("orders-keys")
            .with_keys([record.with_scopes(["echo"]).build().unwrap()])
            .with_clock(Arc::new(self.clock.clone()))
    }

    fn stack(&self, tokens: JwtConfigBuilder, keys: ApiKeyConfigBuilder) -> Stack {
        Stack::new()
            .with_tokens(&JwtLayer::start(tokens.build().unwrap()).unwrap())
            .with_keys(&ApiKeyLayer::start(keys.build().unwrap()).unwrap())
    }

    fn bearer(&self) -> (&'static str, String) {
        let token = self.mint.token().audience("orders").sign().unwrap();
        ("authorization", format!("Bearer {token}"))
    }

    fn key(&self) -> (&'static str, String) {
        ("x-api-key", self.key.expose().to_owned())
    }
}

fn call(headers: &[(&'static str, String)]) -> Call {
    headers
        .iter()
        .fold(Call::echo("hello"), |call, (name, value)| {
            let value = HeaderValue::try_from(value).unwrap();
            call.add_header(HeaderName::from_static(name), value)
        })
}

async fn send(stack: &Stack, headers: &[(&'static str, String)]) -> Answer {
    Host::Hyper.send(stack, &call(headers)).await.unwrap()
}

#[tokio::test]
async fn a_token_or_a_key_makes_the_principal_on_every_host() {
    let town = Town::new();
    let stack = town.stack(town.tokens(), town.keys());
    for host in Host::WITHOUT_SOCKETS {
        for (headers, scheme, subject) in [
            ([town.bearer()], "jwt", "alice"),
            ([town.key()], "api_key", "reports"),
        ] {
            let answer = host.send(&stack, &call(&headers)).await.unwrap();
            assert!(answer.is_success(), "{answer:?}");
            let context = &answer.json()["context"];
            assert_eq!(context["principal"]["scheme"], scheme, "{host:?}");
            assert_eq!(context["principal"]["subject"], subject, "{host:?}");
            let decisions = context["decisions"].as_array().unwrap();
            assert_eq!(decisions.len(), 1, "the other one is not asked");
        }
        let both = [town.bearer(), town.key()];
        let answer = host.send(&stack, &call(&both)).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("context.two_credentials"));
        let answer = host.send(&stack, &call(&[])).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("jwt.missing"), "{host:?}");
    }
}

#[tokio::test]
async fn nothing_presented_is_told_both_ways() {
    let town = Town::new();
    let answer = send(&town.stack(town.tokens(), town.keys()), &[]).await;
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(
        challenges,
        [
            r#"Bearer realm="orders""#,
            r#"ApiKey realm="orders-keys", header="x-api-key""#
        ]
    );
}

#[tokio::test]
async fn a_key_below_bearer_is_told_from_a_token() {
    let town = Town::new();
    let stack = town.stack(town.tokens(), town.keys().allow_bearer());
    let key = [("authorization", format!("Bearer {}", town.key.expose()))];
    let answer = send(&stack, &key).await;
    assert_eq!(answer.json()["context"]["principal"]["scheme"], "api_key");
    let answer = send(&stack, &[town.bearer()]).await;
    assert_eq!(answer.json()["context"]["principal"]["scheme"], "jwt");
    let strict = town.stack(town.tokens(), town.keys());
    let answer = send(&strict, &key).await;
    assert_eq!(answer.code().as_deref(), Some("jwt.malformed"));
}

#[tokio::test]
async fn a_token_in_a_cookie_is_a_second_credential_too() {
    let town = Town::new();
    let stack = town.stack(town.tokens().allow_cookie("token"), town.keys());
    let token = town.mint.token().audience("orders").sign().unwrap();
    let cookie = ("cookie", format!("token={token}"));
    assert!(
        send(&stack, std::slice::from_ref(&cookie))
            .await
            .is_success()
    );
    let answer = send(&stack, &[cookie, town.key()]).await;
    assert_eq!(answer.code().as_deref(), Some("context.two_credentials"));
}

#[tokio::test]
async fn a_good_token_does_not_excuse_a_key_in_the_url() {
    let town = Town::new();
    let stack = town.stack(town.tokens(), town.keys());
    let leaked = format!("/echo?api_key={}", town.key.expose());
    let call = call(&[town.bearer()]).with_http_path(leaked);
    let answer = Host::Hyper.send(&stack, &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("apikey.in_url"));
}

#[tokio::test]
async fn a_bad_key_in_shadow_mode_is_no_way_around_tokens() {
    let town = Town::new();
    let shadow = town.keys().with_enforcement(Enforcement::Shadow);
    let stack = town.stack(town.tokens(), shadow);
    let other = NewKey::generate(&KeyFormat::live()).unwrap();
    let answer = send(&stack, &[("x-api-key", other.expose().to_owned())]).await;
    assert_eq!(answer.http_status.as_u16(), 401);
    assert_eq!(answer.code().as_deref(), Some("jwt.missing"));
}

#[tokio::test]
async fn a_layer_in_shadow_mode_lets_nobody_in_and_turns_nobody_away() {
    let town = Town::new();
    let keys = town.keys().with_enforcement(Enforcement::Shadow);
    let keys_watch = town.stack(town.tokens(), keys);
    let tokens = town.tokens().with_enforcement(Enforcement::Shadow);
    let tokens_watch = town.stack(tokens, town.keys());
    for (stack, decides, watches, missing) in [
        (keys_watch, town.bearer(), town.key(), "jwt.missing"),
        (tokens_watch, town.key(), town.bearer(), "apikey.missing"),
    ] {
        for headers in [&[][..], std::slice::from_ref(&watches)] {
            let answer = send(&stack, headers).await;
            assert_eq!(answer.code().as_deref(), Some(missing));
            assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
        }
        let alone = send(&stack, std::slice::from_ref(&decides)).await;
        let both = send(&stack, &[decides, watches]).await;
        assert!(alone.is_success() && both.is_success(), "{both:?}");
        let principal = |answer: &Answer| answer.json()["context"]["principal"].clone();
        assert_eq!(principal(&both), principal(&alone));
    }
}

#[tokio::test]
async fn a_failed_key_charges_the_address() {
    let town = Town::new();
    let limit = RateLimitConfig::builder(Key::address())
        .with_clock(Arc::new(town.clock.clone()))
        .add_policy(Limit::new("burst", Rate::per_second(3)))
        .with_settlement(|answer| match answer.status.as_u16() {
            401 => Settlement::Charge(2),
            _ => Settlement::Keep,
        });
    let stack = town
        .stack(town.tokens(), town.keys())
        .with_address_limit(&RateLimitLayer::new(limit.build().unwrap()));
    let other = NewKey::generate(&KeyFormat::live()).unwrap();
    let send = async |address: &str, key: &NewKey| {
        let remote = SocketAddr::new(address.parse().unwrap(), 4000);
        let call = call(&[("x-api-key", key.expose().to_owned())]);
        let call = call.with_connection(Connection::from_remote(remote));
        Host::Hyper.send(&stack, &call).await.unwrap().code()
    };
    let first = send("192.0.2.9", &other).await;
    assert_eq!(first.as_deref(), Some("apikey.invalid"));
    // One for the request, two for the failure: the address has spent its three.
    let second = send("192.0.2.9", &town.key).await;
    assert_eq!(second.as_deref(), Some("ratelimit.exceeded"));
    assert_eq!(send("192.0.2.10", &town.key).await, None);
}

#[tokio::test]
async fn the_principal_limit_counts_keys_as_it_counts_tokens() {
    let town = Town::new();
    let limit = RateLimitConfig::builder(Key::subject())
        .with_clock(Arc::new(town.clock.clone()))
        .add_policy(Limit::new("burst", Rate::per_second(2)));
    let stack = town
        .stack(town.tokens(), town.keys())
        .with_principal_limit(&RateLimitLayer::new(limit.build().unwrap()));
    for expected in [None, None, Some("ratelimit.exceeded")] {
        let answer = send(&stack, &[town.key()]).await;
        assert_eq!(
            answer.code().filter(|_| !answer.is_success()).as_deref(),
            expected
        );
    }
    assert!(send(&stack, &[town.bearer()]).await.is_success());
}

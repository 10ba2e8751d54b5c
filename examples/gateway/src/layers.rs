//! The layers in front of the proxy.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bartizan::Stack;
use bartizan::authz::PolicyFile;
use bartizan::core::{
    Challenge, Enforcement, Entrance, ForwardingHeader, GuardLayer, Observe, TrustedProxies,
};
use bartizan::jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan::mtls::MtlsLayer;
use bartizan::prelude::AuthzLayer;
use bartizan::ratelimit::{
    DeadlineLayer, IntakeLayer, IntakeRules, Key, LoadLayer, LoadLimit, Policy, Rate,
    RateLimitConfig, RateLimitLayer, UploadLayer, UploadRules,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{Layer as _, Service};

use crate::again::Again;
use crate::body::BoxError;
use crate::config::{Config, Limits, Mode};
use crate::framing::Framing;
use crate::proxy::Proxy;
use crate::routes::Routes;

/// How long a request whose token is only watched waits for keys that are not there.
const PATIENCE_IN_SHADOW: Duration = Duration::from_millis(100);

/// What decides who is let in.
pub(crate) struct Callers {
    peers: Option<MtlsLayer>,
    tokens: Option<JwtLayer>,
    rules: AuthzLayer,
    entrance: Entrance,
    recheck: Duration,
}

impl Callers {
    /// Reads whom the file means, and begins to follow keys and policy.
    pub(crate) fn new(config: &Config, observer: &Arc<dyn Observe>) -> anyhow::Result<Self> {
        let enforcement = match config.mode {
            Mode::Enforce => Enforcement::Enforce,
            Mode::Shadow => Enforcement::Shadow,
        };
        let proxies = config.trusted_proxies.iter().copied();
        let proxies = TrustedProxies::networks(ForwardingHeader::XForwardedFor, proxies);
        let entrance = Entrance::new()
            .with_proxies(proxies)
            .with_routes(Routes::table(config)?);
        let policy = PolicyFile::new(&config.policy)
            .with_interval(config.reload)
            .with_observer(Arc::clone(observer))
            .load()?;
        let mut rules = AuthzLayer::builder()
            .with_policy(policy.published())
            .with_enforcement(enforcement)
            .with_observer(Arc::clone(observer));
        let peers = match &config.tls {
            Some(tls) => {
                let peers = tls.peers.iter().cloned();
                let peers = peers.fold(MtlsLayer::builder(), |all, peer| all.allow_peer(peer));
                let peers = peers.with_observer(Arc::clone(observer));
                let peers = match tls.allow_no_certificate {
                    true => peers.allow_no_certificate(),
                    false => peers,
                };
                Some(peers.build()?)
            }
            None => None,
        };
        let tokens = match &config.tokens {
            Some(tokens) => {
                let issuer = Rules::builder(&tokens.issuer, &tokens.audience).build()?;
                // Whether a token is needed is for the policy to say, route by route.
                let mut accepted = JwtConfig::builder(issuer)
                    .allow_anonymous()
                    .with_enforcement(enforcement)
                    .with_observer(Arc::clone(observer));
                if enforcement == Enforcement::Shadow {
                    accepted = accepted.with_patience(PATIENCE_IN_SHADOW);
                }
                if let Some(roots) = &tokens.roots {
                    accepted = accepted.with_roots(Roots::from_pem(&std::fs::read(roots)?)?);
                }
                let challenge = Challenge::new("Bearer").with_param("realm", &tokens.audience);
                rules = rules.with_challenge(challenge);
                Some(JwtLayer::start(accepted.build()?)?)
            }
            None => None,
        };
        Ok(Self {
            peers,
            tokens,
            rules: rules.build()?,
            entrance,
            recheck: config.limits.recheck,
        })
    }

    /// The same question, for tunnels that are open.
    pub(crate) fn again(&self) -> Again {
        let stack = self.onto(Stack::new().with_entrance(self.entrance.clone()));
        Again::new(&stack, self.recheck)
    }

    fn onto(&self, mut stack: Stack) -> Stack {
        if let Some(peers) = &self.peers {
            stack = stack.with_peers(peers);
        }
        if let Some(tokens) = &self.tokens {
            stack = stack.with_tokens(tokens);
        }
        stack.with_rules(&self.rules)
    }
}

/// Puts all layers in front of the proxy.
pub(crate) fn guarded<B>(
    config: &Config,
    callers: &Callers,
    observer: &Arc<dyn Observe>,
    proxy: Proxy,
) -> anyhow::Result<
    impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static,
>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let limits = config.limits;
    let framing = Framing::new(&config.name, Arc::clone(observer));
    let framing = GuardLayer::new(framing).with_entrance(callers.entrance.clone());

    let rate = Rate::per_second(limits.per_second).with_burst(limits.burst);
    let rate = RateLimitConfig::builder(Key::address())
        .add_policy(Policy::new("address", rate))
        .with_observer(Arc::clone(observer));
    let intake = IntakeRules::builder().with_max_body(limits.body).build()?;
    let calls = Arc::new(Routes::for_calls(config));
    // A call may stream, and not for ever: then it is made anew, and decided on anew.
    let streams = Arc::clone(&calls);
    let deadline = DeadlineLayer::try_new(Duration::MAX)?.with_limit_for(move |inspection| {
        let template = inspection.context.template()?;
        streams.contains(template).then_some(limits.call_life)
    });

    let upload = UploadRules::builder().with_max_body(limits.body);
    let upload = paced(upload, limits.upload_per_second, limits.upload_window).build()?;
    let call = call_rules(&limits)?;
    // Whoever calls a body gRPC gets out of no rule by that where nobody speaks it.
    let upload = UploadLayer::new(upload).with_rules_for(move |inspection| {
        let template = inspection.context.template();
        let is_call = inspection.protocol.is_grpc()
            && template.is_some_and(|template| calls.contains(template));
        Some(if is_call { call } else { upload })
    });

    let load = LoadLayer::new(LoadLimit::builder(limits.concurrent).build()?);
    let stack = Stack::new()
        .with_address_limit(&RateLimitLayer::new(rate.build()?))
        .with_load(&load.with_observer(Arc::clone(observer)))
        .with_intake(&IntakeLayer::new(intake).with_observer(Arc::clone(observer)))
        .with_deadline(&deadline.with_observer(Arc::clone(observer)));
    let upload = upload.with_observer(Arc::clone(observer));
    let stack = callers.onto(stack).around(framing).inside(upload);
    Ok(stack.layer(proxy))
}

/// What a gRPC call has to bring: messages of any number, at some pace.
fn call_rules(limits: &Limits) -> anyhow::Result<UploadRules> {
    if limits.call_per_second == 0 {
        return Ok(UploadRules::NONE);
    }
    let rules = UploadRules::builder().allow_any_size();
    Ok(paced(rules, limits.call_per_second, limits.call_window).build()?)
}

/// How fast a body has to come in. How it looks is between the two ends.
fn paced(
    rules: bartizan::ratelimit::UploadRulesBuilder,
    per_second: u64,
    window: Duration,
) -> bartizan::ratelimit::UploadRulesBuilder {
    let rules = rules.allow_any_json();
    match per_second {
        0 => rules.allow_any_pace(),
        rate => rules.with_min_rate(rate, window),
    }
}

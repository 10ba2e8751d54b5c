//! All layers of a service as one, in the only order that they protect it in.

mod places;

use std::fmt;

use bartizan_core::{Authenticators, Chain, Entrance, GuardLayer, Guarded};
use tower_layer::{Identity, Layer};

use self::places::{Bans, Deadline, Intake, Keys, Limit, Load, Peers, Rules, Tokens};

/// The layers of a service, each in its place, as one layer.
///
/// Places are filled in any order, and stand in one alone, outermost first:
///
/// 1. what wraps everything ([`around`](Self::around)): the audit log;
/// 2. bans;
/// 3. sizes and types of requests, and their deadline;
/// 4. so many requests at once;
/// 5. the limit by address, which a failed authentication can charge;
/// 6. the peer: which workloads may call;
/// 7. the limit by peer;
/// 8. the principal: whose tokens or API keys are accepted;
/// 9. the limit by principal;
/// 10. the rules: which of them may call what;
/// 11. what touches bodies ([`inside`](Self::inside)): encryption, next to the handler.
///
/// `docs/ORDERING.md` has the reason of each edge. A place that is not filled costs a branch, and
/// leaves no decision: a stack without peers believes everybody. The guards of a stack are one
/// service, one future and one body, and not a nest of them.
///
/// ```
/// # #[cfg(all(feature = "authz", feature = "ratelimit"))]
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use bartizan::Stack;
/// use bartizan::authz::{AuthzLayer, Policy, Rule, Targets};
/// use bartizan::ratelimit::{Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer};
///
/// let limit = RateLimitConfig::builder(Key::address())
///     .add_policy(Limit::new("address", Rate::per_second(50).with_burst(200)));
/// let rules = Policy::builder().add(Rule::allow("public").to(Targets::method("GET")));
///
/// let stack = Stack::new()
///     .with_rules(&AuthzLayer::builder().with_policy(rules.build()?).build()?)
///     .with_address_limit(&RateLimitLayer::new(limit.build()?));
/// // axum: Router::new().route(...).layer(stack)
/// # let _ = stack;
/// # Ok(())
/// # }
/// # #[cfg(all(feature = "authz", feature = "ratelimit"))]
/// # run().expect("it can be built");
/// ```
#[derive(Clone)]
#[must_use = "a stack has an effect around a service"]
pub struct Stack<Inside = Identity, Around = Identity> {
    places: Places,
    entrance: Option<Entrance>,
    inside: Inside,
    around: Around,
}

#[derive(Clone, Default)]
struct Places {
    bans: Option<Bans>,
    intake: Option<Intake>,
    deadline: Option<Deadline>,
    load: Option<Load>,
    address_limit: Option<Limit>,
    peers: Option<Peers>,
    peer_limit: Option<Limit>,
    tokens: Option<Tokens>,
    keys: Option<Keys>,
    principal_limit: Option<Limit>,
    rules: Option<Rules>,
}

type Outer = Chain<Chain<Chain<Option<Bans>, Option<Intake>>, Option<Deadline>>, Option<Load>>;
type Principals = Authenticators<Tokens, Keys>;
type Callers = Chain<Chain<Chain<Option<Peers>, Option<Limit>>, Principals>, Option<Limit>>;

/// The guards of a [`Stack`], in their order, as one.
pub type StackGuard = Chain<Chain<Chain<Outer, Option<Limit>>, Callers>, Option<Rules>>;

impl Stack {
    /// A stack in which nothing stands yet.
    pub fn new() -> Self {
        Self {
            places: Places::default(),
            entrance: None,
            inside: Identity::new(),
            around: Identity::new(),
        }
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

impl<Inside, Around> Stack<Inside, Around> {
    /// Sets what is known of the outside: trusted proxies, and the service's routes.
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(entrance);
        self
    }

    /// Shuts out who is banned.
    #[cfg(feature = "ratelimit")]
    pub fn with_bans(mut self, layer: &bartizan_ratelimit::BanLayer) -> Self {
        self.places.bans = Some(layer.guard().clone());
        self
    }

    /// Refuses requests that are too large or of the wrong kind.
    #[cfg(feature = "ratelimit")]
    pub fn with_intake(mut self, layer: &bartizan_ratelimit::IntakeLayer) -> Self {
        self.places.intake = Some(layer.guard().clone());
        self
    }

    /// Ends what takes too long.
    #[cfg(feature = "ratelimit")]
    pub fn with_deadline(mut self, layer: &bartizan_ratelimit::DeadlineLayer) -> Self {
        self.places.deadline = Some(layer.guard().clone());
        self
    }

    /// Serves so many requests at once.
    #[cfg(feature = "ratelimit")]
    pub fn with_load(mut self, layer: &bartizan_ratelimit::LoadLayer) -> Self {
        self.places.load = Some(layer.guard().clone());
        self
    }

    /// Limits each address, before anybody is known.
    #[cfg(feature = "ratelimit")]
    pub fn with_address_limit(mut self, layer: &bartizan_ratelimit::RateLimitLayer) -> Self {
        self.places.address_limit = Some(layer.guard().clone());
        self
    }

    /// Admits these workloads.
    #[cfg(feature = "mtls")]
    pub fn with_peers(mut self, layer: &bartizan_mtls::MtlsLayer) -> Self {
        self.places.peers = Some(layer.guard().clone());
        self
    }

    /// Limits each workload.
    #[cfg(feature = "ratelimit")]
    pub fn with_peer_limit(mut self, layer: &bartizan_ratelimit::RateLimitLayer) -> Self {
        self.places.peer_limit = Some(layer.guard().clone());
        self
    }

    /// Accepts these tokens.
    #[cfg(feature = "jwt")]
    pub fn with_tokens(mut self, layer: &bartizan_jwt::JwtLayer) -> Self {
        self.places.tokens = Some(layer.guard().clone());
        self
    }

    /// Accepts these API keys.
    ///
    /// Where tokens are accepted as well, a request carries the one or the other, and either makes
    /// the principal. One that carries both is refused: `context.two_credentials`.
    #[cfg(feature = "apikey")]
    pub fn with_keys(mut self, layer: &bartizan_apikey::ApiKeyLayer) -> Self {
        self.places.keys = Some(layer.guard().clone());
        self
    }

    /// Limits each principal.
    #[cfg(feature = "ratelimit")]
    pub fn with_principal_limit(mut self, layer: &bartizan_ratelimit::RateLimitLayer) -> Self {
        self.places.principal_limit = Some(layer.guard().clone());
        self
    }

    /// Allows what these rules allow.
    #[cfg(feature = "authz")]
    pub fn with_rules(mut self, layer: &bartizan_authz::AuthzLayer) -> Self {
        self.places.rules = Some(layer.guard().clone());
        self
    }

    /// Puts a layer next to the handler, inside of everything that decides: such as
    /// `EncryptLayer`. Called again, further in.
    pub fn inside<L>(self, layer: L) -> Stack<tower_layer::Stack<L, Inside>, Around> {
        Stack {
            places: self.places,
            entrance: self.entrance,
            inside: tower_layer::Stack::new(layer, self.inside),
            around: self.around,
        }
    }

    /// Puts a layer around everything else, such as one for CORS or the audit log. Called again,
    /// further out.
    pub fn around<L>(self, layer: L) -> Stack<Inside, tower_layer::Stack<Around, L>> {
        Stack {
            places: self.places,
            entrance: self.entrance,
            inside: self.inside,
            around: tower_layer::Stack::new(self.around, layer),
        }
    }

    /// The guards as one, for chaining with others.
    pub fn guard(&self) -> StackGuard {
        let it = self.places.clone();
        let outer = Chain::new(it.bans, it.intake)
            .then(it.deadline)
            .then(it.load);
        let callers = Chain::new(it.peers, it.peer_limit)
            .then(Authenticators::new(it.tokens, it.keys))
            .then(it.principal_limit);
        outer.then(it.address_limit).then(callers).then(it.rules)
    }
}

impl<S, Inside, Around> Layer<S> for Stack<Inside, Around>
where
    Inside: Layer<S>,
    Around: Layer<Guarded<Inside::Service, StackGuard>>,
{
    type Service = Around::Service;

    fn layer(&self, service: S) -> Self::Service {
        let guards = GuardLayer::new(self.guard());
        let guards = match &self.entrance {
            Some(entrance) => guards.with_entrance(entrance.clone()),
            None => guards,
        };
        self.around.layer(guards.layer(self.inside.layer(service)))
    }
}

impl<Inside, Around> fmt::Debug for Stack<Inside, Around> {
    /// Which places are filled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.places;
        let mut set = f.debug_set();
        for (name, filled) in [
            ("bans", it.bans.is_some()),
            ("intake", it.intake.is_some()),
            ("deadline", it.deadline.is_some()),
            ("load", it.load.is_some()),
            ("address limit", it.address_limit.is_some()),
            ("peers", it.peers.is_some()),
            ("peer limit", it.peer_limit.is_some()),
            ("tokens", it.tokens.is_some()),
            ("keys", it.keys.is_some()),
            ("principal limit", it.principal_limit.is_some()),
            ("rules", it.rules.is_some()),
        ] {
            if filled {
                set.entry(&name);
            }
        }
        set.finish()
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::{Guard, Settled};

    use super::*;

    /// It is moved from the verdict into the future and into the body of the response, so that its
    /// size is paid for several times a request.
    #[test]
    fn what_a_stack_still_owes_is_small_enough_to_be_moved() {
        let bytes = size_of::<Settled<<StackGuard as Guard>::Pass>>();
        assert!(bytes <= 800, "{bytes} bytes");
    }
}

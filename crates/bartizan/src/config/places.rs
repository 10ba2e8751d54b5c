//! The layers of a configuration, each in its place; those that a reload leaves alone are kept.

use bartizan_apikey::ApiKeyLayer;
use bartizan_authz::AuthzLayer;
use bartizan_jwt::{JwtLayer, RevocationList};
use bartizan_mtls::{Migration, MtlsLayer};
use bartizan_ratelimit::{
    BanLayer, Bans as BanTable, DeadlineLayer, IntakeLayer, LoadLayer, RateLimitLayer,
};

use crate::Stack;
use crate::config::guard::Placed;
use crate::config::limits::{Limit, LimitPlace};
use crate::config::problem::Problem;
use crate::config::requests::Bans;
use crate::config::root::Root;
use crate::config::rules::refuse_everything;
use crate::config::surroundings::Surroundings;
use crate::config::tokens::{Remembered, Tokens};

/// The layers that can be replaced.
#[derive(Clone, Default)]
pub(crate) struct Places {
    bans: Option<(BanTable, BanLayer)>,
    intake: Option<IntakeLayer>,
    deadline: Option<DeadlineLayer>,
    load: Option<LoadLayer>,
    address_limit: Option<RateLimitLayer>,
    peers: Option<MtlsLayer>,
    peer_limit: Option<RateLimitLayer>,
    tokens: Option<(JwtLayer, Remembered)>,
    api_keys: Option<ApiKeyLayer>,
    principal_limit: Option<RateLimitLayer>,
    rules: Option<AuthzLayer>,
}

/// What was there before, and what it was made of.
pub(crate) struct Before<'b> {
    pub(crate) root: &'b Root,
    pub(crate) places: &'b Places,
}

/// Takes over a place whose table did not change, and builds it otherwise.
macro_rules! place {
    ($root:expr, $before:expr, $section:ident, |$it:ident| $build:expr) => {
        match (&$root.$section, $before) {
            (Some(now), Some(before)) if before.root.$section.as_ref() == Some(now) => {
                before.places.$section.clone()
            }
            (Some($it), _) => Some($build),
            (None, _) => None,
        }
    };
}

impl Places {
    pub(crate) async fn build(
        root: &Root,
        migration: Option<&Migration>,
        with: &Surroundings,
    ) -> Result<Self, Problem> {
        Self::build_after(root, migration, with, None).await
    }

    /// Builds what changed.
    pub(crate) async fn build_after(
        root: &Root,
        migration: Option<&Migration>,
        with: &Surroundings,
        before: Option<Before<'_>>,
    ) -> Result<Self, Problem> {
        let before = before.as_ref();
        // What these are made of besides their own tables.
        let same_proxies = before.filter(|it| it.root.entrance == root.entrance);
        let same_credentials = before.filter(|it| it.root.credentials() == root.credentials());
        let limits = before.filter(|it| it.root.redis == root.redis);
        let limit = |place: LimitPlace, limit: &Limit| {
            if let Some(kept) = limits.and_then(|before| before.with_rates(place, limit)) {
                return Ok(kept);
            }
            limit.build(place, root.redis.as_ref(), with)
        };
        let proxies = root.proxies()?;
        Ok(Self {
            bans: place!(root, same_proxies, bans, |it| {
                it.build(&proxies, with, same_proxies.and_then(|kept| kept.bans(it)))?
            }),
            intake: place!(root, before, intake, |it| it.build(with)?),
            deadline: place!(root, before, deadline, |it| it.build(with)?),
            load: place!(root, before, load, |it| it.build(with)?),
            address_limit: place!(root, limits, address_limit, |it| limit(
                LimitPlace::Address,
                it
            )?),
            peers: place!(root, same_credentials, peers, |it| it
                .build(migration, with)?),
            peer_limit: place!(root, limits, peer_limit, |it| limit(LimitPlace::Peer, it)?),
            tokens: place!(root, before, tokens, |it| {
                let it = &root.challenging(it);
                let remembered = it.remembered(before.and_then(|before| before.tokens()));
                it.build(with, remembered).await?
            }),
            api_keys: place!(root, before, api_keys, |it| it.build(with).await?),
            principal_limit: place!(root, limits, principal_limit, |it| limit(
                LimitPlace::Principal,
                it
            )?),
            rules: match (&root.rules, before) {
                (now, Some(before)) if before.root.rules == *now => before.places.rules.clone(),
                (Some(rules), _) => rules.build(&root.routes(), with)?,
                (None, _) => Some(refuse_everything(with)?),
            },
        })
    }

    /// The guards, in their order.
    pub(crate) fn placed(&self, root: &Root) -> Placed {
        let mut stack = Stack::new();
        if let Some((_, layer)) = &self.bans {
            stack = stack.with_bans(layer);
        }
        if let Some(layer) = &self.intake {
            stack = stack.with_intake(layer);
        }
        if let Some(layer) = &self.deadline {
            stack = stack.with_deadline(layer);
        }
        if let Some(layer) = &self.load {
            stack = stack.with_load(layer);
        }
        if let Some(layer) = &self.address_limit {
            stack = stack.with_address_limit(layer);
        }
        if let Some(layer) = &self.peers {
            stack = stack.with_peers(layer);
        }
        if let Some(layer) = &self.peer_limit {
            stack = stack.with_peer_limit(layer);
        }
        // Who witnesses asks for no tokens and knows no rules of the service, and who has no token
        // has to learn where to get one.
        let before_tokens = stack.guard();
        if let Some((layer, _)) = &self.tokens {
            stack = stack.with_tokens(layer);
        }
        if let Some(layer) = &self.api_keys {
            stack = stack.with_keys(layer);
        }
        if let Some(layer) = &self.principal_limit {
            stack = stack.with_principal_limit(layer);
        }
        if let Some(layer) = &self.rules {
            stack = stack.with_rules(layer);
        }
        Placed {
            guard: Some(stack.guard()),
            before_tokens: Some(before_tokens),
            exempt: root.exempt.clone(),
            peers: self.peers.clone(),
        }
    }

    /// Sets the rates of limits that were kept.
    pub(crate) fn set_rates(&self, root: &Root) {
        for (place, limit) in root.limits() {
            for policy in &limit.policy {
                if let Some(layer) = self.limit(place) {
                    // It was built with this name, and the rate was checked.
                    let _ = layer.limiter().set_rate(&policy.name, policy.rate);
                }
            }
        }
    }

    pub(crate) fn bans(&self) -> Option<BanTable> {
        self.bans.as_ref().map(|(bans, _)| bans.clone())
    }

    pub(crate) fn revocations(&self) -> Option<RevocationList> {
        self.tokens.as_ref()?.1.revocations.clone()
    }

    fn limit(&self, place: LimitPlace) -> Option<&RateLimitLayer> {
        match place {
            LimitPlace::Address => self.address_limit.as_ref(),
            LimitPlace::Peer => self.peer_limit.as_ref(),
            LimitPlace::Principal => self.principal_limit.as_ref(),
        }
    }
}

impl Before<'_> {
    /// The table of bans as it is, if the mode is all that changed.
    fn bans(&self, now: &Bans) -> Option<BanTable> {
        let before = self.root.bans.as_ref()?;
        self.places
            .bans()
            .filter(|_| before.differs_in_mode_alone(now))
    }

    fn tokens(&self) -> Option<(&Tokens, &Remembered)> {
        let (_, remembered) = self.places.tokens.as_ref()?;
        Some((self.root.tokens.as_ref()?, remembered))
    }

    /// The limit as it was, with what everybody has spent, if its rates are all that changed.
    fn with_rates(&self, place: LimitPlace, now: &Limit) -> Option<RateLimitLayer> {
        let mut limits = self.root.limits();
        let (_, before) = limits.find(|(known, _)| *known == place)?;
        let layer = self.places.limit(place)?;
        before.differs_in_rates_alone(now).then(|| layer.clone())
    }
}

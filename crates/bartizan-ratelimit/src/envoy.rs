//! Limits that an Envoy rate limit service keeps.

mod messages;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use self::messages::{
    Descriptor, DescriptorStatus, Entry, OVER_LIMIT, OverallCode, RateLimitRequest,
    RateLimitResponse,
};
use crate::store::{
    Answer, Answering, Ask, Charge, Facts, Keep, RemoteReceipt, Settle, Source, Standing, Store,
    StoreError, Subject, Way,
};
use crate::ticks::Ticks;

/// The one method of the service.
const METHOD: PathAndQuery =
    PathAndQuery::from_static("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");

/// For how long a refusal holds that says nothing of it.
const UNTOLD: Duration = Duration::from_secs(1);

/// Limits that a service of Envoy's protocol keeps (`envoy.service.ratelimit.v3`), such as
/// `envoyproxy/ratelimit` or Limitador.
///
/// * The service decides by its own configuration. What a [`Policy`](crate::Policy) says of its
///   rate is what clients are told, and what holds while the service does not answer.
/// * A request asks with one descriptor per policy: the entry `policy` with its name, then what
///   the request is counted by, in plain text. The names are `remote_address`, `issuer`,
///   `subject`, `client_id`, `api_key_id`, `peer`, `trust_domain`, `route`, `grpc_method`,
///   `custom`, `generic_key`, or that of the header.
/// * What the request costs is its `hits_addend`; what costs nothing is not asked for.
/// * What is refused is refused here without asking until its window is over, as the service says.
/// * Each admission is a round trip, and cells cannot be given back: the protocol has no word for
///   either. A request that is charged by one policy and refused by another stays charged.
///
/// ```
/// use bartizan_ratelimit::{EnvoyStore, Limiter, Policy, Rate, Sharing};
/// use tonic::transport::Channel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_ratelimit::ConfigError> {
/// let channel = Channel::from_static("http://ratelimit.internal:8081").connect_lazy();
/// let limiter = Limiter::builder()
///     .add_policy(Policy::new("burst", Rate::per_second(10)))
///     .build_shared(EnvoyStore::new(channel, "shop"), Sharing::among(4))?;
/// # let _ = limiter;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EnvoyStore {
    channel: Channel,
    domain: Arc<str>,
    names_policies: bool,
}

impl EnvoyStore {
    /// Asks over this channel, with descriptors of this domain. The channel decides about TLS and
    /// about reconnecting.
    pub fn new(channel: Channel, domain: impl Into<Arc<str>>) -> Self {
        Self {
            channel,
            domain: domain.into(),
            names_policies: true,
        }
    }

    /// Leaves out the entry `policy`: for sharing counters with proxies that count by the same
    /// descriptor. Then one policy is enough.
    #[must_use]
    pub fn without_policy_names(mut self) -> Self {
        self.names_policies = false;
        self
    }

    fn request<'c>(
        &self,
        subject: &Subject,
        charges: impl Iterator<Item = &'c Charge>,
        cells: u64,
    ) -> Result<RateLimitRequest, StoreError> {
        let foreign = || StoreError::Refused("not a subject of this store".into());
        let entries = subject.plain().ok_or_else(foreign)?;
        // As many as the protocol can say: no limit that it has allows more.
        let hits_addend = u32::try_from(cells).unwrap_or(u32::MAX);
        let describe = |charge: &Charge| {
            let policy = self
                .names_policies
                .then(|| Entry::new("policy", &charge.name));
            let entries = entries.iter().map(|(name, value)| Entry::new(name, value));
            Descriptor {
                entries: policy.into_iter().chain(entries).collect(),
            }
        };
        Ok(RateLimitRequest {
            domain: self.domain.as_ref().to_owned(),
            descriptors: charges.map(describe).collect(),
            hits_addend,
        })
    }

    async fn send(&self, request: RateLimitRequest) -> Result<RateLimitResponse, Status> {
        let mut client = Grpc::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<RateLimitRequest, RateLimitResponse>::default();
        let response = client.unary(Request::new(request), METHOD, codec).await?;
        Ok(response.into_inner())
    }
}

impl From<EnvoyStore> for Store {
    fn from(store: EnvoyStore) -> Self {
        Self(Arc::new(store))
    }
}

impl Keep for EnvoyStore {
    fn source(&self) -> Source {
        Source::Envoy
    }

    fn can_lease(&self) -> bool {
        false
    }

    fn subject(&self, facts: &dyn Facts) -> Subject {
        Subject::Plain(facts.entries().into())
    }

    fn charge<'a>(&'a self, ask: &'a Ask) -> Answering<'a, Answer> {
        Box::pin(async move {
            let cost = ask.sizes.last().copied().unwrap_or(1);
            if cost == 0 {
                return Ok(for_nothing(ask));
            }
            let request = self.request(&ask.subject, ask.charges.iter(), cost)?;
            let response = self.send(request).await.map_err(|status| error(&status))?;
            read(ask, cost, &response)
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settle) -> Answering<'a, ()> {
        Box::pin(async move {
            if settlement.way == Way::Back || settlement.cells == 0 {
                return Ok(());
            }
            let charges = settlement.charges.iter().map(|(charge, _)| charge);
            let request = self.request(&settlement.subject, charges, settlement.cells)?;
            let response = self.send(request).await;
            response.map(drop).map_err(|status| error(&status))
        })
    }

    fn probe(&self) -> Answering<'_, ()> {
        Box::pin(async move {
            let request = RateLimitRequest {
                domain: self.domain.as_ref().to_owned(),
                descriptors: vec![Descriptor {
                    entries: vec![Entry::new("bartizan_probe", "probe")],
                }],
                hits_addend: 1,
            };
            match self.send(request).await {
                Ok(_) => Ok(()),
                Err(status) => Err(error(&status)),
            }
        })
    }
}

/// What a failed call says of the service; its words may hold what was sent.
fn error(status: &Status) -> StoreError {
    match status.code() {
        Code::Unavailable => StoreError::Disconnected("unavailable".into()),
        // Of the request, and not of the service: whoever can make up such requests must not be
        // able to have the service given up.
        Code::InvalidArgument | Code::OutOfRange => StoreError::Unfit,
        code => StoreError::Refused(format!("{code:?}").into()),
    }
}

fn for_nothing(ask: &Ask) -> Answer {
    let standing = |_: &Charge| Standing {
        debt: Ticks::ZERO,
        charged: true,
        receipt: RemoteReceipt::default(),
    };
    Answer {
        granted: Some(0),
        standings: ask.charges.iter().map(standing).collect(),
    }
}

/// What the service has answered. Policies that only watch do not count, as long as it says of
/// each descriptor what it thinks of it.
fn read(ask: &Ask, cost: u64, response: &RateLimitResponse) -> Result<Answer, StoreError> {
    let overall = match OverallCode::try_from(response.overall_code) {
        Ok(OverallCode::Ok) => true,
        Ok(OverallCode::OverLimit) => false,
        _ => return Err(StoreError::Refused("an answer without a verdict".into())),
    };
    let is_told = response.statuses.len() == ask.charges.len();
    let status = |index: usize| response.statuses.get(index).filter(|_| is_told);
    let refuses = |index| status(index).map_or(!overall, |it| it.code == OVER_LIMIT);
    let mut charges = ask.charges.iter().enumerate();
    let is_refused = match overall {
        true => false,
        false if is_told => charges.any(|(index, charge)| !charge.may_fail && refuses(index)),
        false => true,
    };
    let standing = |(index, charge)| Standing {
        debt: debt(charge, cost, status(index), refuses(index)),
        charged: !is_refused && !refuses(index),
        receipt: RemoteReceipt::default(),
    };
    Ok(Answer {
        granted: (!is_refused).then_some(cost),
        standings: ask.charges.iter().enumerate().map(standing).collect(),
    })
}

/// What a message of the service comes to.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_message(ask: &Ask, cost: u64, message: &[u8]) -> Result<Answer, StoreError> {
    let response = prost::Message::decode(message);
    let response = response.map_err(|_| StoreError::Refused("no message".into()))?;
    read(ask, cost, &response)
}

/// What the service says, in terms of our own policy.
fn debt(charge: &Charge, cost: u64, status: Option<&DescriptorStatus>, refuses: bool) -> Ticks {
    let gcra = &charge.gcra;
    if !refuses {
        let burst = gcra.rate().burst();
        let remaining = status.map_or(burst, |status| status.limit_remaining.into());
        return gcra.takes(burst.saturating_sub(remaining));
    }
    let reset = status.and_then(DescriptorStatus::reset).unwrap_or(UNTOLD);
    let reset = reset.max(Duration::from_millis(1));
    let most = gcra.ahead().saturating_sub(gcra.takes(cost));
    most.saturating_add(Ticks::from_duration(reset))
}

impl fmt::Debug for EnvoyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvoyStore")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

//! Material from the SPIFFE Workload API.

mod client;
mod endpoint;
mod message;
mod unix;
mod update;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Code, Observe, SystemClock};
use bartizan_source::{Backoff, Published, Publisher};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::crypto::Crypto;
use crate::material::Material;
use crate::workload_api::client::Client;
use crate::workload_api::endpoint::Endpoint;
use crate::workload_api::update::Wanted;

pub use self::endpoint::EndpointError;
pub use self::update::UpdateError;

/// New material came from the Workload API.
pub const WORKLOAD_API_UPDATED: Code = Code::new("mtls.workload_api_updated");
/// The Workload API could not be reached, refused, or sent what cannot be used.
pub const WORKLOAD_API_FAILED: Code = Code::new("mtls.workload_api_failed");
/// The Workload API answered what no further attempt would change.
pub const WORKLOAD_API_STOPPED: Code = Code::new("mtls.workload_api_stopped");
/// The bundle of a federated trust domain was left out, because it cannot be used.
pub const FEDERATED_BUNDLE_IGNORED: Code = Code::new("mtls.federated_bundle_ignored");

/// Where the endpoint stands in the environment ([SPIFFE Workload Endpoint §4]).
///
/// [SPIFFE Workload Endpoint §4]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_Endpoint.md#4-locating-the-endpoint
const ENVIRONMENT: &str = "SPIFFE_ENDPOINT_SOCKET";

/// An agent that restarts is back within a second or two; one that refuses us is not to be asked
/// more than twice a minute.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Material from the [SPIFFE Workload API], as SPIRE, Istio and others serve it: an X509-SVID, the
/// bundle of its trust domain and those of federated ones, pushed whenever they change.
///
/// # How it works
///
/// 1. One stream is held open. Each message is the whole state: a federated bundle that is absent
///    from it is withdrawn.
/// 2. A message is published only if it is sound: the key belongs to the leaf, the leaf meets the
///    rules of X509-SVIDs, bears the ID that the message says and is inside its validity period,
///    and the bundle consists of certificate authorities. Otherwise the last good material stays.
/// 3. A federated bundle that cannot be used is left out of an otherwise sound message, so that a
///    partner's mistake is the partner's alone; it is told to the observer.
/// 4. When the stream ends, another is opened after a wait that doubles up to a limit. Meanwhile,
///    and if the agent says `PERMISSION_DENIED`, the last good material stays until it expires.
/// 5. `INVALID_ARGUMENT` and `UNIMPLEMENTED` end it for good: asking again changes nothing.
/// 6. Messages of more than 4 MiB are refused.
///
/// Revocation lists in a message are obeyed for every trust domain; see
/// [`require_revocation_status`](Self::require_revocation_status).
///
/// Of several SVIDs the first is used, or the first with the hint that was asked for.
///
/// ```no_run
/// use bartizan_mtls::{MtlsListener, WorkloadApi};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let material = WorkloadApi::from_environment()?.start()?;
/// material.ready().await.ok_or("the agent refuses us for good")?;
/// let listener = MtlsListener::builder(material).bind("0.0.0.0:8443").await?;
/// # Ok(())
/// # }
/// ```
///
/// [SPIFFE Workload API]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md
#[must_use = "the stream is opened by `start`"]
pub struct WorkloadApi {
    endpoint: Endpoint,
    wanted: Wanted,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

impl WorkloadApi {
    /// The endpoint at this address: `unix:///path/to/socket` or `tcp://127.0.0.1:8000`.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] for anything else: a relative path, a host name, a user, a query.
    pub fn new(endpoint: &str) -> Result<Self, EndpointError> {
        Ok(Self {
            endpoint: Endpoint::parse(endpoint)?,
            wanted: Wanted::default(),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            clock: Arc::new(SystemClock),
            observer: None,
        })
    }

    /// The endpoint that `SPIFFE_ENDPOINT_SOCKET` names.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if it is absent or not an endpoint.
    pub fn from_environment() -> Result<Self, EndpointError> {
        let endpoint = std::env::var(ENVIRONMENT).map_err(|_| EndpointError::Absent)?;
        Self::new(&endpoint)
    }

    /// Uses the SVID with this hint, of several that the agent may give.
    pub fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.wanted.hint = Some(hint.into());
        self
    }

    /// Refuses certificates whose revocation status the lists of the message do not tell, and
    /// messages without lists.
    ///
    /// Unless said, lists are obeyed and their absence is no reason to refuse: most agents send
    /// none, or none for federated trust domains.
    pub fn require_revocation_status(mut self) -> Self {
        self.wanted.revocation_status = true;
        self
    }

    /// Sets the waits between attempts. Up to half a second at first, and up to 30 seconds later,
    /// unless said.
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the crypto library of the identity, and so of all that uses it. ring unless said.
    pub fn with_crypto(mut self, crypto: Crypto) -> Self {
        self.wanted.crypto = Some(crypto);
        self
    }

    /// Sets the clock that validity periods are compared with. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told of new versions and of failures.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Opens the stream in a task of its own. The material is empty until the first message came;
    /// [`Published::ready`] waits for it, and ends without material if the agent's answer ended
    /// the task.
    ///
    /// The task ends when the last handle to the material is gone.
    ///
    /// # Errors
    ///
    /// [`EndpointError::NoRuntime`] outside a tokio runtime.
    pub fn start(self) -> Result<Published<Material>, EndpointError> {
        let runtime = Handle::try_current().map_err(|_| EndpointError::NoRuntime)?;
        let publisher = Publisher::new(Arc::clone(&self.clock));
        let (keeper, forgotten) = oneshot::channel::<()>();
        let published = publisher.published_kept_by(Arc::new(keeper));
        let client = Client {
            endpoint: self.endpoint,
            wanted: self.wanted,
            backoff: self.backoff,
            clock: self.clock,
            observer: self.observer,
            publisher,
        };
        runtime.spawn(async move {
            tokio::select! {
                _ = forgotten => {}
                () = client.run() => {}
            }
        });
        Ok(published)
    }
}

/// The bytes of a message as material.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_message(bytes: &[u8], now: bartizan_core::WallTime) -> Option<Material> {
    let message = prost::Message::decode(bytes).ok()?;
    let update = update::read(message, &Wanted::default(), now).ok()?;
    Some(update.material)
}

impl fmt::Debug for WorkloadApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadApi")
            .field("endpoint", &self.endpoint)
            .field("wanted", &self.wanted)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

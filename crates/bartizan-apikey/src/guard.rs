//! Decides about one request.

mod inquiry;
mod pass;
mod presented;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Check, Clock, Code, Duty, Enforcement, Event, Guard, Inspection, LifecycleEvent, LifecycleKind,
    Rejection, WallTime,
};
use bartizan_source::Status;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credential::{Credential, Extraction, Place};
use crate::error::{ApiKeyError, ApiKeyErrorKind, Refusals};
use crate::format::{InUrl, KeyFormat, KeyId, PresentedKey, Unfit, in_url};
use crate::origin::{Keys, Renewal};
use crate::table::Refused;
use crate::usage::Uses;
use crate::verified::VerifiedKey;

pub use self::inquiry::ApiKeyInquiry;
pub use self::pass::ApiKeyPass;

/// A key that is in force was found in the URL of a request.
const KEY_LEAKED: Code = Code::new("apikey.key_leaked");

/// The guard of an [`ApiKeyLayer`](crate::ApiKeyLayer), to be chained with others.
#[derive(Clone)]
pub struct ApiKeyGuard(Arc<State>);

pub(crate) struct State {
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) duty: Duty,
    pub(crate) behaviour: Behaviour,
    /// As long as it is there, uses are written behind.
    pub(crate) _uses: Arc<Uses>,
}

/// What the configuration says beside the keys.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) refusals: Refusals,
    pub(crate) format: KeyFormat,
    pub(crate) header: HeaderName,
    pub(crate) patience: Duration,
    pub(crate) allows_bearer: bool,
    pub(crate) allows_anonymous: bool,
    pub(crate) allows_forwarding: bool,
    pub(crate) ends_streams: bool,
}

/// Why a request does not pass at once.
enum Verdict {
    Failed(ApiKeyError),
    Refused(Rejection),
    /// It may be that newer keys know it.
    Unknown(ApiKeyError),
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<ApiKeyError> for Verdict {
    fn from(error: ApiKeyError) -> Self {
        Self::Failed(error)
    }
}

impl ApiKeyGuard {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// How keys are written.
    pub fn format(&self) -> &KeyFormat {
        &self.0.behaviour.format
    }

    /// How the source of the keys fares, for health pages and metrics; `None` if they were given
    /// once and for all.
    pub fn key_status(&self) -> Option<Status> {
        self.0.keys.status()
    }

    /// Whether there are keys that may be relied on, so that keys can be checked.
    pub fn is_ready(&self) -> bool {
        self.0.keys.read(|keys| keys.is_some())
    }

    /// How many keys there are, revoked and expired ones included; none if they are not known.
    pub fn keys(&self) -> usize {
        let count = |keys: Option<&crate::table::KeyTable>| keys.map_or(0, |keys| keys.len());
        self.0.keys.read(count)
    }

    /// When a key was last used, to a minute, as far as it is known here.
    pub fn last_used(&self, id: KeyId) -> Option<WallTime> {
        self.0.keys.read(|keys| keys?.last_used(id))
    }

    /// The verdict about a request, with the keys that are there.
    fn judge(&self, inspection: &mut Inspection<'_>) -> Result<ApiKeyPass, Verdict> {
        let state = &*self.0;
        let now = state.clock.wall();
        state.not_in_url(inspection, now)?;
        let Some(credential) = state.credential(&inspection.parts.headers)? else {
            if state.behaviour.allows_anonymous {
                return Ok(ApiKeyPass::free());
            }
            return Err(ApiKeyError::new(ApiKeyErrorKind::Missing).into());
        };
        let place = credential.place;
        let key = state.parse(credential.bytes)?;
        let address = inspection.context.address();
        let judged = state.keys.read(|keys| {
            let keys = keys.ok_or(None)?;
            let entry = keys.judge(&key, address, now).map_err(Some)?;
            entry.note_use(now);
            Ok(Arc::clone(&entry.verified))
        });
        let refused: Option<Refused> = match judged {
            Ok(key) => return Ok(self.admit(inspection, place, &key)?),
            Err(refused) => refused,
        };
        let Some(Refused { error, proven }) = refused else {
            let error = ApiKeyError::new(ApiKeyErrorKind::KeysUnavailable);
            return Err(Verdict::Unknown(error));
        };
        match proven {
            Some(key) => {
                inspection.note(key.note());
                // What the store says of a key that it knows is not asked for again.
                Err(Verdict::Failed(error))
            }
            // Whether the key is unknown or its secret wrong: the same is done for both.
            None => Err(Verdict::Unknown(error)),
        }
    }

    /// Writes down for whom the request acts, takes the key out of it, and watches over the
    /// response.
    fn admit(
        &self,
        inspection: &mut Inspection<'_>,
        place: Place,
        key: &Arc<VerifiedKey>,
    ) -> Result<ApiKeyPass, Rejection> {
        let state = &*self.0;
        inspection.context.set_verified(Arc::clone(key))?;
        // In shadow mode nothing is enforced, and so nothing taken away or cut off: whoever
        // decides as yet may need the key.
        let enforces = state.duty.enforcement() == Enforcement::Enforce;
        let name = match place {
            Place::Authorization => &AUTHORIZATION,
            Place::Field => &state.behaviour.header,
        };
        let headers = &mut inspection.parts.headers;
        if enforces && !state.behaviour.allows_forwarding {
            headers.remove(name);
        } else if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
        Ok(if state.behaviour.ends_streams && enforces {
            ApiKeyPass::watching(self.clone(), key.id())
        } else {
            ApiKeyPass::free()
        })
    }

    /// How much longer a response may go on; `None` for as long as it likes.
    pub(crate) fn time_left(&self, id: KeyId) -> Result<Option<Duration>, Rejection> {
        let state = &*self.0;
        let now = state.clock.wall();
        // Keys that cannot be had at present are no reason to end what was let pass.
        let left = state
            .keys
            .read(|keys| keys.map(|keys| keys.time_left(id, now)));
        let left = left.unwrap_or(Ok(None));
        left.map_err(|error| state.behaviour.refusals.refuse(error))
    }
}

impl State {
    /// The one key of a request, if it carries any.
    fn credential<'r>(
        &self,
        headers: &'r HeaderMap,
    ) -> Result<Option<Credential<'r>>, ApiKeyError> {
        let fields = |name: &HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let behaviour = &self.behaviour;
        let extraction = Extraction {
            bearer: behaviour.allows_bearer.then_some(&behaviour.format),
        };
        // Where the field for keys is `Authorization` itself, it is not looked at twice.
        if behaviour.header == AUTHORIZATION {
            return extraction.find(std::iter::empty(), fields(&AUTHORIZATION));
        }
        extraction.find(fields(&behaviour.header), fields(&AUTHORIZATION))
    }

    fn parse<'k>(&self, text: &'k [u8]) -> Result<PresentedKey<'k>, ApiKeyError> {
        let kind = |unfit| match unfit {
            Unfit::Foreign => ApiKeyErrorKind::WrongEnvironment,
            Unfit::Malformed => ApiKeyErrorKind::Malformed,
            Unfit::Mistyped => ApiKeyErrorKind::Mistyped,
        };
        let parsed = self.behaviour.format.parse(text);
        parsed.map_err(|unfit| ApiKeyError::new(kind(unfit)))
    }

    /// Refuses a key in the URL, whatever else the request carries. If it is one that exists, its
    /// owner has lost it, and operators are told which: others could name any key, and are not
    /// heard.
    fn not_in_url(
        &self,
        inspection: &mut Inspection<'_>,
        now: WallTime,
    ) -> Result<(), ApiKeyError> {
        let Some(found) = self.in_url(inspection) else {
            return Ok(());
        };
        if let Ok(key) = found.parse(&self.behaviour.format) {
            let address = inspection.context.address();
            let proven = self
                .keys
                .read(|keys| match keys?.judge(&key, address, now) {
                    Ok(entry) => Some(Arc::clone(&entry.verified)),
                    Err(refused) => refused.proven,
                });
            if let Some(key) = proven {
                inspection.note(key.note());
                self.tell_leaked(inspection, key.id());
            }
        }
        Err(ApiKeyError::new(ApiKeyErrorKind::InUrl))
    }

    fn in_url(&self, inspection: &Inspection<'_>) -> Option<InUrl> {
        let target = inspection.context.uri().path_and_query()?;
        in_url(&self.behaviour.format, target.as_str().as_bytes())
    }

    fn tell_leaked(&self, inspection: &Inspection<'_>, id: KeyId) {
        let Some(observer) = self.duty.observer() else {
            return;
        };
        let event = LifecycleEvent::new("apikey", LifecycleKind::KeyLeaked, KEY_LEAKED)
            .with_subject(id.as_str())
            .with_detail(&"presented in a URL: revoke it");
        let event = match inspection.context.address() {
            Some(address) => event.with_address(address),
            None => event,
        };
        observer.observe(&Event::Lifecycle(event));
    }

    /// Marks what may be a key as sensitive, so that nobody prints it who prints headers.
    fn mark(&self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            if name == self.behaviour.header || name == AUTHORIZATION {
                value.set_sensitive(true);
            }
        }
    }

    /// What is to be waited for, if newer keys could change the verdict.
    fn renewal(&self) -> Option<impl Future<Output = Renewal> + Send + use<>> {
        self.keys
            .renew(self.clock.monotonic(), self.behaviour.patience)
    }

    fn refuse(&self, error: ApiKeyError) -> Rejection {
        self.behaviour.refusals.refuse(error)
    }
}

impl Guard for ApiKeyGuard {
    type Pass = ApiKeyPass;
    type Inquiry = ApiKeyInquiry;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<ApiKeyPass, ApiKeyInquiry> {
        let state = &*self.0;
        // There the key stays in the request, and may not be one that holds.
        if state.duty.enforcement() == Enforcement::Shadow {
            state.mark(&mut inspection.parts.headers);
        }
        let error = match self.judge(inspection) {
            Ok(pass) => return Check::Now(Ok(pass)),
            Err(Verdict::Refused(rejection)) => return Check::Now(Err(rejection)),
            Err(Verdict::Failed(error)) => return Check::Now(Err(state.refuse(error))),
            Err(Verdict::Unknown(error)) => error,
        };
        match state.renewal() {
            Some(renewal) => Check::Later(ApiKeyInquiry {
                guard: self.clone(),
                renewal: Box::pin(renewal),
            }),
            None => Check::Now(Err(state.refuse(error))),
        }
    }
}

impl fmt::Debug for ApiKeyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyGuard")
            .field("keys", &self.0.keys)
            .field("duty", &self.0.duty)
            .field("behaviour", &self.0.behaviour)
            .finish_non_exhaustive()
    }
}

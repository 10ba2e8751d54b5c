//! A layer, its keys and its clock.

use std::sync::{Arc, Mutex};

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, KeyFormat, KeyRecord, KeyRecordBuilder, NewKey,
    Peppers,
};
use bartizan_core::{Clock as _, Event, ObserveFn, observe_fn};
use bartizan_testkit::{Answer, Call, Host, ManualClock};
use http::{HeaderName, HeaderValue};

pub(crate) const STORE: &str = "orders-keys";

pub(crate) fn new_key() -> NewKey {
    NewKey::generate(&KeyFormat::live()).unwrap()
}

/// A clock, and a key that holds.
pub(crate) struct Town {
    pub(crate) clock: ManualClock,
    pub(crate) key: NewKey,
}

impl Town {
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::default(),
            key: new_key(),
        }
    }

    /// What is known of a key: nothing special.
    pub(crate) fn record_of(&self, key: &NewKey) -> KeyRecordBuilder {
        KeyRecord::builder(key, &Peppers::none(), "reports", self.clock.wall())
    }

    pub(crate) fn record(&self) -> KeyRecordBuilder {
        self.record_of(&self.key)
            .with_client("nightly")
            .with_tenant("acme")
            .with_scopes(["orders:read"])
            .with_roles(["reader"])
    }

    pub(crate) fn config(&self) -> ApiKeyConfigBuilder {
        self.config_of([self.record().build().unwrap()])
    }

    pub(crate) fn config_of(
        &self,
        records: impl IntoIterator<Item = KeyRecord>,
    ) -> ApiKeyConfigBuilder {
        ApiKeyConfig::builder(STORE)
            .with_keys(records)
            .with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn layer(&self) -> ApiKeyLayer {
        started(self.config())
    }
}

pub(crate) fn started(config: ApiKeyConfigBuilder) -> ApiKeyLayer {
    ApiKeyLayer::start(config.build().unwrap()).unwrap()
}

pub(crate) fn with_header(call: Call, name: &'static str, value: &str) -> Call {
    let value = HeaderValue::try_from(value).unwrap();
    call.add_header(HeaderName::from_static(name), value)
}

pub(crate) fn with_key(key: &str) -> Call {
    with_header(Call::echo("hello"), "x-api-key", key)
}

pub(crate) async fn send(layer: &ApiKeyLayer, call: &Call) -> Answer {
    Host::Hyper.send(layer, call).await.unwrap()
}

/// Status and code, in short, of what a client sees that sends this key.
pub(crate) async fn outcome(layer: &ApiKeyLayer, key: &NewKey) -> (u16, Option<String>) {
    in_short(&send(layer, &with_key(key.expose())).await)
}

pub(crate) fn in_short(answer: &Answer) -> (u16, Option<String>) {
    let code = answer.code().filter(|_| !answer.is_success());
    (answer.http_status.as_u16(), code)
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

pub(crate) fn passed() -> (u16, Option<String>) {
    (200, None)
}

/// Everything that was observed, as text.
pub(crate) type Observed = Arc<Mutex<Vec<String>>>;

pub(crate) fn observer() -> (Arc<ObserveFn<impl Fn(&Event<'_>) + Send + Sync>>, Observed) {
    let observed = Observed::default();
    let sink = Arc::clone(&observed);
    let observer = observe_fn(move |event: &Event<'_>| {
        sink.lock().unwrap().push(format!("{event:?}"));
    });
    (Arc::new(observer), observed)
}

/// How many of the observed events say this.
pub(crate) fn count(observed: &Observed, text: &str) -> usize {
    let observed = observed.lock().unwrap();
    observed.iter().filter(|event| event.contains(text)).count()
}

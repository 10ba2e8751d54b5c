//! Fields of protobuf messages, by the same rules as those of JSON bodies.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{
    Clock, Decision, Duty, Enforcement, Observe, Protocol, SecurityContext, SystemClock,
};
use prost::Message;

use crate::context::Place;
use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::form::Selection;
use crate::keyring::Keyring;
use crate::prepared::Prepared;
use crate::protobuf::Numbers;
use crate::rules::{FieldRule, PlaintextPolicy};
use crate::transform::{Fields, MOST_VALUES, Report, Viewer, conclude};
use crate::wiped::WipedBytes;

/// The fields of protobuf messages that are sealed, and who sees them how.
///
/// A path is that of the fields' numbers, from the message inwards, such as `/4/1`: numbers are
/// what stays when a field is renamed. Each element of a repeated field counts, and so does each
/// value of a map (`/5/2`: a map is made of messages, with the key as field 1 and the value as
/// field 2). The last field of a path is a `string` or `bytes`, which holds the text form of the
/// ciphertext when it is sealed; a number cannot, and is refused.
///
/// ```
/// use bartizan_core::SecurityContext;
/// use bartizan_encrypt::{FieldRule, Grant, Keyring, Mask, MessageFields, Place, Shown};
/// # use bartizan_encrypt::{KeyBytes, KeyFile, LocalKek};
/// # use bartizan_core::{Principal, Scheme};
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Patient {
///     #[prost(string, tag = "1")]
///     name: String,
///     #[prost(string, tag = "2")]
///     ssn: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("bartizan-message-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let kek = LocalKek::new(&KeyBytes::generate()?);
/// # let store = KeyFile::create(&folder.join("keys.json"), kek.clone())?;
/// # let keyring = Keyring::builder("clinic", store, kek).build()?;
/// let fields = MessageFields::builder(keyring, "patient")
///     .add_field(FieldRule::new("/2").show(Grant::scope("support"), Shown::Masked(Mask::Last4)))
///     .build()?;
/// # let context = SecurityContext::new("/clinic.Patients/Put".parse()?);
/// # let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
/// # context.set_principal(principal.with_scopes(["support"]).assert_verified())?;
///
/// // In a handler, whose request has the context.
/// let mut call = fields.begin(Place::new("acme")?.with_record("17")?, &context).await?;
/// let patient = Patient { name: "Alice".to_owned(), ssn: "078-05-1120".to_owned() };
/// let stored = call.seal(&patient)?;
/// assert!(stored.ssn.starts_with("fe1.") && stored.name == "Alice");
/// assert_eq!(call.reveal(&stored)?.ssn, "****1120");
///
/// // A client that sends a ciphertext is refused.
/// assert!(call.seal(&stored).is_err());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// Defaults: 10,000 values of one message; values that are not sealed are refused.
#[derive(Clone)]
pub struct MessageFields(Arc<Inner>);

struct Inner {
    keyring: Keyring,
    fields: Fields,
    duty: Duty,
    clock: Arc<dyn Clock>,
}

/// Describes [`MessageFields`]; made by [`MessageFields::builder`].
#[must_use = "call build to get the fields"]
pub struct MessageFieldsBuilder {
    keyring: Keyring,
    collection: String,
    rules: Vec<FieldRule>,
    plaintext: PlaintextPolicy,
    max_values: usize,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
}

/// What is done to the messages of one call, with its keys at hand. Its one decision is recorded
/// when it is dropped.
pub struct MessageCall {
    fields: MessageFields,
    keys: Prepared,
    place: Place,
    context: SecurityContext,
    report: Report,
    refused: Option<EncryptError>,
}

impl MessageFields {
    /// Begins the description of the fields of this collection's messages.
    pub fn builder(keyring: Keyring, collection: &str) -> MessageFieldsBuilder {
        MessageFieldsBuilder {
            keyring,
            collection: collection.to_owned(),
            rules: Vec::new(),
            plaintext: PlaintextPolicy::default(),
            max_values: MOST_VALUES,
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Fetches the keys for a call about this place, unless they are at hand.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`](EncryptErrorKind::KeysUnavailable), which is recorded.
    pub async fn begin(
        &self,
        place: Place,
        context: &SecurityContext,
    ) -> Result<MessageCall, EncryptError> {
        let scopes = self.0.fields.scopes(&place);
        let keys = match self.0.keyring.prepared(&scopes) {
            Some(keys) => Ok(keys),
            None => self.0.keyring.prepare(&scopes).await,
        };
        match keys {
            Ok(keys) => Ok(MessageCall {
                fields: self.clone(),
                keys,
                place,
                context: context.clone(),
                report: Report::default(),
                refused: None,
            }),
            Err(error) => {
                self.record(context, &Report::default(), Some(error));
                Err(error)
            }
        }
    }

    fn record(&self, context: &SecurityContext, report: &Report, refused: Option<EncryptError>) {
        let Inner { fields, duty, .. } = &*self.0;
        let decision: Decision = conclude(fields, report, refused, duty.enforcement());
        crate::future::record(duty, context, Protocol::Grpc, decision);
    }
}

impl MessageFieldsBuilder {
    /// Adds a field.
    pub fn add_field(mut self, rule: FieldRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Replaces what is done about values that were stored before they were sealed.
    pub fn with_plaintext(mut self, policy: PlaintextPolicy) -> Self {
        self.plaintext = policy;
        self
    }

    /// Replaces how many values of a message are sealed or shown.
    pub fn with_max_values(mut self, values: usize) -> Self {
        self.max_values = values;
        self
    }

    /// Sets whether messages are changed. In shadow mode they stay as they are, and the decision
    /// tells which fields would have been changed how.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of decisions.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<MessageFields, ConfigError> {
        let numbers = Numbers::new(self.rules.iter().map(|rule| &*rule.path))?;
        let mut duty = Duty::new("encrypt").with_enforcement(self.enforcement);
        if let Some(observer) = self.observer {
            duty = duty.with_observer(observer);
        }
        let fields = Fields {
            collection: self.collection.into(),
            rules: self.rules,
            selection: Selection::Message(numbers),
            plaintext: self.plaintext,
            max_values: self.max_values,
        };
        fields.check()?;
        Ok(MessageFields(Arc::new(Inner {
            keyring: self.keyring,
            fields,
            duty,
            clock: self.clock,
        })))
    }
}

impl MessageCall {
    /// The message with its fields sealed: for storing.
    ///
    /// # Errors
    ///
    /// [`CiphertextInjected`](EncryptErrorKind::CiphertextInjected) if a field holds a ciphertext
    /// already; otherwise as [`Prepared::seal`].
    pub fn seal<M: Message + Default>(&mut self, message: &M) -> Result<M, EncryptError> {
        let bytes = encoded(message)?;
        let fields = &self.fields.0.fields;
        let sealed = fields.seal(&self.keys, &self.place, &bytes, &mut self.report);
        self.finish(sealed, &bytes)
    }

    /// The message with its fields as the caller of this context may see them.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`](EncryptErrorKind::AccessDenied) if a rule says so; otherwise as
    /// [`Prepared::open`]. A field of a forgotten person is left out, which is no error.
    pub fn reveal<M: Message + Default>(&mut self, message: &M) -> Result<M, EncryptError> {
        let bytes = encoded(message)?;
        let viewer = Viewer {
            context: &self.context,
            now: self.fields.0.clock.wall(),
            shadow: self.is_shadow(),
        };
        let fields = &self.fields.0.fields;
        let shown = fields.reveal(&self.keys, &self.place, &viewer, &bytes, &mut self.report);
        let shown = shown.map_err(EncryptError::in_response);
        self.finish(shown, &bytes)
    }

    fn finish<M: Message + Default>(
        &mut self,
        changed: Result<WipedBytes, EncryptError>,
        unchanged: &WipedBytes,
    ) -> Result<M, EncryptError> {
        let changed = match changed {
            Ok(changed) => Some(changed),
            Err(error) => {
                self.refused.get_or_insert(error);
                if !self.is_shadow() {
                    return Err(error);
                }
                None
            }
        };
        let bytes = match &changed {
            Some(changed) if !self.is_shadow() => changed,
            _ => unchanged,
        };
        M::decode(bytes.as_slice()).map_err(|_| EncryptErrorKind::MalformedMessage.into())
    }

    fn is_shadow(&self) -> bool {
        self.fields.0.duty.enforcement() == Enforcement::Shadow
    }
}

impl Drop for MessageCall {
    fn drop(&mut self) {
        self.fields
            .record(&self.context, &self.report, self.refused);
    }
}

/// The bytes of a message, in a buffer that does not grow.
fn encoded<M: Message>(message: &M) -> Result<WipedBytes, EncryptError> {
    let mut bytes = WipedBytes::with_capacity(message.encoded_len());
    message
        .encode(&mut *bytes)
        .map_err(|_| EncryptErrorKind::MalformedMessage)?;
    Ok(bytes)
}

impl fmt::Debug for MessageFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageFields")
            .field("keyring", &self.0.keyring)
            .field("fields", &self.0.fields)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageFieldsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageFieldsBuilder")
            .field("collection", &self.collection)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageCall")
            .field("place", &self.place)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

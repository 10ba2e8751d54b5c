//! AWS KMS as key-encryption key.

mod config;
mod credentials;
mod environment;
mod signature;
mod wire;

use std::fmt;
use std::sync::Arc;

use bartizan_core::Clock;
use bartizan_source::{FetchRequest, HttpsFetcher};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aws::credentials::Keychain;
use crate::aws::signature::{Signed, amz_date};
use crate::aws::wire::{Blob, Context, DataKey, Failure, Key, Plain, Unwrap, Wrap};
use crate::kek::{Kek, KekAnswer, KekError, digest};
use crate::key::KeyBytes;
use crate::remote::{Answer, encoded, exchange, secret_header, written};

pub use self::config::AwsKmsBuilder;
pub use self::credentials::{AwsCredentialSource, AwsCredentials};
#[cfg(feature = "fuzzing")]
pub(crate) use self::environment::read_credentials;
pub use self::environment::{AwsEnvironment, AwsWebIdentity};
#[cfg(feature = "fuzzing")]
pub(crate) use self::wire::read_answer;

/// A symmetric key of AWS KMS that wraps data keys; requests are signed here (SigV4).
///
/// 1. Data keys are made by KMS (`GenerateDataKey`) and come back over TLS; the key that wraps
///    them never leaves it. `Decrypt` names the key, so that no other is used.
/// 2. What a data key is for goes along as encryption context: `bartizan` and a SHA-256 digest,
///    which CloudTrail may hold for ever without holding a tenant or person. More entries, for
///    policies to look at, are [added](AwsKmsBuilder::add_context).
/// 3. Throttling, failures of AWS and credentials that are not believed are "unavailable"; a disabled key, a
///    denied permission and a changed ciphertext are refusals.
/// 4. From one KMS key to another of the same region, data keys are wrapped anew inside KMS
///    (`ReEncrypt`).
/// 5. Who seals needs `kms:GenerateDataKey` and `kms:Decrypt`; who opens, `kms:Decrypt`; who
///    [rewraps](crate::Keyring::rewrap), `kms:Encrypt`, `kms:ReEncryptFrom` and `kms:ReEncryptTo`
///    as well; and [`connect`](AwsKmsBuilder::connect), `kms:DescribeKey`.
///
/// ```
/// use bartizan_encrypt::{AwsCredentials, AwsKms};
///
/// let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let kek = AwsKms::builder(key).add_context("service", "clinic").build()?;
/// assert_eq!(format!("{kek:?}"), format!("AwsKms(aws-kms:{key})"));
/// // What an alias names may change: see AwsKmsBuilder::connect.
/// assert!(AwsKms::builder("alias/patients").build().is_err());
/// # Ok::<(), bartizan_encrypt::ProviderConfigError>(())
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct AwsKms(Arc<Client>);

pub(super) struct Client {
    id: String,
    key: String,
    region: String,
    url: String,
    host: String,
    fetcher: HttpsFetcher,
    keychain: Keychain,
    extra: Vec<(String, String)>,
    clock: Arc<dyn Clock>,
}

const PREFIX: &str = "aws-kms:";
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

impl AwsKms {
    /// Begins the description of a key; see [`AwsKmsBuilder`].
    pub fn builder(key: &str) -> AwsKmsBuilder {
        AwsKmsBuilder::new(key)
    }

    fn context(&self, context: &[u8]) -> Context<'_> {
        Context::new(&self.0.extra, URL_SAFE_NO_PAD.encode(digest(context)))
    }
}

impl Client {
    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &impl Serialize,
    ) -> Result<T, KekError> {
        let answer = self.send(operation, body).await?;
        if answer.is_ok() {
            return answer.read();
        }
        let failure = Failure::of(&answer);
        if !failure.is_about_credentials() {
            return Err(failure.into_error());
        }
        // Those at hand are not believed any more; perhaps there are newer ones.
        self.keychain.forget();
        let answer = self.send(operation, body).await?;
        match answer.is_ok() {
            true => answer.read(),
            false => Err(Failure::of(&answer).into_error()),
        }
    }

    async fn send(
        &self,
        operation: &'static str,
        body: &impl Serialize,
    ) -> Result<Answer, KekError> {
        let now = self.clock.wall();
        let credentials = self.keychain.credentials(now).await?;
        let body = written(body)?;
        let target = format!("TrentService.{operation}");
        let date = amz_date(now);
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1"),
            ("host", &*self.host),
            ("x-amz-date", &*date),
            ("x-amz-target", &*target),
        ];
        if let Some(token) = credentials.session_token() {
            headers.push(("x-amz-security-token", token));
        }
        let signed = Signed {
            method: "POST",
            path: "/",
            query: &[],
            headers: &headers,
            payload: body.expose(),
        };
        let authorization = signed.authorization(&credentials, &self.region, "kms", &date);
        let mut request = FetchRequest::post(&self.url, JSON, body)
            .with_header(HeaderName::from_static("x-amz-date"), plain(&date)?)
            .with_header(HeaderName::from_static("x-amz-target"), plain(&target)?)
            .with_authorization(secret_header(&authorization)?);
        if let Some(token) = credentials.session_token() {
            let name = HeaderName::from_static("x-amz-security-token");
            request = request.with_header(name, secret_header(token)?);
        }
        exchange(&self.fetcher, request).await
    }

    /// What KMS says of the key.
    async fn describe(&self) -> Result<Key, KekError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Describe<'d> {
            key_id: &'d str,
        }
        let key_id = &*self.key;
        let wire::Described { key_metadata } =
            self.call("DescribeKey", &Describe { key_id }).await?;
        Ok(key_metadata)
    }

    fn require_own(&self, key: Option<&str>) -> Result<(), KekError> {
        match key {
            Some(key) if key != self.key => {
                Err(KekError::Refused(format!("{key} answers for {}", self.key)))
            }
            _ => Ok(()),
        }
    }
}

impl Kek for AwsKms {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        Box::pin(async move {
            let plaintext = encoded(key);
            let request = Wrap {
                key_id: &self.0.key,
                plaintext: Some(&plaintext),
                key_spec: None,
                encryption_context: self.context(context),
            };
            let Blob { ciphertext_blob } = self.0.call("Encrypt", &request).await?;
            wire::decoded(&ciphertext_blob)
        })
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        Box::pin(async move {
            let request = Unwrap {
                key_id: &self.0.key,
                ciphertext_blob: &STANDARD.encode(wrapped),
                encryption_context: self.context(context),
            };
            let Plain { key_id, plaintext } = self.0.call("Decrypt", &request).await?;
            self.0.require_own(key_id.as_deref())?;
            plaintext.key()
        })
    }

    fn generate<'k>(&'k self, context: &'k [u8]) -> KekAnswer<'k, (KeyBytes, Vec<u8>)> {
        Box::pin(async move {
            let request = Wrap {
                key_id: &self.0.key,
                plaintext: None,
                key_spec: Some("AES_256"),
                encryption_context: self.context(context),
            };
            let made: DataKey = self.0.call("GenerateDataKey", &request).await?;
            self.0.require_own(made.key_id.as_deref())?;
            Ok((made.plaintext.key()?, wire::decoded(&made.ciphertext_blob)?))
        })
    }

    fn rewrap<'k>(
        &'k self,
        from: &'k str,
        wrapped: &'k [u8],
        context: &'k [u8],
    ) -> KekAnswer<'k, Option<Vec<u8>>> {
        Box::pin(async move {
            // What rotates within a key is KMS's own affair.
            let source = from.strip_prefix(PREFIX).filter(|key| *key != self.0.key);
            let near = |key: &&str| config::region_of(key) == Some(&*self.0.region);
            let Some(source) = source.filter(near) else {
                return Ok(None);
            };
            let request = wire::Rewrap {
                ciphertext_blob: &STANDARD.encode(wrapped),
                source_key_id: source,
                source_encryption_context: self.context(context),
                destination_key_id: &self.0.key,
                destination_encryption_context: self.context(context),
            };
            let Blob { ciphertext_blob } = self.0.call("ReEncrypt", &request).await?;
            wire::decoded(&ciphertext_blob).map(Some)
        })
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKms({})", self.0.id)
    }
}

fn plain(text: &str) -> Result<HeaderValue, KekError> {
    let unfit = |_| KekError::Refused("not a header value".to_owned());
    HeaderValue::from_str(text).map_err(unfit)
}

//! Which key of KMS.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, SystemClock};
use bartizan_source::Roots;

use crate::aws::credentials::{AwsCredentialSource, Keychain};
use crate::aws::environment::AwsEnvironment;
use crate::aws::{AwsKms, Client, PREFIX};
use crate::error::ProviderConfigError;
use crate::kek::KekError;
use crate::remote::Reach;

/// Describes an [`AwsKms`]; made by [`AwsKms::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | region | that of the key's ARN | |
/// | endpoint | `https://kms.REGION.amazonaws.com` | |
/// | credentials | [`AwsEnvironment`] | |
/// | context | our digest alone | |
/// | roots | public web | |
/// | deadline | 5 s per request | |
#[derive(Clone, Debug)]
#[must_use = "call build to get the key"]
pub struct AwsKmsBuilder {
    key: String,
    region: Option<String>,
    endpoint: Option<String>,
    credentials: Arc<dyn AwsCredentialSource>,
    extra: Vec<(String, String)>,
    reach: Reach,
    clock: Arc<dyn Clock>,
}

impl AwsKmsBuilder {
    pub(super) fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            region: None,
            endpoint: None,
            credentials: Arc::new(AwsEnvironment),
            extra: Vec::new(),
            reach: Reach::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Replaces the region.
    pub fn with_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Replaces the endpoint: a VPC's, or a FIPS one.
    pub fn with_endpoint(mut self, url: &str) -> Self {
        self.endpoint = Some(url.to_owned());
        self
    }

    /// Replaces where credentials come from.
    pub fn with_credentials(mut self, source: impl AwsCredentialSource) -> Self {
        self.credentials = Arc::new(source);
        self
    }

    /// Adds an entry to the encryption context, for key policies. It must stay the same for as
    /// long as anything that was wrapped with it, and CloudTrail shows it: no secrets, no people.
    pub fn add_context(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the certificate authorities that are believed of the endpoint.
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.reach = self.reach.with_roots(roots);
        self
    }

    /// Replaces how long one request may take. The [`Keyring`](crate::Keyring) has its own
    /// deadline over all attempts.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.reach = self.reach.with_deadline(deadline);
        self
    }

    /// Permits an `http://` endpoint on loopback, for development.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.reach = self.reach.allow_plaintext_loopback();
        self
    }

    /// Replaces the clock, whose time of day is signed.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`], naming the first setting that cannot work: a key that is not the
    /// ARN of a key among them, because what an alias names may change.
    pub fn build(self) -> Result<AwsKms, ProviderConfigError> {
        if region_of(&self.key).is_none() {
            return Err(self.unfit("key"));
        }
        self.client().map(|client| AwsKms(Arc::new(client)))
    }

    /// Asks KMS for the key, by its ARN, id or alias, and checks that it can be used; takes the
    /// key that the alias names now, and stays with it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); and if KMS cannot be asked, or the key is not enabled or not
    /// symmetric.
    pub async fn connect(self) -> Result<AwsKms, ProviderConfigError> {
        if self.region.is_none() && region_of(&self.key).is_none() {
            return Err(ProviderConfigError::Missing("region"));
        }
        let mut client = self.client()?;
        let unusable = |error: KekError| ProviderConfigError::Unusable(error.to_string());
        let found = client.describe().await.map_err(unusable)?;
        let symmetric = found
            .key_spec
            .as_deref()
            .is_none_or(|spec| spec == "SYMMETRIC_DEFAULT");
        if found.key_state != "Enabled" || !symmetric || region_of(&found.arn).is_none() {
            let state = &found.key_state;
            let text = format!("{} is {state}, or not for wrapping", found.arn);
            return Err(ProviderConfigError::Unusable(text));
        }
        client.id = format!("{PREFIX}{}", found.arn);
        client.key = found.arn;
        Ok(AwsKms(Arc::new(client)))
    }

    fn client(self) -> Result<Client, ProviderConfigError> {
        let region = self.region.as_deref().or(region_of(&self.key));
        let region = region
            .ok_or(ProviderConfigError::Missing("region"))?
            .to_owned();
        if !is_plain(&region) {
            let setting = "region";
            return Err(ProviderConfigError::Name {
                setting,
                name: region,
            });
        }
        let domain = match self.key.split(':').nth(1) {
            Some("aws-cn") => "amazonaws.com.cn",
            _ => "amazonaws.com",
        };
        let url = self
            .endpoint
            .unwrap_or_else(|| format!("https://kms.{region}.{domain}/"));
        let fetcher = self.reach.build()?;
        let unfit = |reason: String| ProviderConfigError::Url(reason);
        fetcher
            .check_url(&url)
            .map_err(|error| unfit(error.to_string()))?;
        let parsed: http::Uri = url.parse().map_err(|_| unfit("no URL".to_owned()))?;
        let host = parsed.authority().map(ToString::to_string);
        // What is signed is the path `/`.
        let root = parsed
            .path_and_query()
            .is_none_or(|path| path.as_str() == "/");
        let host = host.filter(|_| root);
        Ok(Client {
            id: format!("{PREFIX}{}", self.key),
            key: self.key,
            region,
            host: host.ok_or_else(|| unfit("an endpoint has no path".to_owned()))?,
            url,
            fetcher,
            keychain: Keychain::new(self.credentials),
            extra: self.extra,
            clock: self.clock,
        })
    }

    fn unfit(self, setting: &'static str) -> ProviderConfigError {
        let name = self.key;
        ProviderConfigError::Name { setting, name }
    }
}

/// The region in the ARN of a key: `arn:aws:kms:REGION:ACCOUNT:key/ID`.
pub(super) fn region_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match *parts.as_slice() {
        ["arn", _, "kms", region, _, key] if is_plain(region) && key.starts_with("key/") => {
            Some(region)
        }
        _ => None,
    }
}

/// What may become part of a host's name.
pub(super) fn is_plain(region: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !region.is_empty() && region.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_arn_of_a_key_names_one_for_ever() {
        fn check(key: &str, expected: Option<&str>) {
            assert_eq!(region_of(key), expected);
            assert_eq!(
                AwsKms::builder(key).build().is_ok(),
                expected.is_some(),
                "{key}"
            );
        }
        check("arn:aws:kms:eu-west-1:1:key/a", Some("eu-west-1"));
        check("arn:aws-cn:kms:cn-north-1:1:key/mrk-a", Some("cn-north-1"));
        check("arn:aws:kms:eu-west-1:1:alias/a", None);
        check("arn:aws:kms::1:key/a", None);
        check("arn:aws:kms:evil.example/:1:key/a", None);
        check("arn:aws:s3:eu-west-1:1:key/a", None);
        check("alias/a", None);
        check("", None);
    }

    #[test]
    fn endpoints_are_checked() {
        let at = |url| AwsKms::builder("arn:aws:kms:eu-west-1:1:key/a").with_endpoint(url);
        assert!(at("https://kms.internal:8443").build().is_ok());
        assert!(at("http://127.0.0.1:1").build().is_err());
        assert!(
            at("http://127.0.0.1:1")
                .allow_plaintext_loopback()
                .build()
                .is_ok()
        );
        assert!(at("https://kms.internal/path").build().is_err());
        assert!(at("no url").build().is_err());
    }
}

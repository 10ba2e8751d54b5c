//! Credentials of the environment: variables, and the web identity of a pod.

use std::path::PathBuf;

use bartizan_source::{FetchRequest, HttpsFetcher, Roots};
use zeroize::Zeroizing;

use crate::aws::config::is_plain;
use crate::aws::credentials::{AwsCredentialSource, AwsCredentials};
use crate::aws::signature::parse_date;
use crate::aws::wire::{Failure, element};
use crate::error::ProviderConfigError;
use crate::kek::{KekAnswer, KekError};
use crate::remote::{Reach, exchange, reason};

/// The access key in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if there is one,
/// `AWS_SESSION_TOKEN`; read each time they are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsEnvironment;

impl AwsCredentialSource for AwsEnvironment {
    fn credentials(&self) -> KekAnswer<'_, AwsCredentials> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let id = read("AWS_ACCESS_KEY_ID");
        let credentials = id.zip(read("AWS_SECRET_ACCESS_KEY")).map(|(id, secret)| {
            let credentials = AwsCredentials::new(id, secret);
            match read("AWS_SESSION_TOKEN") {
                Some(token) => credentials.with_session_token(token),
                None => credentials,
            }
        });
        let none = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set";
        let credentials = credentials.ok_or_else(|| KekError::Unavailable(none.to_owned()));
        Box::pin(std::future::ready(credentials))
    }
}

/// A role that is taken on with a token in a file, which is read each time: what pods of EKS have
/// (`AssumeRoleWithWebIdentity`).
#[derive(Clone, Debug)]
pub struct AwsWebIdentity {
    role: String,
    token_file: PathBuf,
    session: String,
    url: String,
    fetcher: HttpsFetcher,
}

impl AwsWebIdentity {
    /// The role of this ARN, by the token in this file, at the STS of this region.
    ///
    /// # Errors
    ///
    /// If role or region are none.
    pub fn new(
        role: &str,
        token_file: impl Into<PathBuf>,
        region: &str,
    ) -> Result<Self, ProviderConfigError> {
        let name = |setting, name: &str| ProviderConfigError::Name {
            setting,
            name: name.to_owned(),
        };
        if !is_plain(region) {
            return Err(name("region", region));
        }
        if !role.starts_with("arn:") {
            return Err(name("role", role));
        }
        Ok(Self {
            role: role.to_owned(),
            token_file: token_file.into(),
            session: "bartizan".to_owned(),
            url: format!("https://sts.{region}.amazonaws.com/"),
            fetcher: Reach::new().build()?,
        })
    }

    /// The role of `AWS_ROLE_ARN`, by the token in `AWS_WEB_IDENTITY_TOKEN_FILE`, in `AWS_REGION`.
    ///
    /// # Errors
    ///
    /// If one is not set, or as [`new`](Self::new).
    pub fn from_env() -> Result<Self, ProviderConfigError> {
        let read = |name| std::env::var(name).map_err(|_| ProviderConfigError::Missing(name));
        let file = read("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        Self::new(&read("AWS_ROLE_ARN")?, file, &read("AWS_REGION")?)
    }

    /// Replaces the name that CloudTrail shows of the session: `bartizan`.
    #[must_use]
    pub fn with_session_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.session);
        self
    }

    /// Replaces the endpoint of STS, and whom it is believed by; plaintext to loopback is
    /// permitted, for development.
    ///
    /// # Errors
    ///
    /// If the URL is not gone to.
    pub fn with_endpoint(mut self, url: &str, roots: Roots) -> Result<Self, ProviderConfigError> {
        let reach = Reach::new().with_roots(roots).allow_plaintext_loopback();
        self.fetcher = reach.build()?;
        let unfit =
            |error: bartizan_source::FetchError| ProviderConfigError::Url(error.to_string());
        self.fetcher.check_url(url).map_err(unfit)?;
        url.clone_into(&mut self.url);
        Ok(self)
    }

    async fn assume(&self) -> Result<AwsCredentials, KekError> {
        let path = self.token_file.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let unreadable = || KekError::Unavailable("cannot read the web identity token".to_owned());
        let token = Zeroizing::new(read.map_err(|_| unreadable())?.map_err(|_| unreadable())?);
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &*self.role),
            ("RoleSessionName", &*self.session),
            ("WebIdentityToken", token.trim_end()),
        ];
        let request = FetchRequest::post_form(&self.url, &fields);
        let answer = exchange(&self.fetcher, request).await?;
        if !answer.is_ok() {
            return Err(unbelieved(Failure::of(&answer).into_error()));
        }
        read_credentials(&answer.body)
    }
}

/// Whoever STS does not believe learns nothing of the key: that is no refusal of it.
fn unbelieved(error: KekError) -> KekError {
    match error {
        KekError::Refused(text) => KekError::Unavailable(format!("no credentials: {text}")),
        error => error,
    }
}

/// The credentials in an answer of STS.
pub(crate) fn read_credentials(body: &[u8]) -> Result<AwsCredentials, KekError> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let found = |name| {
        let missing = || KekError::Unavailable(reason("STS gives no credentials"));
        element(text, name).ok_or_else(missing)
    };
    let credentials = AwsCredentials::new(found("AccessKeyId")?, found("SecretAccessKey")?)
        .with_session_token(found("SessionToken")?);
    Ok(match parse_date(found("Expiration")?) {
        Some(end) => credentials.with_expiry(end),
        None => credentials,
    })
}

impl AwsCredentialSource for AwsWebIdentity {
    fn credentials(&self) -> KekAnswer<'_, AwsCredentials> {
        Box::pin(self.assume())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_is_not_believed_by_sts_learns_nothing_of_a_key() {
        let name = format!("bartizan-sts-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, "header.claims.signature").expect("a file");
        for (status, kind) in [
            ("400 Bad Request", "InvalidIdentityToken"),
            ("400 Bad Request", "IDPCommunicationError"),
            ("403 Forbidden", "AccessDenied"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/", listener.local_addr().expect("an address"));
            tokio::spawn(async move {
                let (mut tcp, _) = listener.accept().await.expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"signature") {
                    assert_ne!(tcp.read_buf(&mut request).await.expect("more"), 0);
                }
                let body = format!("<Error><Code>{kind}</Code><Message>no</Message></Error>");
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                tcp.write_all(answer.as_bytes()).await.expect("written");
            });
            let role = "arn:aws:iam::123456789012:role/clinic";
            let identity = AwsWebIdentity::new(role, &file, "eu-central-1").expect("fits");
            let identity = identity.with_endpoint(&url, Roots::public_web());
            let refused = identity.expect("fits").credentials().await;
            let error = refused.expect_err("no credentials");
            let KekError::Unavailable(text) = &error else {
                panic!("{error}");
            };
            assert!(text.contains(kind), "{text}");
        }
        std::fs::remove_file(&file).expect("a file");
    }
}

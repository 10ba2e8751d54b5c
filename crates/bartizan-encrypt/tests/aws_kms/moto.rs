//! `moto_server`, which plays AWS: it checks signatures and encryption contexts.

use std::process::{Command, Stdio};
use std::time::Duration;

use bartizan_encrypt::{AwsCredentials, AwsKms, AwsKmsBuilder};
use bartizan_source::{FetchRequest, HttpsFetcher, SecretBytes};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::process::{Running, free_port};
use crate::programs::{in_path, require};
use crate::wait::until;

pub(crate) struct Moto {
    pub(crate) url: String,
    pub(crate) user: AwsCredentials,
    pub(crate) secret: String,
    fetcher: HttpsFetcher,
    _running: Running,
}

pub(crate) const REGION: &str = "eu-central-1";

impl Moto {
    /// Starts one in which a user may use KMS, and every signature is checked; `None` if there is
    /// no such program.
    pub(crate) async fn start() -> Option<Self> {
        let program = require("moto_server", in_path("moto_server"))?;
        let port = free_port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let fetcher = HttpsFetcher::builder()
            .allow_plaintext_loopback()
            .with_deadline(Duration::from_secs(60))
            .build()
            .unwrap();
        let mut moto = Self {
            url: format!("http://127.0.0.1:{port}/"),
            user: AwsCredentials::new("", ""),
            secret: String::new(),
            fetcher,
            _running: Running(child),
        };
        until("moto listens", async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        moto.iam("CreateUser", &[]).await;
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "kms:*", "Resource": "*" }],
        });
        let policy = policy.to_string();
        let grant = [("PolicyName", "keys"), ("PolicyDocument", &*policy)];
        moto.iam("PutUserPolicy", &grant).await;
        let keys = moto.iam("CreateAccessKey", &[]).await;
        let element = |name: &str| {
            let (_, rest) = keys.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        moto.secret = element("SecretAccessKey");
        moto.user = AwsCredentials::new(element("AccessKeyId"), moto.secret.clone());
        Some(moto)
    }

    /// From now on signatures and policies count.
    pub(crate) async fn check_signatures(&self) {
        let url = format!("{}moto-api/reset-auth", self.url);
        let text = HeaderValue::from_static("text/plain");
        let request = FetchRequest::post(&url, text, SecretBytes::new(b"0".to_vec()));
        self.fetcher.fetch(request).await.unwrap();
    }

    /// A new key's ARN.
    pub(crate) async fn key(&self) -> String {
        let made = self.kms("CreateKey", &json!({})).await;
        let arn = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        arn.unwrap().to_owned()
    }

    /// Asks KMS as nobody in particular, before signatures are checked.
    pub(crate) async fn kms(&self, operation: &str, body: &Value) -> Value {
        let json = HeaderValue::from_static("application/x-amz-json-1.1");
        let body = SecretBytes::new(body.to_string().into_bytes());
        let target = HeaderValue::from_str(&format!("TrentService.{operation}")).unwrap();
        let request = FetchRequest::post(&self.url, json, body)
            .with_header(HeaderName::from_static("x-amz-target"), target)
            .with_authorization(scope("kms"));
        let fetched = self.fetcher.fetch(request).await.unwrap();
        serde_json::from_slice(fetched.body()).unwrap_or_default()
    }

    async fn iam(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let base = [
            ("Action", action),
            ("Version", "2010-05-08"),
            ("UserName", "clinic"),
        ];
        let fields = [&base[..], fields].concat();
        let request = FetchRequest::post_form(&self.url, &fields).with_authorization(scope("iam"));
        let fetched = self.fetcher.fetch(request).await.unwrap();
        String::from_utf8(fetched.body().to_vec()).unwrap()
    }

    /// A key as the user sees it.
    pub(crate) fn kek(&self, key: &str) -> AwsKmsBuilder {
        AwsKms::builder(key)
            .with_region(REGION)
            .with_endpoint(&self.url)
            .allow_plaintext_loopback()
            .with_credentials(self.user.clone())
    }
}

/// Tells moto which service is meant, which it takes from here.
fn scope(service: &str) -> HeaderValue {
    let scope = format!("mock/20260101/{REGION}/{service}/aws4_request");
    let value = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    HeaderValue::from_str(&value).unwrap()
}

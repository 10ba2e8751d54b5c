//! What is said to KMS, and what it answers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::kek::KekError;
use crate::remote::{Answer, SecretText, reason};

/// The encryption context: our own entry and those of the configuration.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Context<'c>(BTreeMap<&'c str, String>);

/// The entry that binds a data key to what it is for.
pub(super) const ENTRY: &str = "bartizan";

impl<'c> Context<'c> {
    pub(super) fn new(extra: &'c [(String, String)], digest: String) -> Self {
        let extra = extra.iter().map(|(name, value)| (&**name, value.clone()));
        let mut entries: BTreeMap<_, _> = extra.collect();
        entries.insert(ENTRY, digest);
        Self(entries)
    }
}

/// `Encrypt` or `GenerateDataKey`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wrap<'w> {
    pub(super) key_id: &'w str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plaintext: Option<&'w str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_spec: Option<&'static str>,
    pub(super) encryption_context: Context<'w>,
}

/// `Decrypt`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unwrap<'u> {
    pub(super) key_id: &'u str,
    pub(super) ciphertext_blob: &'u str,
    pub(super) encryption_context: Context<'u>,
}

/// `ReEncrypt`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Rewrap<'r> {
    pub(super) ciphertext_blob: &'r str,
    pub(super) source_key_id: &'r str,
    pub(super) source_encryption_context: Context<'r>,
    pub(super) destination_key_id: &'r str,
    pub(super) destination_encryption_context: Context<'r>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Blob {
    pub(super) ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Plain {
    pub(super) key_id: Option<String>,
    pub(super) plaintext: SecretText,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DataKey {
    pub(super) key_id: Option<String>,
    pub(super) plaintext: SecretText,
    pub(super) ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    pub(super) key_metadata: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Key {
    pub(super) arn: String,
    pub(super) key_state: String,
    pub(super) key_spec: Option<String>,
}

pub(super) fn decoded(blob: &str) -> Result<Vec<u8>, KekError> {
    let unreadable = |_| KekError::Unavailable("the answer cannot be read".to_owned());
    STANDARD.decode(blob).map_err(unreadable)
}

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    /// Such as `InvalidCiphertextException`.
    kind: String,
    message: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Failure {
    pub(super) fn of(answer: &Answer) -> Self {
        let said = answer.read::<Said>().unwrap_or_else(|_| {
            // In front of KMS itself there are those who answer in XML.
            let text = String::from_utf8_lossy(&answer.body);
            Said {
                kind: element(&text, "Code").unwrap_or_default().to_owned(),
                message: element(&text, "Message").unwrap_or_default().to_owned(),
            }
        });
        // Sometimes with a namespace before it.
        let kind = said.kind.rsplit('#').next().unwrap_or_default();
        Self {
            status: answer.status.as_u16(),
            kind: reason(kind),
            message: reason(&said.message),
        }
    }

    /// Whether other credentials might do.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(
            &*self.kind,
            "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidClientTokenId"
                | "InvalidSignatureException"
                | "RequestExpired"
                | "SignatureDoesNotMatch"
                | "UnrecognizedClientException"
        )
    }

    pub(super) fn into_error(self) -> KekError {
        let passing = self.status >= 500
            || self.status == 429
            || self.is_about_credentials()
            || matches!(
                &*self.kind,
                "DependencyTimeoutException"
                    | "KMSInternalException"
                    | "KeyUnavailableException"
                    | "LimitExceededException"
                    | "RequestLimitExceeded"
                    | "Throttling"
                    | "ThrottlingException"
                    | "TooManyRequestsException"
            );
        let text = format!(
            "KMS answers {} {}: {}",
            self.status, self.kind, self.message
        );
        match passing {
            true => KekError::Unavailable(text),
            false => KekError::Refused(text),
        }
    }
}

/// The text of the first element of this name, in XML that has neither entities nor attributes
/// where it matters.
pub(super) fn element<'x>(text: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(content)
}

/// What an answer of KMS to `operation` comes to: bytes that were wrapped, or the name of a key, and
/// whether a data key came along.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_answer(
    operation: &str,
    answer: &Answer,
) -> Result<(Vec<u8>, Option<String>, bool), KekError> {
    if !answer.is_ok() {
        return Err(Failure::of(answer).into_error());
    }
    Ok(match operation {
        "Decrypt" => {
            let Plain { key_id, plaintext } = answer.read()?;
            plaintext.key()?;
            (Vec::new(), key_id, true)
        }
        "DescribeKey" => {
            let Described { key_metadata } = answer.read()?;
            (Vec::new(), Some(key_metadata.arn), false)
        }
        "GenerateDataKey" => {
            let made: DataKey = answer.read()?;
            made.plaintext.key()?;
            (decoded(&made.ciphertext_blob)?, made.key_id, true)
        }
        _ => {
            let Blob { ciphertext_blob } = answer.read()?;
            (decoded(&ciphertext_blob)?, None, false)
        }
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::wiped::WipedBytes;

    fn failure(status: u16, body: &str) -> Failure {
        let mut bytes = WipedBytes::with_capacity(body.len());
        bytes.extend_from_slice(body.as_bytes());
        Failure::of(&Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: bytes,
        })
    }

    #[test]
    fn failures_are_told_apart() {
        fn check(status: u16, body: &str, refused: bool, kind: &str) {
            let failure = failure(status, body);
            assert_eq!(failure.kind, kind);
            let error = failure.into_error();
            assert_eq!(matches!(error, KekError::Refused(_)), refused, "{body}");
        }
        let json = |kind: &str| format!(r#"{{"__type":"{kind}","message":"m"}}"#);
        check(
            400,
            &json("InvalidCiphertextException"),
            true,
            "InvalidCiphertextException",
        );
        check(
            400,
            &json("com.amazonaws.kms#DisabledException"),
            true,
            "DisabledException",
        );
        check(
            400,
            &json("AccessDeniedException"),
            true,
            "AccessDeniedException",
        );
        check(
            400,
            &json("ThrottlingException"),
            false,
            "ThrottlingException",
        );
        check(
            400,
            &json("ExpiredTokenException"),
            false,
            "ExpiredTokenException",
        );
        check(
            500,
            &json("KMSInternalException"),
            false,
            "KMSInternalException",
        );
        check(503, "<html>no</html>", false, "");
        check(400, "", true, "");
        let xml = "<E><Code>SignatureDoesNotMatch</Code><Message>x\n</Message></E>";
        check(403, xml, false, "SignatureDoesNotMatch");
        check(403, "<E><Code>Signature", true, "");
    }

    #[test]
    fn what_is_bound_to_cannot_be_replaced() {
        let extra = [
            (ENTRY.to_owned(), "forged".to_owned()),
            ("a".into(), "b".into()),
        ];
        let context = serde_json::to_string(&Context::new(&extra, "digest".to_owned()));
        assert_eq!(context.expect("plain"), r#"{"a":"b","bartizan":"digest"}"#);
    }
}

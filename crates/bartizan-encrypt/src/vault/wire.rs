//! What is said to Vault, and what it answers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kek::KekError;
use crate::remote::{Answer, SecretText, reason};

/// What transit is asked.
#[derive(Default, Serialize)]
pub(super) struct Input<'i> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_data: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u16>,
}

impl<'i> Input<'i> {
    pub(super) fn bound(context: &'i str, derived: bool) -> Self {
        let mut input = Self::default();
        *if derived {
            &mut input.context
        } else {
            &mut input.associated_data
        } = Some(context);
        input
    }

    pub(super) fn with_plaintext(self, plaintext: &'i str) -> Self {
        let plaintext = Some(plaintext);
        Self { plaintext, ..self }
    }

    pub(super) fn with_ciphertext(self, ciphertext: &'i str) -> Self {
        let ciphertext = Some(ciphertext);
        Self { ciphertext, ..self }
    }

    pub(super) fn with_bits(self, bits: u16) -> Self {
        let bits = Some(bits);
        Self { bits, ..self }
    }
}

#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

#[derive(Deserialize)]
pub(super) struct Ciphertext {
    pub(super) ciphertext: String,
}

#[derive(Deserialize)]
pub(super) struct Plaintext {
    pub(super) plaintext: SecretText,
}

#[derive(Deserialize)]
pub(super) struct DataKey {
    pub(super) plaintext: SecretText,
    pub(super) ciphertext: String,
}

/// What a login or a renewal answers.
#[derive(Deserialize)]
pub(super) struct Login {
    pub(super) auth: Auth,
}

#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: SecretText,
    /// In seconds.
    pub(super) lease_duration: u64,
    pub(super) renewable: bool,
}

/// What `lookup-self` answers.
#[derive(Deserialize)]
pub(super) struct Lookup {
    /// In seconds; zero for a token that does not expire.
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// What an answer of transit comes to: a ciphertext, and whether a data key came along.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_answer(call: &str, answer: &Answer) -> Result<(Option<String>, bool), KekError> {
    Ok(match call {
        "decrypt" => {
            let answer: Data<Plaintext> = read(answer)?;
            answer.data.plaintext.key()?;
            (None, true)
        }
        "datakey" => {
            let answer: Data<DataKey> = read(answer)?;
            answer.data.plaintext.key()?;
            (Some(answer.data.ciphertext), true)
        }
        _ => {
            let answer: Data<Ciphertext> = read(answer)?;
            (Some(answer.data.ciphertext), false)
        }
    })
}

/// The content of an answer of status 200, or what another status means.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, KekError> {
    if answer.is_ok() {
        return answer.read();
    }
    let said = answer.read::<Errors>();
    let said = said.map(|said| said.errors.join("; ")).unwrap_or_default();
    let text = format!(
        "vault answers {}: {}",
        answer.status.as_u16(),
        reason(&said)
    );
    Err(match answer.status.as_u16() {
        400 | 403 | 404 => KekError::Refused(text),
        // 412, 429, 472, 473, 5xx: not now, or not here.
        _ => KekError::Unavailable(text),
    })
}

//! Facts about a person, sealed under a key of their own: destroying it makes them unreadable, and
//! no proof breaks, because the tree is built over ciphertext.

mod keys;

use std::fmt;
use std::net::IpAddr;

use bartizan_core::SubjectKey;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::record::{Input, RecordError, RequestRecord, shortened};

pub(crate) use self::keys::{KeyAnswer, Keyed};
pub use self::keys::{Privacy, PrivacyError};

/// What is sealed about the person behind a request.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Person {
    /// The principal.
    pub subject: String,
    /// The identifier of the credential.
    pub token_id: Option<String>,
    /// The client's whole address.
    pub address: Option<IpAddr>,
}

/// Personal data stays out of logs.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(..)")
    }
}

/// The key of a person, ready for use.
pub(crate) struct PersonKey {
    handle: [u8; 16],
    key: LessSafeKey,
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(..)")
    }
}

/// Sets what is derived here apart from everything else a person's key is used for.
const HANDLE: &[u8] = b"bartizan audit handle v1";
const SEALING: &[u8] = b"bartizan audit sealing v1";

/// What stands for a person in the log. It follows from their key, so that nobody can compute it
/// once that is destroyed, and nobody can guess it before.
#[must_use]
pub fn person_handle(key: &SubjectKey) -> [u8; 16] {
    let derived = derive(key, HANDLE);
    let mut handle = [0; 16];
    for (place, byte) in handle.iter_mut().zip(derived.iter()) {
        *place = *byte;
    }
    handle
}

fn derive(key: &SubjectKey, label: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let tag = hmac::sign(&key, label);
    let mut derived = Zeroizing::new([0; 32]);
    for (place, byte) in derived.iter_mut().zip(tag.as_ref()) {
        *place = *byte;
    }
    derived
}

impl PersonKey {
    pub(crate) fn new(key: &SubjectKey) -> Option<Self> {
        let sealing = derive(key, SEALING);
        let sealing = UnboundKey::new(&AES_256_GCM, sealing.as_slice()).ok()?;
        Some(Self {
            handle: person_handle(key),
            key: LessSafeKey::new(sealing),
        })
    }

    pub(crate) fn handle(&self) -> &[u8; 16] {
        &self.handle
    }

    /// Seals for one record, told by its log, number and time: nonce, ciphertext and tag.
    pub(crate) fn seal(&self, bound: &Bound<'_>, person: &PersonRef<'_>) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(128));
        person.write(&mut sealed);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound.bytes()),
                &mut sealed,
            )
            .ok()?;
        let mut out = Vec::with_capacity(NONCE_LEN + sealed.len() + 16);
        out.extend(nonce);
        out.extend_from_slice(&sealed);
        out.extend_from_slice(tag.as_ref());
        Some(out)
    }
}

/// The record that something is sealed for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) origin: &'a str,
    pub(crate) number: u64,
    pub(crate) time: u64,
}

impl Bound<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.origin.len() + 16);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.time.to_le_bytes());
        bytes.extend_from_slice(self.origin.as_bytes());
        bytes
    }
}

/// As [`Person`], borrowed.
#[derive(Clone, Copy)]
pub(crate) struct PersonRef<'a> {
    pub(crate) subject: &'a str,
    pub(crate) token_id: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
}

impl PersonRef<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(1);
        let subject = shortened(self.subject, 1024);
        out.extend(u16::try_from(subject.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(subject.as_bytes());
        match self.address {
            None => out.push(0),
            Some(IpAddr::V4(address)) => {
                out.push(4);
                out.extend(address.octets());
            }
            Some(IpAddr::V6(address)) => {
                out.push(16);
                out.extend(address.octets());
            }
        }
        if let Some(token_id) = self.token_id {
            out.push(1);
            out.extend_from_slice(shortened(token_id, 1024).as_bytes());
        }
    }
}

/// Opens what a record of this log holds about a person; `None` if it holds nothing that was
/// sealed under this key.
#[must_use]
pub fn open_person(origin: &str, record: &RequestRecord<'_>, key: &SubjectKey) -> Option<Person> {
    let sealed = record.sealed?;
    let person = PersonKey::new(key)?;
    if *person.handle() != sealed.handle {
        return None;
    }
    let (nonce, ciphertext) = sealed.ciphertext.split_first_chunk::<NONCE_LEN>()?;
    let bound = Bound {
        origin,
        number: record.number,
        time: record.time,
    };
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let aad = Aad::from(bound.bytes());
    let opened = person.key.open_in_place(nonce, aad, &mut plain).ok()?;
    read_person(opened).ok()
}

fn read_person(bytes: &[u8]) -> Result<Person, RecordError> {
    let mut input = Input::new(bytes);
    if input.u8()? != 1 {
        return Err(RecordError::Value);
    }
    let length = usize::from(input.u16()?);
    let subject = crate::record::text(input.bytes(length)?)?.to_owned();
    let address = match input.u8()? {
        0 => None,
        4 => Some(input.array::<4>()?.into()),
        16 => Some(input.array::<16>()?.into()),
        _ => return Err(RecordError::Value),
    };
    let token_id = if input.is_empty() {
        None
    } else if input.u8()? == 1 {
        Some(crate::record::text(input.rest())?.to_owned())
    } else {
        return Err(RecordError::Value);
    };
    Ok(Person {
        subject,
        token_id,
        address,
    })
}

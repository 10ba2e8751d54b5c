//! Field encryption beside raw ring with the same derivation, and the layer beside a round trip
//! through `serde_json::Value` with the same cryptography.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that fails may panic"
)]

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bartizan_benches::Comparison;
use bartizan_core::{Principal, Scheme, SecurityContext};
use bartizan_encrypt::{
    EncryptBody, EncryptConfig, EncryptLayer, Encrypted, Field, FieldRule, Grant, KeyBytes,
    KeyChange, KeyRecord, KeyScope, KeyStore, Keyring, LocalKek, Place, Prepared, Replacement,
    Reseal, SealedValues, Shown, StoreAnswer, StoredValue,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA512, KeyType, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use tower::{Layer, Service, service_fn};

struct Ssn;

impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "/ssn";
}

/// Keys in memory, for one scope.
#[derive(Debug, Default)]
struct Memory(std::sync::Mutex<Vec<KeyRecord>>);

impl KeyStore for Memory {
    fn read<'s>(&'s self, _: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let records = self.0.lock().unwrap().clone();
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let added = changes.into_iter().map(|change| change.after);
        self.0.lock().unwrap().extend(added);
        Box::pin(std::future::ready(Ok(true)))
    }
}

struct Okm;

impl KeyType for Okm {
    fn len(&self) -> usize {
        76
    }
}

const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const CHUNK: usize = 16 * 1024;

/// What ring alone takes for the same bytes.
struct Raw {
    prk: Prk,
    random: SystemRandom,
    context: Vec<u8>,
}

impl Raw {
    fn derive(&self, salt: &[u8]) -> (LessSafeKey, [u8; 12], [u8; 32]) {
        let info = [LABEL, salt, &self.context];
        let mut okm = [0; 76];
        self.prk.expand(&info, Okm).unwrap().fill(&mut okm).unwrap();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &okm[..32]).unwrap());
        (
            key,
            okm[32..44].try_into().unwrap(),
            okm[44..].try_into().unwrap(),
        )
    }

    fn nonce(base: [u8; 12], chunk: usize) -> Nonce {
        let mut nonce = base;
        nonce[11] ^= u8::try_from(chunk).unwrap();
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, content: &[u8]) -> Vec<u8> {
        let mut salt = [0; 24];
        self.random.fill(&mut salt).unwrap();
        let (key, base, commitment) = self.derive(&salt);
        let mut out = Vec::with_capacity(content.len() + 200);
        out.extend_from_slice(&salt);
        out.extend_from_slice(&commitment);
        for (number, chunk) in content.chunks(CHUNK).enumerate() {
            let begin = out.len();
            out.extend_from_slice(chunk);
            let tag = key
                .seal_in_place_separate_tag(
                    Self::nonce(base, number),
                    Aad::empty(),
                    &mut out[begin..],
                )
                .unwrap();
            out.extend_from_slice(tag.as_ref());
        }
        out
    }

    fn open(&self, body: &[u8]) -> Vec<u8> {
        let (key, base, commitment) = self.derive(&body[..24]);
        assert_eq!(commitment, body[24..56]);
        let mut out = Vec::with_capacity(body.len());
        for (number, chunk) in body[56..].chunks(CHUNK + 16).enumerate() {
            let begin = out.len();
            out.extend_from_slice(chunk);
            let nonce = Self::nonce(base, number);
            let opened = key.open_in_place(nonce, Aad::empty(), &mut out[begin..]);
            let length = opened.unwrap().len();
            out.truncate(begin + length);
        }
        out
    }
}

fn block_on<F: Future>(runtime: &tokio::runtime::Runtime, future: F) -> F::Output {
    // What is measured never waits: the keys are at hand.
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => runtime.block_on(future),
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let kek = LocalKek::new(&KeyBytes::generate().unwrap());
    let keyring = Keyring::builder("bench", Memory::default(), kek)
        .with_max_uses(u64::MAX)
        .build()
        .unwrap();
    let keys = runtime
        .block_on(keyring.prepare(&[KeyScope::tenant("acme")]))
        .unwrap();
    let place = Place::new("acme").unwrap().with_record("17").unwrap();
    values(&keys, &place);
    bodies(&runtime, &keyring, &keys, &place);
    resealing();
}

/// A thousand values in memory, handed out and taken back.
#[derive(Clone, Debug)]
struct Rows(std::sync::Arc<Vec<StoredValue>>);

impl SealedValues for Rows {
    fn read<'s>(
        &'s self,
        after: Option<&'s str>,
        limit: usize,
    ) -> StoreAnswer<'s, Vec<StoredValue>> {
        // Positions are the numbers of the rows.
        let from = after.map_or(0, |after| after.parse::<usize>().unwrap() + 1);
        let page = self.0.iter().skip(from).take(limit).cloned().collect();
        Box::pin(std::future::ready(Ok(page)))
    }

    fn replace<'s>(&'s self, replacements: &'s [Replacement]) -> StoreAnswer<'s, u64> {
        Box::pin(std::future::ready(Ok(replacements.len() as u64)))
    }

    fn count<'s>(&'s self, _: Option<&'s str>) -> StoreAnswer<'s, u64> {
        Box::pin(std::future::ready(Ok(self.0.len() as u64)))
    }

    fn cursor(&self) -> StoreAnswer<'_, Option<String>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn set_cursor<'s>(&'s self, _: Option<&'s str>) -> StoreAnswer<'s, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Divide the thousand by a case's time for records in a second.
fn resealing() {
    let one = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let two = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let kek = LocalKek::new(&KeyBytes::generate().unwrap());
    let keyring = Keyring::builder("bench", Memory::default(), kek)
        .with_max_uses(u64::MAX)
        .build()
        .unwrap();
    let scope = KeyScope::tenant("acme");
    let place = |row: usize| {
        let place = Place::new("acme").unwrap();
        place.with_record(&row.to_string()).unwrap()
    };
    let keys = one
        .block_on(keyring.prepare(std::slice::from_ref(&scope)))
        .unwrap();
    let values: Vec<Encrypted<String, Ssn>> = (0..1000)
        .map(|row| keys.seal(&place(row), &"078-05-1120".to_owned()).unwrap())
        .collect();
    let stored = values.iter().enumerate();
    let stored = stored.map(|(row, value)| StoredValue::new(&row.to_string(), place(row), value));
    let rows = Rows(std::sync::Arc::new(stored.collect()));
    one.block_on(keyring.rotate(&scope)).unwrap();
    let keys = one
        .block_on(keyring.prepare(std::slice::from_ref(&scope)))
        .unwrap();
    let places: Vec<Place> = (0..1000).map(place).collect();
    let mut comparison = Comparison::new("reseal of 1,000 records");
    comparison.case("each value opened and sealed, and nothing else", || {
        let each = values.iter().zip(&places);
        each.map(|(value, place)| keys.reseal(place, value).unwrap().unwrap())
            .collect::<Vec<_>>()
    });
    for (threads, runtime) in [(1, &one), (2, &two)] {
        comparison.case(
            format!("bartizan, from and to memory, {threads} threads"),
            || {
                let reseal = Reseal::new(keyring.clone(), rows.clone());
                let done = runtime.block_on(reseal.run(|_| {})).unwrap();
                assert_eq!(done.resealed, 1000);
            },
        );
    }
    comparison.run();
}

fn values(keys: &Prepared, place: &Place) {
    for size in [16, 1024, 64 * 1024] {
        // One byte less: the mark fills it up to the size.
        let content = vec![b'7'; size - 1];
        let filled = vec![b'7'; size];
        let raw = Raw {
            prk: Prk::new_less_safe(HKDF_SHA512, &[7; 32]),
            random: SystemRandom::new(),
            context: vec![1; 60],
        };
        let fixed = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
        let mut comparison = Comparison::new("seal");
        comparison.case(format!("ring, same derivation, {size} B"), || {
            raw.seal(&filled)
        });
        comparison.case(format!("bartizan, {size} B"), || {
            keys.seal_json::<Value, Ssn>(place, &content).unwrap()
        });
        comparison.case(
            format!("ring, fixed key and random nonce, {size} B"),
            || {
                let mut nonce = [0; 12];
                raw.random.fill(&mut nonce).unwrap();
                let mut out = filled.clone();
                let nonce = Nonce::assume_unique_for_key(nonce);
                fixed
                    .seal_in_place_append_tag(nonce, Aad::empty(), &mut out)
                    .unwrap();
                out
            },
        );
        comparison.run();

        let body = raw.seal(&filled);
        let sealed = keys.seal_json::<Value, Ssn>(place, &content).unwrap();
        let mut comparison = Comparison::new("open");
        comparison.case(format!("ring, same derivation, {size} B"), || {
            raw.open(&body)
        });
        comparison.case(format!("bartizan, wiped afterwards, {size} B"), || {
            keys.open_json(place, &sealed).unwrap()
        });
        comparison.run();
    }
}

const PATHS: [&str; 4] = ["/ssn", "/phone", "/email", "/card"];

fn document() -> String {
    let mut document = String::from(
        r#"{"id":17,"name":"Alice","ssn":"078-05-1120","phone":"+1 555 0100","email":"alice@example.com","card":"4111111111111111","visits":["#,
    );
    for visit in 0..9 {
        document += &format!(
            r#"{{"at":"2026-11-{:02}T10:00:00Z","ward":"north","note":"seen by the doctor","n":{visit}.5}},"#,
            visit + 1
        );
    }
    document.pop();
    document += "]}";
    document
}

fn bodies(runtime: &tokio::runtime::Runtime, keyring: &Keyring, keys: &Prepared, place: &Place) {
    let document = document();
    let scope = || Grant::scope("pii:read");
    let place_of = place.clone();
    let locate = move |_: &http::request::Parts, _: &SecurityContext| Some(place_of.clone());
    let mut config = EncryptConfig::builder(keyring.clone(), "patient", locate);
    for path in PATHS {
        config = config.add_field(FieldRule::new(path).show(scope(), Shown::Plain));
    }
    let echo = service_fn(async |request: Request<EncryptBody<Full<Bytes>>>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Full::new(body)).unwrap())
    });
    let mut service = EncryptLayer::new(config.build().unwrap()).layer(echo);
    // Whoever verified the token remembers for whom it stands.
    let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
    let principal = principal.with_scopes(["pii:read"]).assert_verified();
    let through = |body: &str| {
        let request = Request::put("/p/17").header("content-type", "application/json");
        let context = SecurityContext::new("/p/17".parse().unwrap());
        context.set_principal(principal.clone()).unwrap();
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let response = service.call(request.extension(context).body(body).unwrap());
        block_on(runtime, async {
            let response = response.await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        })
    };
    let mut through = through;
    assert_eq!(through(&document), document);
    let value = |body: &str| {
        let mut value: Value = serde_json::from_str(body).unwrap();
        for path in PATHS {
            let field = value.pointer_mut(path).unwrap();
            let sealed: Encrypted<Value, Ssn> = keys.seal(place, field).unwrap();
            *field = sealed.to_string().into();
        }
        let stored = serde_json::to_vec(&value).unwrap();
        let mut value: Value = serde_json::from_slice(&stored).unwrap();
        for path in PATHS {
            let field = value.pointer_mut(path).unwrap();
            let sealed: Encrypted<Value, Ssn> = field.as_str().unwrap().parse().unwrap();
            let opened = keys.open_json(place, &sealed).unwrap();
            *field = serde_json::from_slice(opened.expose()).unwrap();
        }
        serde_json::to_vec(&value).unwrap()
    };
    let mut comparison = Comparison::new("four fields of a body, in and out");
    let size = document.len();
    comparison.case(format!("serde_json::Value, {size} B"), || value(&document));
    comparison.case(format!("the layer, {size} B"), || through(&document));
    comparison.case("parsing alone, twice", || {
        let one: serde::de::IgnoredAny = serde_json::from_str(&document).unwrap();
        let two: serde::de::IgnoredAny = serde_json::from_str(&document).unwrap();
        (one, two)
    });
    comparison.run();
}

//! Ciphertexts as bytes and as text: what parses prints as it was, and none opens that was not
//! sealed here.

use std::sync::OnceLock;

use bartizan_encrypt::{
    Ciphertext, Encrypted, Field, KeyBytes, KeyChange, KeyId, KeyRecord, KeyScope, KeyStore,
    Keyring, LocalKek, Place, Prepared, StoreAnswer,
};

struct Ssn;

impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

#[derive(Debug, Default)]
struct Memory(std::sync::Mutex<Vec<KeyRecord>>);

impl KeyStore for Memory {
    fn read<'s>(&'s self, _: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let records = self.0.lock().expect("no panic").clone();
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let added = changes.into_iter().map(|change| change.after);
        self.0.lock().expect("no panic").extend(added);
        Box::pin(std::future::ready(Ok(true)))
    }
}

fn keys() -> &'static (Prepared, KeyId) {
    static KEYS: OnceLock<(Prepared, KeyId)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let kek = LocalKek::new(&KeyBytes::from_slice(&[1; 32]).expect("32 bytes"));
        let keyring = Keyring::builder("clinic", Memory::default(), kek);
        let keyring = keyring.build().expect("a keyring");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let acme = KeyScope::tenant("acme");
        let prepared = runtime.block_on(keyring.prepare(std::slice::from_ref(&acme)));
        let records = runtime.block_on(keyring.records(&acme));
        let id = records.expect("records")[0].id;
        (prepared.expect("keys"), id)
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(ciphertext) = text.parse::<Ciphertext>()
    {
        assert_eq!(ciphertext.to_string(), text);
        let json = serde_json::to_string(&ciphertext).expect("text");
        let back: Ciphertext = serde_json::from_str(&json).expect("what was written");
        assert_eq!(back, ciphertext);
    }
    let place = Place::new("acme").expect("a place");
    let (keys, id) = keys();
    for begin in [&[][..], &[1], &[2]] {
        // The second and third are of the key at hand, so that the body is looked at.
        let mut whole = begin.to_vec();
        if !begin.is_empty() {
            whole.extend_from_slice(id.as_bytes());
        }
        whole.extend_from_slice(bytes);
        let Ok(ciphertext) = Ciphertext::from_bytes(whole.clone()) else {
            continue;
        };
        assert_eq!(ciphertext.as_bytes(), whole);
        assert_eq!(ciphertext.to_string().parse().as_ref(), Ok(&ciphertext));
        let sealed: Encrypted<String, Ssn> = Encrypted::from_ciphertext(ciphertext);
        assert!(keys.open(&place, &sealed).is_err());
    }
}

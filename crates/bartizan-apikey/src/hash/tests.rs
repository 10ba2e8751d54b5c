use std::cell::Cell;

use super::*;
use crate::format::KeyFormat;

thread_local! {
    /// How many comparisons this thread made.
    pub(crate) static COUNT: Cell<u32> = const { Cell::new(0) };
}

fn key() -> NewKey {
    NewKey::generate(&KeyFormat::live()).unwrap()
}

/// Whether the hash can be checked here, and is of this key.
fn fits(peppers: &Peppers, hash: &KeyHash, key: &NewKey) -> bool {
    let known = peppers.of(hash).map(|index| (index, hash.digest()));
    peppers.verify(known, &key.presented())
}

fn pepper(name: &str, byte: u8) -> Pepper {
    Pepper::new(name, &[byte; 32]).unwrap()
}

#[test]
fn a_hash_is_of_one_key_under_one_pepper() {
    let (key, other) = (key(), key());
    let peppers = Peppers::new(pepper("a", 1));
    let hash = peppers.hash(&key);
    assert!(fits(&peppers, &hash, &key));
    assert!(!fits(&peppers, &hash, &other));
    assert!(!peppers.verify(None, &key.presented()));
    let stranger = Peppers::new(pepper("a", 2));
    assert!(!fits(&stranger, &hash, &key));
    let renamed = Peppers::new(pepper("b", 1));
    assert!(renamed.of(&hash).is_none());
    assert!(!fits(&renamed, &hash, &key));
}

#[test]
fn peppers_take_turns() {
    let key = key();
    let old = Peppers::new(pepper("old", 1)).hash(&key);
    let both = Peppers::new(pepper("new", 2)).add_previous(pepper("old", 1));
    assert!(fits(&both, &old, &key));
    assert!(both.hash(&key).to_string().starts_with("v1.new."));
    assert!(fits(&both, &both.hash(&key), &key));
}

#[test]
fn a_pepper_is_not_got_round_by_a_hash_without_one() {
    let key = key();
    let plain = Peppers::none().hash(&key);
    assert!(plain.to_string().starts_with("v1.-."));
    assert!(fits(&Peppers::none(), &plain, &key));
    let peppered = Peppers::new(pepper("a", 1));
    assert!(peppered.of(&plain).is_none());
    assert!(!fits(&peppered, &plain, &key));
    let lenient = peppered.allow_unpeppered();
    assert!(fits(&lenient, &plain, &key));
    assert!(lenient.hash(&key).to_string().starts_with("v1.a."));
}

#[test]
fn a_hash_is_written_in_one_way() {
    let hash = Peppers::new(pepper("a-1", 1)).hash(&key());
    let text = hash.to_string();
    assert_eq!(text.parse(), Ok(hash.clone()));
    assert!(!format!("{hash:?}").contains(&text[7..]));
    for broken in [
        String::new(),
        "v1".to_owned(),
        text.replace("v1", "v2"),
        format!("{text}."),
        format!("{text}="),
        format!("{text}A"),
        text[..text.len() - 1].to_owned(),
        text.replace("a-1", "A"),
        text.replace("a-1", ""),
        text.replace("a-1", "-"),
    ] {
        let parsed = broken.parse::<KeyHash>();
        assert!(parsed.is_err() || broken.starts_with("v1.-."), "{broken}");
    }
}

#[test]
fn the_hash_does_not_change_from_version_to_version() {
    let text = b"brt_live_0123456789Ab_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
    let presented = PresentedKey {
        id: "0123456789Ab".parse().unwrap(),
        signed: text,
    };
    let peppered = Peppers::new(pepper("a", 7)).hash_of(&presented);
    assert_eq!(
        peppered.to_string(),
        "v1.a.j87nMk4z8H1dO3GWkyaslEno5UYQ0V23cbvT-PlNT3o"
    );
    let plain = Peppers::none().hash_of(&presented);
    assert_eq!(
        plain.to_string(),
        "v1.-.msCY0ICuejcYWAWkSNGyfHiyuJXGrWN3rja3ld2DScM"
    );
}

#[test]
fn peppers_that_cannot_work_are_refused() {
    assert!(matches!(
        Pepper::new("a", &[1; 31]),
        Err(ConfigError::PepperTooShort {
            length: 31,
            least: 32
        })
    ));
    for name in ["", "-", "A", "a b", "a.b", &"a".repeat(33)] {
        assert!(Pepper::new(name, &[1; 32]).is_err(), "{name}");
    }
    assert_eq!(format!("{:?}", pepper("a", 65)), "Pepper(a)");
}

#[test]
fn a_pepper_is_the_same_with_and_without_line_ends() {
    let key = key();
    let raw = [0xf0; 32];
    for (text, secret) in [
        (&raw[..], &raw[..]),
        (&[&raw[..], b"\n"].concat(), &raw),
        (&[&raw[..], b"\r\n"].concat(), &raw),
        (URL_SAFE_NO_PAD.encode(raw).as_bytes(), &raw),
        (
            b"a phrase of thirty-two characters and more\n",
            b"a phrase of thirty-two characters and more",
        ),
    ] {
        let hash = Peppers::new(Pepper::new("a", secret).unwrap()).hash(&key);
        let read = Pepper::from_text("a", text).unwrap();
        assert!(fits(&Peppers::new(read), &hash, &key), "{text:?}");
    }
    for (text, length) in [
        ("00".repeat(16), 24),
        ("00".repeat(8), 12),
        (String::new(), 0),
    ] {
        let error = Pepper::from_text("a", text.as_bytes()).unwrap_err();
        assert!(
            matches!(error, ConfigError::PepperTooShort { length: it, .. } if it == length),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_pepper_is_read_from_a_file_in_either_form() {
    let name = format!("bartizan-apikey-pepper-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let key = key();
    let hash = Peppers::new(pepper("a", 200)).hash(&key);
    let encoded = URL_SAFE_NO_PAD.encode([200; 32]);
    for content in [
        &[200; 32][..],
        encoded.as_bytes(),
        format!("{encoded}\n").as_bytes(),
    ] {
        std::fs::write(&path, content).unwrap();
        let read = Pepper::from_file("a", &path).unwrap();
        assert!(fits(&Peppers::new(read), &hash, &key));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(
        Pepper::from_file("a", &path),
        Err(ConfigError::UnreadablePepper { .. })
    ));
}

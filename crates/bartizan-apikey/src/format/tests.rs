//! What is a key, and what is none.

use proptest::prelude::*;

use super::*;

fn key() -> String {
    NewKey::generate(&KeyFormat::live())
        .unwrap()
        .expose()
        .to_owned()
}

/// The checksum that fits, at the end of a text.
fn sealed(text: &str) -> String {
    let sum = checksum::of(text.as_bytes());
    format!("{text}{}", std::str::from_utf8(&sum).unwrap())
}

#[track_caller]
fn check(text: &str, expected: Result<(), Unfit>) {
    let parsed = KeyFormat::live().parse(text.as_bytes());
    assert_eq!(parsed.map(|_| ()), expected, "{text}");
}

const ID: &str = "0123456789Ab";
const SECRET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";

#[test]
fn a_key_is_read_as_it_was_written() {
    let key = NewKey::generate(&KeyFormat::live()).unwrap();
    let format = KeyFormat::live();
    let parsed = format.parse(key.expose().as_bytes()).unwrap();
    assert_eq!(parsed.id, key.id());
    assert_eq!(parsed.signed, key.presented().signed);
    assert_eq!(key.expose().len(), "brt_live_".len() + 12 + 1 + 43 + 6);
    assert_eq!(key.id().to_string().parse(), Ok(key.id()));
}

#[test]
fn a_scanner_is_told_what_to_look_for() {
    let format = KeyFormat::default();
    assert_eq!(
        format.pattern(),
        r"\bbrt_[a-z][a-z0-9]{1,9}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b"
    );
    let good = key();
    let test = NewKey::generate(&KeyFormat::test()).unwrap();
    assert!(format.is_key(&good) && format.is_key(test.expose()));
    let foreign = sealed(&format!("abc_live_{ID}_{SECRET}"));
    let mistyped = format!("brt_live_{ID}_{SECRET}000000");
    for none in [&good[1..], &foreign, &mistyped, "brt_live_", ""] {
        assert!(!format.is_key(none), "{none}");
    }
}

#[test]
fn what_was_presented_is_shown_without_its_secret() {
    let good = sealed(&format!("brt_live_{ID}_{SECRET}"));
    let format = KeyFormat::live();
    let presented = format.parse(good.as_bytes()).unwrap();
    assert_eq!(format!("{presented:?}"), format!("PresentedKey({ID})"));
    assert_eq!(format!("{format:?}"), "KeyFormat(brt_live_)");
}

#[test]
fn the_grammar_is_the_documented_one() {
    let good = sealed(&format!("brt_live_{ID}_{SECRET}"));
    // By hand: the form and its checksum do not change from version to version.
    assert_eq!(
        good,
        "brt_live_0123456789Ab_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2eNQ3N"
    );
    check(&good, Ok(()));
    for text in [
        String::new(),
        "_".to_owned(),
        "___".to_owned(),
        good.to_uppercase(),
        good.to_lowercase(),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        good.replace('_', "-"),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        sealed(&format!("brt_live_{ID}_{SECRET}0")),
        sealed(&format!("brt_live_{ID}_{}", &SECRET[1..])),
        sealed(&format!("brt_live_{ID}0_{}", &SECRET[1..])),
        sealed(&format!("brt_live__{ID}_{SECRET}")),
        sealed(&format!("brt_{ID}_{SECRET}")),
        sealed(&format!("b_live_{ID}_{SECRET}")),
        sealed(&format!("0rt_live_{ID}_{SECRET}")),
        sealed(&format!("brtbrtbrtbrt_live_{ID}_{SECRET}")),
        sealed(&format!("brt_Live_{ID}_{SECRET}")),
        sealed(&format!("brt_live_{}_{SECRET}", ID.replace('0', "-"))),
        sealed(&format!("brt_live_{ID}_{}", SECRET.replace('0', "="))),
        sealed(&format!("brt_live_{ID}_{}", SECRET.replace("01", "ä"))),
    ] {
        let parsed = KeyFormat::live().parse(text.as_bytes());
        assert!(
            matches!(parsed, Err(Unfit::Malformed | Unfit::Mistyped)),
            "{text}"
        );
    }
}

#[test]
fn a_key_of_elsewhere_is_told_from_one_that_is_none() {
    check(
        &sealed(&format!("brt_test_{ID}_{SECRET}")),
        Err(Unfit::Foreign),
    );
    check(
        &sealed(&format!("ghp_live_{ID}_{SECRET}")),
        Err(Unfit::Foreign),
    );
    check(
        &format!("brt_test_{ID}_{SECRET}000000"),
        Err(Unfit::Mistyped),
    );
    let format = KeyFormat::live();
    assert!(format.is_key(&sealed(&format!("brt_test_{ID}_{SECRET}"))));
    assert!(!format.is_key(&sealed(&format!("ghp_live_{ID}_{SECRET}"))));
    assert!(!format.is_key(&format!("brt_live_{ID}_{SECRET}000000")));
}

#[test]
fn every_typing_error_is_found() {
    let key = key();
    let start = "brt_live_".len();
    for place in start..key.len() {
        for replacement in ["0", "O", "l", "I", "x"] {
            if key[place..=place] == *replacement || key[place..=place] == *"_" {
                continue;
            }
            let mut mistyped = key.clone();
            mistyped.replace_range(place..=place, replacement);
            check(&mistyped, Err(Unfit::Mistyped));
        }
        let mut bytes = key.clone().into_bytes();
        if place + 1 < bytes.len() && bytes[place] != bytes[place + 1] {
            bytes.swap(place, place + 1);
            let parsed = KeyFormat::live().parse(&bytes);
            assert!(parsed.is_err(), "neighbours {place} changed places");
        }
    }
}

#[test]
fn no_two_keys_are_alike() {
    let keys: std::collections::HashSet<_> = (0..1000).map(|_| key()).collect();
    assert_eq!(keys.len(), 1000);
}

#[test]
fn words_are_short_and_plain() {
    for (word, fits) in [
        ("ab", true),
        ("a1", true),
        ("abcdefghij", true),
        ("abcdefghijk", false),
        ("a", false),
        ("", false),
        ("1a", false),
        ("aB", false),
        ("a_b", false),
        ("ä", false),
    ] {
        assert_eq!(KeyFormat::new(word, "live").is_ok(), fits, "{word}");
        assert_eq!(KeyFormat::new("brt", word).is_ok(), fits, "{word}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = KeyFormat::live().parse(&text);
        let _ = in_url(&KeyFormat::live(), &text);
    }

    #[test]
    fn what_parses_prints_as_it_was(
        text in "brt_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}",
        at in 0..80_usize,
        byte in any::<u8>(),
    ) {
        let text = sealed(&text);
        let format = KeyFormat::live();
        let parsed = format.parse(text.as_bytes()).unwrap();
        let again = sealed(std::str::from_utf8(parsed.signed).unwrap());
        prop_assert_eq!(&again, &text);
        // One byte that differs makes it another key or none.
        let mut changed = text.clone().into_bytes();
        if let Some(place) = changed.get_mut(at)
            && *place != byte
        {
            *place = byte;
            prop_assert!(format.parse(&changed).is_err());
        }
    }
}

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::json::Fate;

#[derive(Clone, PartialEq, Message)]
struct Card {
    #[prost(string, tag = "1")]
    number: String,
    #[prost(fixed64, tag = "2")]
    till: u64,
    #[prost(bytes = "vec", optional, tag = "16")]
    seal: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Patient {
    #[prost(sint64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    ssn: String,
    #[prost(message, repeated, tag = "4")]
    cards: Vec<Card>,
    #[prost(btree_map = "string, string", tag = "5")]
    notes: std::collections::BTreeMap<String, String>,
    #[prost(float, repeated, tag = "6")]
    readings: Vec<f32>,
    #[prost(string, repeated, tag = "7")]
    names: Vec<String>,
}

const PATHS: [&str; 5] = ["/2", "/4/1", "/4/16", "/5/2", "/7"];

fn rewritten(message: &[u8], paths: &[&str], fate: Fate) -> Result<Vec<u8>, EncryptErrorKind> {
    let numbers = Numbers::new(paths.iter().copied()).expect("good paths");
    let mut visit = |_: usize, _: &[u8], out: &mut crate::wiped::WipedBytes| {
        out.push(b'#');
        Ok::<_, EncryptError>(fate)
    };
    let out = rewrite(message, &numbers, &mut visit);
    out.map(|out| out.to_vec()).map_err(EncryptError::kind)
}

fn patient() -> impl Strategy<Value = Patient> {
    let card = (".{0,5}", any::<u64>(), any::<Option<Vec<u8>>>());
    let card = card.prop_map(|(number, till, seal)| Card { number, till, seal });
    let notes = prop::collection::btree_map(".{0,3}", ".{0,3}", 0..4);
    let cards = prop::collection::vec(card, 0..4);
    let names = prop::collection::vec(".{0,3}", 0..3);
    let readings = prop::collection::vec(-9.0..9.0_f32, 0..4);
    (any::<i64>(), ".{0,200}", cards, notes, readings, names).prop_map(
        |(id, ssn, cards, notes, readings, names)| Patient {
            id,
            ssn,
            cards,
            notes,
            readings,
            names,
        },
    )
}

/// What a rewrite does, on the parsed message. What is empty is not there, and is not met.
fn expected(mut patient: Patient, put: &str) -> Patient {
    let change = |text: &mut String| {
        if !text.is_empty() {
            *text = put.to_owned();
        }
    };
    change(&mut patient.ssn);
    patient.cards.iter_mut().for_each(|card| {
        change(&mut card.number);
        card.seal = card.seal.take().map(|_| put.into());
    });
    patient.notes.values_mut().for_each(change);
    patient.names.fill(put.to_owned());
    patient
}

proptest! {
    #[test]
    fn a_rewrite_is_the_same_message_but_for_the_meant_fields(patient in patient()) {
        let bytes = patient.encode_to_vec();
        let kept = rewritten(&bytes, &PATHS, Fate::Keep);
        prop_assert_eq!(kept.as_deref(), Ok(&bytes[..]));
        let out = rewritten(&bytes, &PATHS, Fate::Replace).unwrap();
        let found = Patient::decode(out.as_slice()).unwrap();
        prop_assert_eq!(found, expected(patient.clone(), "#"));
        let out = rewritten(&bytes, &PATHS, Fate::Omit).unwrap();
        let found = Patient::decode(out.as_slice()).unwrap();
        let mut wanted = expected(patient, "");
        wanted.names.clear();
        wanted.cards.iter_mut().for_each(|card| card.seal = None);
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn any_bytes_are_refused_or_stay_a_message(
        bytes in prop::collection::vec(any::<u8>(), 0..60), pieces in "[\\x08-\\x3a]{0,20}",
    ) {
        for bytes in [&bytes[..], pieces.as_bytes()] {
            if let Ok(kept) = rewritten(bytes, &PATHS, Fate::Keep) {
                prop_assert_eq!(&kept[..], bytes);
            }
            if Patient::decode(bytes).is_ok() && let Ok(out) = rewritten(bytes, &PATHS, Fate::Replace) {
                prop_assert!(Patient::decode(out.as_slice()).is_ok());
            }
        }
    }
}

#[test]
fn what_parsers_read_differently_is_refused() {
    let malformed = Err(EncryptErrorKind::MalformedMessage);
    for (bytes, expected) in [
        (&b"\x12\x01a"[..], Ok(())),
        // Both occurrences change, whichever counts.
        (b"\x12\x01a\x12\x01b", Ok(())),
        (b"\x12\x02a", malformed),
        (b"\x12", malformed),
        (b"\x02\x01a", malformed),
        // The tag of field 2, and a length of 1, longer than need be.
        (b"\x92\x00\x01a", malformed),
        (b"\x12\x81\x00a", malformed),
        // Groups, begun and ended.
        (b"\x13\x14", malformed),
        (b"\x1b\x1c", malformed),
        (b"\x17\x00", malformed),
        // A tag that is cut to the one of field 2 where tags have 32 bits.
        (b"\x92\x80\x80\x80\x10\x01a", malformed),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Ok(())),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", malformed),
        // Field 2 as a number.
        (b"\x10\x01", Err(EncryptErrorKind::UnexpectedShape)),
        (b"\x15\0\0\0\0", Err(EncryptErrorKind::UnexpectedShape)),
        (b"\x20\x01", Err(EncryptErrorKind::UnexpectedShape)),
    ] {
        let found = rewritten(bytes, &PATHS, Fate::Replace).map(drop);
        assert_eq!(found, expected, "{bytes:?}");
    }
    let both = rewritten(b"\x12\x01a\x12\x01b", &PATHS, Fate::Replace);
    assert_eq!(both.as_deref(), Ok(&b"\x12\x01#\x12\x01#"[..]));
}

#[test]
fn paths_of_numbers_that_cannot_be_told_apart_are_refused() {
    for (paths, problem) in [
        (&["/1", "/2/3", "/2/4", "/536870911"][..], None),
        (&["1"], Some("begin with a slash")),
        (&["/"], Some("no field number")),
        (&["/0"], Some("no field number")),
        (&["/01"], Some("no field number")),
        (&["/+1"], Some("no field number")),
        (&["/536870912"], Some("no field number")),
        (&["/4/*"], Some("no field number")),
        (&["/1", "/1"], Some("twice")),
        (&["/1", "/1/2"], Some("within another")),
        (&["/1/2", "/1"], Some("holds another")),
        (&[&"/1".repeat(65)], Some("too many segments")),
    ] {
        let found = Numbers::new(paths.iter().copied()).err();
        let found = found.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(found.is_empty(), problem.is_none(), "{paths:?} {found}");
        assert!(found.contains(problem.unwrap_or_default()), "{found}");
    }
}

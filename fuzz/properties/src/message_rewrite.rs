//! Protobuf messages: what `prost` reads of a rewritten message is the same as before but for the
//! guarded fields.

use bartizan_encrypt::fuzzing::{Change, rewrite_message};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Inner {
    #[prost(string, tag = "1")]
    number: String,
    #[prost(fixed64, tag = "2")]
    till: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Outer {
    #[prost(sint64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    ssn: String,
    #[prost(message, repeated, tag = "3")]
    cards: Vec<Inner>,
    #[prost(message, optional, tag = "4")]
    card: Option<Inner>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    scans: Vec<Vec<u8>>,
    #[prost(double, repeated, tag = "6")]
    readings: Vec<f64>,
}

const PATHS: [&str; 4] = ["/2", "/3/1", "/4/1", "/5"];

/// The same without what is guarded, as bytes: so do readings compare that are no numbers.
fn rest(message: &Outer) -> Vec<u8> {
    let mut rest = message.clone();
    rest.ssn.clear();
    rest.scans.clear();
    let inner = rest.cards.iter_mut().chain(&mut rest.card);
    inner.for_each(|card| card.number.clear());
    rest.encode_to_vec()
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let parsed = Outer::decode(bytes);
    let kept = rewrite_message(bytes, &PATHS, Change::Keep).expect("good paths");
    if let Ok(kept) = &kept {
        assert_eq!(kept, bytes);
    }
    for kind in [Change::Omit, Change::Replace] {
        let found = rewrite_message(bytes, &PATHS, kind).expect("good paths");
        assert_eq!(found.is_ok(), kept.is_ok());
        let (Ok(parsed), Ok(found)) = (&parsed, found) else {
            continue;
        };
        let found = Outer::decode(found.as_slice()).expect("a message");
        assert_eq!(rest(&found), rest(parsed));
        let put = if matches!(kind, Change::Replace) {
            "#"
        } else {
            ""
        };
        let cards = found.cards.iter().chain(&found.card);
        for text in cards.map(|card| &card.number).chain([&found.ssn]) {
            assert!(text.is_empty() || text == put, "{text}");
        }
        assert!(found.scans.iter().all(|scan| scan == put.as_bytes()));
    }
    // What prost wrote itself is never refused.
    if let Ok(parsed) = parsed {
        let own = parsed.encode_to_vec();
        let kept = rewrite_message(&own, &PATHS, Change::Keep).expect("good paths");
        assert_eq!(kept.as_ref(), Ok(&own));
    }
}

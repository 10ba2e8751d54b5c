use bartizan_core::{Enforcement, Outcome, Protocol};
use proptest::prelude::*;

use super::*;

fn request() -> RequestRecord<'static> {
    RequestRecord {
        number: 7,
        stage: Stage::Whole,
        level: Level::RequestResponse,
        durability: Durability::Durable,
        protocol: Protocol::Grpc,
        ending: Ending::Complete,
        time: 1_800_000_000_000_000_000,
        duration: 1234,
        status: Some(200),
        grpc_status: Some(0),
        response_bytes: 99,
        lost_decisions: 0,
        cut: 0,
        method: "POST",
        template: Some("/shop.Payments/Charge"),
        path: Some("/shop.Payments/Charge"),
        peer: Some("spiffe://example.org/gateway"),
        certificate: Some([7; 32]),
        forwarded: Some("spiffe://example.org/edge"),
        scheme: Some("jwt"),
        issuer: Some("https://issuer.example"),
        subject: Some("alice"),
        client: Some("app"),
        token_id: Some("t-1"),
        network: Some("10.1.2.0/24".parse().unwrap()),
        trace: Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        sealed: Some(Sealed {
            handle: [3; 16],
            ciphertext: &[1, 2, 3],
        }),
        decisions: vec![
            DecisionRecord {
                outcome: Outcome::Allowed,
                enforcement: Enforcement::Enforce,
                layer: "jwt",
                code: None,
                detail: Some(""),
            },
            DecisionRecord {
                outcome: Outcome::WouldHaveDenied,
                enforcement: Enforcement::Shadow,
                layer: "ratelimit",
                code: Some("ratelimit.exceeded"),
                detail: None,
            },
        ],
        query: vec![("page", "2"), ("page", "")],
        request_headers: vec![("user-agent", "x")],
        response_headers: vec![("etag", "y")],
        request_fields: vec![("/order", "17")],
        response_fields: vec![("/state", "\"paid\"")],
    }
}

fn round_trip(record: &Record<'_>) {
    let mut entry = Vec::new();
    record.encode(&mut entry);
    assert_eq!(Record::decode(&entry).as_ref(), Ok(record));
    assert_eq!(Kind::of(&entry), Ok(record.kind()));
    for length in 0..entry.len() {
        let cut = entry.get(..length).unwrap();
        if let Ok(shorter) = Record::decode(cut) {
            let mut again = Vec::new();
            shorter.encode(&mut again);
            assert_eq!(again, cut, "what is read writes back as it was");
        }
    }
}

#[test]
fn every_kind_reads_as_it_was_written() {
    let totals = Totals {
        accepted: 3,
        durable: 2,
        lost: 1,
    };
    for record in [
        Record::Epoch(EpochRecord::new(1, 2, [3; 32])),
        Record::Erased(ErasedRecord::new(1, [2; 16])),
        Record::Fault(FaultRecord::new(1, 2, 3, 4, "no space left on device")),
        Record::Heartbeat { time: 9 },
        Record::Lifecycle(LifecycleRecord {
            time: 1,
            kind: "key_changed",
            layer: "encrypt",
            code: "encrypt.key_changed",
            network: Some("2001:db8::/64".parse().unwrap()),
            subject: "k1",
            detail: "rotated",
        }),
        Record::Loss(LossRecord::new(1, 2, 3, 4)),
        Record::Pruned(PrunedRecord::new(1, 2, 3, 4)),
        Record::Recovered(RecoveredRecord::new(1, 2, 3, 4)),
        Record::Refusals(RefusalsRecord::new(1, 2, None, "jwt", "jwt.missing")),
        Record::Request(Box::new(request())),
        Record::Start(StartRecord::new(1, 2, "orders", "v1")),
        Record::Stop(StopRecord::new(1, totals)),
    ] {
        round_trip(&record);
    }
}

#[test]
fn names_of_terms_are_stable_and_differ() {
    let ends = [
        (Ending::BodyFailed, "body_failed"),
        (Ending::Complete, "complete"),
        (Ending::Disconnected, "disconnected"),
        (Ending::Failed, "failed"),
        (Ending::Panicked, "panicked"),
        (Ending::Pending, "pending"),
        (Ending::Withheld, "withheld"),
    ];
    for (ending, name) in ends {
        assert_eq!(ending.as_str(), name);
        assert_eq!(ending_from(ending_byte(ending)), Ok(ending));
    }
    let stages = [Stage::Answered, Stage::Completed, Stage::Whole];
    let names = stages.map(Stage::as_str);
    assert_eq!(names, ["answered", "completed", "whole"]);
    let promises = [Durability::Lossy, Durability::Buffered, Durability::Durable];
    let names = promises.map(Durability::as_str);
    assert_eq!(names, ["lossy", "buffered", "durable"]);
    let kinds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18].map(|byte| Kind::of(&[1, byte]));
    let names = kinds.map(|kind| kind.unwrap().as_str());
    let expected = "checkpoint start stop heartbeat epoch recovered fault loss erased pruned \
                    request refusals lifecycle";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn why_a_record_cannot_be_read_is_said() {
    let mut value = vec![1, 16];
    value.resize(2 + 43 + 2, 0xff);
    for (entry, expected) in [
        (&[][..], "record is cut off"),
        (&[2, 4], "record of unknown version 2"),
        (&[1, 99], "record of unknown kind 99"),
        (
            &[1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            "record has bytes behind its end",
        ),
        (&value, "field of a record has an impossible value"),
    ] {
        let error = Record::decode(entry).unwrap_err();
        assert_eq!(error.to_string(), expected, "{entry:?}");
    }
    assert_eq!(
        RecordError::Order(3).to_string(),
        "field 3 is twice in the record or out of order"
    );
    assert_eq!(
        RecordError::Tag(99).to_string(),
        "record has an unknown field 99"
    );
    assert_eq!(
        text(b"\xff").unwrap_err().to_string(),
        "text in a record is not utf-8"
    );
}

#[test]
fn long_texts_are_cut_and_counted() {
    let long = "ü".repeat(4000);
    let mut record = request();
    record.subject = Some(&long);
    record.decisions.clear();
    let mut entry = Vec::new();
    Record::Request(Box::new(record)).encode(&mut entry);
    let Ok(Record::Request(read)) = Record::decode(&entry) else {
        panic!("a request");
    };
    assert_eq!(read.subject.map(str::len), Some(1024));
    assert_eq!(read.cut, 1);
}

#[test]
fn an_entry_never_outgrows_its_bound() {
    let long = "x".repeat(2000);
    let mut record = request();
    record.query = (0..500).map(|_| ("q", long.as_str())).collect();
    let mut entry = Vec::new();
    Record::Request(Box::new(record)).encode(&mut entry);
    assert!(entry.len() <= LONGEST_ENTRY);
    let Ok(Record::Request(read)) = Record::decode(&entry) else {
        panic!("a request");
    };
    assert!(read.query.len() < 500);
    assert!(usize::from(read.cut) >= 500, "what is left out is counted");
}

#[test]
fn what_is_not_canonical_is_refused() {
    let check = |entry: &[u8], expected: RecordError| {
        assert_eq!(Record::decode(entry), Err(expected), "{entry:?}");
    };
    check(&[], RecordError::Truncated);
    check(&[2, 4], RecordError::Version(2));
    check(&[1, 99], RecordError::Kind(99));
    check(&[1, 1], RecordError::Kind(1));
    check(&[1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1], RecordError::Trailing);

    let mut entry = Vec::new();
    Record::Request(Box::new(request())).encode(&mut entry);
    let fixed = 2 + 43 + 2;
    let mut unknown = entry.clone();
    unknown.extend([99, 0, 0]);
    check(&unknown, RecordError::Tag(99));
    let mut twice = entry.get(..fixed).unwrap().to_vec();
    twice.extend([1, 0, 0, 1, 0, 0]);
    check(&twice, RecordError::Order(1));
    let mut backwards = entry.get(..fixed).unwrap().to_vec();
    backwards.extend([2, 0, 0, 1, 0, 0]);
    check(&backwards, RecordError::Order(1));
    check(entry.get(..fixed).unwrap(), RecordError::Value);
}

#[test]
fn only_well_formed_traces_are_taken() {
    let check = |header, expected| assert_eq!(Trace::parse(header).is_some(), expected, "{header}");
    check(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        true,
    );
    check(
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        false,
    );
    check(
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        false,
    );
    check(
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        false,
    );
    check(
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        false,
    );
    check(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        false,
    );
    check(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333+-01",
        false,
    );
    check("", false);
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(record) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn any_body_of_a_known_kind_is_a_record_or_an_error(
        kind in 0_u8..20,
        body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = vec![1, kind];
        bytes.extend(body);
        if let Ok(record) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

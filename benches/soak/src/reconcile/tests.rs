//! That the reconciliation can fail: each test takes a ledger that agrees, and changes one thing.

use super::*;

const OK: Got = Got::Answer {
    status: 200,
    grpc: None,
};

fn sent(got: Got, records: u8) -> Sent {
    Sent {
        got,
        records,
        in_outage: false,
    }
}

/// One lane: an order, a payment, a call, one that got a head, and one that got nothing.
fn requests() -> Vec<Vec<Sent>> {
    let call = Got::Answer {
        status: 200,
        grpc: Some(8),
    };
    vec![vec![
        sent(OK, 1),
        sent(OK, 2),
        sent(call, 1),
        sent(Got::Head(200), 1),
        sent(Got::Nothing, 1),
    ]]
}

fn record(number: u32, stage: Stage, ending: Ending, grpc: Option<u16>) -> Entry {
    Entry::Request(Record {
        id: Some(Id { lane: 0, number }),
        stage,
        ending,
        status: Some(200),
        grpc,
    })
}

fn ledger() -> Vec<Entry> {
    vec![
        Entry::Own,
        Entry::Lifecycle,
        record(0, Stage::Whole, Ending::Complete, None),
        record(1, Stage::Answered, Ending::Pending, None),
        Entry::Refusals("mtls.no_peer".to_owned(), 2),
        record(2, Stage::Whole, Ending::Complete, Some(8)),
        record(1, Stage::Completed, Ending::Complete, None),
        record(3, Stage::Whole, Ending::Disconnected, None),
        Entry::Refusals("mtls.unknown_authority".to_owned(), 1),
        Entry::Refusals("mtls.no_peer".to_owned(), 1),
        Entry::Own,
    ]
}

fn refused() -> Counts {
    let counts = Counts::default();
    (0..3).for_each(|_| counts.sure("mtls.no_peer"));
    counts.sure("mtls.handshake_shed");
    counts
}

/// What a service says that kept all but `lost` of these.
fn said(ledger: &[Entry], lost: u64) -> Said {
    let kept = |entry: &&Entry| !matches!(entry, Entry::Own | Entry::Loss(_));
    let durable = ledger.iter().filter(kept).count() as u64;
    Said {
        lifecycle: 1,
        accepted: durable + lost,
        durable,
        lost,
        complete: true,
    }
}

fn reconciled(sent: &[Vec<Sent>], ledger: &[Entry], refused: &Counts, said: &Said) -> Reconciled {
    let mut reconciler = Reconciler::new(sent);
    ledger.iter().for_each(|entry| reconciler.take(entry));
    reconciler.conclude(refused, said)
}

#[track_caller]
fn check(sent: &[Vec<Sent>], ledger: &[Entry], lost: u64, expected: &str) {
    let result = reconciled(sent, ledger, &refused(), &said(ledger, lost));
    assert_eq!(result.differences, result.told.len() as u64);
    let told = result.told.join("; ");
    assert!(told.contains(expected), "{told}");
    assert_eq!(told.is_empty(), expected.is_empty(), "{told}");
}

#[test]
fn a_ledger_that_agrees_is_found_to_agree() {
    check(&requests(), &ledger(), 0, "");
    let ledger = ledger();
    let result = reconciled(&requests(), &ledger, &refused(), &said(&ledger, 0));
    assert_eq!((result.requests, result.recorded), (5, 4));
    assert_eq!((result.never_arrived, result.missing), (1, 0));
    assert_eq!(result.outcomes["gRPC 8"], 1);
}

#[test]
fn a_record_that_was_dropped_is_noticed() {
    let records = |entry: &Entry| matches!(entry, Entry::Request(_));
    for at in (0..ledger().len()).filter(|at| records(&ledger()[*at])) {
        let mut less = ledger();
        less.remove(at);
        check(&requests(), &less, 0, "0 events are counted as lost");
    }
}

#[test]
fn a_record_that_was_dropped_and_counted_is_a_loss() {
    let mut less = ledger();
    less.remove(2);
    less.push(Entry::Loss(1));
    check(&requests(), &less, 1, "");
    less.push(Entry::Loss(1));
    check(&requests(), &less, 2, "2 events are counted as lost");
}

#[test]
fn an_outcome_that_was_changed_is_noticed() {
    for at in 0..ledger().len() {
        let mut changed = ledger();
        let Entry::Request(record) = &mut changed[at] else {
            continue;
        };
        record.status = Some(403);
        check(&requests(), &changed, 0, "recorded is");
    }
    let mut changed = ledger();
    changed[5] = record(2, Stage::Whole, Ending::Complete, Some(0));
    check(&requests(), &changed, 0, "recorded is");
    let mut changed = ledger();
    changed[2] = record(0, Stage::Whole, Ending::Disconnected, None);
    check(&requests(), &changed, 0, "recorded is");
}

#[test]
fn a_request_that_was_forgotten_by_its_client_is_noticed() {
    let mut sent = requests();
    sent[0].truncate(3);
    check(&sent, &ledger(), 0, "was never sent");
}

#[test]
fn a_record_of_nobody_or_twice_is_noticed() {
    let mut more = ledger();
    more.push(record(0, Stage::Whole, Ending::Complete, None));
    check(&requests(), &more, 0, "twice");
    let mut more = ledger();
    more.push(record(1, Stage::Whole, Ending::Complete, None));
    check(&requests(), &more, 0, "twice");
    let Entry::Request(mut stranger) = record(0, Stage::Whole, Ending::Complete, None) else {
        panic!("a record");
    };
    stranger.id = None;
    let mut more = ledger();
    more.push(Entry::Request(stranger));
    check(&requests(), &more, 0, "no client sent");
}

#[test]
fn refusals_are_counted_exactly() {
    let mut changed = ledger();
    changed[4] = Entry::Refusals("mtls.no_peer".to_owned(), 1);
    check(
        &requests(),
        &changed,
        0,
        "mtls.no_peer: clients were refused 3 times",
    );
    changed[4] = Entry::Refusals("mtls.no_peer".to_owned(), 3);
    check(&requests(), &changed, 0, "the ledger says 4 times");
    let mut more = ledger();
    more.push(Entry::Refusals("jwt.missing".to_owned(), 1));
    check(&requests(), &more, 0, "no client knows of");
}

#[test]
fn what_a_client_never_learned_leaves_room_and_no_more() {
    let (sent, ledger, counts) = (requests(), ledger(), refused());
    counts.unsure("mtls.unknown_authority");
    let mut told = reconciled(&sent, &ledger, &counts, &said(&ledger, 0)).told;
    assert_eq!(told.pop(), None);
    let mut more = ledger;
    more.push(Entry::Refusals("mtls.handshake_failed".to_owned(), 2));
    let told = reconciled(&sent, &more, &counts, &said(&more, 0)).told;
    assert!(told[0].contains("1 to 2 times"), "{told:?}");
}

#[test]
fn an_answer_that_was_withheld_is_told_so() {
    let mut sent = requests();
    sent[0][1].got = Got::Answer {
        status: 503,
        grpc: None,
    };
    check(&sent, &ledger(), 0, "recorded is");
    let mut withheld = ledger();
    withheld[6] = record(1, Stage::Completed, Ending::Withheld, None);
    check(&sent, &withheld, 0, "");
    check(&requests(), &withheld, 0, "recorded is");
}

#[test]
fn what_was_sent_into_the_outage_may_be_lost_unanswered() {
    let mut sent = requests();
    sent[0][4].in_outage = true;
    let mut lossy = ledger();
    check(&sent, &lossy, 0, "");
    lossy.push(Entry::Loss(1));
    check(&sent, &lossy, 1, "");
    lossy.push(Entry::Loss(1));
    check(&sent, &lossy, 2, "counted as lost");
}

#[test]
fn lifecycle_events_and_totals_are_held_as_well() {
    let mut less = ledger();
    less.remove(1);
    check(&requests(), &less, 0, "0 events are counted as lost");
    let mut more = ledger();
    more.push(Entry::Lifecycle);
    check(&requests(), &more, 0, "lifecycle events");
    let mut wrong = said(&ledger(), 0);
    wrong.durable -= 1;
    let told = reconciled(&requests(), &ledger(), &refused(), &wrong).told;
    assert_eq!(told.len(), 2, "{told:?}");
    wrong = said(&ledger(), 0);
    wrong.complete = false;
    let told = reconciled(&requests(), &ledger(), &refused(), &wrong).told;
    assert_eq!(told, ["the ledger did not end in order"]);
}

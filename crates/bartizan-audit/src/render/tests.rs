use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::{
    EpochRecord, ErasedRecord, FaultRecord, LifecycleRecord, LossRecord, PrunedRecord, Record,
    RecoveredRecord, RefusalsRecord, StartRecord,
};

const FORMATS: [Format; 4] = [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf];

fn stored(record: &Record<'_>) -> StoredEntry {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    StoredEntry {
        index: 7,
        hash: [0; 32],
        bytes,
    }
}

fn lifecycle<'a>(subject: &'a str, detail: &'a str) -> Record<'a> {
    Record::Lifecycle(LifecycleRecord {
        time: 1_800_000_000_000_000_000,
        kind: "key_changed",
        layer: "encrypt",
        code: "encrypt.key_changed",
        network: None,
        subject,
        detail,
    })
}

fn render(format: Format, record: &Record<'_>) -> String {
    let renderer = Renderer::new(format, "log.example/audit").with_service("orders");
    renderer.render(&stored(record)).unwrap()
}

/// Whether a line stays a line, and is read back as what was written.
fn check_line(format: Format, line: &str, detail: &str) {
    assert!(!line.chars().any(line::is_unsafe), "{format}: {line:?}");
    if format == Format::Cef {
        assert!(line.starts_with("CEF:0|Bartizan|"), "{line}");
        return;
    }
    let value: Value = serde_json::from_str(line).unwrap();
    let found = match format {
        Format::Ecs => &value["bartizan"]["detail"],
        Format::Ocsf => &value["unmapped"]["detail"],
        _ => &value["detail"],
    };
    assert_eq!(found, detail, "{format}: {line}");
}

#[test]
fn nothing_breaks_a_line() {
    for text in [
        "",
        "line\nbreak\r\n",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "right \u{202e}to left\u{2066}",
        "\u{85}\u{2028}\u{2029}\u{feff}\u{200b}",
        "a|b=c\\d\"e",
        "{\"status\":200}",
        "\u{e0041}\u{1f600}",
        "\u{0}\u{7f}\u{9b}31m",
    ] {
        for format in FORMATS {
            check_line(format, &render(format, &lifecycle(text, text)), text);
        }
    }
}

#[test]
fn what_the_ledger_says_of_itself_is_told_whole() {
    let check = |record: Record<'_>, kind: &str, facts: Value| {
        let line = render(Format::Json, &record);
        let mut expected = json!({
            "index": 7,
            "kind": kind,
            "log": "log.example/audit",
            "service": "orders",
            "time": "1970-01-01T00:00:00.000000001Z",
        });
        let members = expected.as_object_mut().unwrap();
        members.extend(facts.as_object().unwrap().clone());
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    };
    check(
        Record::Epoch(EpochRecord::new(1, 2, [3; 32])),
        "epoch",
        json!({"epoch": 2, "key": "03".repeat(32)}),
    );
    check(
        Record::Erased(ErasedRecord::new(1, [2; 16])),
        "erased",
        json!({"handle": "02".repeat(16)}),
    );
    check(
        Record::Fault(FaultRecord::new(1, 2, 3, 4, "no space left on device")),
        "fault",
        json!({"segment": 2, "length": 3, "attempts": 4, "reason": "no space left on device"}),
    );
    check(Record::Heartbeat { time: 1 }, "heartbeat", json!({}));
    check(
        Record::Pruned(PrunedRecord::new(1, 2, 3, 4)),
        "pruned",
        json!({"segment": 2, "entries": 3}),
    );
    check(
        Record::Recovered(RecoveredRecord::new(1, 2, 3, 4)),
        "recovered",
        json!({"segment": 2, "unsealed": 3, "torn_bytes": 4}),
    );
}

#[test]
fn an_event_is_told_from_every_other() {
    // In which order members stand is the choice of whoever builds serde_json.
    let line = render(Format::Json, &lifecycle("k1", "rotated"));
    let expected = json!({
        "code": "encrypt.key_changed",
        "detail": "rotated",
        "event": "key_changed",
        "index": 7,
        "kind": "lifecycle",
        "layer": "encrypt",
        "log": "log.example/audit",
        "service": "orders",
        "subject": "k1",
        "time": "2027-01-15T08:00:00.000000000Z",
    });
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    let line = render(Format::Cef, &lifecycle("a=b", "x|y"));
    assert_eq!(
        line,
        concat!(
            "CEF:0|Bartizan|bartizan-audit|1|lifecycle|encrypt.key_changed|3|",
            "rt=1800000000000 externalId=log.example/audit/7 dvchost=orders cat=encrypt ",
            r"reason=encrypt.key_changed msg=x|y cs1Label=subject cs1=a\=b"
        )
    );
}

#[test]
fn classes_follow_from_what_happened() {
    let class = |record: &Record<'_>| {
        let value: Value = serde_json::from_str(&render(Format::Ocsf, record)).unwrap();
        value["class_uid"].as_u64().unwrap()
    };
    let refusals = |layer| Record::Refusals(RefusalsRecord::new(1, 2, None, layer, "x.y"));
    assert_eq!(class(&refusals("jwt")), 3002);
    assert_eq!(class(&refusals("ratelimit")), 2004);
    assert_eq!(class(&Record::Loss(LossRecord::new(1, 2, 3, 4))), 2004);
    assert_eq!(
        class(&Record::Start(StartRecord::new(1, 0, "orders", ""))),
        6003
    );
}

#[test]
fn a_terminal_is_told_what_a_text_holds() {
    assert_eq!(escaped("a\u{1b}[2J\\u{1b}"), "a\\u{1b}[2J\\\\u{1b}");
    assert_eq!(escaped("gr\u{fc}n"), "gr\u{fc}n");
}

#[test]
fn forms_have_names() {
    for format in FORMATS {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    assert_eq!("xml".parse::<Format>(), Err(UnknownFormat));
}

proptest! {
    #[test]
    fn any_text_stays_on_its_line(text in any::<String>()) {
        let short: String = text.chars().take(100).collect();
        for format in FORMATS {
            check_line(format, &render(format, &lifecycle(&short, &short)), &short);
        }
    }
}

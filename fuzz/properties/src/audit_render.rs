//! Lines of exported entries, parsed back: every text comes out of JSON as it went in, and no text
//! begins a field of CEF.

use bartizan_audit::{Format, Record, Renderer, StoredEntry};

use crate::input::{Input, text};

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
}

/// Where a mark stands that no backslash takes the meaning of.
fn bare(line: &str, mark: char) -> Vec<usize> {
    let (mut found, mut escaped) = (Vec::new(), false);
    for (at, c) in line.char_indices() {
        if c == mark && !escaped {
            found.push(at);
        }
        escaped = c == '\\' && !escaped;
    }
    found
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let time = input.long();
    let [kind, layer, code, subject] = [0; 4].map(|_| cut(text(input.piece()), 255));
    let detail = cut(text(input.rest()), 1024);
    let mut entry = vec![1, 18];
    entry.extend(time.to_le_bytes());
    for text in [kind, layer, code] {
        short(&mut entry, text);
    }
    entry.push(0);
    short(&mut entry, subject);
    entry.extend(detail.as_bytes());
    assert!(matches!(Record::decode(&entry), Ok(Record::Lifecycle(_))));
    let stored = StoredEntry::new(7, entry);
    let render = |format| {
        let line = Renderer::new(format, "log.example/audit").render(&stored);
        let line = line.expect("it is a record");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        line
    };
    let json: serde_json::Value = serde_json::from_str(&render(Format::Json)).expect("JSON");
    for (name, text) in [
        ("event", kind),
        ("layer", layer),
        ("code", code),
        ("subject", subject),
        ("detail", detail),
    ] {
        assert_eq!(json[name], text, "{name}");
    }
    let ocsf: serde_json::Value = serde_json::from_str(&render(Format::Ocsf)).expect("JSON");
    assert_eq!(ocsf["unmapped"]["detail"], detail);
    assert_eq!(ocsf["class_uid"].as_u64(), Some(6003));
    let ecs: serde_json::Value = serde_json::from_str(&render(Format::Ecs)).expect("JSON");
    assert_eq!(ecs["bartizan"]["subject"], subject);

    let cef = render(Format::Cef);
    let bars = bare(&cef, '|');
    assert!(bars.len() >= 7, "{cef:?}");
    // Seven bars end the header; behind it a bar means nothing, and an equals sign begins a value.
    let fields = &cef[bars[6] + 1..];
    let keys: Vec<&str> = bare(fields, '=')
        .into_iter()
        .map(|at| fields[..at].rsplit(' ').next().expect("one part"))
        .collect();
    let known = [
        "rt",
        "externalId",
        "dvchost",
        "cat",
        "reason",
        "msg",
        "cs1Label",
        "cs1",
    ];
    assert_eq!(keys, known, "{cef:?}");
}

//! Claims that are not one object of JSON, and subjects that are none.

use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;

table! { Tokens;
    "token.sub-missing" "a token that is about nobody", "RFC 9068 §2.2" =>
        |given| given.mints(|it| [it.without_claim("sub")]);
    "token.sub-empty" "a subject without a name", "RFC 9068 §2.2" =>
        |given| given.mints(|it| [it.claim("sub", "")]);
    "token.sub-not-a-string" "a subject that is no string", "RFC 7519 §4.1.2" =>
        |given| given.mints(|it| [Value::Null, json!(0), json!(["admin"]), json!({}), json!(true)].map(|sub| it.clone().claim("sub", sub)));
    "token.sub-twice" "the subject twice", "RFC 7519 §4" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            [it.raw_payload(format!("{open},\"sub\":\"admin\"}}"))]
        });
    "token.sub-of-control-characters" [Harmless] "a subject with line feeds and escapes, for the log and for headers", "CWE-117" =>
        |given| given.mints(|it| ["a\r\nx-admin: 1", "a\u{0}b", "\u{1b}[2J", "a\u{2028}b"].map(|sub| it.clone().claim("sub", sub)));
    "token.sub-huge" [Harmless] "a subject of four thousand characters", "CWE-770" =>
        |given| given.mints(|it| [it.claim("sub", "s".repeat(4000))]);
    "token.sub-of-markup" [Harmless] "a subject that is markup, a path or a query", "CWE-79" =>
        |given| given.mints(|it| ["<script>alert(1)</script>", "../../etc/passwd", "' OR 1=1 --", "${7*7}"].map(|sub| it.clone().claim("sub", sub)));
    "token.claims-list" "claims that are a list", "RFC 7519 §7.2" =>
        |given| given.mints(|it| { let text = format!("[{}]", it.payload_text()); [it.raw_payload(text)] });
    "token.claims-scalar" "claims that are null, a number or a string", "RFC 7519 §7.2" =>
        |given| given.mints(|it| ["null", "1", "true", "\"sub\""].map(|text| it.clone().raw_payload(text)));
    "token.claims-empty" "no claims at all", "RFC 9068 §2.2" =>
        |given| given.mints(|it| ["{}", "", " "].map(|text| it.clone().raw_payload(text)));
    "token.claims-cut-off" "claims whose object does not end", "RFC 7519 §7.2" =>
        |given| given.mints(|it| { let text = it.payload_text(); [it.raw_payload(text.trim_end_matches('}'))] });
    "token.claims-with-more-behind" "claims with something behind the object", "RFC 7519 §7.2" =>
        |given| given.mints(|it| [" {}", "x", ",", "\0"].map(|more| { let text = it.payload_text() + more; it.clone().raw_payload(text) }));
    "token.claims-byte-order-mark" "claims behind a byte order mark", "RFC 8259 §8.1" =>
        |given| given.mints(|it| { let text = format!("\u{feff}{}", it.payload_text()); [it.raw_payload(text)] });
    "token.claims-utf-16" "claims in UTF-16", "RFC 8259 §8.1" =>
        |given| given.mints(|it| {
            let text: Vec<u8> = it.payload_text().encode_utf16().flat_map(u16::to_be_bytes).collect();
            [it.raw_payload(text)]
        });
    "token.claims-not-utf-8" "claims with bytes that are no text", "RFC 8259 §8.1" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80"].map(|bytes| it.clone().raw_payload([open.as_bytes(), b",\"x\":\"", bytes, b"\"}"].concat()))
        });
    "token.claims-comment" "claims with a comment or a trailing comma", "RFC 8259 §2" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            ["/* */}", ",}", "//\n}"].map(|end| it.clone().raw_payload(format!("{open}{end}")))
        });
    "token.claims-single-quotes" "claims in single quotes", "RFC 8259 §7" =>
        |given| given.mints(|it| { let text = it.payload_text().replace('"', "'"); [it.raw_payload(text)] });
    "token.claims-deep" "claims of ten thousand lists in lists", "CWE-674" =>
        |given| deep(given, "[", "]", 10_000);
    "token.claims-deep-objects" "claims of thousands of objects in objects", "CWE-674" =>
        |given| deep(given, "{\"a\":", "}", 4_000);
    "token.claims-of-bare-line-feeds" "claims with a line feed in a string", "RFC 8259 §7" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            [it.raw_payload(format!("{open},\"x\":\"a\nb\"}}"))]
        });
    "token.claims-number-past-all-measure" [Harmless] "a claim of a number with thousands of digits", "CWE-770" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            ["9".repeat(4000), format!("1e{}", "9".repeat(20)), format!("0.{}1", "0".repeat(4000))]
                .map(|number| it.clone().raw_payload(format!("{open},\"x\":{number}}}")))
        });
    "token.claims-of-many-members" [Harmless] "claims of a thousand members with like names", "CWE-407" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            let many: String = (0..1000).map(|number| format!(",\"{number}\":0")).collect();
            [it.raw_payload(format!("{open}{many}}}"))]
        });
    "token.claims-of-object" [Harmless] "claims by names that every object has in some languages", "CWE-1321" =>
        |given| given.mints(|it| [it.claim("__proto__", json!({ "admin": true })).claim("constructor", json!({}))]);
}

fn deep(given: &Given<'_>, open: &str, close: &str, levels: usize) -> Made {
    given.mints(|it| {
        let text = it.payload_text().trim_end_matches('}').to_owned();
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        [it.raw_payload(format!("{text},\"x\":{open}0{close}}}"))]
    })
}

//! JSON that is deep, long, or none.

use serde_json::{Map, Value};

use crate::given::{Given, Made};
use crate::table::table;

table! { Bodies;
    "body.json-deep-lists" [Harmless] "a hundred thousand lists in lists", "CWE-674" =>
        |given| texts(given, |_| vec![format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "[".repeat(100_000)]);
    "body.json-deep-objects" [Harmless] "tens of thousands of objects in objects", "CWE-674" =>
        |given| texts(given, |_| vec![format!("{}0{}", "{\"a\":".repeat(20_000), "}".repeat(20_000))]);
    "body.json-deep-in-member" [Harmless] "the right document with lists in lists in one member", "CWE-674" =>
        |given| texts(given, |it| vec![with(it, &format!("\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)))]);
    "body.json-cut-off" [Harmless] "the beginning of a document", "RFC 8259 §2" =>
        |given| texts(given, |it| [1, it.len() / 2, it.len().saturating_sub(1)].map(|to| it.get(..to).unwrap_or_default().to_owned()).to_vec());
    "body.json-absent" [Harmless] "no document, or white space", "RFC 8259 §2" =>
        |given| texts(given, |_| ["", " ", "\n"].map(str::to_owned).to_vec());
    "body.json-not-json" [Harmless] "what is no document", "RFC 8259 §2" =>
        |given| texts(given, |_| ["{", "}", "{]", "nul", "'a'", "{a:1}", "<a/>", "a=b", "\0"].map(str::to_owned).to_vec());
    "body.json-another-type" [Harmless] "documents of another type than the right one", "CWE-843" =>
        |given| texts(given, |_| ["null", "[]", "1", "true", "\"a\"", "{}", "[[]]"].map(str::to_owned).to_vec());
    "body.json-members-of-other-types" [Harmless] "the right document with members of other types", "CWE-843" =>
        |given| members(given, |_| vec![Value::Null, Value::from(-1), Value::from("a"), Value::Array(Vec::new()), Value::Object(Map::new()), Value::from(true)]);
    "body.json-members-missing" [Harmless] "the right document with one member less", "CWE-20" =>
        |given| given.bodies(|it| {
            let object = object(&it.body);
            let drafts = object.keys().map(|name| {
                let mut less = object.clone();
                less.remove(name);
                it.clone().body(Value::Object(less).to_string())
            });
            drafts.collect::<Vec<_>>()
        });
    "body.json-members-huge" [Harmless] "the right document with members of a hundred thousand characters", "CWE-770" =>
        |given| members(given, |_| vec![Value::from("a".repeat(100_000))]);
    "body.json-members-hostile" [Harmless] "the right document with members that are paths, SQL, markup and look-ups", "CWE-20" =>
        |given| members(given, |_| ["../../etc/passwd", "' OR 1=1 --", "<script>", "${jndi:ldap://127.0.0.1:9/a}", "{{7*7}}", "a\u{0}b", "\u{202e}", "$ne"].map(Value::from).to_vec());
    "body.json-twice" [Harmless] "the right document twice", "RFC 8259 §2" =>
        |given| texts(given, |it| vec![format!("{it}{it}"), format!("{it}\n{it}"), format!("{it} x")]);
    "body.json-members-twice" [Harmless] "the right document with each member twice", "RFC 8259 §4" =>
        |given| texts(given, |it| {
            let inner = it.trim().trim_start_matches('{').trim_end_matches('}');
            vec![format!("{{{inner},{inner}}}")]
        });
    "body.json-numbers-past-all-measure" [Harmless] "numbers of thousands of digits, and beyond every type", "CWE-190" =>
        |given| texts(given, |it| ["1e400", "-1e400", "18446744073709551616", "-9223372036854775809", "0.1e-400"].into_iter().map(str::to_owned)
            .chain(["9".repeat(10_000)]).map(|number| with(it, &format!("\"x\":{number}"))).collect());
    "body.json-numbers-not-json" [Harmless] "numbers that JSON has no way to write", "RFC 8259 §6" =>
        |given| texts(given, |it| ["NaN", "Infinity", "0x10", "01", "+1", ".5", "1."].map(|number| with(it, &format!("\"x\":{number}"))).to_vec());
    "body.json-strings-malformed" [Harmless] "half of a character, bare control characters, unknown escapes", "RFC 8259 §7" =>
        |given| texts(given, |it| [r#""\ud800""#, r#""\udc00\ud800""#, "\"\n\"", r#""\x41""#, r#""\u12""#, "\"\t\""].map(|text| with(it, &format!("\"x\":{text}"))).to_vec());
    "body.json-not-utf-8" [Harmless] "bytes that are no text", "RFC 8259 §8.1" =>
        |given| given.bodies(|it| [&b"\xff\xfe"[..], b"{\"a\":\"\xff\"}", b"{\"a\":\"\xc0\xaf\"}", b"{\"a\":\"\xed\xa0\x80\"}"].map(|bytes| it.clone().body(bytes)));
    "body.json-in-utf-16" [Harmless] "the right document in UTF-16", "RFC 8259 §8.1" =>
        |given| given.bodies(|it| {
            let text = String::from_utf8_lossy(&it.body).into_owned();
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [it.clone().body(wide.clone()), it.field("content-type", "application/json; charset=utf-16").body(wide)]
        });
    "body.json-byte-order-mark" [Harmless] "the right document behind a byte order mark", "RFC 8259 §8.1" =>
        |given| texts(given, |it| vec![format!("\u{feff}{it}")]);
    "body.json-comments" [Harmless] "the right document with comments and trailing commas", "RFC 8259 §2" =>
        |given| texts(given, |it| vec![format!("/* */{it}"), format!("{it}// x"), it.replace('}', ",}")]);
    "body.json-of-many-members" [Harmless] "a hundred thousand members, and names that fall together in some tables", "CWE-407" =>
        |given| texts(given, |it| {
            let many: Vec<String> = (0..50_000).map(|number| format!("\"{number}\":0")).collect();
            vec![with(it, &many.join(","))]
        });
    "body.json-names-of-objects" [Harmless] "members by names that every object has in some languages", "CWE-1321" =>
        |given| texts(given, |it| ["__proto__", "constructor", "prototype"].map(|name| with(it, &format!("\"{name}\":{{\"admin\":true}}"))).to_vec());
    "body.json-more-than-asked" [Harmless] "members that raise rights where documents are taken whole", "CWE-915" =>
        |given| texts(given, |it| ["\"admin\":true", "\"role\":\"admin\"", "\"is_admin\":1", "\"owner\":\"admin\"", "\"id\":0"].map(|more| with(it, more)).to_vec());
    "body.json-without-credential" "the right document without a credential", "CWE-306" =>
        |given| {
            given.bodies(|it| [it])?;
            given.bares(|it| [it])
        };
    "body.json-broken-without-credential" "a broken document without a credential", "CWE-306" =>
        |given| {
            given.bodies(|it| [it])?;
            given.bares(|it| ["{", "", "[[[["].map(|text| it.clone().body(text)))
        };
}

/// The document with members before its own.
fn with(document: &str, members: &str) -> String {
    let rest = document.trim().trim_start_matches('{');
    let comma = if rest.starts_with('}') { "" } else { "," };
    format!("{{{members}{comma}{rest}")
}

fn object(document: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(document).unwrap_or_default()
}

/// The control request with these texts in the place of its document.
fn texts(given: &Given<'_>, make: impl FnOnce(&str) -> Vec<String>) -> Made {
    given.bodies(|it| {
        let document = String::from_utf8_lossy(&it.body).into_owned();
        let texts = make(&document).into_iter();
        texts.map(|text| it.clone().body(text)).collect::<Vec<_>>()
    })
}

/// The control request with each member of its document replaced in turn.
fn members(given: &Given<'_>, make: impl Fn(&str) -> Vec<Value>) -> Made {
    given.bodies(|it| {
        let object = object(&it.body);
        let mut drafts = Vec::new();
        for name in object.keys() {
            for value in make(name) {
                let mut other = object.clone();
                other.insert(name.clone(), value);
                drafts.push(it.clone().body(Value::Object(other).to_string()));
            }
        }
        drafts
    })
}

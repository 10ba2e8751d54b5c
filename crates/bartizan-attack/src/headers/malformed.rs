//! Heads of HTTP/1.1 that no types let through: bytes on a socket.

use crate::given::{Given, Made};
use crate::table::table;

table! { Headers;
    "header.no-host" [Harmless] "a request that does not say for which host", "RFC 9112 §3.2" =>
        |given| given.raws(|it| [crate::draft::Draft { host: None, ..it }.field("connection", "close").http1()]);
    "header.two-hosts" [Harmless] "a request for two hosts", "RFC 9112 §3.2" =>
        |given| given.raws(|it| [it.clone().field_first("host", "other.invalid").http1(), it.and_field("host", "other.invalid").http1()]);
    "header.host-malformed" [Harmless] "hosts that are none", "RFC 9112 §3.2" =>
        |given| given.raws(|it| ["", " ", "a b", "a/b", "a@b", "a:b:c", "[::1", "a,b", "a\u{e9}"].map(|host| it.clone().host(host).http1()));
    "header.space-before-colon" "white space between the name of a field and its colon", "RFC 9112 §5.1" =>
        |given| lines(given, &["x-a : b", "x-a\t: b", "x-a  : b"]);
    "header.space-before-name" "white space before the first field", "RFC 9112 §2.2" =>
        |given| first(given, &[" x-a: b", "\tx-a: b"]);
    "header.folded" [Harmless] "a field that goes on in the next line", "RFC 9112 §5.2" =>
        |given| lines(given, &["x-a: b\r\n c", "x-a: b\r\n\tc", "x-a:\r\n b"]);
    "header.folded-credential" "a credential that another field goes on with", "RFC 9112 §5.2" =>
        |given| {
            let value = given.control().value("authorization");
            given.bare()?;
            given.raws(|it| {
                let bare = it.without("authorization");
                [line(&bare, &format!("x-a: b\r\n authorization: {value}")), line(&bare, &format!("x-a: b\r\n\tauthorization: {value}"))]
            })
        };
    "header.no-colon" "a line that is no field", "RFC 9112 §5" =>
        |given| lines(given, &["x-a", "x-a b", "GET / HTTP/1.1", "="]);
    "header.no-name" "a field without a name", "RFC 9110 §5.1" =>
        |given| lines(given, &[": b", ":", " : b"]);
    "header.name-with-space" "a name with white space in it", "RFC 9110 §5.1" =>
        |given| lines(given, &["x a: b", "x\ta: b"]);
    "header.name-with-separators" "a name with characters that none has", "RFC 9110 §5.6.2" =>
        |given| lines(given, &["x(a): b", "x@a: b", "x[a]: b", "x{a}: b", "x\"a: b", "x/a: b", "x,a: b", "x;a: b", "x=a: b"]);
    "header.name-with-control-characters" "a name with bytes that are no characters", "RFC 9110 §5.1" =>
        |given| lines(given, &["x\0a: b", "x\u{1}a: b", "x\u{7f}a: b", "x\u{e9}a: b"]);
    "header.value-with-nul" "a NUL in the value of a field", "RFC 9110 §5.5" =>
        |given| lines(given, &["x-a: b\0c", "x-a: \0", "authorization: \0"]);
    "header.value-with-control-characters" "control characters in the value of a field", "RFC 9110 §5.5" =>
        |given| lines(given, &["x-a: b\u{1}c", "x-a: \u{8}", "x-a: \u{1b}[2J", "x-a: \u{7f}"]);
    "header.value-with-carriage-return" "a carriage return alone in the value of a field", "RFC 9112 §2.2" =>
        |given| lines(given, &["x-a: b\rx-user: admin", "x-a: b\r\r\nc: d", "\rx-a: b"]);
    "header.value-of-high-bytes" [Harmless] "bytes beyond ASCII in the value of a field", "RFC 9110 §5.5" =>
        |given| given.raws(|it| [&b"\xff\xfe"[..], b"\xc3\xa9", b"\x80"].map(|value| it.clone().field("x-a", value).http1()));
    "header.value-empty" [Harmless] "fields without a value", "RFC 9110 §5.5" =>
        |given| lines(given, &["x-a:", "x-a: ", "accept:", "user-agent:\t", "content-type:"]);
    "header.lines-end-in-line-feed" [Harmless] "lines that end in a line feed alone", "RFC 9112 §2.2" =>
        |given| given.raws(|it| [String::from_utf8_lossy(&it.http1()).replace("\r\n", "\n").into_bytes()]);
    "header.lines-end-in-carriage-return" "lines that end in a carriage return alone", "RFC 9112 §2.2" =>
        |given| given.raws(|it| [String::from_utf8_lossy(&it.http1()).replace("\r\n", "\r").into_bytes()]);
    "header.empty-lines-before" [Harmless] "empty lines before a request", "RFC 9112 §2.2" =>
        |given| given.raws(|it| [[b"\r\n\r\n".to_vec(), it.http1()].concat()]);
    "header.many" "ten thousand fields", "RFC 6585 §5" =>
        |given| given.raws(|it| [line(&it, &vec!["x-a: b"; 10_000].join("\r\n"))]);
    "header.large" "a field of a million bytes", "RFC 6585 §5" =>
        |given| given.raws(|it| [line(&it, &format!("x-a: {}", "b".repeat(1_000_000)))]);
    "header.large-name" "a field whose name has a million bytes", "RFC 6585 §5" =>
        |given| given.raws(|it| [line(&it, &format!("{}: b", "x".repeat(1_000_000)))]);
    "header.head-without-end" "a head that does not end", "CWE-400" =>
        |given| given.raws(|it| {
            let bytes = it.http1();
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
            [bytes.get(..end).unwrap_or_default().to_vec(), b"GET".to_vec()]
        });
    "header.request-line-malformed" "first lines that are none", "RFC 9112 §3" =>
        |given| given.raws(|it| {
            let target = it.target.clone();
            let rest = String::from_utf8_lossy(&it.http1()).split_once("\r\n").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            [format!("GET  {target} HTTP/1.1"), format!("GET {target}  HTTP/1.1"), format!("GET\t{target}\tHTTP/1.1"), format!("{target} HTTP/1.1"), format!("GET {target} x HTTP/1.1"), "GET HTTP/1.1".to_owned()]
                .map(|first| format!("{first}\r\n{rest}").into_bytes())
        });
    "header.version-malformed" "versions of HTTP that are none", "RFC 9112 §2.3" =>
        |given| given.raws(|it| {
            let text = String::from_utf8_lossy(&it.http1()).into_owned();
            ["HTTP/1.2x", "HTTP/11", "http/1.1", "HTTP/1,1", "HTTPS/1.1", "HTTP/-1.1", "HTTP/9.9", "ICY/1.0"].map(|version| text.replacen("HTTP/1.1", version, 1).into_bytes())
        });
}

/// The control request with this line behind its other fields.
fn line(draft: &crate::draft::Draft, line: &str) -> Vec<u8> {
    let bytes = draft.http1();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = bytes.split_at(end.unwrap_or_default() + 2);
    [head, line.as_bytes(), b"\r\n", rest].concat()
}

fn lines(given: &Given<'_>, lines: &[&str]) -> Made {
    given.raws(|it| {
        let all = lines.iter().map(|text| line(&it, text));
        all.collect::<Vec<_>>()
    })
}

/// The control request with this line before its other fields.
fn first(given: &Given<'_>, lines: &[&str]) -> Made {
    given.raws(|it| {
        let text = String::from_utf8_lossy(&it.http1()).into_owned();
        let all = lines.iter().map(|line| {
            let both = format!("\r\n{line}\r\n");
            text.replacen("\r\n", &both, 1).into_bytes()
        });
        all.collect::<Vec<_>>()
    })
}

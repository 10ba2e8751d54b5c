//! Heads of HTTP/2 that are malformed (RFC 9113 §8): the stream ends, or the request is refused.

use crate::draft::Field;
use crate::given::{Given, Made};
use crate::table::table;

table! { Protocol;
    "protocol.h2-pseudo-behind-field" "a pseudo-header behind an ordinary field", "RFC 9113 §8.3" =>
        |given| changed(given, |it| { let path = it.remove(2); it.push(field("x-a", "1")); it.push(path); });
    "protocol.h2-path-twice" "two paths", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(3, field(":path", "/other")));
    "protocol.h2-method-twice" "two methods", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(1, field(":method", "DELETE")));
    "protocol.h2-authority-twice" "two authorities", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(4, field(":authority", "other.invalid")));
    "protocol.h2-scheme-twice" "two schemes", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(2, field(":scheme", "ftp")));
    "protocol.h2-method-missing" "no method", "RFC 9113 §8.3.1" =>
        |given| changed(given, |it| { it.remove(0); });
    "protocol.h2-path-missing" "no path", "RFC 9113 §8.3.1" =>
        |given| changed(given, |it| { it.remove(2); });
    "protocol.h2-scheme-missing" "no scheme", "RFC 9113 §8.3.1" =>
        |given| changed(given, |it| { it.remove(1); });
    "protocol.h2-path-empty" "an empty path", "RFC 9113 §8.3.1" =>
        |given| paths(given, &[""]);
    "protocol.h2-path-without-slash" "a path that does not begin with a slash", "RFC 9113 §8.3.1" =>
        |given| paths(given, &["orders", "?a", "http", "@/"]);
    "protocol.h2-path-with-white-space" "white space and line feeds in a path", "CWE-113" =>
        |given| paths(given, &["/a b", "/a\r\nx: y", "/a\nb", "/a\tb", "/a HTTP/1.1\r\nhost: x\r\n\r\nGET /"]);
    "protocol.h2-path-with-nul" "a NUL in a path", "CWE-158" =>
        |given| paths(given, &["/\0", "/a\0b"]);
    "protocol.h2-pseudo-unknown" "a pseudo-header that nobody knows", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(4, field(":user", "admin")));
    "protocol.h2-pseudo-of-answers" "a pseudo-header of answers", "RFC 9113 §8.3" =>
        |given| changed(given, |it| it.insert(0, field(":status", "200")));
    "protocol.h2-name-in-capitals" "a field whose name has capitals", "RFC 9113 §8.2.1" =>
        |given| given.fields(|it| ["Authorization", "X-User", "x-A"].map(|name| [it.clone(), vec![field(name, "a")]].concat()));
    "protocol.h2-name-malformed" "fields whose names have white space, colons, NULs and line feeds", "RFC 9113 §8.2.1" =>
        |given| given.fields(|it| ["x a", "x:a", "x\0", "x\r\ny", "", " ", "x\u{7f}", "x\u{e9}"].map(|name| [it.clone(), vec![field(name, "a")]].concat()));
    "protocol.h2-value-with-line-feed" "a line feed or a NUL in the value of a field", "RFC 9113 §8.2.1" =>
        |given| given.fields(|it| ["a\r\nx-user: admin", "a\nb", "a\rb", "a\0b"].map(|value| [it.clone(), vec![field("x-a", value)]].concat()));
    "protocol.h2-field-connection" "a field of connections", "RFC 9113 §8.2.2" =>
        |given| given.fields(|it| [("connection", "close"), ("proxy-connection", "keep-alive"), ("keep-alive", "timeout=1")].map(|(name, value)| [it.clone(), vec![field(name, value)]].concat()));
    "protocol.h2-field-transfer-encoding" "chunks, which HTTP/2 does not have", "RFC 9113 §8.2.2" =>
        |given| given.fields(|it| ["chunked", "gzip", "identity"].map(|value| [it.clone(), vec![field("transfer-encoding", value)]].concat()));
    "protocol.h2-field-upgrade" "an upgrade, which HTTP/2 does not have", "RFC 9113 §8.2.2" =>
        |given| given.fields(|it| ["h2c", "websocket"].map(|value| [it.clone(), vec![field("upgrade", value)]].concat()));
    "protocol.h2-field-te" "codings besides trailers", "RFC 9113 §8.2.2" =>
        |given| given.fields(|it| ["gzip", "chunked", "trailers, deflate"].map(|value| {
            let others: Vec<Field> = it.iter().filter(|(name, _)| name != b"te").cloned().collect();
            [others, vec![field("te", value)]].concat()
        }));
    "protocol.h2-length-that-differs" "a length that is not that of the body", "RFC 9113 §8.1.1" =>
        |given| {
            // Without a body there is no stream to be ended: the length is that of one byte more.
            let length = given.target.draft.body.len();
            let values = [length + 1, length + 1000];
            given.fields(|it| values.map(|value| {
                let others: Vec<Field> = it.iter().filter(|(name, _)| name != b"content-length").cloned().collect();
                [others, vec![field("content-length", &value.to_string())]].concat()
            }))
        };
    "protocol.h2-length-malformed" [Harmless] "lengths that are none, or two", "RFC 9110 §8.6" =>
        |given| given.fields(|it| ["x", "-1", "18446744073709551616", "0, 0", ""].map(|value| [it.clone(), vec![field("content-length", value)]].concat()));
    "protocol.h2-host-that-differs" [Harmless] "an authority and a host that differ", "RFC 9113 §8.3.1" =>
        |given| given.fields(|it| [[it, vec![field("host", "other.invalid")]].concat()]);
    "protocol.h2-authority-malformed" [Harmless] "authorities that are none", "RFC 9113 §8.3.1" =>
        |given| given.fields(|it| ["", "a b", "user@a", "a/b", "[::1", "a:b:c"].map(|value| replaced(&it, ":authority", value)));
    "protocol.h2-scheme-other" [Harmless] "schemes that lead elsewhere", "RFC 9113 §8.3.1" =>
        |given| given.fields(|it| ["ftp", "file", "", "http://x/?", "https:"].map(|value| replaced(&it, ":scheme", value)));
    "protocol.h2-method-malformed" [Harmless] "methods that are none", "RFC 9110 §9.1" =>
        |given| given.fields(|it| ["", "GET /", "G E T", "GET\r\n", "\u{e9}", "get"].map(|value| replaced(&it, ":method", value)));
    "protocol.h2-connect-with-path" "a tunnel with a path and a scheme", "RFC 9113 §8.5" =>
        |given| given.fields(|it| [replaced(&it, ":method", "CONNECT")]);
    "protocol.h2-connect-extended" "a tunnel by a protocol, which was not offered", "RFC 8441 §4" =>
        |given| given.fields(|it| { let mut it = replaced(&it, ":method", "CONNECT"); it.insert(1, field(":protocol", "websocket")); [it] });
    "protocol.h2-fields-many" [Harmless] "thousands of fields", "RFC 9113 §10.5.1" =>
        |given| given.fields(|it| [[it, vec![field("x-a", "b"); 3000]].concat()]);
    "protocol.h2-field-large" [Harmless] "a field of a hundred thousand bytes", "RFC 9113 §10.5.1" =>
        |given| given.fields(|it| [[it, vec![field("x-a", &"b".repeat(100_000))]].concat()]);
    "protocol.h2-cookies-in-pieces" [Harmless] "cookies in a thousand fields", "RFC 9113 §8.2.3" =>
        |given| given.fields(|it| [[it, vec![field("cookie", "a=b"); 1000]].concat()]);
}

fn field(name: &str, value: &str) -> Field {
    (name.into(), value.into())
}

/// The control request's fields, the first four of which are method, scheme, path and authority.
fn changed(given: &Given<'_>, change: impl FnOnce(&mut Vec<Field>)) -> Made {
    given.fields(|mut it| {
        change(&mut it);
        [it]
    })
}

fn replaced(fields: &[Field], name: &str, value: &str) -> Vec<Field> {
    let replace = |it: &Field| match it.0 == name.as_bytes() {
        true => field(name, value),
        false => it.clone(),
    };
    fields.iter().map(replace).collect()
}

fn paths(given: &Given<'_>, paths: &[&str]) -> Made {
    given.fields(|it| {
        let all = paths.iter().map(|path| replaced(&it, ":path", path));
        all.collect::<Vec<_>>()
    })
}

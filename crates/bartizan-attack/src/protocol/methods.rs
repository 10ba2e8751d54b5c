//! Methods that are not the one that was decided on, and other protocols.

use crate::given::{Given, Made};
use crate::table::table;

table! { Protocol;
    "protocol.method-head" "the head of what is closed", "RFC 9110 §9.3.2" =>
        |given| methods(given, &["HEAD"]);
    "protocol.method-that-changes" "methods that change something, without a credential", "CWE-650" =>
        |given| methods(given, &["POST", "PUT", "PATCH", "DELETE"]);
    "protocol.method-of-webdav" "methods of WebDAV and caches, without a credential", "CWE-650" =>
        |given| methods(given, &["PROPFIND", "MKCOL", "COPY", "MOVE", "LOCK", "REPORT", "SEARCH", "PURGE", "BAN"]);
    "protocol.method-unknown" "methods that nobody knows, without a credential", "RFC 9110 §9.1" =>
        |given| methods(given, &["FOO", "JEFF", "X", "GETS", "PRI", "QUERY"]);
    "protocol.method-in-other-case" "methods in other case, without a credential", "RFC 9110 §9.1" =>
        |given| methods(given, &["get", "Get", "post", "head", "options"]);
    "protocol.method-trace" "a request that is to come back as it was sent", "CVE-2004-2320" =>
        |given| {
            let marker = "bartizan-attack-trace";
            Ok(given.drafts(|it| ["TRACE", "TRACK", "DEBUG"].map(|method| it.clone().method(method).body("").without("content-type").field("x-a", marker)))?.planting(marker).excusing_internal())
        };
    "protocol.method-connect" "a tunnel through the service", "RFC 9110 §9.3.6" =>
        |given| given.bares(|it| ["127.0.0.1:9", "localhost:22", "169.254.169.254:80"].map(|target| it.clone().method("CONNECT").target(target).host(target)));
    "protocol.method-override" "another method by fields that frameworks believe, without a credential", "CWE-650" =>
        |given| given.bares(|it| ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"]
            .map(|name| it.clone().method("POST").field(name, "GET")));
    "protocol.method-override-in-query" "another method in the query or the body, without a credential", "CWE-650" =>
        |given| given.bares(|it| [
            it.clone().method("POST").query("_method=GET"), it.clone().method("POST").query("method=GET"),
            it.method("POST").field("content-type", "application/x-www-form-urlencoded").body("_method=GET"),
        ]);
    "protocol.forbidden-by-other-method" "what is forbidden, by methods that ask for the same", "CWE-650" =>
        |given| {
            let draft = given.forbidden()?;
            // HEAD asks for what GET asks for, and for nothing else.
            let head = (draft.method == "GET").then_some("HEAD");
            let others: Vec<_> = head.into_iter().chain(["get", "QUERY", "FOO"]).filter(|it| *it != draft.method).collect();
            given.drafts(|_| others.iter().map(|method| draft.clone().method(method)).collect::<Vec<_>>())
        };
    "protocol.forbidden-by-override" "what is forbidden, by a method that a field replaces", "CWE-650" =>
        |given| {
            let draft = given.forbidden()?;
            let method = draft.method.clone();
            given.drafts(|_| ["x-http-method-override", "x-http-method", "x-method-override"].into_iter()
                .flat_map(|name| ["POST", "PUT", "OPTIONS"].map(|outer| draft.clone().method(outer).field(name, &method)))
                .collect::<Vec<_>>())
        };
    "protocol.upgrade-to-websocket" "an upgrade to WebSockets without a credential", "RFC 6455 §10.5" =>
        |given| { given.is_plain()?; given.bares(|it| [
            it.clone().field("connection", "upgrade").field("upgrade", "websocket").field("sec-websocket-version", "13").field("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            it.field("connection", "upgrade").field("upgrade", "websocket").field("origin", "https://other.invalid"),
        ]) };
    "protocol.upgrade-to-h2c" "an upgrade to HTTP/2 in the clear, without a credential", "CWE-444" =>
        |given| { given.is_plain()?; given.bares(|it| [
            it.field("connection", "upgrade, http2-settings").field("upgrade", "h2c").field("http2-settings", "AAMAAABkAAQAAP__"),
        ]) };
    "protocol.upgrade-to-anything" "upgrades to protocols that nobody offers, without a credential", "RFC 9110 §7.8" =>
        |given| { given.is_plain()?; given.bares(|it| ["TLS/1.0", "tcp", "spdy/3", "connect-udp"].map(|protocol| it.clone().field("connection", "upgrade").field("upgrade", protocol))) };
    "protocol.version-old" "a request of an older version without a credential", "RFC 9112 §2.3" =>
        |given| { given.bare()?; given.raws(|it| {
            let bare = String::from_utf8_lossy(&it.without("authorization").http1()).into_owned();
            [bare.replacen("HTTP/1.1", "HTTP/1.0", 1), bare.replacen(" HTTP/1.1", "", 1)].map(String::into_bytes)
        }) };
    "protocol.preface-of-new-version" [OneAnswer] "a preface of HTTP/2 and then a request of HTTP/1.1", "RFC 9113 §3.4" =>
        |given| given.raws(|it| [[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), it.http1()].concat(), b"PRI * HTTP/2.0\r\n\r\n".to_vec()]);
    "protocol.bytes-of-others" "the first bytes of other protocols", "CWE-436" =>
        |given| given.raws(|_| [&b"SSH-2.0-x\r\n"[..], b"EHLO x\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00\x00\x00\x00", b"GIOP\x01\x00", b"\r\n\r\n"].map(<[u8]>::to_vec));
}

/// The control request by other methods, without a credential.
fn methods(given: &Given<'_>, methods: &[&str]) -> Made {
    given.bares(|it| {
        let drafts = methods.iter().map(|method| it.clone().method(method));
        drafts.collect::<Vec<_>>()
    })
}

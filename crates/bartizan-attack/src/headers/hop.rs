//! Fields of one connection, and fields that are made to be of one.

use crate::table::{INTRUDER, table};

table! { Headers;
    "header.connection-names-authorization" [Harmless] "a credential that is to be removed on the way", "RFC 9110 §7.6.1" =>
        |given| given.plain(|it| [it.field("connection", "close, authorization")]);
    "header.connection-names-identity" [Harmless] "fields of proxies that are to be removed on the way", "RFC 9110 §7.6.1" =>
        |given| given.plain(|it| ["x-forwarded-for", "x-forwarded-client-cert", "x-request-id", "traceparent", "cookie"]
            .map(|name| it.clone().field("connection", format!("close, {name}")).field(name, "a")));
    "header.connection-names-framing" [Harmless] "the fields that frame a body, to be removed on the way", "RFC 9110 §7.6.1" =>
        |given| given.plain(|it| ["content-length", "host", "transfer-encoding", "connection"].map(|name| it.clone().field("connection", format!("close, {name}"))));
    "header.connection-and-forged-identity" "an identity that is said to be of the connection", "RFC 9110 §7.6.1" =>
        |given| given.bares(|it| ["x-user", "x-forwarded-user", "authorization"].map(|name| {
            it.clone().field("connection", format!("close, {name}")).field(name, "admin")
        }));
    "header.connection-malformed" [Harmless] "options of a connection that are none", "RFC 9110 §7.6.1" =>
        |given| given.plain(|it| ["close,,,", ", close", "close;x", "\"close\"", "close\t,"].map(|value| it.clone().field("connection", value)));
    "header.keep-alive-malformed" [Harmless] "how long to keep a connection, in numbers that are none", "RFC 9112 §9.3" =>
        |given| given.plain(|it| ["timeout=-1", "timeout=99999999999999999999, max=0", "=", "timeout"].map(|value| it.clone().field("keep-alive", value)));
    "header.proxy-connection" [Harmless] "the field of connections that old proxies use", "RFC 9112 §C.2.2" =>
        |given| given.plain(|it| [it.field("proxy-connection", "keep-alive, authorization")]);
    "header.te-of-all-kinds" [Harmless] "codings of a body that nobody has", "RFC 9110 §10.1.4" =>
        |given| given.plain(|it| ["trailers, deflate;q=0.5", "x", "", "chunked"].map(|value| it.clone().field("te", value)));
    "header.upgrade-unasked" [Harmless] "protocols that nobody offers", "RFC 9110 §7.8" =>
        |given| given.plain(|it| ["HTTP/3.0", "TLS/1.0", "x", "h2c, websocket"].map(|value| it.clone().field("upgrade", value).field("connection", "close, upgrade")));
    "header.max-forwards" [Harmless] "numbers of hops that are none", "RFC 9110 §7.6.2" =>
        |given| given.drafts(|it| ["0", "-1", "x", "99999999999999999999"].map(|value| it.clone().field("max-forwards", value)));
    "header.via-in-a-circle" [Harmless] "a way of a hundred proxies", "RFC 9110 §7.6.3" =>
        |given| given.drafts(|it| [it.field("via", vec!["1.1 proxy"; 100].join(", "))]);
    "header.cookies-large" [Harmless] "hundreds of cookies", "RFC 6265 §6.1" =>
        |given| given.drafts(|it| [
            it.clone().field("cookie", (0..300).map(|number| format!("c{number}=1; ")).collect::<String>()),
            it.field("cookie", format!("a={}", "b".repeat(6000))),
        ]);
    "header.cookies-malformed" [Harmless] "cookies that are none", "RFC 6265 §5.2" =>
        |given| given.drafts(|it| ["=", ";;;", "a", "a=\"b; c=\"d", "$Version=1; a=b", "a=\u{fffd}"].map(|value| it.clone().field("cookie", value)));
    "header.accept-malformed" [Harmless] "types, languages and codings of an answer that are none", "RFC 9110 §12.5" =>
        |given| given.drafts(|it| {
            let long = "a/b;q=0.1,".repeat(300);
            ["accept", "accept-language", "accept-encoding", "accept-charset"].into_iter()
                .flat_map(|name| [";;;q=", "*/*;q=2", "../../etc/passwd", "", long.as_str()].map(|value| it.clone().field(name, value)))
                .collect::<Vec<_>>()
        });
    "header.condition-malformed" [Harmless] "conditions that are none", "RFC 9110 §13.1" =>
        |given| given.drafts(|it| ["if-match", "if-none-match", "if-modified-since", "if-range", "if-unmodified-since"]
            .map(|name| it.clone().field(name, "\"\"\",,W/\0".replace('\0', ""))));
    "header.range-malformed" [Harmless] "ranges that overlap a thousand times, or are none", "CVE-2011-3192" =>
        |given| given.drafts(|it| [
            it.clone().field("range", format!("bytes=0-{}", ",0-".repeat(500))), it.clone().field("range", "bytes=-1--1"),
            it.clone().field("range", "bytes=18446744073709551615-18446744073709551616"), it.field("range", "x=0-0"),
        ]);
    "header.names-of-objects" [Harmless] "fields by names that every object has in some languages", "CWE-1321" =>
        |given| Ok(given.drafts(|it| ["__proto__", "constructor", "tostring", "hasownproperty"].map(|name| it.clone().field(name, INTRUDER)))?.planting(INTRUDER));
}

//! Other spellings of a path: of the control request's without a credential, and of one that the
//! credential does not allow.

use crate::given::{Given, Made};
use crate::table::table;

table! { Protocol;
    "protocol.path-with-dots" "the closed path by way of `..`", "CWE-22" =>
        |given| spelled(given, |it| vec![format!("/x/..{it}"), format!("/public/../..{it}"), format!("/.{it}"), format!("{it}/."), format!("{it}/x/..")]);
    "protocol.path-with-encoded-dots" "the same with the dots percent-encoded", "CWE-22" =>
        |given| spelled(given, |it| vec![format!("/x/%2e%2e{it}"), format!("/x/.%2E{it}"), format!("/%2e{it}")]);
    "protocol.path-encoded-twice" "the closed path percent-encoded twice", "CWE-174" =>
        |given| spelled(given, |it| vec![format!("/x/%252e%252e{it}"), it.replacen('/', "/%252f", 1), once(it, "%25")]);
    "protocol.path-with-encoded-slash" "the closed path with its slashes percent-encoded", "CWE-177" =>
        |given| spelled(given, |it| vec![format!("/%2f{}", it.trim_start_matches('/')), format!("/x%2f..{it}"), format!("{it}%2f"), format!("/x/..%2f{}", it.trim_start_matches('/'))]);
    "protocol.path-with-encoded-letter" "the closed path with a letter percent-encoded", "RFC 3986 §6.2.2.2" =>
        |given| spelled(given, |it| vec![once(it, "%")]);
    "protocol.path-with-backslash" "the closed path with backslashes", "CWE-22" =>
        |given| spelled(given, |it| vec![format!("/x/..%5c{}", it.trim_start_matches('/')), format!("/%5c{}", it.trim_start_matches('/'))]);
    "protocol.path-with-empty-segment" "the closed path with more slashes", "CWE-41" =>
        |given| spelled(given, |it| vec![format!("/{it}"), format!("//{it}"), format!("{it}//"), it.replace('/', "//")]);
    "protocol.path-with-slash-behind" "the closed path with a slash behind it", "CWE-41" =>
        |given| spelled(given, |it| vec![format!("{it}/")]);
    "protocol.path-with-parameter" "the closed path with a parameter in a segment", "CWE-41" =>
        |given| spelled(given, |it| vec![format!("{it};a=b"), format!("{it};"), format!("/x;/..{it}"), format!("/;x{it}"), format!("{it};jsessionid=1")]);
    "protocol.path-with-dots-and-parameter" "dot segments with parameters", "CVE-2020-11989" =>
        |given| spelled(given, |it| vec![format!("/x/..;{it}"), format!("/x/..;a=b{it}"), format!("/.;{it}")]);
    "protocol.path-with-nul" "the closed path with a NUL behind it", "CWE-158" =>
        |given| spelled(given, |it| vec![format!("{it}%00"), format!("{it}%00.html"), format!("/x%00/..{it}")]);
    "protocol.path-with-white-space" "the closed path with white space behind or before it", "CWE-41" =>
        |given| spelled(given, |it| vec![format!("{it}%20"), format!("{it}%09"), format!("{it}%0a"), format!("/%20{it}"), format!("{it}+")]);
    "protocol.path-in-other-case" "the closed path in other case", "CWE-178" =>
        |given| spelled(given, |it| vec![it.to_uppercase(), it.char_indices().map(|(at, c)| if at % 2 == 0 { c } else { c.to_ascii_uppercase() }).collect()]);
    "protocol.path-with-extension" "the closed path with the ending of a file that is open", "CWE-524" =>
        |given| spelled(given, |it| [".json", ".css", ".js", ".html", ".ico", "/x.css", ".."].map(|end| format!("{it}{end}")).to_vec());
    "protocol.path-with-query" "the closed path with queries that look like others", "CWE-436" =>
        |given| spelled(given, |it| vec![format!("{it}?"), format!("{it}?/public/"), format!("{it}?.css"), format!("{it}?a=/../")]);
    "protocol.path-with-encoded-query" "the closed path with an encoded question mark or number sign", "CWE-436" =>
        |given| spelled(given, |it| vec![format!("{it}%3f"), format!("{it}%23"), format!("/public%3f/..{it}"), format!("/public%23/..{it}")]);
    "protocol.path-with-overlong-characters" "slashes and dots in forms that are longer than they need to be", "CWE-173" =>
        |given| spelled(given, |it| vec![format!("/x/%c0%ae%c0%ae{it}"), format!("/%c0%af{}", it.trim_start_matches('/')), format!("/x/%e0%80%ae%e0%80%ae{it}"), format!("/x/%uff0e%uff0e{it}")]);
    "protocol.path-with-look-alikes" "slashes and letters of other alphabets", "CWE-176" =>
        |given| spelled(given, |it| vec![format!("/%ef%bc%8f{}", it.trim_start_matches('/')), format!("/x%e2%88%95..{it}"), it.replacen('o', "%d0%be", 1) + "%e2%80%8b"]);
    "protocol.path-not-encoded-rightly" "percent signs that encode nothing", "RFC 3986 §2.1" =>
        |given| spelled(given, |it| vec![format!("{it}%"), format!("{it}%2"), format!("{it}%zz"), format!("/%{it}")]);
    "protocol.path-absolute" "a whole URL in the place of a path", "RFC 9112 §3.2.2" =>
        |given| spelled(given, |it| vec![format!("http://localhost{it}"), format!("https://other.invalid{it}"), format!("HTTP://127.0.0.1:9{it}")]);
    "protocol.path-with-authority" "a path that begins with another host", "RFC 3986 §3.3" =>
        |given| spelled(given, |it| vec![format!("//other.invalid{it}"), format!("//localhost{it}"), format!("/@other.invalid{it}")]);
    "protocol.path-of-the-server" "the asterisk, which stands for the whole server", "RFC 9112 §3.2.4" =>
        |given| given.bares(|it| ["GET", "OPTIONS", "POST"].map(|method| it.clone().method(method).target("*")));
    "protocol.path-long" "the closed path behind thousands of segments", "CWE-770" =>
        |given| spelled(given, |it| vec![format!("{}{it}", "/x/..".repeat(1000)), format!("{it}/{}", "a".repeat(30_000)), format!("{it}?{}", "a=b&".repeat(5000))]);
    "protocol.path-with-fragment" "a number sign, which no client sends", "RFC 9112 §3.2" =>
        |given| { given.over_http1()?; given.bare()?; given.raws(|it| {
            let bare = it.without("authorization");
            let path = bare.target.clone();
            [format!("{path}#"), format!("/public#{path}"), format!("{path}#/public")].map(|target| bare.clone().target(target).http1())
        }) };
    "protocol.forbidden-with-dots" "what is forbidden, by way of `..`, plain and percent-encoded", "CWE-22" =>
        |given| forbidden(given, |it| vec![format!("/x/..{it}"), format!("/x/%2e%2e{it}"), format!("/x/..%2f{}", it.trim_start_matches('/')), format!("/.{it}"), format!("/x/..;{it}")]);
    "protocol.forbidden-percent-encoded" "what is forbidden, with letters and slashes percent-encoded", "CWE-177" =>
        |given| forbidden(given, |it| vec![once(it, "%"), once(it, "%25"), it.replace('/', "%2f").replacen("%2f", "/", 1), format!("/%2f{}", it.trim_start_matches('/'))]);
    "protocol.forbidden-with-empty-segment" "what is forbidden, with more slashes", "CWE-41" =>
        |given| forbidden(given, |it| vec![format!("/{it}"), it.replace('/', "//"), format!("{it}/"), format!("{it}//"), format!("/./{it}")]);
    "protocol.forbidden-with-parameter" "what is forbidden, with a parameter in a segment", "CWE-41" =>
        |given| forbidden(given, |it| vec![format!("{it};a=b"), format!("{it};"), format!("/;x{it}")]);
    "protocol.forbidden-in-other-case" "what is forbidden, in other case", "CWE-178" =>
        |given| forbidden(given, |it| vec![it.to_uppercase()]);
    "protocol.forbidden-with-more-behind" "what is forbidden, with endings, white space and a NUL", "CWE-436" =>
        |given| forbidden(given, |it| ["%20", "%00", ".json", "?", "?x=/public", "%3f", "%09", "/."].map(|end| format!("{it}{end}")).to_vec());
    "protocol.forbidden-absolute" "what is forbidden, as a whole URL", "RFC 9112 §3.2.2" =>
        |given| forbidden(given, |it| vec![format!("http://localhost{it}"), format!("http://other.invalid{it}")]);
    "protocol.forbidden-by-rewriting" "what is forbidden, by fields that some frameworks route by", "CVE-2018-14773" =>
        |given| {
            let draft = given.forbidden()?;
            let volley = given.drafts(|_| ["x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-prefix"].map(|name| draft.clone().field(name, "/")))?;
            Ok(volley)
        };
}

/// One letter of a path, percent-encoded.
fn once(path: &str, percent: &str) -> String {
    let at = path.rfind(|c: char| c.is_ascii_alphanumeric());
    let (front, rest) = path.split_at(at.unwrap_or_default());
    let mut rest = rest.chars();
    let letter = rest.next().map_or(0, u32::from);
    format!("{front}{percent}{letter:02x}{}", rest.as_str())
}

/// The control request's path in other spellings, without a credential.
fn spelled(given: &Given<'_>, make: impl FnOnce(&str) -> Vec<String>) -> Made {
    given.bares(|it| {
        let targets = make(it.path()).into_iter();
        let targets: Vec<_> = targets.map(|target| it.clone().target(target)).collect();
        targets
    })
}

/// The forbidden path in other spellings, with the credential.
fn forbidden(given: &Given<'_>, make: impl FnOnce(&str) -> Vec<String>) -> Made {
    let draft = given.forbidden()?;
    let targets = make(draft.path());
    given.drafts(|_| {
        let drafts = targets
            .into_iter()
            .map(|target| draft.clone().target(target));
        drafts.collect::<Vec<_>>()
    })
}

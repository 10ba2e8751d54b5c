use proptest::prelude::*;

use super::*;

const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

fn check(text: &str, expected: XfccError) {
    assert_eq!(Xfcc::parse(text), Err(expected), "{text}");
}

fn last(text: &str) -> XfccElement {
    let parsed = Xfcc::parse(text);
    parsed
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .last()
        .cloned()
        .unwrap()
}

#[test]
fn reads_what_envoy_documents() {
    let text = format!(
        "By=http://frontend.lyft.com;Hash={HASH};Subject=\"/C=US/ST=CA/OU=Lyft/CN=Test Client\";\
         URI=http://testclient.lyft.com,By=http://backend.lyft.com;hash={};URI=http://frontend.lyft.com",
        HASH.to_uppercase()
    );
    let parsed = Xfcc::parse(&text).unwrap();
    assert_eq!(parsed.elements().len(), 2);
    let [first, second] = parsed.elements() else {
        panic!("two elements")
    };
    assert_eq!(first.subject(), Some("/C=US/ST=CA/OU=Lyft/CN=Test Client"));
    assert_eq!(first.hash(), second.hash());
    assert_eq!(first.hash().unwrap()[..2], [0x46, 0x8e]);
    assert_eq!(second.by(), ["http://backend.lyft.com"]);
    assert_eq!(second.uris(), ["http://frontend.lyft.com"]);
}

#[test]
fn reads_keys_in_any_case_and_repeated_names() {
    let element = last("bY=a;uRi=b;URI=c;dns=d;DNS=e;CERT=%2D%2d+;Chain=\"x%0Ay\";New=ignored");
    assert_eq!(element.by(), ["a"]);
    assert_eq!(element.uris(), ["b", "c"]);
    assert_eq!(element.dns_names(), ["d", "e"]);
    assert_eq!(element.certificate(), Some("--+"));
    assert_eq!(element.chain(), Some("x\ny"));
}

#[test]
fn separators_in_quotes_separate_nothing() {
    let element = last(r#"Subject="CN=a\"b, O=c; OU=d\\",  Subject="x\,URI=spiffe://evil.org/a""#);
    assert_eq!(element.subject(), Some(r"x\,URI=spiffe://evil.org/a"));
    assert!(element.uris().is_empty());
    let text = r#"Subject="CN=a\"b, O=c; OU=d\\";URI=u"#;
    assert_eq!(last(text).subject(), Some(r#"CN=a"b, O=c; OU=d\"#));
    assert_eq!(last(text).uris(), ["u"]);
}

#[test]
fn refuses_what_could_shift_an_appended_element() {
    let appended = r#",By=p;Subject="CN=client";URI=spiffe://example.org/client"#;
    for (sent, expected) in [
        (r#"Subject=""#, XfccError::Quote),
        (r#"Subject="x"#, XfccError::Quote),
        (r#"Subject="x\"#, XfccError::Quote),
        (r#"x"y"#, XfccError::Pair),
        ("", XfccError::Pair),
        ("URI", XfccError::Pair),
        ("URI=a,", XfccError::Pair),
    ] {
        let text = format!("{sent}{appended}");
        let outcome = Xfcc::parse(&text);
        assert!(outcome.is_err(), "{text}: {outcome:?}");
        if !sent.contains('"') {
            check(&text, expected);
        }
    }
}

#[test]
fn refuses_what_breaks_a_rule() {
    check("", XfccError::Pair);
    check("a", XfccError::Pair);
    check("=a", XfccError::Pair);
    check("URI=a;", XfccError::Pair);
    check("URI=a,,URI=b", XfccError::Pair);
    check("URI=\"a", XfccError::Quote);
    check("URI=\"a\"b", XfccError::Quote);
    check("URI=a\"b\"", XfccError::Quote);
    check("URI=\"a\\\"", XfccError::Quote);
    check("Hash=00", XfccError::Hash);
    check(&format!("Hash={HASH}0"), XfccError::Hash);
    check(&format!("Hash={}", HASH.replace('4', "g")), XfccError::Hash);
    check("Hash=", XfccError::Hash);
    check("Cert=%4", XfccError::Encoding);
    check("Cert=%zz", XfccError::Encoding);
    check("Cert=%ff", XfccError::Encoding);
    check("Subject=a;subject=b", XfccError::DuplicateKey);
    check("Cert=a;Cert=a", XfccError::DuplicateKey);
    check(&format!("Hash={HASH};Hash={HASH}"), XfccError::DuplicateKey);
}

#[test]
fn holds_its_limits() {
    let elements = |count: usize| vec!["URI=a"; count].join(",");
    assert_eq!(
        Xfcc::parse(&elements(MAX_ELEMENTS))
            .unwrap()
            .elements()
            .len(),
        MAX_ELEMENTS
    );
    check(&elements(MAX_ELEMENTS + 1), XfccError::TooMany);
    let pairs = |count: usize| vec!["URI=a"; count].join(";");
    assert_eq!(last(&pairs(MAX_PAIRS)).uris().len(), MAX_PAIRS);
    check(&pairs(MAX_PAIRS + 1), XfccError::TooMany);
    let sized = |bytes: usize| format!("URI={}", "a".repeat(bytes - 4));
    assert_eq!(last(&sized(MAX_BYTES)).uris().len(), 1);
    let bytes = MAX_BYTES + 1;
    check(&sized(bytes), XfccError::TooLarge { bytes });
}

fn element() -> impl Strategy<Value = XfccElement> {
    let texts = || proptest::collection::vec(any::<String>(), 0..3);
    (
        (texts(), any::<Option<[u8; 32]>>(), any::<Option<String>>()),
        (any::<Option<String>>(), any::<Option<String>>()),
        (texts(), texts()),
    )
        .prop_map(
            |((by, hash, certificate), (chain, subject), (uris, dns_names))| XfccElement {
                by,
                hash,
                certificate,
                chain,
                subject,
                uris,
                dns_names,
            },
        )
        .prop_filter("an element has a pair", |element| {
            *element != XfccElement::default()
        })
}

proptest! {
    #[test]
    fn never_panics(text: String) {
        let _ = Xfcc::parse(&text);
    }

    #[test]
    fn never_panics_near_the_grammar(text in "([Uu][Rr][Ii]|By|Hash|Cert|[=,;\"\\\\% a]){0,40}") {
        if let Ok(parsed) = Xfcc::parse(&text) {
            // Elements of unknown keys alone print as nothing.
            if parsed.elements().iter().all(|element| *element != XfccElement::default()) {
                prop_assert_eq!(Xfcc::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same(elements in proptest::collection::vec(element(), 1..4)) {
        let xfcc = Xfcc(elements);
        prop_assert_eq!(Xfcc::parse(&xfcc.to_string()), Ok(xfcc));
    }

    /// Whatever a client sends, the proxy's own element is read as the proxy wrote it, or the
    /// whole field is refused.
    #[test]
    fn a_prefix_never_changes_the_last_element(
        sent in "(URI=|By=|Subject=|[=,;\"\\\\ ax]){0,24}",
    ) {
        let own = r#"By=p;Hash=0000000000000000000000000000000000000000000000000000000000000000;Subject="CN=client, O=x";URI=spiffe://example.org/client"#;
        if let Ok(parsed) = Xfcc::parse(&format!("{sent},{own}")) {
            prop_assert_eq!(parsed.last(), Some(&last(own)));
        }
    }
}

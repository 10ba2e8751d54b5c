//! The words of the family as they are read back and shown to people.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan_core::{
    CanonicalPath, Code, Decision, Enforcement, Event, Forwarded, ForwardedBy, IpNetwork,
    IpNetworkError, KeyringUnavailable, LifecycleEvent, LifecycleKind, MonotonicTime, Observe as _,
    Outcome, PathError, Peer, PeerIdentity, Principal, Protocol, Rejection, RejectionKind,
    RouteTable, Scheme, SpiffeId, SpiffeIdError, SpiffePattern, Subject, TrustDomain,
    VerifiedCertificate, WallTime, observe_fn,
};

const ID: &str = "spiffe://a.example/orders";
const WRONG: Code = Code::new("test.wrong_thing");

fn id() -> SpiffeId {
    SpiffeId::parse(ID).unwrap()
}

fn peer(identity: PeerIdentity) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity,
        certificate_sha256: [7; 32],
        serial: Box::new([1, 2]),
        not_after: WallTime::from_unix_seconds(50),
    })
}

#[test]
fn a_peer_says_what_its_certificate_proves() {
    let workload = peer(PeerIdentity::Spiffe(id()));
    assert_eq!(workload.spiffe_id(), Some(&id()));
    assert_eq!(workload.to_string(), ID);
    assert_eq!(workload.certificate_sha256(), &[7; 32]);
    assert_eq!(workload.serial(), [1, 2]);
    assert_eq!(workload.not_after(), WallTime::from_unix_seconds(50));
    let shown = format!("{workload:?}");
    assert!(shown.contains(ID) && shown.contains("not_after"), "{shown}");
    let names: Arc<[Box<str>]> = Arc::from(["b.example".into(), "c.example".into()]);
    let server = peer(PeerIdentity::Dns(Arc::clone(&names)));
    assert_eq!(server.spiffe_id(), None);
    assert_eq!(server.identity(), &PeerIdentity::Dns(names));
    assert_eq!(server.to_string(), "b.example");
    assert_eq!(peer(PeerIdentity::Dns(Arc::from([]))).to_string(), "");
    assert_ne!(workload, server);
}

#[test]
fn a_forwarded_claim_says_who_made_it_and_binds_no_token_unless_allowed() {
    let plain = Forwarded::new(ForwardedBy::Xfcc, Some(id()), Some([3; 32]));
    assert_eq!(plain.header(), ForwardedBy::Xfcc);
    assert_eq!(plain.spiffe_id(), Some(&id()));
    assert_eq!(plain.certificate_sha256(), Some(&[3; 32]));
    assert!(!plain.satisfies_certificate_binding());
    assert_eq!(plain.to_string(), format!("{ID} (said by xfcc)"));
    let binding = plain.clone().allow_certificate_binding();
    assert!(binding.satisfies_certificate_binding());
    assert_eq!(binding.spiffe_id(), plain.spiffe_id());
    assert_eq!(binding.certificate_sha256(), plain.certificate_sha256());
    assert_ne!(binding, plain);
    let nameless = Forwarded::new(ForwardedBy::ClientCert, None, None);
    assert_eq!(nameless.to_string(), "no name (said by client_cert)");
    assert_eq!(
        (nameless.spiffe_id(), nameless.certificate_sha256()),
        (None, None)
    );
}

#[test]
fn a_principal_has_exactly_the_roles_and_scopes_that_were_stated() {
    let builder = Principal::builder(Scheme::Jwt, "https://i.example", "alice")
        .with_client("shop")
        .with_scopes(["orders:read"])
        .with_roles(["admin", "auditor"]);
    let shown = format!("{builder:?}");
    assert!(
        shown.contains("alice") && shown.contains("https://i.example"),
        "{shown}"
    );
    let principal = builder.with_token_id("secret-jti").assert_verified();
    assert!(principal.has_role("admin") && principal.has_role("auditor"));
    assert!(!principal.has_role("adm") && !principal.has_role("admin auditor"));
    assert!(principal.has_scope("orders:read") && !principal.has_scope("orders"));
    let shown = format!("{principal:?}");
    for part in ["alice", "shop", "orders:read", "auditor", "Jwt"] {
        assert!(shown.contains(part), "{part} is in {shown}");
    }
    let schemes = [Scheme::ApiKey, Scheme::Introspection, Scheme::Jwt];
    assert_eq!(
        schemes.map(Scheme::as_str),
        ["api_key", "introspection", "jwt"]
    );
}

#[test]
fn spiffe_names_read_back_as_they_were_written() {
    let id: SpiffeId = ID.parse().unwrap();
    assert_eq!(
        (id.as_ref() as &str, format!("{id:?}")),
        (ID, format!("SpiffeId({ID})"))
    );
    let domain: TrustDomain = "a.example".parse().unwrap();
    assert_eq!(domain.as_ref() as &str, "a.example");
    assert_eq!(
        format!("{domain} {domain:?}"),
        "a.example TrustDomain(a.example)"
    );
    assert!(domain.contains(&id));
    let by_name = HashMap::from([(domain, 1)]);
    assert_eq!(by_name.get("a.example"), Some(&1));
    let pattern: SpiffePattern = "spiffe://a.example/**".parse().unwrap();
    assert_eq!(pattern.as_str(), "spiffe://a.example/**");
    assert_eq!(
        format!("{pattern} {pattern:?}"),
        "spiffe://a.example/** SpiffePattern(spiffe://a.example/**)"
    );
    let exact = SpiffePattern::from(&id);
    assert!(exact.matches(&id) && exact.as_str() == ID);
    let long = format!("spiffe://a.example/{}", "a".repeat(2048));
    let length = long.len();
    assert_eq!(
        SpiffePattern::parse(&long),
        Err(SpiffeIdError::TooLong { length })
    );
}

#[test]
fn every_fault_of_a_spiffe_name_says_what_it_is() {
    let long_name = format!("spiffe://{}/a", "a".repeat(256));
    let long = format!("spiffe://a/{}", "a".repeat(2048));
    for (text, expected) in [
        ("spiffe://a//b", "an empty segment"),
        ("spiffe:///b", "trust domain is empty"),
        ("spiffe://a/b%", "a character outside a-z A-Z"),
        ("spiffe://a/../b", "`..` segment"),
        ("https://a/b", "does not begin with spiffe://"),
        ("spiffe://A/b", "a character outside a-z 0-9"),
        (long_name.as_str(), "256 bytes, at most 255"),
        (long.as_str(), "2059 bytes, at most 2048"),
    ] {
        let told = SpiffeId::parse(text).unwrap_err().to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
    let wild = SpiffePattern::parse("spiffe://a/b*")
        .unwrap_err()
        .to_string();
    assert!(wild.contains("a whole segment"), "{wild}");
}

#[test]
fn times_keep_what_they_were_made_of() {
    let wall = WallTime::from_unix(Duration::new(3, 5));
    assert_eq!(
        (wall.unix_seconds(), wall.since_unix_epoch()),
        (3, Duration::new(3, 5))
    );
    assert_eq!(format!("{wall:?}"), "WallTime(3.000000005)");
    #[expect(clippy::disallowed_methods, reason = "any moment does as an origin")]
    let instant = Instant::now();
    let now = MonotonicTime::from_instant(instant);
    let later = now.checked_add(Duration::from_secs(2)).unwrap();
    assert_eq!(later.saturating_since(now), Duration::from_secs(2));
    assert_eq!(now.saturating_since(later), Duration::ZERO);
    assert_eq!(now.checked_add(Duration::MAX), None);
}

#[test]
fn a_code_has_two_words_or_more_of_plain_letters() {
    assert_eq!(
        (Code::new("a.b_2").as_str(), WRONG.to_string().as_str()),
        ("a.b_2", "test.wrong_thing")
    );
    for wrong in ["", "a", "a.", ".a", "a..b", "a.B", "a.b c"] {
        let made = std::panic::catch_unwind(|| Code::new(wrong));
        assert!(made.is_err(), "{wrong:?} is no code");
    }
}

#[test]
fn networks_are_read_and_refused_by_the_rules_of_their_family() {
    let network: IpNetwork = "10.1.2.3/8".parse().unwrap();
    assert_eq!(
        (network.base(), network.prefix_length()),
        ("10.0.0.0".parse().unwrap(), 8)
    );
    assert_eq!(format!("{network:?}"), "IpNetwork(10.0.0.0/8)");
    let whole = |text: &str| text.parse::<IpNetwork>().unwrap().prefix_length();
    assert_eq!((whole("10.0.0.1"), whole("2001:db8::1")), (32, 128));
    // What looks like an embedded IPv4 address and is none.
    let documentation: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(
        IpNetwork::new(documentation, 100).unwrap().prefix_length(),
        100
    );
    for (text, expected) in [
        ("10.0.0/8", IpNetworkError::Address),
        ("10.0.0.0/33", IpNetworkError::Length),
        ("10.0.0.0/+8", IpNetworkError::Length),
        ("::/129", IpNetworkError::Length),
    ] {
        assert_eq!(text.parse::<IpNetwork>(), Err(expected), "{text}");
    }
    assert_eq!(IpNetworkError::Address.to_string(), "not an IP address");
    assert!(
        IpNetworkError::Length
            .to_string()
            .starts_with("not a prefix length")
    );
}

#[test]
fn every_fault_of_a_path_says_what_it_is() {
    for (path, fault, expected) in [
        ("/a\u{7}", PathError::Control, "a control character"),
        ("/a/../b", PathError::DotSegment, "a dot segment"),
        ("/a//b", PathError::EmptySegment, "an empty segment"),
        (
            "/a%2fb",
            PathError::EncodedSeparator,
            "an encoded separator",
        ),
        ("/a%2", PathError::Encoding, "a bad percent-encoding"),
        ("a", PathError::NotAbsolute, "does not begin with a slash"),
        ("/\u{e9}", PathError::NotAscii, "beyond ascii"),
        ("/a;b", PathError::Parameter, "a semicolon"),
    ] {
        assert_eq!(CanonicalPath::parse(path).unwrap_err(), fault, "{path:?}");
        assert!(fault.to_string().contains(expected), "{path:?}: {fault}");
    }
    assert!(PathError::Spelling.to_string().contains("another route"));
}

#[test]
fn a_table_of_routes_says_how_many_it_has() {
    let table = RouteTable::new(["/a", "/b/{id}"]).unwrap();
    assert_eq!((table.len(), table.is_empty()), (2, false));
    assert_eq!(
        (
            RouteTable::default().len(),
            RouteTable::default().is_empty()
        ),
        (0, true)
    );
    assert!(format!("{table:?}").contains("length: 2"));
}

#[test]
fn a_decision_keeps_what_the_layer_said() {
    let decision = Decision::new("test", Outcome::CouldNotDecide)
        .with_enforcement(Enforcement::Shadow)
        .with_detail(Arc::from("rule 7"));
    assert_eq!(
        (decision.enforcement(), decision.detail()),
        (Enforcement::Shadow, Some("rule 7"))
    );
    assert_eq!(decision.outcome().as_str(), "could_not_decide");
    let shadowed = Decision::new("test", Outcome::WouldHaveDenied);
    assert_eq!(
        (shadowed.enforcement(), shadowed.detail()),
        (Enforcement::Shadow, None)
    );
}

#[test]
fn a_refusal_tells_the_log_what_the_client_is_not_told() {
    let bare = Rejection::new(RejectionKind::Forbidden, WRONG);
    assert_eq!(
        bare.to_string(),
        "test.wrong_thing: the caller may not do this"
    );
    assert!(std::error::Error::source(&bare).is_none());
    let refused = bare.with_detail("not on Sundays").with_cause("host-7");
    assert_eq!(refused.to_string(), "test.wrong_thing: not on Sundays");
    let cause = std::error::Error::source(&refused).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("host-7"));
}

#[test]
fn what_could_not_be_decided_is_not_counted_as_denied() {
    use RejectionKind as Kind;

    for (kind, expected) in [
        (Kind::BadGateway, Outcome::CouldNotDecide),
        (Kind::DeadlineExceeded, Outcome::CouldNotDecide),
        (Kind::Forbidden, Outcome::Denied),
        (Kind::Internal, Outcome::CouldNotDecide),
        (Kind::Malformed, Outcome::Denied),
        (Kind::RateLimited, Outcome::Denied),
        (Kind::Timeout, Outcome::Denied),
        (Kind::Unauthenticated, Outcome::Denied),
        (Kind::Unavailable, Outcome::CouldNotDecide),
    ] {
        assert_eq!(Rejection::new(kind, WRONG).outcome(), expected, "{kind:?}");
    }
}

#[test]
fn an_observer_is_told_of_lifecycles_with_all_that_is_known() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            let detail = event.detail().map(ToString::to_string);
            let subject = event.subject().map(str::to_owned);
            let kind = (event.layer(), event.kind(), event.code());
            log.lock()
                .unwrap()
                .push((kind, event.address(), subject, detail));
        }
    });
    assert_eq!(format!("{observer:?}"), "ObserveFn");
    let bare = LifecycleEvent::new("mtls", LifecycleKind::KeyChanged, WRONG);
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let full = LifecycleEvent::new("mtls", LifecycleKind::Started, WRONG)
        .with_address(address)
        .with_subject("a.example")
        .with_detail(&"why");
    let shown = format!("{full:?}");
    for part in [
        "192.0.2.7",
        "a.example",
        "why",
        "test.wrong_thing",
        "Started",
    ] {
        assert!(shown.contains(part), "{part} is in {shown}");
    }
    observer.observe(&Event::Lifecycle(bare));
    observer.observe(&Event::Lifecycle(full));
    let kind = |kind| ("mtls", kind, WRONG);
    assert_eq!(
        *told.lock().unwrap(),
        [
            (kind(LifecycleKind::KeyChanged), None, None, None),
            (
                kind(LifecycleKind::Started),
                Some(address),
                Some("a.example".to_owned()),
                Some("why".to_owned())
            ),
        ]
    );
}

#[test]
fn a_subject_is_named_to_keyrings_and_to_nobody_else() {
    let subject = Subject::new("shop", "alice");
    assert_eq!((subject.tenant(), subject.id()), ("shop", "alice"));
    assert_eq!(format!("{subject:?}"), "Subject(..)");
    let reason = "no connection".to_owned();
    let told = KeyringUnavailable { reason }.to_string();
    assert_eq!(told, "subject keyring is unavailable: no connection");
}

#[test]
fn protocols_have_stable_names() {
    let all = [
        Protocol::Grpc,
        Protocol::GrpcWeb,
        Protocol::GrpcWebText,
        Protocol::Http,
    ];
    assert_eq!(
        all.map(Protocol::as_str),
        ["grpc", "grpc_web", "grpc_web_text", "http"]
    );
    assert_eq!(all.map(Protocol::is_grpc), [true, true, true, false]);
}

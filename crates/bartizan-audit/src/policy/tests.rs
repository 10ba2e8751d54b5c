use super::*;

fn facts<'a>(method: &'a str, template: Option<&'a str>, refused: bool) -> Facts<'a> {
    Facts {
        method,
        template,
        protocol: Protocol::Http,
        peer: None,
        refused,
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = Policy::new(vec![
        Rule::none().add_template("/healthz"),
        Rule::metadata()
            .with_outcome(RuleOutcome::Refused)
            .with_durability(Durability::Lossy),
        Rule::request().add_method("post").add_template("/orders/*"),
        Rule::request_response().with_protocol(Protocol::Grpc),
    ])
    .unwrap();
    for (facts, level, durability) in [
        (
            facts("GET", Some("/healthz"), false),
            Level::None,
            Durability::Buffered,
        ),
        (
            facts("GET", Some("/healthz"), true),
            Level::None,
            Durability::Buffered,
        ),
        (
            facts("GET", Some("/a"), true),
            Level::Metadata,
            Durability::Lossy,
        ),
        (
            facts("POST", Some("/orders/{id}"), false),
            Level::Request,
            Durability::Buffered,
        ),
        (
            facts("GET", Some("/orders/{id}"), false),
            Level::Metadata,
            Durability::Buffered,
        ),
        (
            facts("POST", None, false),
            Level::Metadata,
            Durability::Buffered,
        ),
    ] {
        let rule = policy.find(&facts);
        assert_eq!(
            (rule.level(), rule.durability()),
            (level, durability),
            "{facts:?}"
        );
    }
}

#[test]
fn what_decides_always_is_known_without_asking() {
    let level = |rules: Vec<Rule>| Policy::new(rules).unwrap().only().map(Rule::level);
    let some = || Rule::none().add_method("GET");
    assert_eq!(level(vec![]), Some(Level::Metadata));
    assert_eq!(level(vec![Rule::request(), some()]), Some(Level::Request));
    assert_eq!(level(vec![some(), Rule::request()]), None);
    assert_eq!(level(vec![Rule::none().add_template("*")]), None);
    assert_eq!(
        level(vec![Rule::none().with_protocol(Protocol::Grpc)]),
        None
    );
    assert_eq!(
        level(vec![Rule::none().with_outcome(RuleOutcome::Passed)]),
        None
    );
    let peers = "spiffe://example.org/*".parse().unwrap();
    assert_eq!(level(vec![Rule::none().add_peer(peers)]), None);
}

#[test]
fn no_rule_lets_a_secret_in() {
    for rule in [
        Rule::metadata().add_query("access_token"),
        Rule::metadata().add_query("code"),
        Rule::request().add_request_header("Authorization"),
        Rule::request().add_request_header("x-api-key"),
        Rule::request_response().add_response_header("Set-Cookie"),
        Rule::request().add_request_field("/login/password"),
    ] {
        let refused = Policy::new(vec![rule]);
        assert!(
            matches!(refused, Err(ConfigError::Secret(_))),
            "{refused:?}"
        );
    }
    assert!(Policy::new(vec![Rule::request().add_request_header("user-agent")]).is_ok());
    let low = Rule::metadata().add_request_header("user-agent");
    assert_eq!(Policy::new(vec![low]).unwrap_err(), ConfigError::Level);
    let bad = Rule::request().add_request_field("order");
    assert!(matches!(
        Policy::new(vec![bad]),
        Err(ConfigError::Pointer(_))
    ));
}

//! A file that does not hold keeps the gateway from starting, and says why.

use gateway::Config;

use crate::support::Town;

#[tokio::test]
async fn a_file_that_cannot_be_meant_is_refused_with_a_reason() {
    let town = Town::new().await;
    let good = town.plain(([127, 0, 0, 1], 1).into());
    let read = |text: &str| {
        let file = town.folder.join("checked.toml");
        std::fs::write(&file, text).unwrap();
        Config::read(&file).map_err(|error| format!("{error:#}"))
    };
    assert!(read(&good).is_ok());
    for (from, to, says) in [
        ("listen =", "lisen =", "unknown field `lisen`"),
        (
            "per_second = 10000",
            "per_minute = 1",
            "unknown field `per_minute`",
        ),
        (
            "upstream = \"shop\"",
            "upstream = \"shed\"",
            "no upstream \"shed\"",
        ),
        ("response_seconds = 10", "response_seconds = 0", "seconds"),
        (
            "idle_seconds = 10",
            "identity = \"spiffe://example.org/shop\"",
            "none itself",
        ),
        ("idle_seconds = 10", "protocol = \"h3\"", "h3"),
        (
            "idle_seconds = 10",
            "protocol = \"h2\"\npreserve_host = true",
            "http/1.1 alone",
        ),
        ("idle_seconds = 10", "protocol = \"h2\"", "websockets"),
        ("name = \"gate\"", "name = \"a gate\"", "a gate"),
        (
            "name = \"gate\"",
            "trusted_proxies = [\"10.0.0.0/99\"]",
            "trusted_proxies",
        ),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        let refused = read(&text).unwrap_err();
        assert!(refused.contains(says), "{to}: {refused}");
    }
}

#[tokio::test]
async fn without_a_policy_nothing_starts() {
    let town = Town::new().await;
    let text = town.plain(([127, 0, 0, 1], 1).into());
    std::fs::write(town.folder.join("policy.toml"), "version = 1").unwrap();
    let file = town.folder.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::read(&file).unwrap();
    let ended = gateway::run(config, |_| panic!("it listens"), std::future::pending()).await;
    assert!(ended.is_err());
}

#[test]
fn the_example_file_holds() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    Config::read(&file).unwrap();
    let policy = std::fs::read_to_string(file.with_file_name("policy.toml")).unwrap();
    bartizan::authz::Policy::from_toml(&policy).unwrap();
}

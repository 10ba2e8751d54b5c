//! What becomes of a running service when its file changes.

use std::sync::{Arc, Mutex};

use bartizan::config::Config;
use bartizan::core::{Event, observe_fn};
use bartizan_testkit::Host;

use crate::sample::Folder;
use crate::service::{built, call};

const OPEN: &str = "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n";

fn limited(rate: &str) -> String {
    format!("{OPEN}[[address_limit.policy]]\nname = 'a'\nrate = '{rate}'\n")
}

async fn send(configured: &bartizan::config::Configured, address: &str) -> Option<String> {
    let call = call(address, None, None);
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    answer.code()
}

#[tokio::test]
async fn rules_are_in_force_as_soon_as_they_are_read() {
    let folder = Folder::new();
    let configured = built(&folder, OPEN).await;
    // A service that was built before goes on with what is in force.
    let layer = configured.layer();
    assert_eq!(send(&configured, "192.0.2.1").await, None);
    folder.write("bartizan.toml", "");
    let reload = configured.reload().await.unwrap();
    assert_eq!(reload.to_string(), "in force: rules");
    assert_eq!(
        send(&configured, "192.0.2.1").await.as_deref(),
        Some("authz.denied")
    );
    let answer = Host::Hyper
        .send(&layer, &call("192.0.2.1", None, None))
        .await
        .unwrap();
    assert_eq!(answer.code().as_deref(), Some("authz.denied"));
}

#[tokio::test]
async fn the_last_good_file_stays_and_an_event_says_why() {
    let folder = Folder::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            let detail = event.detail().map(ToString::to_string).unwrap_or_default();
            heard
                .lock()
                .unwrap()
                .push(format!("{} {detail}", event.code().as_str()));
        }
    });
    let config = Config::load(folder.write("bartizan.toml", OPEN)).unwrap();
    let configured = config
        .add_observer(Arc::new(observer))
        .build()
        .await
        .unwrap();
    configured.stop_following();
    told.lock().unwrap().clear();
    for (text, expected) in [
        ("[rules]\nfle = 'a'", "unknown option, did you mean `file`?"),
        ("[rules]\nfile = 'nowhere.toml'", "nowhere.toml"),
    ] {
        folder.write("bartizan.toml", text);
        let error = configured.reload().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let last = told.lock().unwrap().pop().unwrap();
        assert!(
            last.starts_with("config.refused ") && last.contains(expected),
            "{last}"
        );
        assert_eq!(send(&configured, "192.0.2.1").await, None);
    }
    folder.write("bartizan.toml", &format!("{OPEN}[bans]\n[upload]\n"));
    configured.reload().await.unwrap();
    let last = told.lock().unwrap().pop().unwrap();
    assert_eq!(
        last,
        "config.reloaded in force: bans; needs a restart: upload"
    );
}

#[tokio::test]
async fn limits_keep_what_was_spent_when_only_their_rates_change() {
    let folder = Folder::new();
    let configured = built(&folder, &limited("2/h")).await;
    assert_eq!(send(&configured, "192.0.2.1").await, None);
    assert_eq!(send(&configured, "192.0.2.1").await, None);
    let exceeded = Some("ratelimit.exceeded".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, exceeded);
    // Two of two were spent; with three there is one left.
    folder.write("bartizan.toml", &limited("3/h burst 3"));
    let reload = configured.reload().await.unwrap();
    assert_eq!(reload.changed(), ["address_limit"]);
    assert_eq!(send(&configured, "192.0.2.2").await, None);
    // What does not change at all stays as it is, whatever else does.
    folder.write(
        "bartizan.toml",
        &format!("{}[intake]\n", limited("3/h burst 3")),
    );
    assert_eq!(configured.reload().await.unwrap().changed(), ["intake"]);
    assert_eq!(send(&configured, "192.0.2.2").await, None);
    assert_eq!(send(&configured, "192.0.2.2").await, None);
    assert_eq!(send(&configured, "192.0.2.2").await, exceeded);
}

#[tokio::test]
async fn bans_hold_while_other_tables_change() {
    use bartizan::ratelimit::BanSubject;
    let folder = Folder::new();
    let text = format!("{OPEN}[bans]\nmode = 'enforce'\n");
    let configured = built(&folder, &text).await;
    let subject = BanSubject::address("192.0.2.1".parse().unwrap());
    configured.bans().unwrap().ban(&subject).unwrap();
    let banned = Some("ratelimit.banned".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, banned);
    folder.write("bartizan.toml", &format!("{text}[intake]\n"));
    configured.reload().await.unwrap();
    assert_eq!(send(&configured, "192.0.2.1").await, banned);

    // Another mode is no other table.
    let handle = configured.bans().unwrap();
    for (mode, expected) in [("shadow", None), ("enforce", banned.clone())] {
        let text = format!("{OPEN}[bans]\nmode = '{mode}'\n");
        folder.write("bartizan.toml", &text);
        assert_eq!(configured.reload().await.unwrap().changed()[0], "bans");
        assert_eq!(send(&configured, "192.0.2.1").await, expected, "{mode}");
    }
    let subject = BanSubject::address("192.0.2.2".parse().unwrap());
    handle.ban(&subject).unwrap();
    assert_eq!(send(&configured, "192.0.2.2").await, banned);
    // One of another size begins anew.
    folder.write(
        "bartizan.toml",
        &format!("{OPEN}[bans]\nmode = 'enforce'\ncapacity = 7\n"),
    );
    configured.reload().await.unwrap();
    assert_eq!(send(&configured, "192.0.2.2").await, None);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_followed_while_somebody_uses_it() {
    let folder = Folder::new();
    let configured = built(&folder, OPEN).await;
    let layer = configured.layer();
    drop(configured);
    folder.write("bartizan.toml", "");
    let call = call("192.0.2.1", None, None);
    // It is looked at every ten seconds, on a clock that does not wait.
    let mut refused = None;
    for _ in 0..600 {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        refused = Host::Hyper.send(&layer, &call).await.unwrap().code();
        if refused.is_some() {
            break;
        }
        // Reading takes a thread of its own, and real time.
        std::thread::yield_now();
    }
    assert_eq!(refused.as_deref(), Some("authz.denied"));
}

/// Lets everything that waits for the paused clock go on, until something is the case.
async fn until(is: impl FnMut() -> bool) -> bool {
    within(10_000, is).await
}

/// The same, for so many seconds of that clock; the file is looked at every ten.
async fn within(seconds: u32, mut is: impl FnMut() -> bool) -> bool {
    for _ in 0..seconds {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        if is() {
            return true;
        }
        // Reading takes a thread of its own, and real time.
        tokio::task::spawn_blocking(std::thread::yield_now)
            .await
            .unwrap();
    }
    false
}

/// Codes of events, as they come.
fn codes() -> (Arc<dyn bartizan::core::Observe>, impl Fn(&str) -> usize) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            heard.lock().unwrap().push(event.code().as_str().to_owned());
        }
    });
    let count = move |code: &str| {
        let told = told.lock().unwrap();
        told.iter().filter(|it| *it == code).count()
    };
    (Arc::new(observer), count)
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_put_in_force_is_tried_again() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", "")).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    // The file is good; what it names is not there yet.
    folder.write("bartizan.toml", "[rules]\nfile = 'policy.toml'\n");
    assert!(until(|| count("config.refused") > 0).await);
    let refused = Some("authz.denied".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, refused);
    // It is told once, however often it is tried.
    assert!(!until(|| count("config.refused") > 1).await);
    folder.write(
        "policy.toml",
        "version = 1\n[[rule]]\nname = 'all'\neffect = 'allow'\n",
    );
    assert!(until(|| count("config.reloaded") > 0).await);
    assert_eq!(send(&configured, "192.0.2.1").await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_a_file_that_says_what_is_in_force() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", OPEN)).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    assert!(until(|| count("source.refreshed") > 0).await);
    assert!(!within(1_000, || count("config.reloaded") > 0).await);
    folder.write("bartizan.toml", "");
    assert!(until(|| count("config.reloaded") > 0).await);
    let denied = Some("authz.denied".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, denied);
    // Nor is it told again what waits for a restart, by whatever follows other secrets from then on.
    let secret = "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n\
                  algorithms = ['HS256']\n\
                  secret = [{ algorithm = 'HS256', secret = 'file:secret' }]\n";
    folder.write("bartizan.toml", &format!("{secret}[upload]\n"));
    assert!(until(|| count("config.reloaded") > 1).await);
    assert!(!within(1_000, || count("config.reloaded") > 2).await);
    assert_eq!(
        configured.reload().await.unwrap().needs_restart(),
        ["upload"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_slip_in_a_file_that_is_followed_is_refused_once_and_its_mending_told() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", OPEN)).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    for (slip, refusals) in [("[bnas]", 1), ("[bans", 2)] {
        folder.write("bartizan.toml", slip);
        assert!(until(|| count("config.refused") == refusals).await);
        assert!(!within(1_000, || count("config.refused") > refusals).await);
        assert_eq!(send(&configured, "192.0.2.1").await, None);
    }
    // The file could be read; it is what it says that does not hold.
    assert_eq!(count("source.failed"), 0);
    assert_eq!(count("config.reloaded"), 0);
    folder.write("bartizan.toml", OPEN);
    assert!(until(|| count("config.reloaded") == 1).await);
    folder.write("bartizan.toml", "");
    assert!(until(|| count("config.reloaded") == 2).await);
    let denied = Some("authz.denied".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, denied);
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_secret_comes_later_is_in_force_when_it_has_come() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", OPEN)).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    let text = "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n\
                algorithms = ['HS256']\n\
                secret = [{ algorithm = 'HS256', secret = 'file:later' }]\n";
    folder.write("bartizan.toml", &format!("{OPEN}{text}"));
    assert!(until(|| count("config.refused") == 1).await);
    assert!(!within(1_000, || count("config.refused") > 1).await);
    assert_eq!(send(&configured, "192.0.2.1").await, None);
    folder.write("later", "0123456789abcdef0123456789abcdef");
    assert!(until(|| count("config.reloaded") == 1).await);
    let missing = Some("jwt.missing".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, missing);
}

#[tokio::test(start_paused = true)]
async fn another_file_takes_the_place_of_one_that_waits() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", "")).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    folder.write("bartizan.toml", "[rules]\nfile = 'policy.toml'\n");
    assert!(until(|| count("config.refused") > 0).await);
    folder.write("bartizan.toml", OPEN);
    assert!(until(|| count("config.reloaded") > 0).await);
    // What waited does not come back.
    folder.write("policy.toml", "version = 1\nallow_nothing = true\n");
    assert!(!until(|| count("config.refused") > 1).await);
    assert_eq!(send(&configured, "192.0.2.1").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_file_with_other_secrets_is_followed_as_often_as_before() {
    let folder = Folder::new();
    let (observer, count) = codes();
    let config = Config::load(folder.write("bartizan.toml", OPEN)).unwrap();
    let configured = config.add_observer(observer).build().await.unwrap();
    let secret = "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n\
                  algorithms = ['HS256']\n\
                  secret = [{ algorithm = 'HS256', secret = 'file:secret' }]\n";
    // How often it is looked at takes a restart, so that it is not `never` either.
    let text = format!("reload_interval = '0s'\n{OPEN}{secret}");
    folder.write("bartizan.toml", &text);
    let takes_tokens = || {
        let effective = configured.config().effective().to_string();
        effective.contains("https://a.example")
    };
    assert!(until(takes_tokens).await);
    let missing = Some("jwt.missing".to_owned());
    assert_eq!(send(&configured, "192.0.2.1").await, missing);
    folder.write("bartizan.toml", OPEN);
    assert!(until(|| !takes_tokens()).await);
    assert_eq!(send(&configured, "192.0.2.1").await, None);
    assert_eq!(count("config.not_followed"), 0);
}

#[tokio::test]
async fn plaintext_that_is_taken_out_is_refused_at_once() {
    use bartizan::core::{Connection, Transport};
    use bartizan_testkit::Call;

    let folder = Folder::new();
    let plaintext = "insecure_plaintext = { until = '2999-01-01T00:00:00Z', routes = ['/echo'] }";
    let strict = format!("{OPEN}[peers]\nallow = ['spiffe://example.org/web']\n");
    let configured = built(&folder, &format!("{strict}{plaintext}\n")).await;
    let remote = "192.0.2.1:4000".parse().unwrap();
    let connection = Connection::from_remote(remote).with_transport(Transport::Plaintext);
    let call = Call::echo("hello").with_connection(connection);
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    assert_eq!(answer.code(), None);

    folder.write("bartizan.toml", &strict);
    let reload = configured.reload().await.unwrap();
    assert_eq!(reload.needs_restart(), ["peers.insecure_plaintext"]);
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("mtls.no_peer"));

    // Nor does a later change of the same table bring it back, or more of it than is written.
    let more = strict.replace("web']", "web', 'spiffe://example.org/shop']");
    let narrow = plaintext.replace("/echo", "/health");
    let over = plaintext.replace("2999", "2001");
    for text in [
        more.clone(),
        format!("{strict}{narrow}\n"),
        format!("{more}{narrow}\n"),
        format!("{more}{over}\n"),
        format!("{strict}{over}\n"),
    ] {
        folder.write("bartizan.toml", &text);
        configured.reload().await.unwrap();
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        let code = answer.code().unwrap_or_default();
        assert!(code.starts_with("mtls."), "{code} {text}");
    }
    folder.write("bartizan.toml", &more);
    configured.reload().await.unwrap();
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("mtls.no_peer"));
}

#[tokio::test]
async fn a_listener_that_goes_on_keeps_its_peers() {
    let folder = Folder::new();
    let text = crate::sample::WHOLE;
    let configured = built(&folder, text).await;
    folder.write("bartizan.toml", OPEN);
    let error = configured.reload().await.unwrap_err().to_string();
    assert!(error.contains("takes [peers] beside it"), "{error}");
    let code = send(&configured, "192.0.2.1").await;
    assert_eq!(code.as_deref(), Some("mtls.no_peer"));
}

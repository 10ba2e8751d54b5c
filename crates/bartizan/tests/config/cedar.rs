//! Policies in Cedar.

use bartizan::config::Config;

#[cfg(not(feature = "cedar"))]
#[test]
fn what_the_program_was_built_without_is_named() {
    let text = "[rules]\nmode = 'enforce'\n[rules.cedar]\nfiles = ['a.cedar']";
    let error = Config::from_toml(text, "").unwrap_err();
    let [problem] = error.problems() else {
        panic!("{error}")
    };
    assert_eq!(problem.missing_feature(), Some("cedar"));
    let expected =
        "line 3, column 1: rules.cedar: this program was built without the feature `cedar`";
    assert_eq!(problem.to_string(), expected);
}

#[test]
fn what_is_not_known_is_refused_whether_or_not_there_is_cedar() {
    let text = "[rules.cedar]\nfils = ['a.cedar']";
    let error = Config::from_toml(text, "").unwrap_err().to_string();
    let expected = "line 2, column 1: rules.cedar.fils: unknown option, did you mean `files`?";
    assert_eq!(error, expected);
}

#[cfg(feature = "cedar")]
mod built {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use bartizan::config::{Config, Configured};
    use bartizan::core::{Event, observe_fn};
    use bartizan_testkit::Host;
    use http::Method;

    use crate::sample::{Folder, ISSUER};
    use crate::service::{WEB, built, call};

    const ALLOW: &str = "
        @id(\"web echoes\")
        permit (principal is Principal, action == Action::\"POST\", resource == Route::\"/echo\")
        when {
          principal.scopes.contains(\"echo\") && context has peer &&
          context.peer == Peer::\"spiffe://example.org/web\"
        };
        @id(\"calls\")
        permit (principal, action == Action::\"bartizan.testkit.Echo/Unary\", resource);
        @id(\"metrics\")
        permit (principal, action == Action::\"GET\", resource == Route::\"/metrics\");
    ";
    const DENY: &str = "
        @id(\"nobody of evil\") forbid (principal, action, resource)
        when { context has groups && context.groups.contains(\"evil\") };
    ";

    /// Tokens, and policies of two files.
    fn text(cedar: &str) -> String {
        format!(
            "[entrance]\nroutes = ['/echo', '/nested/echo', '/orders/{{id}}']\n\
             [peers]\nallow = ['spiffe://example.org/*']\n\
             [tokens]\nallow_anonymous = true\n\
             [[tokens.issuer]]\nissuer = '{ISSUER}'\naudiences = ['orders']\n\
             key_file = 'keys.json'\n\
             [rules.cedar]\nfiles = ['allow.cedar', 'deny.cedar']\n{cedar}\n"
        )
    }

    const TERMS: &str = "claims = ['groups']\n\
        grpc = [{ service = 'bartizan.testkit.Echo', method = 'Unary' }]";

    fn folder() -> Folder {
        let folder = Folder::new();
        folder.write("allow.cedar", ALLOW);
        folder.write("deny.cedar", DENY);
        folder
    }

    async fn code(configured: &Configured, host: Host, id: &str, token: Option<&str>) -> String {
        let call = call("192.0.2.1", Some(id), token);
        let answer = host.send(&configured.layer(), &call).await.unwrap();
        answer.code().unwrap_or_else(|| "passes".to_owned())
    }

    #[tokio::test]
    async fn they_decide_by_scope_peer_claim_route_and_grpc_method() {
        let folder = folder();
        let options = format!("{TERMS}\nroutes = ['/echo', '/metrics']");
        let configured = built(&folder, &text(&options)).await;
        let good = folder.mint.token().audience("orders").scope("echo");
        let good = good.sign().unwrap();
        let other = folder.mint.token().audience("orders").scope("other");
        let other = other.sign().unwrap();
        let evil = folder.mint.token().audience("orders").scope("echo");
        let evil = evil.claim("groups", serde_json::json!(["staff", "evil"]));
        let evil = evil.sign().unwrap();
        const OTHER: &str = "spiffe://example.org/other";
        for (host, id, token, expected) in [
            (Host::Hyper, WEB, Some(&good), "passes"),
            (Host::Hyper, OTHER, Some(&good), "authz.denied"),
            (Host::Hyper, WEB, Some(&other), "authz.denied"),
            (Host::Hyper, WEB, Some(&evil), "authz.denied"),
            (Host::Hyper, WEB, None, "authz.denied"),
            // At a route that no policy speaks of.
            (Host::AxumNest, WEB, Some(&good), "authz.denied"),
            (Host::TonicNamedLayer, OTHER, None, "passes"),
            (Host::TonicNamedLayer, OTHER, Some(&evil), "authz.denied"),
        ] {
            let code = code(&configured, host, id, token.map(String::as_str)).await;
            assert_eq!(code, expected, "{host:?} {id}");
        }
    }

    #[tokio::test]
    async fn routes_are_those_of_the_service_unless_they_are_named() {
        let folder = folder();
        let config = |options: &str| {
            Config::load(folder.write("bartizan.toml", &text(&format!("{TERMS}\n{options}"))))
        };
        // Of all paths that the policies speak of, this one nobody lists.
        let unknown = "allow.cedar: line 11: for policy `policy2`";
        for error in [
            config("").unwrap().check_files().unwrap_err(),
            config("").unwrap().build().await.unwrap_err(),
            config("routes = ['/echo']")
                .unwrap()
                .build()
                .await
                .unwrap_err(),
        ] {
            let problem = &error.problems()[0];
            assert_eq!((problem.line(), problem.path()), (Some(11), "rules.cedar"));
            assert!(problem.message().contains(unknown), "{error}");
        }
        for options in [
            "routes = ['/echo', '/metrics']",
            "[telemetry.prometheus]\npath = '/metrics'",
        ] {
            if options.contains("prometheus") && !cfg!(feature = "prometheus") {
                continue;
            }
            let config = config(options).unwrap();
            config.check_files().unwrap();
            let configured = config.build().await.unwrap();
            let call = call("192.0.2.1", Some(WEB), None).with_http_method(Method::GET);
            let call = call.with_http_path("/metrics");
            let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
            assert_eq!(answer.code(), None, "{options}");
        }
    }

    #[test]
    fn the_policies_of_the_page_are_good_as_they_stand() {
        let page = bartizan::config::reference();
        let (_, section) = page.split_once("## Policies in Cedar\n").unwrap();
        let fenced = |kind: &str| {
            let (_, rest) = section.split_once(&format!("```{kind}\n")).unwrap();
            rest.split_once("```").unwrap().0.to_owned()
        };
        let folder = Folder::new();
        let policies = folder.path().join("policies");
        std::fs::create_dir(&policies).unwrap();
        std::fs::write(policies.join("allow.cedar"), fenced("text")).unwrap();
        std::fs::write(
            policies.join("deny.cedar"),
            DENY.replace("groups", "tenant"),
        )
        .unwrap();
        let config = Config::load(folder.write("bartizan.toml", &fenced("toml"))).unwrap();
        config.check_files().unwrap();
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        let one = "takes one of `file`, `cedar`, `rule` and `insecure_allow_everything`";
        for (text, expected) in [
            (
                "[rules.cedar]",
                "line 1, column 1: rules.cedar: names no `files`",
            ),
            (
                "[rules]\nfile = 'a.toml'\n[rules.cedar]\nfiles = ['a.cedar']",
                &format!("line 1, column 1: rules: {one}"),
            ),
            (
                "[rules.cedar]\nfiles = ['a.cedar', 'a.cedar']",
                "line 1, column 1: rules.cedar: a.cedar is named twice",
            ),
            (
                "[rules.cedar]\nfiles = ['a.cedar']\nclaims = ['path']",
                "line 1, column 1: rules.cedar: \"path\" cannot be named in a policy",
            ),
            (
                "[rules.cedar]\nfiles = ['a.cedar']\nroutes = ['/{a']",
                "line 1, column 1: rules.cedar: ",
            ),
            (
                "[rules.cedar]\nfiles = ['a.cedar']\ngrpc = [{ service = 'a.B' }]",
                "line 3, column 9: rules.cedar.grpc[0].method: is missing, and there is no default \
                 for it",
            ),
            (
                "[rules]\nchallenge_realm = 'a'\n[rules.cedar]\nfiles = ['a.cedar']",
                "line 1, column 1: rules: policies in Cedar know no `challenge_realm`",
            ),
            (
                "[rules]\ndestination = '10.0.0.1:443'\n[rules.cedar]\nfiles = ['a.cedar']",
                "line 1, column 1: rules: policies in Cedar know no `destination`",
            ),
        ] {
            let error = Config::from_toml(text, "").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}\n{error}");
        }
        let folder = folder();
        let absent = text(TERMS).replace("deny.cedar", "absent.cedar");
        let config = Config::load(folder.write("bartizan.toml", &absent)).unwrap();
        let error = config.check_files().unwrap_err().to_string();
        assert!(
            error.contains("rules.cedar") && error.contains("absent.cedar"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn their_files_are_followed_and_the_last_good_ones_stay() {
        let folder = Folder::new();
        folder.write("a.cedar", "permit (principal, action, resource);");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let observer = observe_fn(move |event: &Event<'_>| {
            if let Event::Lifecycle(event) = event {
                let detail = event.detail().map(ToString::to_string).unwrap_or_default();
                heard.lock().unwrap().push(detail);
            }
        });
        let text = "[rules]\nreload_interval = '1s'\n[rules.cedar]\nfiles = ['a.cedar']";
        let config = Config::load(folder.write("bartizan.toml", text)).unwrap();
        let config = config.add_observer(Arc::new(observer));
        let configured = config.build().await.unwrap();
        let becomes = async |expected: &str| {
            for _ in 0..10_000 {
                if code(&configured, Host::Hyper, WEB, None).await == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            panic!("it never {expected}");
        };
        becomes("passes").await;
        folder.write("a.cedar", "forbid (principal, action, resource);");
        becomes("authz.denied").await;
        // A slip changes nothing, and is told with its line.
        folder.write("a.cedar", "\npermit (principal, action, resorce);");
        let is_told = || {
            told.lock()
                .unwrap()
                .iter()
                .any(|it: &String| it.contains("line 2"))
        };
        for _ in 0..10_000 {
            if is_told() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(is_told(), "{told:?}");
        assert_eq!(
            code(&configured, Host::Hyper, WEB, None).await,
            "authz.denied"
        );
        folder.write("a.cedar", "permit (principal, action, resource);");
        becomes("passes").await;
    }
}

//! What is said of single routes.

use bartizan::config::{Config, Configured};
use bartizan_testkit::{Call, Host};

use crate::sample::Folder;
use crate::service::{built, call};

async fn code(configured: &Configured, host: Host, call: &Call) -> Option<String> {
    host.send(&configured.layer(), call).await.unwrap().code()
}

#[tokio::test]
async fn requests_cost_what_their_route_costs() {
    let folder = Folder::new();
    let text = "[entrance]\nroutes = ['/echo', '/health', '/orders/{id}']\n\
                [rules]\ninsecure_allow_everything = true\n\
                [address_limit]\npolicy = [{ name = 'a', rate = '4/h' }]\n\
                route = [{ templates = ['/orders/{id}'], cost = 3 }, \
                { templates = ['/health'], cost = 0 }]";
    let configured = built(&folder, text).await;
    let exceeded = Some("ratelimit.exceeded".to_owned());
    for (path, expected) in [
        ("/orders/7", None),
        ("/orders/8", exceeded.clone()),
        ("/echo", None),
        ("/echo", exceeded.clone()),
        // What costs nothing is not refused where nothing is left.
        ("/health", None),
    ] {
        let call = call("192.0.2.1", None, None).with_http_path(path);
        assert_eq!(
            code(&configured, Host::Hyper, &call).await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn bodies_have_the_bounds_of_their_route() {
    let folder = Folder::new();
    let text = "[entrance]\nroutes = ['/echo', '/images/{name}', '/bartizan.testkit.Echo/Unary']\n\
                [rules]\ninsecure_allow_everything = true\n\
                [upload]\nmax_body = '16B'\n\
                [[upload.route]]\ntemplates = ['/images/{name}']\nmax_body = '1KiB'\n\
                [[upload.route]]\ntemplates = ['/bartizan.testkit.Echo/Unary']\nmax_body = '32B'";
    let configured = built(&folder, text).await;
    let too_large = Some("ratelimit.body_too_large".to_owned());
    for (host, path, length, expected) in [
        (Host::Hyper, "/echo", 16, None),
        (Host::Hyper, "/echo", 17, too_large.clone()),
        (Host::Hyper, "/images/a", 1024, None),
        (Host::Hyper, "/images/a", 1025, too_large.clone()),
        // Of gRPC the methods alone that are named, with the five bytes before each message.
        (Host::TonicNamedLayer, "", 27, None),
        (Host::TonicNamedLayer, "", 28, too_large.clone()),
    ] {
        let call = Call::echo("x".repeat(length)).with_http_path(path);
        let code = code(&configured, host, &call).await;
        assert_eq!(code, expected, "{path} {length}");
    }
    let wrong = format!("{text}\njson_depth = 0");
    let error = Config::from_toml(&wrong, "").unwrap_err().to_string();
    assert!(error.contains("upload"), "{error}");
}

#[test]
fn the_coarse_clock_is_one_of_linux_and_of_a_feature() {
    let limit = "[address_limit]\npolicy = [{ name = 'a', rate = '1/s' }]\n";
    let text = format!("{limit}coarse_clock = true");
    let there = cfg!(all(feature = "coarse-clock", target_os = "linux"));
    match Config::from_toml(&text, "") {
        Ok(_) => assert!(there),
        Err(error) => {
            assert!(!there, "{error}");
            let [problem] = error.problems() else {
                panic!("{error}")
            };
            assert_eq!(problem.path(), "address_limit.coarse_clock");
            let missing = cfg!(target_os = "linux").then_some("coarse-clock");
            assert_eq!(problem.missing_feature(), missing);
        }
    }
}

#[cfg(all(feature = "coarse-clock", target_os = "linux"))]
#[tokio::test]
async fn a_limit_by_the_coarse_clock_refuses_as_well() {
    let folder = Folder::new();
    let text = "[rules]\ninsecure_allow_everything = true\n[address_limit]\n\
                coarse_clock = true\npolicy = [{ name = 'a', rate = '1/h' }]";
    let configured = built(&folder, text).await;
    let call = call("192.0.2.1", None, None);
    assert_eq!(code(&configured, Host::Hyper, &call).await, None);
    let second = code(&configured, Host::Hyper, &call).await;
    assert_eq!(second.as_deref(), Some("ratelimit.exceeded"));
}

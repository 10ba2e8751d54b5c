//! A name is its owner's, an address is where one is, and room is for everybody.

use std::net::Ipv4Addr;
use std::time::Duration;

use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::dangerous_client_config;

use crate::support::{Town, told};

#[tokio::test]
async fn a_workload_registers_and_is_found_by_whom_it_concerns() {
    let town = Town::new().await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    let (status, lease) = payments.register("payments", 8444).await;
    assert_eq!(status, 200, "{lease}");
    assert_eq!(lease["address"], "127.0.0.1:8444");
    assert_eq!(lease["lease_seconds"], 30);

    let (status, found) = orders.look_up("payments").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(told(&found).0, ["127.0.0.1:8444"]);
    // Whom to insist on when connecting there.
    assert_eq!(found["identity"], "spiffe://example.org/payments");

    assert_eq!(payments.withdraw("payments", 8444).await.0, 204);
    assert!(told(&orders.look_up("payments").await.1).0.is_empty());
}

#[tokio::test]
async fn nobody_acts_for_a_name_that_is_not_its_own() {
    let town = Town::new().await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    payments.register("payments", 8444).await;
    for (path, who) in [
        ("/orders", "a reader"),
        ("/web", "a stranger"),
        ("/payments/copy", "one below the owner"),
        ("/registry", "the registry's own identity"),
    ] {
        let other = town.workload(path);
        for (status, document) in [
            other.register("payments", 1).await,
            other.register("nothing", 1).await,
            other.withdraw("payments", 8444).await,
            other.withdraw("nothing", 8444).await,
        ] {
            assert_eq!(status, 403, "{who}: {document}");
            assert_eq!(document["code"], "registry.not_yours", "{who}");
        }
    }
    assert_eq!(
        told(&orders.look_up("payments").await.1).0,
        ["127.0.0.1:8444"]
    );
}

#[tokio::test]
async fn who_may_not_know_learns_no_more_than_of_a_name_that_does_not_exist() {
    let town = Town::new().await;
    town.workload("/payments").register("payments", 8444).await;
    let web = town.workload("/web");
    let there_is = web.look_up("payments").await;
    let there_is_none = web.look_up("nothing").await;
    assert_eq!(there_is.0, 403);
    assert_eq!(there_is, there_is_none);
    // Nor by waiting for it.
    let waits = web.ask("GET", "/services/payments?after=0&wait=5").await;
    assert_eq!(waits, there_is_none);
}

#[tokio::test]
async fn an_address_is_where_one_is_and_not_what_one_says() {
    let town = Town::new().await;
    let here = town.workload("/payments");
    let there = town.elsewhere("/payments", Ipv4Addr::new(127, 0, 0, 2));
    let url = format!("{}/services/payments/instances/8444", here.origin);
    let request = here
        .client
        .put(url)
        .body(r#"{"address":"192.0.2.66:8444"}"#);
    let request = request
        .header("x-forwarded-for", "192.0.2.66")
        .header("forwarded", "for=192.0.2.66")
        .header("content-type", "application/json");
    assert_eq!(request.send().await.unwrap().status(), 200);
    there.register("payments", 8444).await;
    let listed = async || told(&here.look_up("payments").await.1).0;
    assert_eq!(listed().await, ["127.0.0.1:8444", "127.0.0.2:8444"]);
    // One copy of a service does not withdraw another.
    assert_eq!(there.withdraw("payments", 8444).await.0, 204);
    assert_eq!(listed().await, ["127.0.0.1:8444"]);
    for port in ["0", "65536", "-1", "http"] {
        let path = format!("/services/payments/instances/{port}");
        let (status, document) = here.ask("PUT", &path).await;
        assert_eq!(status, 400, "{port}");
        assert_eq!(document["code"], "registry.malformed");
    }
}

#[tokio::test]
async fn nobody_takes_the_room_of_others() {
    let town = Town::new().await;
    let payments = town.workload("/payments");
    for port in 1..=3 {
        assert_eq!(payments.register("payments", port).await.0, 200);
    }
    let (status, document) = payments.register("payments", 4).await;
    assert_eq!(status, 429);
    assert_eq!(document["code"], "registry.too_many");
    assert_eq!(
        payments.register("payments", 1).await.0,
        200,
        "renewing needs no room"
    );
    let orders = town.workload("/orders");
    assert_eq!(orders.register("orders", 1).await.0, 200);
}

#[tokio::test]
async fn whoever_asks_too_often_waits() {
    let town = Town::with(|text| text.replace("[limits]", "[limits]\nper_second = 1")).await;
    let payments = town.workload("/payments");
    let (first, second) = (
        payments.look_up("payments").await,
        payments.look_up("payments").await,
    );
    assert_eq!((first.0, second.0), (200, 429));
    assert_eq!(second.1["code"], "ratelimit.exceeded");
    assert_eq!(town.workload("/orders").look_up("orders").await.0, 200);
}

#[tokio::test]
async fn who_proves_nothing_is_not_heard() {
    let town = Town::new().await;
    let url = format!("https://{}/services/payments", town.address);
    let stranger = DevelopmentCa::new("example.org").unwrap();
    let partner = DevelopmentCa::new("partner.example").unwrap();
    for certificate in [
        None,
        Some(stranger.workload("/payments").unwrap()),
        Some(partner.workload("/payments").unwrap()),
    ] {
        let tls = dangerous_client_config(&town.ca, certificate.as_ref()).unwrap();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
        let client = client.no_proxy().build().unwrap();
        assert!(client.get(&url).send().await.is_err());
    }
}

#[tokio::test]
async fn a_lease_does_not_outlive_the_certificate() {
    let town = Town::new().await;
    let now = town.ca.reference_time();
    let short = town.ca.leaf().add_uri("spiffe://example.org/payments");
    let short = short
        .with_not_after(now + Duration::from_secs(10))
        .issue()
        .unwrap();
    let payments = town.with_certificate(&short, Ipv4Addr::LOCALHOST);
    let (status, lease) = payments.register("payments", 8444).await;
    assert_eq!(status, 200);
    assert!(lease["lease_seconds"].as_u64().unwrap() <= 10, "{lease}");
}

//! Stopping: nothing new, and what is under way is finished.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Town, upstream};

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let town = Town::new().await;
    let (entered, door) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, open) = (Arc::clone(&entered), Arc::clone(&door));
    let slow = upstream(move |_: Request<Incoming>| {
        let (entered, door) = (Arc::clone(&inside), Arc::clone(&open));
        async move {
            entered.add_permits(1);
            door.acquire().await.unwrap().forget();
            Response::new(Full::new(Bytes::from("finished")))
        }
    });
    let mut gate = town.start(&town.plain(slow.await)).await;
    let client = town.client(None);
    let health = gate.at.health.unwrap();
    let ready = async || {
        let url = format!("http://{health}/readyz");
        client.get(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ready().await, 200);

    let request = client.get(gate.url("/open/a"));
    let under_way = tokio::spawn(request.send());
    entered.acquire().await.unwrap().forget();
    gate.stop();
    // Whoever watches is told first; then the port is free.
    while ready().await != 503 {}
    while TcpStream::connect(gate.at.requests).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let alive = client.get(format!("http://{health}/healthz")).send().await;
    assert_eq!(alive.unwrap().status(), 200, "it is still at work");
    door.add_permits(1);
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "finished");
    gate.has_ended().await;
    assert!(TcpStream::connect(health).await.is_err());
}

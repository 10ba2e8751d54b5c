//! Clients that mean no good, beside one that does.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use bartizan_mtls::{HANDSHAKE_FAILED, HANDSHAKE_TIMEOUT, MtlsListener, MtlsListenerBuilder};
use bartizan_source::Published;
use bartizan_testkit::DevelopmentCa;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::*;

const FOR_EVER: Duration = Duration::from_secs(7 * 86_400);

fn builder(ca: &DevelopmentCa) -> MtlsListenerBuilder {
    MtlsListener::builder(Published::fixed(payments(ca)))
}

async fn good_client_is_served(ca: &DevelopmentCa, address: SocketAddr) {
    let good = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = timeout(PATIENCE, foreign_get(ca, Some(&good), address)).await;
    assert_eq!(
        answer.expect("served in time").unwrap().status,
        StatusCode::OK
    );
}

/// Reads to the end, whether the server closes or resets.
async fn is_closed(mut tcp: TcpStream) {
    let mut rest = Vec::new();
    if let Err(error) = timeout(PATIENCE, tcp.read_to_end(&mut rest))
        .await
        .expect("closed")
    {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
}

#[tokio::test]
async fn silent_clients_delay_nobody() {
    let ca = ca();
    // A week: were the good client behind the silent ones, it would not be served in time.
    let address = serve(builder(&ca).with_handshake_timeout(FOR_EVER), allow(ORDERS)).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // One that stops in the middle of its first record.
    silent[0].write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    good_client_is_served(&ca, address).await;
    drop(silent);
}

#[tokio::test]
async fn silent_clients_are_let_go_after_the_handshake_timeout() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(Duration::from_millis(50))
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(recorder.wait_for(1).await[0].0, HANDSHAKE_TIMEOUT);
    is_closed(silent).await;
}

#[tokio::test]
async fn handshakes_beyond_the_cap_wait_for_a_slot() {
    let ca = ca();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_max_handshakes(NonZeroUsize::new(2).unwrap());
    let address = serve(builder, allow(ORDERS)).await;
    let silent = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    let mut waiting = Box::pin(good_client_is_served(&ca, address));
    // Both slots are taken and stay so: the good client waits, as the operator asked for.
    assert!(
        timeout(Duration::from_millis(200), &mut waiting)
            .await
            .is_err()
    );
    drop(silent);
    waiting.await;
}

#[tokio::test]
async fn garbage_ends_its_own_connection_alone() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;

    // A handshake message that claims and brings a mebibyte, in records of full size.
    let mut hello = vec![0x01, 0x10, 0x00, 0x00];
    hello.resize(4 + (1 << 20), 0xaa);
    let mut records = Vec::new();
    for piece in hello.chunks(16_384) {
        records.extend([0x16, 0x03, 0x01]);
        records.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
        records.extend(piece);
    }
    let attacks: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &[0; 64],
        &[0xff; 4096],
        &[0x16, 0x03, 0x01, 0xff, 0xff, 0x01],
        &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28], // an alert
        &records,
    ];
    for (count, attack) in attacks.iter().enumerate() {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        // The server may have had enough before everything is written.
        let _ = tcp.write_all(attack).await;
        let seen = recorder.wait_for(count + 1).await;
        let code = seen[count].0;
        assert!(
            code == HANDSHAKE_FAILED || code.as_str() == "mtls.alert_received",
            "attack {count}: {seen:?}"
        );
        is_closed(tcp).await;
    }
    good_client_is_served(&ca, address).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_a_failed_handshake() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    drop(TcpStream::connect(address).await.unwrap());
    assert_eq!(recorder.wait_for(1).await[0].0, HANDSHAKE_FAILED);
    good_client_is_served(&ca, address).await;
}

#[tokio::test]
async fn a_dropped_listener_gives_up_its_port_and_its_handshakes() {
    let ca = ca();
    let listener = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = listener.local_addr();
    let silent = TcpStream::connect(address).await.unwrap();
    drop(listener);
    is_closed(silent).await;
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("closed");
}

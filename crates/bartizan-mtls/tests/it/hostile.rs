//! Clients that mean no good, beside one that does.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bartizan_mtls::{
    HANDSHAKE_FAILED, HANDSHAKE_SHED, HANDSHAKE_TIMEOUT, MtlsListener, MtlsListenerBuilder,
    NOT_AN_SVID,
};
use bartizan_source::Published;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, ManualClock};
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

/// A client that begins a ClientHello and never goes on.
async fn half_open(address: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    tcp
}

/// A client that sends its whole ClientHello and never goes on.
async fn stopped(address: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(&client_hello()).await.unwrap();
    tcp
}

/// The first record of an ordinary client.
fn client_hello() -> Vec<u8> {
    let config = dangerous_client_config(&ca(), None).unwrap();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A listener with so few places that a flood is soon one, and clients that never go on: `count`
/// of them, each begun by `begin`. Good clients are let in meanwhile, and the first makes room.
async fn flood<F: Future<Output = TcpStream>>(count: usize, begin: impl Fn(SocketAddr) -> F) {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_max_handshakes(NonZeroUsize::new(2).unwrap())
        .with_max_handshakes_per_address(NonZeroUsize::new(2).unwrap())
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(begin(address).await);
    }
    for _ in 0..3 {
        good_client_is_served(&ca, address).await;
    }
    is_closed(clients.swap_remove(0)).await;
    let shed = recorder.codes();
    assert!(shed.iter().all(|code| *code == HANDSHAKE_SHED), "{shed:?}");
}

#[tokio::test]
async fn silent_clients_make_room_at_once_when_there_are_too_many() {
    flood(40, async |address| {
        TcpStream::connect(address).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn clients_with_half_a_hello_make_room_at_once_when_there_are_too_many() {
    flood(40, half_open).await;
}

#[tokio::test]
async fn clients_that_stop_in_the_handshake_make_room_when_all_places_are_taken() {
    flood(2, stopped).await;
}

#[tokio::test]
async fn a_thousand_silent_clients_delay_nobody() {
    let ca = ca();
    let address = serve(builder(&ca).with_handshake_timeout(FOR_EVER), allow(ORDERS)).await;
    let mut silent = Vec::new();
    for number in 0..1000 {
        // From many addresses, as a flood is: loopback has sixteen million.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        let from = [
            127,
            0,
            1 + u8::try_from(number / 250).unwrap(),
            1 + u8::try_from(number % 250).unwrap(),
        ];
        socket.bind((from, 0).into()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    for _ in 0..20 {
        good_client_is_served(&ca, address).await;
    }
    drop(silent);
}

#[tokio::test]
async fn a_flood_of_one_address_leaves_places_for_others() {
    let ca = ca();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_max_handshakes(NonZeroUsize::new(8).unwrap());
    let address = serve(builder, allow(ORDERS)).await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        let mut tcp = socket.connect(address).await.unwrap();
        // The server may have had enough before it is written.
        let _ = tcp.write_all(&[0x16, 0x03, 0x01]).await;
        flood.push(tcp);
    }
    good_client_is_served(&ca, address).await;
    drop(flood);
}

#[tokio::test]
async fn long_chains_and_certificates_of_many_names_are_refused() {
    let ca = ca();
    let recorder = Recorder::default();
    let address = serve(builder(&ca).with_observer(recorder.shared()), allow(ORDERS)).await;

    let mut between = Vec::new();
    let mut parent = ca.intermediate().unwrap();
    for _ in 0..50 {
        between.push(parent.certificate_der().clone());
        parent = ca.intermediate().unwrap();
    }
    let leaf = ca.workload("/ns/shop/sa/orders").unwrap();
    let long = leaf.with_intermediates(between.iter());
    let many = (0..129)
        .fold(ca.leaf().add_uri(ORDERS), |leaf, number| {
            leaf.add_dns(format!("n{number}.test"))
        })
        .issue()
        .unwrap();
    let wide = (0..2000)
        .fold(ca.leaf().add_uri(ORDERS), |leaf, number| {
            leaf.add_dns(format!("n{number}.test"))
        })
        .issue()
        .unwrap();
    for (count, hostile) in [long, many, wide].iter().enumerate() {
        assert!(foreign_get(&ca, Some(hostile), address).await.is_err());
        let seen = recorder.wait_for(count + 1).await;
        assert_eq!(seen[count].0, NOT_AN_SVID, "{seen:?}");
    }
    good_client_is_served(&ca, address).await;
}

#[tokio::test]
async fn a_clock_that_jumps_refuses_and_accepts_as_it_says() {
    let ca = ca();
    let clock = ManualClock::at(ca.reference_time());
    let address = serve(builder(&ca).with_clock(self::clock(&clock)), allow(ORDERS)).await;
    let good = ca.workload("/ns/shop/sa/orders").unwrap();
    let year = Duration::from_secs(365 * 86_400);
    good_client_is_served(&ca, address).await;
    clock.advance(year);
    assert!(foreign_get(&ca, Some(&good), address).await.is_err());
    clock.set_wall_back(2 * year);
    assert!(foreign_get(&ca, Some(&good), address).await.is_err());
    clock.set_wall(ca.reference_time());
    good_client_is_served(&ca, address).await;
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

/// Where a hello says that its client speaks TLS 1.3: a list of one or two versions, that first.
fn supported_versions(hello: &[u8]) -> usize {
    let alone: &[u8] = &[0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04];
    let both: &[u8] = &[0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04];
    let found = hello.windows(7).position(|it| it == alone || it == both);
    found.expect("a hello of TLS 1.3")
}

/// RFC 8446, section 4.2.1: a client of TLS 1.2 offers no other version, or does not have the
/// extension. Either is told that the version is refused, and nothing of the certificate.
#[tokio::test]
async fn clients_that_speak_tls_1_2_are_refused_by_version() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let hello = client_hello();
    let place = supported_versions(&hello);
    let mut older = hello.clone();
    older[place + 6] = 0x03;
    let mut without = hello.clone();
    without[place..place + 2].copy_from_slice(&[0x7a, 0x7a]); // an extension that means nothing

    for (count, hello) in [older, without].iter().enumerate() {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(hello).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, tcp.read_to_end(&mut answer))
            .await
            .expect("closed")
            .unwrap();
        assert_eq!(answer[0], 0x15, "not an alert: {answer:02x?}");
        assert_eq!(answer[3..], [0x00, 0x02, 0x02, 70], "{answer:02x?}"); // protocol_version
        let seen = recorder.wait_for(count + 1).await;
        assert_eq!(seen[count].0, HANDSHAKE_FAILED, "{seen:?}");
    }
    // As it came from its client, the same hello is answered by a handshake.
    let mut tcp = stopped(address).await;
    assert_eq!(tcp.read_u8().await.unwrap(), 0x16);
    good_client_is_served(&ca, address).await;
}

#[tokio::test]
async fn a_hello_that_is_cut_short_anywhere_is_a_failed_handshake() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let hello = client_hello();
    for (count, length) in (0..hello.len()).step_by(7).enumerate() {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(&hello[..length]).await.unwrap();
        drop(tcp);
        let seen = recorder.wait_for(count + 1).await;
        assert_eq!(seen[count].0, HANDSHAKE_FAILED, "{length}: {seen:?}");
    }
    good_client_is_served(&ca, address).await;
}

/// What a client may make us hold before it has a place has an end.
#[tokio::test]
async fn a_hello_without_an_end_is_not_waited_for() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder = builder(&ca)
        .with_handshake_timeout(FOR_EVER)
        .with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let tcp = TcpStream::connect(address).await.unwrap();
    // A ClientHello of 60 KB, as it says, in records of one kilobyte.
    let mut first = vec![0x01, 0x00, 0xea, 0x60];
    first.resize(1024, 0);
    let mut pieces = std::iter::once(first).chain(std::iter::repeat_n(vec![0; 1024], 16));
    let sent = pieces.all(|piece| {
        let record = [&[0x16, 0x03, 0x01, 0x04, 0x00][..], &piece].concat();
        tcp.try_write(&record).is_ok()
    });
    assert!(sent, "fits into the buffers");
    let seen = recorder.wait_for(1).await;
    assert_eq!(seen[0].0, HANDSHAKE_FAILED);
    assert!(seen[0].1.contains("too large"), "{seen:?}");
    is_closed(tcp).await;
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

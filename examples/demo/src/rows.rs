//! The requests, and what each must get.

mod attacks;
mod certificates;
mod changes;
mod command;
mod fields;
mod file;
mod fleet;
mod flood;
mod gateway;
mod keys;
mod limits;
mod log;
mod partners;
mod registry;
mod tokens;
mod witness;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::forge::tampered_claim;
use http::Method;
use tokio::net::TcpStream;

use crate::client::{Got, HttpCall, dial_payments, grpc, http};
use crate::scene::{CARD, Dialler, Scene};

pub(crate) use self::command::find as command;

/// One request of the demo.
pub(crate) struct Row {
    /// What it is about, and why it comes out as it does.
    pub(crate) group: (&'static str, &'static str),
    pub(crate) request: &'static str,
    /// What must come back: the answer, and the code or what the service says.
    pub(crate) expected: (&'static str, &'static str),
    pub(crate) send: Pin<Box<dyn Future<Output = Got>>>,
}

/// Collects rows of one group.
struct Rows<'s> {
    scene: &'s Scene,
    group: (&'static str, &'static str),
    rows: Vec<Row>,
}

impl Rows<'_> {
    /// Begins a group: what it is about, and why its rows come out as they do.
    fn group(&mut self, title: &'static str, why: &'static str) {
        self.group = (title, why);
    }

    fn add(
        &mut self,
        request: &'static str,
        expected: (&'static str, &'static str),
        send: impl Future<Output = Got> + 'static,
    ) {
        self.rows.push(Row {
            group: self.group,
            request,
            expected,
            send: Box::pin(send),
        });
    }

    /// This request to this service.
    fn send(
        &mut self,
        request: &'static str,
        expected: (&'static str, &'static str),
        dialler: &Dialler,
        service: SocketAddr,
        call: HttpCall,
    ) {
        self.add(request, expected, http(dialler.clone(), service, call));
    }

    /// `GET /orders/7` with this token.
    fn read(
        &mut self,
        request: &'static str,
        expected: (&'static str, &'static str),
        dialler: &Dialler,
        token: Option<String>,
    ) {
        let call = HttpCall::get("/orders/7").token(token);
        self.send(request, expected, dialler, self.scene.orders, call);
    }

    /// `Payments/Charge` with this token.
    fn charge(
        &mut self,
        request: &'static str,
        expected: (&'static str, &'static str),
        dialler: &Dialler,
        token: Option<String>,
    ) {
        self.add(
            request,
            expected,
            grpc(dialler.clone(), self.scene.payments, token),
        );
    }
}

/// Every request, in the order it is sent; `attacked` as well, which takes longest.
pub(crate) fn all(scene: &Scene, attacked: bool) -> anyhow::Result<Vec<Row>> {
    let mut rows = Rows {
        scene,
        group: (
            "Let through",
            "All layers were asked, and none had anything against it.",
        ),
        rows: Vec::new(),
    };
    let web = scene.workload("/web")?;
    let orders = scene.workload("/orders")?;
    let good = || scene.token().sign().map(Some);

    rows.read(
        "HTTP: web reads an order for alice",
        ("200", "hello alice"),
        &web,
        good()?,
    );
    rows.send(
        "HTTP: web orders; orders calls payments",
        ("200", "paid by pay-1"),
        &web,
        scene.orders,
        HttpCall::new(Method::POST, "/orders").token(good()?),
    );
    rows.charge(
        "gRPC: orders charges alice",
        ("gRPC 0", "charged alice"),
        &orders,
        good()?,
    );
    let token = scene.customer_token();
    let token = token.scope("customers:read customers:write").sign()?;
    rows.send(
        "HTTP: web stores a card of customer 7",
        ("200", "card ****1111"),
        &web,
        scene.customers,
        HttpCall::new(Method::PUT, "/customers/7")
            .token(Some(token))
            .json(fields::document(CARD)),
    );
    let call = HttpCall::get("/orders/7").token(good()?);
    let beside = beside_silent_clients(web.clone(), scene.orders, call);
    rows.add(
        "HTTP: beside three stalled handshakes",
        ("200", "hello alice"),
        beside,
    );

    rows.group(
        "Refused: which workload calls",
        "A certificate says so, in the handshake: most of these get no word of HTTP across.",
    );
    let nobody = scene.dialler(None)?;
    let required = ("TLS alert", "CertificateRequired");
    rows.read("HTTP: no client certificate", required, &nobody, good()?);
    rows.charge("gRPC: no client certificate", required, &nobody, good()?);
    let stranger = DevelopmentCa::new("example.org")?.workload("/web")?;
    let stranger = scene.dialler(Some(&stranger))?;
    rows.read(
        "HTTP: our name, another CA",
        ("TLS alert", "UnknownCA"),
        &stranger,
        good()?,
    );
    let expired = scene.dialler(Some(&scene.expired_web()?))?;
    let past = ("TLS alert", "CertificateExpired");
    rows.read("HTTP: expired certificate", past, &expired, good()?);
    let two = scene
        .ca
        .leaf()
        .add_uri("spiffe://example.org/web")
        .add_uri("spiffe://example.org/x");
    let two = scene.dialler(Some(&two.issue()?))?;
    rows.read(
        "HTTP: certificate with two names",
        ("TLS alert", "CertificateUnknown"),
        &two,
        good()?,
    );
    let reports = scene.workload("/reports")?;
    let not_allowed = "mtls.peer_not_allowed";
    rows.read(
        "HTTP: a workload that may not call",
        ("403", not_allowed),
        &reports,
        good()?,
    );
    let denied = ("gRPC 7", not_allowed);
    rows.charge("gRPC: a workload that may not call", denied, &web, good()?);

    let impostor = ("not connected", "ServerNotAllowed");
    let dial = dial_payments(scene.folder.clone(), scene.orders);
    rows.add("client: an impostor instead of payments", impostor, dial);

    keys::add(&mut rows)?;

    rows.group(
        "Refused: for whom it calls",
        "A token says so. Absent, bad and not to be checked are three answers, each with its code.",
    );
    rows.read("HTTP: no token", ("401", "jwt.missing"), &web, None);
    let token = scene
        .token()
        .expired_since(Duration::from_secs(120))
        .sign()?;
    rows.read(
        "HTTP: expired token",
        ("401", "jwt.expired"),
        &web,
        Some(token),
    );
    let token = scene.token().unsigned("none");
    rows.read(
        "HTTP: alg none",
        ("401", "jwt.algorithm_not_allowed"),
        &web,
        Some(token),
    );
    let token = scene.token().sign_hs256_with_public_key();
    let confused = ("401", "jwt.algorithm_not_allowed");
    rows.read(
        "HTTP: HS256, keyed with the public key",
        confused,
        &web,
        Some(token),
    );
    let token = scene.token().audience("invoices").sign()?;
    rows.read(
        "HTTP: wrong audience",
        ("401", "jwt.wrong_audience"),
        &web,
        Some(token),
    );
    let token = scene.token().issuer("https://evil.example").sign()?;
    rows.read(
        "HTTP: wrong issuer",
        ("401", "jwt.wrong_issuer"),
        &web,
        Some(token),
    );
    let token = tampered_claim(&scene.token().sign()?, "sub", "mallory")?;
    rows.read(
        "HTTP: tampered payload",
        ("401", "jwt.bad_signature"),
        &web,
        Some(token),
    );
    let token = scene.token().sign_with_foreign_key(&scene.foreign_key)?;
    rows.read(
        "HTTP: signed with another key",
        ("401", "jwt.bad_signature"),
        &web,
        Some(token),
    );
    let token = scene.token().sign()?.replace('.', "!");
    rows.read(
        "HTTP: something that is no token",
        ("400", "jwt.malformed_credentials"),
        &web,
        Some(token),
    );
    rows.charge("gRPC: no token", ("gRPC 16", "jwt.missing"), &orders, None);
    let token = tampered_claim(&scene.token().sign()?, "sub", "mallory")?;
    let bad = ("gRPC 16", "jwt.bad_signature");
    rows.charge("gRPC: tampered payload", bad, &orders, Some(token));
    let token = scene.token().scope("orders:write").sign()?;
    let scope = ("403", "orders.missing_scope");
    rows.read("HTTP: token without the scope", scope, &web, Some(token));
    let token = scene.token().scope("orders:write").sign()?;
    rows.send(
        "HTTP: a scope that ends at orders",
        ("403", "orders.payment_failed"),
        &web,
        scene.orders,
        HttpCall::new(Method::POST, "/orders").token(Some(token)),
    );

    partners::add(&mut rows)?;
    certificates::add(&mut rows)?;
    tokens::add(&mut rows)?;
    limits::add(&mut rows)?;
    flood::add(&mut rows)?;
    fleet::add(&mut rows)?;
    fields::add(&mut rows)?;
    file::add(&mut rows)?;
    changes::add(&mut rows)?;
    gateway::add(&mut rows)?;
    registry::add(&mut rows)?;
    if attacked {
        attacks::add(&mut rows)?;
    }
    log::add(&mut rows);
    witness::add(&mut rows)?;
    command::add(&mut rows);
    Ok(rows.rows)
}

/// Sends a request while three other clients hold connections open on which they never speak.
async fn beside_silent_clients(dialler: Dialler, address: SocketAddr, call: HttpCall) -> Got {
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address).await);
    }
    let got = http(dialler, address, call).await;
    drop(silent);
    got
}

//! The scene: a CA, an issuer, the services, and the certificates of those who call them.

mod gateway;
mod invoices;
mod redis;
mod registry;
mod service;
mod witness;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_core::{Clock as _, SystemClock};
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{
    DevelopmentCa, IssuedCertificate, SigningAlgorithm, SigningKey, TokenBuilder, TokenIssuer,
};
use customers::Records;
use rustls::ClientConfig;
use tokio::sync::Mutex;

pub(crate) use self::gateway::Gateway;
pub(crate) use self::invoices::Invoices;
pub(crate) use self::redis::Redis;
use self::service::{new_wrapping_key, parse, start, write_secret};
pub(crate) use self::witness::Neighbour;

/// The origin that clients of customers know it by.
pub(crate) const ORIGIN: &str = "https://localhost";
/// Where the edge proxy calls from.
pub(crate) const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);
/// The card of customer 7.
pub(crate) const CARD: &str = "4111111111111111";

pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
    pub(crate) ca: DevelopmentCa,
    /// The CA of a partner, who may call customers under names of its own.
    pub(crate) partner: DevelopmentCa,
    pub(crate) issuer: Arc<TokenIssuer>,
    /// A key that the issuer knows nothing of.
    pub(crate) foreign_key: SigningKey,
    pub(crate) orders: SocketAddr,
    /// A copy of orders for those who attack it, and by itself: it counts and bans alone.
    pub(crate) attacked: SocketAddr,
    pub(crate) payments: SocketAddr,
    pub(crate) customers: SocketAddr,
    pub(crate) invoices: Invoices,
    pub(crate) registry: SocketAddr,
    /// Where there is a service in another language to put it in front of.
    pub(crate) gateway: Option<Arc<Gateway>>,
    /// Who remembers how far the log of customers went.
    pub(crate) witness: Neighbour,
    /// What customers has stored, as it is stored.
    pub(crate) records: Records,
    /// Two copies of orders that share limits, where there is a Redis.
    pub(crate) fleet: Option<Fleet>,
}

/// Two copies of orders, and the server that they share limits through.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) copies: [SocketAddr; 2],
    pub(crate) redis: Arc<Mutex<Redis>>,
}

/// A client, as the TLS configuration that it dials with.
pub(crate) type Dialler = Arc<ClientConfig>;

impl Scene {
    /// Makes certificates and keys, and starts the issuer and both services.
    pub(crate) async fn set(folder: &Path, issuer_port: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let ca = DevelopmentCa::new("example.org")?;
        ca.write_pem(folder, "ca")?;
        for name in [
            "orders",
            "payments",
            "customers",
            "invoices",
            "registry",
            "gateway",
            "witness",
            "web",
            "reports",
        ] {
            ca.workload(&format!("/{name}"))?.write_pem(folder, name)?;
        }
        let partner = DevelopmentCa::new("partner.example")?;
        partner.write_pem(folder, "partner")?;
        ca.write_crl_pem(folder, "crl", &ca.revoke([], 1)?)?;
        new_wrapping_key(folder)?;
        let _ = std::fs::remove_dir_all(folder.join("customers-audit"));
        let key = SigningKey::generate(SigningAlgorithm::Rs256, "key-1")?;
        let issuer = TokenIssuer::builder(key)
            .with_port(issuer_port)
            .start(&ca)
            .await?;
        let file = |name: &str| folder.join(name).into_os_string();

        let config = |extra: &[(&'static str, OsString)]| {
            let common = [
                ("--listen", "127.0.0.1:0".into()),
                ("--bundle", file("ca.pem")),
                ("--issuer", issuer.mint().issuer().into()),
                ("--issuer-bundle", file("ca.pem")),
            ];
            [&common, extra].concat()
        };
        let payments = config(&[
            ("--certificate", file("payments.pem")),
            ("--key", file("payments-key.pem")),
        ]);
        let payments = start(|ready| payments::run(parse(&payments), ready))
            .await
            .context("payments did not start")?;

        let attacked = config(&[
            ("--certificate", file("orders.pem")),
            ("--key", file("orders-key.pem")),
        ]);
        let attacked = start(|ready| orders::run(parse(&attacked), ready, std::future::pending()));
        let attacked = attacked.await.context("orders did not start")?;

        let redis = Redis::start().await?;
        let mut orders = config(&[
            ("--certificate", file("orders.pem")),
            ("--key", file("orders-key.pem")),
            ("--payments", payments.to_string().into()),
        ]);
        if let Some(redis) = &redis {
            write_secret(&folder.join("fleet.secret"))?;
            orders.push(("--redis", redis.address().into()));
            orders.push(("--fleet-secret", file("fleet.secret")));
        }
        let mut copies = Vec::new();
        for _ in 0..if redis.is_some() { 2 } else { 1 } {
            let copy = start(|ready| orders::run(parse(&orders), ready, std::future::pending()));
            copies.push(copy.await.context("orders did not start")?);
        }
        let (orders, second) = (copies.first().copied(), copies.get(1).copied());
        let orders = orders.context("orders did not start")?;
        let fleet = second.zip(redis).map(|(second, redis)| Fleet {
            copies: [orders, second],
            redis: Arc::new(Mutex::new(redis)),
        });

        let records = Records::default();
        let customers = start(|ready| {
            let config = parse(&[
                ("--listen", "127.0.0.1:0".into()),
                ("--pki", folder.into()),
                ("--look-every", "0.2".into()),
                ("--issuer", issuer.mint().issuer().into()),
                ("--origin", ORIGIN.into()),
                ("--proxy-networks", format!("{EDGE}/32").into()),
                ("--keys", file("customers-keys.json")),
                ("--wrapping-key", file("customers.kek")),
                ("--audit", file("customers-audit")),
            ]);
            customers::run(config, records.clone(), ready, std::future::pending())
        })
        .await
        .context("customers did not start")?;
        let invoices = Invoices::start(folder, issuer.mint().issuer()).await?;
        let registry = registry::run(folder).await?;
        let gateway = Gateway::start(folder, issuer.mint().issuer()).await?;
        let witness = Neighbour::start(folder, &folder.join("customers-audit")).await?;

        let foreign_key = SigningKey::generate(SigningAlgorithm::Rs256, "key-1")?;
        let issuer = Arc::new(issuer);
        Ok(Self {
            folder: folder.to_owned(),
            ca,
            partner,
            issuer,
            foreign_key,
            orders,
            attacked,
            payments,
            customers,
            invoices,
            registry,
            gateway: gateway.map(Arc::new),
            witness,
            records,
            fleet,
        })
    }

    /// The dialler of a workload of our trust domain.
    pub(crate) fn workload(&self, path: &str) -> anyhow::Result<Dialler> {
        self.dialler(Some(&self.ca.workload(path)?))
    }

    /// The dialler that presents this certificate, or none. It accepts any name of our CA, as an
    /// attacker would.
    pub(crate) fn dialler(
        &self,
        certificate: Option<&IssuedCertificate>,
    ) -> anyhow::Result<Dialler> {
        let mut config = dangerous_client_config(&self.ca, certificate)?;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// A good token of alice for both services, to be signed or changed.
    pub(crate) fn token(&self) -> TokenBuilder {
        self.issuer
            .mint()
            .token()
            .subject("alice")
            .audiences(["orders", "payments"])
            .scope("orders:read orders:write payments:charge")
    }

    /// A good token of alice for customers, to be signed or changed.
    pub(crate) fn customer_token(&self) -> TokenBuilder {
        let token = self.issuer.mint().token().subject("alice");
        token.audience("customers").scope("customers:read")
    }

    /// A certificate like that of `web`, but past its time.
    pub(crate) fn expired_web(&self) -> anyhow::Result<IssuedCertificate> {
        let now = SystemClock.wall();
        Ok(self
            .ca
            .leaf()
            .add_uri("spiffe://example.org/web")
            .with_validity(
                now.saturating_sub(Duration::from_secs(7200)),
                now.saturating_sub(Duration::from_secs(3600)),
            )
            .issue()?)
    }

    /// What was set up, for people.
    pub(crate) fn describe(&self) -> String {
        let mut text =
            String::from("\n  Bartizan demo: everything below is real TLS on loopback\n\n");
        for (what, whom, whence) in [
            (
                "issuer",
                "OIDC discovery and JWKS, RS256",
                self.issuer.address(),
            ),
            (
                "orders",
                "axum, HTTP; admits spiffe://example.org/web",
                self.orders,
            ),
            (
                "payments",
                "tonic, gRPC; admits spiffe://example.org/orders",
                self.payments,
            ),
            (
                "customers",
                "axum, HTTP; admits web, a partner's billing, and the edge proxy",
                self.customers,
            ),
            (
                "invoices",
                "axum, HTTP; all of its security is one file",
                self.invoices.address,
            ),
            (
                "registry",
                "axum, HTTP; tells workloads where others are",
                self.registry,
            ),
        ] {
            let _ = writeln!(
                text,
                "  {what:<9} {whence:<17} {whom}",
                whence = whence.to_string()
            );
        }
        let _ = match &self.gateway {
            Some(gateway) => writeln!(
                text,
                "  {:<9} {:<17} in front of a service in Python",
                "gateway",
                gateway.requests.to_string()
            ),
            None => writeln!(text, "  python3 is not installed: nothing about a gateway"),
        };
        if crate::rows::command().is_none() {
            let _ = writeln!(
                text,
                "  the command bartizan is not built (cargo build -p bartizan-cli): nothing from it"
            );
        }
        let _ = match &self.fleet {
            Some(fleet) => writeln!(
                text,
                "  {:<9} {:<17} a second copy of orders, which shares limits through redis",
                "orders",
                fleet.copies[1].to_string()
            ),
            None => writeln!(
                text,
                "  redis-server is not installed: nothing about shared limits"
            ),
        };
        text
    }
}

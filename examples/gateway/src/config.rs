//! The gateway's file. What is not known in it is an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bartizan::core::{IpNetwork, SpiffeId, SpiffePattern, TrustDomain};
use serde::{Deserialize, Deserializer};

/// Everything that `gateway.toml` says. See the README for one with a comment on each line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name that it adds to `Via`, and by which it notices that a request goes in circles.
    #[serde(default = "name")]
    pub name: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to say whether it is alive, in the clear; nowhere unless said.
    pub health: Option<SocketAddr>,
    /// Our identity and whom we trust. Without, the gateway speaks plain HTTP, as a sidecar on
    /// loopback does.
    pub tls: Option<Tls>,
    /// Whose tokens are accepted. Without, nobody is a principal.
    pub tokens: Option<Tokens>,
    /// Proxies in front of this one that are believed about the client's address.
    #[serde(default, deserialize_with = "parsed_list")]
    pub trusted_proxies: Vec<IpNetwork>,
    /// Who may call what: see `bartizan::authz::Policy::from_toml`. Read again when it changes.
    pub policy: PathBuf,
    /// Whether tokens and policy refuse, or only count what they would refuse.
    #[serde(default)]
    pub mode: Mode,
    /// How often files are looked at: policy, certificates, authorities, revocation lists.
    #[serde(
        rename = "reload_seconds",
        default = "ten",
        deserialize_with = "seconds"
    )]
    pub reload: Duration,
    /// How much is taken.
    #[serde(default)]
    pub limits: Limits,
    /// The services behind, by name.
    #[serde(rename = "upstream")]
    pub upstreams: BTreeMap<String, Upstream>,
    /// Which request goes to which of them.
    #[serde(rename = "route")]
    pub routes: Vec<Route>,
}

/// What becomes of a request that tokens or policy do not let in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is counted, and passes as nobody's. For a rollout.
    Shadow,
}

/// Our identity and whom we trust, as PEM files that are read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Our certificate chain.
    pub certificate: PathBuf,
    /// Our key.
    pub key: PathBuf,
    /// Our trust domain.
    #[serde(deserialize_with = "parsed")]
    pub trust_domain: TrustDomain,
    /// The authorities of our trust domain.
    pub bundle: PathBuf,
    /// The revocation lists of our authorities; nobody's revocation is noticed without.
    pub revocation_lists: Option<PathBuf>,
    /// The workloads that may connect at all.
    #[serde(deserialize_with = "parsed_list")]
    pub peers: Vec<SpiffePattern>,
    /// Whether somebody without a certificate may connect too, such as a browser: the policy then
    /// has to say what is open to whom.
    #[serde(default)]
    pub allow_no_certificate: bool,
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The issuer, whose keys are found by its name.
    pub issuer: String,
    /// The audience that tokens must be meant for.
    pub audience: String,
    /// The authorities behind the issuer's own certificate; those of the public web unless said.
    pub roots: Option<PathBuf>,
}

/// How much is taken.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a second of one address, in the long run.
    pub per_second: u64,
    /// Requests of one address at once.
    pub burst: u64,
    /// Requests under way at once, each to the end of its response.
    pub concurrent: usize,
    /// Bytes of a request's body.
    pub body: u64,
    /// Bytes that a body which is waited for has to bring in a second, on average; at any pace if
    /// it is nothing. gRPC to upstreams that speak HTTP/2 has a pace of its own.
    pub upload_per_second: u64,
    /// Over how long that is measured: no body is silent for longer.
    #[serde(rename = "upload_seconds", deserialize_with = "seconds")]
    pub upload_window: Duration,
    /// How long a gRPC call to an upstream that speaks HTTP/2 may last, streams too. Then it has to
    /// be made, and decided on, anew.
    #[serde(rename = "call_seconds", deserialize_with = "seconds")]
    pub call_life: Duration,
    /// Bytes that the client's half of such a call has to bring in a second, on average and for as
    /// long as it is open; at any pace if it is nothing.
    pub call_per_second: u64,
    /// Over how long that is measured: no client keeps its half open in silence for longer.
    #[serde(rename = "call_window_seconds", deserialize_with = "seconds")]
    pub call_window: Duration,
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take, and the first one on a connection to come.
    #[serde(rename = "head_seconds", deserialize_with = "seconds")]
    pub head: Duration,
    /// WebSockets at once.
    pub tunnels: usize,
    /// How long a WebSocket may be open, however long its token and certificate are good. Then the
    /// client has to come again, and it is decided anew whether it may.
    #[serde(rename = "tunnel_seconds", deserialize_with = "seconds")]
    pub tunnel_life: Duration,
    /// How often it is asked, of each open WebSocket, whether it would still be let in.
    #[serde(rename = "recheck_seconds", deserialize_with = "seconds")]
    pub recheck: Duration,
    /// How long requests that are under way have when the gateway stops.
    #[serde(rename = "drain_seconds", deserialize_with = "seconds")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A page with its pictures, again and again, by one person.
            per_second: 50,
            burst: 200,
            // Streams and slow readers count, to their end.
            concurrent: 2_000,
            body: 10 * 1024 * 1024,
            // Slower than any modem, and too fast for thousands of uploads that do not end.
            upload_per_second: 240,
            // A telephone that changes from one network to the next.
            upload_window: Duration::from_secs(10),
            // As a tunnel.
            call_life: Duration::from_secs(3_600),
            // A client that only listens closes its half. One that does not says something now and
            // then, or is as good as gone: what lies between forgets it after as long.
            call_per_second: 1,
            call_window: Duration::from_secs(900),
            connections: 10_000,
            // What hyper gives a head unless told otherwise.
            head: Duration::from_secs(30),
            tunnels: 1_000,
            // What a connection may live on what was once verified, as under mutual TLS.
            tunnel_life: Duration::from_secs(3_600),
            // As the layer for tokens asks of responses that go on.
            recheck: Duration::from_secs(5),
            // What Kubernetes gives a pod to stop, less a margin.
            drain: Duration::from_secs(25),
        }
    }
}

/// A service behind the gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Host and port.
    pub address: String,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// Who it must prove to be. The gateway then connects by mutual TLS, under its own identity:
    /// the only way in which the service can know that it is the gateway that asks.
    #[serde(default, deserialize_with = "parsed_option")]
    pub identity: Option<SpiffeId>,
    /// Whether it is told the host that the client asked for, and not its own. HTTP/1.1 alone.
    #[serde(default)]
    pub preserve_host: bool,
    /// How long it may take to connect: lost packets are made up for within three seconds.
    #[serde(
        rename = "connect_seconds",
        default = "five",
        deserialize_with = "seconds"
    )]
    pub connect: Duration,
    /// How long after the last piece of the request its response must begin.
    #[serde(
        rename = "response_seconds",
        default = "thirty",
        deserialize_with = "seconds"
    )]
    pub response: Duration,
    /// How long nothing may happen in the middle of a response or on a WebSocket.
    #[serde(
        rename = "idle_seconds",
        default = "three_hundred",
        deserialize_with = "seconds"
    )]
    pub idle: Duration,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2 without asking first, as gRPC does.
    #[serde(rename = "h2")]
    Http2,
}

/// Which requests go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Path templates: `/orders/{id}`, `/orders/{*rest}`, `/shop.Payments/{method}`.
    pub paths: Vec<String>,
    /// Only requests for these hosts; all of them unless said.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The upstream's name.
    pub upstream: String,
    /// Whether a WebSocket may be opened.
    #[serde(default)]
    pub websocket: bool,
    /// Whether the upstream gets the caller's token. It need not: who the caller is stands in
    /// headers of the gateway's, and what it does not have it cannot lose.
    #[serde(default)]
    pub forward_token: bool,
}

impl Config {
    /// Reads a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or does not hold.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let from_here = |path: &mut PathBuf| *path = folder.join(&*path);
        from_here(&mut config.policy);
        if let Some(tls) = &mut config.tls {
            from_here(&mut tls.certificate);
            from_here(&mut tls.key);
            from_here(&mut tls.bundle);
            if let Some(lists) = &mut tls.revocation_lists {
                from_here(lists);
            }
        }
        if let Some(roots) = config.tokens.as_mut().and_then(|it| it.roots.as_mut()) {
            from_here(roots);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.name.is_empty()
                && self
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "the name {:?} is not made of letters, digits, `-`, `_` and `.`",
            self.name
        );
        for (name, upstream) in &self.upstreams {
            anyhow::ensure!(
                !(upstream.preserve_host && upstream.protocol == Protocol::Http2),
                "upstream {name}: the host can be preserved over http/1.1 alone"
            );
            anyhow::ensure!(
                upstream.identity.is_none() || self.tls.is_some(),
                "upstream {name}: an identity is asked for, and the gateway has none itself"
            );
        }
        for route in &self.routes {
            let upstream = self.upstreams.get(&route.upstream).with_context(|| {
                let name = &route.upstream;
                format!("route {:?}: there is no upstream {name:?}", route.paths)
            })?;
            anyhow::ensure!(
                !(route.websocket && upstream.protocol == Protocol::Http2),
                "route {:?}: websockets go to upstreams over http/1.1 alone",
                route.paths
            );
        }
        Ok(())
    }
}

fn name() -> String {
    "bartizan-gateway".to_owned()
}

fn five() -> Duration {
    Duration::from_secs(5)
}

fn ten() -> Duration {
    Duration::from_secs(10)
}

fn thirty() -> Duration {
    Duration::from_secs(30)
}

fn three_hundred() -> Duration {
    Duration::from_secs(300)
}

/// A text that is parsed as the type itself parses it.
fn parsed<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn parsed_option<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    parsed(from).map(Some)
}

fn parsed_list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let texts = Vec::<String>::deserialize(from)?;
    let parsed = texts.into_iter().map(|text| text.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

/// A number of seconds, more than none and at most a day.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let number = f64::deserialize(from)?;
    if number > 0.0 && number <= 86_400.0 {
        return Ok(Duration::from_secs_f64(number));
    }
    Err(serde::de::Error::custom("between 0 and 86400 seconds"))
}

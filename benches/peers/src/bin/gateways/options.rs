//! What can be asked for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The same policy in process, in HAProxy and in Envoy, measured side by side.
#[derive(Clone, Debug, clap::Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// One of the servers, until its standard input ends. Started by the bench itself.
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How often everything is measured, in turns.
    #[arg(long, default_value_t = 2)]
    pub(crate) rounds: usize,
    /// How long one measurement takes, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// How long a server is warmed up before it, in seconds.
    #[arg(long, default_value_t = 0.4)]
    pub(crate) warmup: f64,
    /// How many connections there are, one case for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32])]
    pub(crate) connections: Vec<usize>,
    /// The protocols.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Protocol::ALL)]
    pub(crate) protocols: Vec<Protocol>,
    /// The modes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Mode::ALL)]
    pub(crate) modes: Vec<Mode>,
    /// The participants.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Participant::ALL)]
    pub(crate) participants: Vec<Participant>,
    /// How many tokens are in use while tokens are hot.
    #[arg(long, default_value_t = 16)]
    pub(crate) hot: usize,
    /// How many distinct tokens are signed in advance; a measurement that runs out of them ends.
    /// By default 40,000 for each second of a measurement.
    #[arg(long)]
    pub(crate) tokens: Option<usize>,
    /// How many requests per second there are where the load is the same for all.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: u32,
    /// Only check that the policies are the same.
    #[arg(long)]
    pub(crate) check: bool,
    /// Where certificates, configurations and logs are put.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/gateways"))]
    pub(crate) folder: PathBuf,
    /// Where the table and the plot are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks"))]
    pub(crate) output: PathBuf,
    /// Print the table, and write nothing to the output folder.
    #[arg(long)]
    pub(crate) dry: bool,
}

impl Options {
    pub(crate) fn seconds(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    /// How many distinct tokens to sign.
    pub(crate) fn distinct(&self) -> usize {
        let needed = (self.seconds + self.warmup) * 40_000.0;
        self.tokens.unwrap_or(needed as usize)
    }
}

/// What a child process of this bench serves.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Serve {
    #[arg(value_enum)]
    pub(crate) participant: Participant,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// How many requests a subject may make in a period.
    #[arg(long)]
    pub(crate) limit: u64,
    /// That period, in seconds.
    #[arg(long)]
    pub(crate) period: u64,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Participant {
    /// The service, in plaintext and without a layer.
    Bare,
    /// The service behind mutual TLS alone.
    Identity,
    /// The service with the whole stack.
    Bartizan,
    /// HAProxy in front of the bare service.
    Haproxy,
    /// Envoy in front of the bare service.
    Envoy,
}

impl Participant {
    pub(crate) const ALL: [Self; 5] = [
        Self::Bare,
        Self::Identity,
        Self::Bartizan,
        Self::Haproxy,
        Self::Envoy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare service, plaintext",
            Self::Identity => "bare service, mutual TLS",
            Self::Bartizan => "Bartizan",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// Whether it enforces the policy.
    pub(crate) fn guards(self) -> bool {
        matches!(self, Self::Bartizan | Self::Haproxy | Self::Envoy)
    }

    /// Whether it is a proxy in front of the bare service.
    pub(crate) fn is_proxy(self) -> bool {
        matches!(self, Self::Haproxy | Self::Envoy)
    }

    /// Whether clients speak TLS to it.
    pub(crate) fn is_tls(self) -> bool {
        self != Self::Bare
    }
}

/// What is spoken to the participant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC, one unary call per request.
    Grpc,
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
        }
    }
}

/// Which tokens requests carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// A few, over and over, with the caches on that participants have.
    Hot,
    /// One that has never been seen, each time.
    Distinct,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Hot, Self::Distinct];
}

/// Clap prints the defaults of its value enums by this.
macro_rules! named_as_on_the_command_line {
    ($($kind:ty),*) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let name = clap::ValueEnum::to_possible_value(self);
                f.write_str(name.as_ref().map_or("", |it| it.get_name()))
            }
        }
    )*};
}
named_as_on_the_command_line!(Participant, Protocol, Mode);

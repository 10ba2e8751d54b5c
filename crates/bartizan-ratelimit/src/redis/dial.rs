//! How a server is connected to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_source::SecretBytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;

/// How a server is connected to: TLS, who we are, and how long that may take.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) tls: Option<TlsConnector>,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) database: i64,
    pub(super) deadline: Duration,
}

/// A user of the server, or the one that has no name.
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: SecretBytes,
}

/// What runs a connection.
pub(super) type Driver = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Dialer {
    /// How long it may take until a connection can be used.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How long to wait between attempts, at first and at last.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        (Duration::from_millis(50), Duration::from_secs(1))
    }

    /// Connects and logs in.
    pub(super) async fn dial(
        &self,
        address: &Address,
    ) -> Result<(MultiplexedConnection, Driver), Arc<str>> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
        let stream = stream.map_err(|error| tell(address, &error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| tell(address, &error))?;
        let Some(tls) = &self.tls else {
            return self.log_in(address, stream).await;
        };
        let name = ServerName::try_from(address.host.clone());
        let name = name.map_err(|error| tell(address, &error))?;
        let stream = tls.connect(name, stream).await;
        let stream = stream.map_err(|error| tell(address, &error))?;
        self.log_in(address, stream).await
    }

    async fn log_in<S>(
        &self,
        address: &Address,
        stream: S,
    ) -> Result<(MultiplexedConnection, Driver), Arc<str>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut info = RedisConnectionInfo::default()
            .set_skip_set_lib_name()
            .set_db(self.database);
        if let Some(credentials) = &self.credentials {
            if let Some(user) = &credentials.user {
                info = info.set_username(user);
            }
            // The builder took it as text.
            let password = std::str::from_utf8(credentials.password.expose());
            info = info.set_password(password.unwrap_or_default());
        }
        // Whoever asks has a deadline of his own.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1_024);
        let connected = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = connected.map_err(|error| tell(address, &Short(&error)))?;
        Ok((connection, Box::pin(driver)))
    }
}

fn tell(address: &Address, error: &dyn fmt::Display) -> Arc<str> {
    format!("{address}: {error}").into()
}

/// An error of the server without its words, which may hold what was sent.
struct Short<'e>(&'e RedisError);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.kind()) {
            (Some(code), _) => f.write_str(code),
            (None, ErrorKind::AuthenticationFailed) => f.write_str("the credentials were refused"),
            (None, kind) => write!(f, "{kind:?}"),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls.is_some())
            .field(
                "user",
                &self.credentials.as_ref().and_then(|it| it.user.as_ref()),
            )
            .field("database", &self.database)
            .field("deadline", &self.deadline)
            .finish()
    }
}

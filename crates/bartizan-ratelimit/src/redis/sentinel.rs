//! Which server is the primary, as Sentinel has it.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::address::Address;
use super::dial::{Dialer, Driver};

/// How long one sentinel may take before the next is asked.
const PATIENCE: Duration = Duration::from_millis(300);

/// Who knows which server is the primary.
#[derive(Debug)]
pub(super) struct Sentinels {
    /// The primary's name.
    pub(super) name: String,
    pub(super) addresses: Vec<Address>,
    /// How sentinels are connected to.
    pub(super) dialer: Dialer,
}

impl Sentinels {
    /// Connects to the primary. What calls itself a replica is none, whatever a sentinel says.
    pub(super) async fn dial(
        &self,
        dialer: &Dialer,
    ) -> Result<(MultiplexedConnection, Driver), Arc<str>> {
        let mut problem: Arc<str> = "no sentinels".into();
        for sentinel in &self.addresses {
            let found = timeout(PATIENCE, self.ask(sentinel)).await;
            let primary = match found.unwrap_or_else(|_| Err("a sentinel is silent".into())) {
                Ok(primary) => primary,
                Err(reason) => {
                    problem = reason;
                    continue;
                }
            };
            match timeout(PATIENCE, connect(dialer, &primary)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(reason)) => problem = reason,
                Err(_) => problem = format!("{primary}: no answer").into(),
            }
        }
        Err(problem)
    }

    async fn ask(&self, sentinel: &Address) -> Result<Address, Arc<str>> {
        let (mut connection, driver) = self.dialer.dial(sentinel).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(&self.name);
        let answer = drive(
            command.query_async::<Option<(String, u16)>>(&mut connection),
            driver,
        );
        match answer.await {
            Some(Ok(Some((host, port)))) => Ok(Address::new(&host, port)),
            Some(Ok(None)) => Err(format!("{sentinel} knows no {:?}", self.name).into()),
            _ => Err(format!("{sentinel} gives no answer").into()),
        }
    }
}

async fn connect(
    dialer: &Dialer,
    primary: &Address,
) -> Result<(MultiplexedConnection, Driver), Arc<str>> {
    let (mut connection, mut driver) = dialer.dial(primary).await?;
    let role = redis::cmd("ROLE");
    let answer = drive(role.query_async::<Vec<Value>>(&mut connection), &mut driver).await;
    let is_primary = match answer {
        Some(Ok(role)) => matches!(role.first(), Some(Value::BulkString(it)) if it == b"master"),
        _ => false,
    };
    match is_primary {
        true => Ok((connection, driver)),
        false => Err(format!("{primary} is no primary").into()),
    }
}

/// Runs a connection until there is an answer.
async fn drive<T>(answer: impl Future<Output = T>, driver: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = driver => None,
    }
}

//! The scripts that servers run.

use std::sync::OnceLock;

use redis::{Cmd, RedisError, Value};
use ring::digest;

use super::link::Link;
use crate::store::{Answer, Ask, RemoteReceipt, Settle, Standing, StoreError, Way};
use crate::ticks::Ticks;

/// A microsecond has so many ticks; the scripts' parts of one are the same.
const PER_MICROSECOND: u64 = 16_000;

/// No moment or span is longer, in microseconds: doubles hold whole numbers up to 2^53 exactly.
const LONGEST: u64 = 1 << 50;

/// Charges all policies or none.
pub(super) static CHARGE: Script = Script::new(include_str!("charge.lua"));

/// Gives back, or charges afterwards.
pub(super) static SETTLE: Script = Script::new(include_str!("settle.lua"));

/// A script, which a server knows by its hash.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: OnceLock<String>,
}

/// Why a script gave nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// It was never sent.
    Disconnected(StoreError),
    /// It was sent.
    Answered(RedisError),
}

impl Script {
    const fn new(text: &'static str) -> Self {
        let hash = OnceLock::new();
        Self { text, hash }
    }

    /// Runs the script once. It is sent a second time only if the server says that it does not
    /// know it, and has therefore not run it.
    pub(super) async fn run(
        &'static self,
        link: &Link,
        keys: &[String],
        arguments: &[i64],
    ) -> Result<Value, Failed> {
        let mut connection = link.connection().await.map_err(Failed::Disconnected)?;
        let known = self.command("EVALSHA", self.hash(), keys, arguments);
        match known.query_async(&mut connection).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                let whole = self.command("EVAL", self.text, keys, arguments);
                let answer = whole.query_async(&mut connection).await;
                answer.map_err(Failed::Answered)
            }
            answer => answer.map_err(Failed::Answered),
        }
    }

    /// Runs the script on a node that is taking over the keys' slot.
    pub(super) async fn run_asking(
        &'static self,
        link: &Link,
        keys: &[String],
        arguments: &[i64],
    ) -> Result<Value, Failed> {
        let mut connection = link.connection().await.map_err(Failed::Disconnected)?;
        let mut both = redis::pipe();
        // One after the other on this connection, with nobody else's command between them.
        both.cmd("ASKING").ignore();
        both.add_command(self.command("EVAL", self.text, keys, arguments));
        let answer: Result<Vec<Value>, _> = both.query_async(&mut connection).await;
        let mut answers = answer.map_err(Failed::Answered)?;
        Ok(answers.pop().unwrap_or(Value::Nil))
    }

    fn command(&self, name: &str, script: &str, keys: &[String], arguments: &[i64]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            // The server's own name for a script: no secret rests on it.
            let algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;
            let digest = digest::digest(algorithm, self.text.as_bytes());
            let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
            hex.collect()
        })
    }
}

impl Failed {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Disconnected(error) => error,
            Self::Answered(error) => StoreError::Refused(describe(&error)),
        }
    }
}

/// What an error says: the server's own code, or what kind of error it is. The rest may hold keys.
fn describe(error: &RedisError) -> std::sync::Arc<str> {
    match error.code() {
        Some(code) => code.into(),
        None => format!("{:?}", error.kind()).into(),
    }
}

/// Whole microseconds, and parts of one.
fn split(span: Ticks) -> [i64; 2] {
    let whole = (span.raw() / PER_MICROSECOND).min(LONGEST);
    [whole, span.raw() % PER_MICROSECOND].map(|it| i64::try_from(it).unwrap_or(i64::MAX))
}

/// The arguments of `charge.lua`.
pub(super) fn charge_arguments(ask: &Ask) -> Vec<i64> {
    let sizes = i64::try_from(ask.sizes.len()).unwrap_or(0);
    // Kept for longer is safer.
    let hold = ask.hold.raw().div_ceil(PER_MICROSECOND).min(LONGEST);
    let mut arguments = vec![sizes, i64::try_from(hold).unwrap_or(i64::MAX)];
    for charge in &ask.charges {
        arguments.push(charge.may_fail.into());
        arguments.extend(split(charge.gcra.ahead()));
        for size in &ask.sizes {
            arguments.extend(split(charge.gcra.takes(*size)));
        }
    }
    arguments
}

/// The arguments of `settle.lua`.
pub(super) fn settle_arguments(settlement: &Settle) -> Vec<i64> {
    let mut arguments = Vec::with_capacity(settlement.charges.len() * 6);
    for (charge, receipt) in &settlement.charges {
        // Nobody is locked out for longer than what a rate may take at most to come back.
        let takes = charge.gcra.takes(settlement.cells);
        arguments.extend(split(takes.min(Ticks::from_raw(1 << 61))));
        match settlement.way {
            Way::Back => arguments.extend([
                receipt.after.0,
                receipt.after.1,
                receipt.made,
                receipt.returned,
            ]),
            Way::Owed => arguments.extend([-1; 4]),
        }
    }
    arguments
}

/// What `charge.lua` has answered.
pub(crate) fn read_answer(ask: &Ask, reply: &Value) -> Result<Answer, StoreError> {
    let refused = || StoreError::Refused("an answer of another form".into());
    let Value::Array(values) = reply else {
        return Err(refused());
    };
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let numbers: Option<Vec<i64>> = values.iter().map(number).collect();
    let numbers = numbers.ok_or_else(refused)?;
    let [granted, now, rest @ ..] = numbers.as_slice() else {
        return Err(refused());
    };
    if rest.len() != ask.charges.len() * 5 {
        return Err(refused());
    }
    let granted = match usize::try_from(*granted).map_err(|_| refused())? {
        0 => None,
        size => Some(*ask.sizes.get(size - 1).ok_or_else(refused)?),
    };
    let standing = |numbers: &[i64]| match *numbers {
        [charged, due, part, made, returned] => Some(Standing {
            debt: debt(due.saturating_sub(*now), part),
            charged: charged == 1,
            receipt: RemoteReceipt {
                after: (due, part),
                made,
                returned,
            },
        }),
        _ => None,
    };
    let standings = rest.chunks_exact(5).map(standing).collect::<Option<_>>();
    let standings = standings.ok_or_else(refused)?;
    Ok(Answer { granted, standings })
}

fn debt(micros: i64, part: i64) -> Ticks {
    match (u64::try_from(micros), u64::try_from(part)) {
        (Ok(micros), Ok(part)) => {
            let whole = micros.saturating_mul(PER_MICROSECOND);
            Ticks::from_raw(whole.saturating_add(part))
        }
        _ => Ticks::ZERO,
    }
}

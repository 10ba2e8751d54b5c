//! The script and the local algorithm, on the same traces.

use std::time::Duration;

use bartizan_ratelimit::{Gcra, Rate, Ticks};
use redis::aio::MultiplexedConnection;

use crate::server::Server;

/// The shipped scripts, told the time by the test. Values live on, since the server's own time
/// passes too.
fn told(script: &str) -> String {
    let (clock, life) = ("redis.call('TIME')", "string.format('%.0f', left)");
    assert_eq!(
        (script.matches(clock).count(), script.matches(life).count()),
        (1, 1)
    );
    script
        .replace(clock, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
        .replace(life, "'100000000'")
}

const CHARGE: &str = include_str!("../../src/redis/charge.lua");
const SETTLE: &str = include_str!("../../src/redis/settle.lua");

/// A moment: microseconds since 1970, as servers count them.
const ORIGIN: u64 = 1_795_000_000_000_000;

/// Made-up numbers (xorshift), the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn split(span: Ticks) -> [String; 2] {
    [span.raw() / 16_000, span.raw() % 16_000].map(|it| it.to_string())
}

fn spacing(gcra: &Gcra, cells: u64) -> Ticks {
    // What so many cells take: what is due after they were charged to somebody who owes nothing.
    gcra.owe(Ticks::ZERO, Ticks::ZERO, cells)
}

fn time(now: u64) -> [String; 2] {
    let micros = ORIGIN + now;
    [micros / 1_000_000, micros % 1_000_000].map(|it| it.to_string())
}

async fn eval(
    connection: &mut MultiplexedConnection,
    script: &str,
    keys: &[String],
    arguments: Vec<String>,
) -> Vec<i64> {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command.query_async(connection).await.unwrap()
}

/// What a script says is due, in ticks since the origin.
fn due(numbers: &[i64]) -> Ticks {
    let micros = u64::try_from(numbers[1]).unwrap().saturating_sub(ORIGIN);
    Ticks::from_raw(micros * 16_000 + u64::try_from(numbers[2]).unwrap())
}

const RATES: [Rate; 8] = [
    Rate::per_second(3),
    Rate::per_second(7).with_burst(2),
    Rate::per_second(1_000_000),
    Rate::per_second(333_333_333).with_burst(4_000),
    Rate::per_minute(59),
    Rate::per_day(86_399),
    Rate::new(1, Duration::from_secs(86_400 * 365)).with_burst(2),
    Rate::never_more_than(9, Duration::from_millis(10)),
];

#[tokio::test]
async fn the_script_decides_as_the_local_algorithm_does() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut connection = server.connect().await.unwrap();
    let script = told(CHARGE);
    let mut dice = Dice(88_172_645_463_325_252);
    for (number, rate) in RATES.into_iter().enumerate() {
        let gcra = Gcra::new(rate).unwrap();
        let key = [format!("{{trace}}:{number}")];
        let pause = spacing(&gcra, rate.burst()).raw() / 16_000 / 8 + 2;
        let (mut local, mut now, mut allowed) = (Ticks::ZERO, 0, 0);
        for _ in 0..150 {
            now += dice.below(pause);
            let cost = dice.below(rate.burst() / 4 + 2);
            let at = Ticks::from_raw(now * 16_000);
            let mut arguments = ["1", "0", "0"].map(str::to_owned).to_vec();
            arguments.extend(split(spacing(&gcra, rate.burst())));
            arguments.extend(split(spacing(&gcra, cost)));
            arguments.extend(time(now));
            let reply = eval(&mut connection, &script, &key, arguments).await;
            let expected = gcra.charge(local, at, cost);
            assert_eq!(reply[0] == 1, expected.is_ok(), "{rate} at {now}");
            if let Ok(after) = expected {
                // To the sixteenth of a nanosecond.
                assert_eq!(due(&reply[2..]), after, "{rate}");
                (local, allowed) = (after, allowed + 1);
            }
        }
        assert!((20..150).contains(&allowed), "{rate}: {allowed}");
    }
}

#[tokio::test]
async fn the_script_charges_all_policies_or_none() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut connection = server.connect().await.unwrap();
    let script = told(CHARGE);
    let mut dice = Dice(3_141_592_653_589_793);
    let rates = [
        Rate::per_second(5),
        Rate::per_minute(40),
        Rate::per_second(2),
    ];
    let gcras = rates.map(|rate| Gcra::new(rate).unwrap());
    let keys = [0, 1, 2].map(|it| format!("{{all}}:{it}"));
    // The last one only watches.
    let (mut local, mut now, mut shadowed) = ([Ticks::ZERO; 3], 0, 0);
    for _ in 0..400 {
        now += dice.below(400_000);
        let at = Ticks::from_raw(now * 16_000);
        let mut arguments = ["1", "0"].map(str::to_owned).to_vec();
        for (index, gcra) in gcras.iter().enumerate() {
            arguments.push(u8::from(index == 2).to_string());
            arguments.extend(split(spacing(gcra, gcra.rate().burst())));
            arguments.extend(split(spacing(gcra, 1)));
        }
        arguments.extend(time(now));
        let reply = eval(&mut connection, &script, &keys, arguments).await;
        let each: Vec<_> = (0..3)
            .map(|it| gcras[it].charge(local[it], at, 1))
            .collect();
        let is_allowed = each[0].is_ok() && each[1].is_ok();
        assert_eq!(reply[0] == 1, is_allowed, "at {now}");
        for (index, verdict) in each.into_iter().enumerate() {
            let standing = &reply[2 + index * 5..];
            let charged = is_allowed && verdict.is_ok();
            assert_eq!(standing[0] == 1, charged, "policy {index} at {now}");
            if let (true, Ok(after)) = (charged, verdict) {
                local[index] = after;
                assert_eq!(due(standing), after);
            } else if is_allowed {
                shadowed += 1;
            }
        }
    }
    assert!(shadowed > 0);
}

#[tokio::test]
async fn what_is_kept_counts_as_spent_at_the_end() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut connection = server.connect().await.unwrap();
    let script = told(CHARGE);
    let key = ["{kept}:1".to_owned()];
    let gcra = Gcra::new(Rate::per_second(100)).unwrap();
    // Sizes 50, 20 and 5, kept for 100 ms: in that time ten cells come back.
    let mut sizes = async |now| {
        let mut arguments = ["3", "100000", "0"].map(str::to_owned).to_vec();
        arguments.extend(split(spacing(&gcra, 100)));
        for size in [50, 20, 5] {
            arguments.extend(split(spacing(&gcra, size)));
        }
        arguments.extend(time(now));
        eval(&mut connection, &script, &key, arguments).await[0]
    };
    // 90 in all: 50, 20, 20.
    let granted = [
        sizes(0).await,
        sizes(0).await,
        sizes(0).await,
        sizes(0).await,
    ];
    assert_eq!(granted, [1, 2, 2, 0]);
    assert_eq!(sizes(50_000).await, 3);
}

#[tokio::test]
async fn a_value_lives_until_everything_is_won_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut connection = server.connect().await.unwrap();
    let key = ["{lives}:1".to_owned()];
    let gcra = Gcra::new(Rate::per_minute(60)).unwrap();
    let mut arguments = ["1", "0", "0"].map(str::to_owned).to_vec();
    arguments.extend(split(spacing(&gcra, 60)));
    arguments.extend(split(spacing(&gcra, 30)));
    eval(&mut connection, CHARGE, &key, arguments).await;
    let left: i64 = server.run(&["PTTL", &key[0]]).await;
    assert!((20_000..=30_001).contains(&left), "{left}");
}

/// A charge that was made, and its receipt.
struct Made {
    cost: u64,
    after: Ticks,
    returned: u64,
    receipt: Vec<String>,
}

#[tokio::test]
async fn refunds_and_debts_are_those_of_the_local_algorithm() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut connection = server.connect().await.unwrap();
    let (charge, settle) = (told(CHARGE), told(SETTLE));
    let mut dice = Dice(2_718_281_828_459_045);
    // Whole microseconds, in which the server counts what was given back.
    let gcra = Gcra::new(Rate::per_second(1_000).with_burst(20)).unwrap();
    let key = ["{settled}:1".to_owned()];
    let (mut local, mut now, mut returned) = (Ticks::ZERO, 0, 0);
    let mut made: Vec<Made> = Vec::new();
    for _ in 0..1_500 {
        now += dice.below(1_200);
        let at = Ticks::from_raw(now * 16_000);
        if local <= at {
            // The server has forgotten what is won back, and with it all receipts; so does this.
            local = Ticks::ZERO;
            made.clear();
            let _: i64 = server_del(&mut connection, &key[0]).await;
        }
        let cost = 1 + dice.below(4);
        match dice.below(4) {
            0 if !made.is_empty() => {
                let index = dice.below(made.len() as u64) as usize;
                let Made {
                    cost,
                    after,
                    returned: before,
                    receipt,
                } = made.swap_remove(index);
                let mut arguments = split(spacing(&gcra, cost)).to_vec();
                arguments.extend(receipt);
                arguments.extend(time(now));
                let _: i64 = eval_one(&mut connection, &settle, &key, arguments).await;
                local = gcra.refund(local, at, cost, after, returned - before);
                returned += cost;
            }
            1 => {
                let mut arguments = split(spacing(&gcra, cost)).to_vec();
                arguments.extend(["-1"; 4].map(str::to_owned));
                arguments.extend(time(now));
                let _: i64 = eval_one(&mut connection, &settle, &key, arguments).await;
                local = gcra.owe(local, at, cost);
            }
            _ => {
                let mut arguments = ["1", "0", "0"].map(str::to_owned).to_vec();
                arguments.extend(split(spacing(&gcra, 20)));
                arguments.extend(split(spacing(&gcra, cost)));
                arguments.extend(time(now));
                let reply = eval(&mut connection, &charge, &key, arguments).await;
                let expected = gcra.charge(local, at, cost);
                assert_eq!(reply[0] == 1, expected.is_ok(), "at {now}");
                if let Ok(after) = expected {
                    assert_eq!(due(&reply[2..]), after, "at {now}");
                    local = after;
                    let receipt = reply[3..7].iter().map(ToString::to_string).collect();
                    made.push(Made {
                        cost,
                        after,
                        returned,
                        receipt,
                    });
                }
            }
        }
    }
}

async fn server_del(connection: &mut MultiplexedConnection, key: &str) -> i64 {
    redis::cmd("DEL")
        .arg(key)
        .query_async(connection)
        .await
        .unwrap()
}

async fn eval_one(
    connection: &mut MultiplexedConnection,
    script: &str,
    keys: &[String],
    arguments: Vec<String>,
) -> i64 {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command.query_async(connection).await.unwrap()
}

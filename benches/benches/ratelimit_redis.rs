//! What a shared limit costs on a real Redis: leases beside exact mode, exact mode beside the bare
//! round trip.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and may panic"
)]

use std::cell::Cell;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bartizan_benches::Comparison;
use bartizan_ratelimit::{
    FleetSecret, Limiter, Policy, Rate, RedisStore, SharedLimiter, Sharing, Source,
};
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// How many tasks check at the same time, and how often each in one run.
const TASKS: usize = 64;
const CHECKS: usize = 200;

/// A server on a free port, killed when it is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { child, port })
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        loop {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Limits that are never reached, with leases of at most so many cells.
    fn limiter(&self, lease: u64, policies: usize) -> SharedLimiter {
        let secret = FleetSecret::new([7; 32]).unwrap();
        let store = RedisStore::at(format!("127.0.0.1:{}", self.port), secret);
        let store = store.with_namespace(format!("lease-{lease}-{policies}"));
        let sharing = Sharing::among(1).with_largest_lease(lease);
        // A machine that stalls is not what is measured.
        let sharing = sharing.with_deadline(Duration::from_secs(5));
        let mut builder = Limiter::builder();
        for policy in 0..policies {
            let rate = Rate::per_second(100_000_000);
            builder = builder.add_policy(Policy::new(format!("policy {policy}"), rate));
        }
        builder
            .build_shared(store.build().unwrap(), sharing)
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Many tasks, each of which checks one after the other: all for one caller, or each for its own.
fn at_once(runtime: &Runtime, limiter: &SharedLimiter, callers: usize) {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (limiter, key) = (limiter.clone(), format!("caller {}", task % callers));
            tasks.spawn(async move {
                for _ in 0..CHECKS {
                    let verdict = limiter.check(&key).await;
                    assert!(verdict.is_allowed() && verdict.source() != Source::Fallback);
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    });
}

/// The same for a command that does nothing.
fn pings_at_once(runtime: &Runtime, connection: &MultiplexedConnection) {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let mut connection = connection.clone();
            tasks.spawn(async move {
                for _ in 0..CHECKS {
                    ask(&mut connection, &redis::cmd("PING")).await;
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    });
}

async fn ask(connection: &mut MultiplexedConnection, command: &redis::Cmd) {
    let _: redis::Value = command.query_async(connection).await.unwrap();
}

fn main() {
    let Some(server) = Server::start() else {
        println!("skipped: redis-server is not there");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut connection = runtime.block_on(server.connect());
    let [exact, three] = [1, 3].map(|policies| server.limiter(0, policies));
    let leases = [10, 100, 1_000].map(|lease| (lease, server.limiter(lease, 1)));
    let all = [&exact, &three].into_iter();
    for limiter in all.chain(leases.iter().map(|(_, limiter)| limiter)) {
        at_once(&runtime, limiter, TASKS);
        at_once(&runtime, limiter, 1);
    }

    let mut shell = redis::cmd("EVAL");
    shell.arg("return 1").arg(0);
    let mut other = connection.clone();
    let mut one = Comparison::new("One round trip at a time");
    one.case("PING", || {
        runtime.block_on(ask(&mut connection, &redis::cmd("PING")));
    });
    one.case("EVAL of nothing", || {
        runtime.block_on(ask(&mut other, &shell));
    });
    one.case("exact check, one policy", || {
        runtime.block_on(exact.check("alice")).is_allowed()
    });
    one.case("exact check, three policies", || {
        runtime.block_on(three.check("alice")).is_allowed()
    });
    let _ = one.run();

    println!(
        "\nEach run is {TASKS} tasks of {CHECKS} checks: divide by {}.",
        TASKS * CHECKS
    );
    let connection = runtime.block_on(server.connect());
    for (title, callers) in [
        ("Many at the same time, each a caller of its own", TASKS),
        ("Many at the same time, all one caller", 1),
    ] {
        let mut many = Comparison::new(title);
        many.case("exact", || at_once(&runtime, &exact, callers));
        many.case("PING", || pings_at_once(&runtime, &connection));
        let trips = || leases.iter().map(|(_, it)| it.status().round_trips);
        let before: Vec<u64> = trips().collect();
        let runs = [(); 3].map(|()| Cell::new(0_u64));
        for ((lease, limiter), runs) in leases.iter().zip(&runs) {
            many.case(format!("leases of {lease}"), || {
                runs.set(runs.get() + 1);
                at_once(&runtime, limiter, callers);
            });
        }
        let measured = many.run();
        let trips = trips().zip(before).zip(&runs);
        for (case, ((after, before), runs)) in measured.iter().skip(2).zip(trips) {
            let checks = runs.get() * (TASKS * CHECKS) as u64;
            println!(
                "{}: {:.1} x the checks of exact mode, a round trip for {:.1} checks",
                case.name,
                1.0 / case.ratio,
                checks as f64 / (after - before).max(1) as f64
            );
        }
    }
}

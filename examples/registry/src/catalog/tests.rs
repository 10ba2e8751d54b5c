use proptest::prelude::*;

use super::*;
use crate::config::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> SpiffeId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

fn at(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

/// `payments` and `ledger` belong to payments; orders may look up the first.
fn catalog(of_one: usize, in_all: usize) -> Catalog {
    let service = |name: &str, owner: &str, readers: &[&str]| config::Service {
        name: name.to_owned(),
        owner: id(owner),
        readers: readers
            .iter()
            .map(|reader| id(reader).as_str().parse().unwrap())
            .collect(),
    };
    let limits = Limits {
        instances_of_one: of_one,
        instances: in_all,
        ..Limits::default()
    };
    let services = [
        service("payments", "payments", &["orders"]),
        service("ledger", "payments", &[]),
        service("orders", "orders", &["web"]),
    ];
    Catalog::new(&services, limits, 100)
}

fn register(
    catalog: &mut Catalog,
    name: &str,
    who: &str,
    port: u16,
) -> Result<Registered, Refusal> {
    catalog.register(name, &id(who), at(port), Duration::ZERO, 30 * SECOND)
}

#[test]
fn a_name_is_its_owners_alone() {
    let mut catalog = catalog(9, 9);
    assert_eq!(
        register(&mut catalog, "payments", "orders", 1),
        Err(Refusal::NotYours)
    );
    assert_eq!(
        register(&mut catalog, "nothing", "orders", 1),
        Err(Refusal::NotYours)
    );
    assert_eq!(
        register(&mut catalog, "payments", "payments", 1),
        Ok(Registered::New)
    );
    let withdrawn = catalog.withdraw("payments", &id("orders"), at(1), SECOND);
    assert_eq!(withdrawn, Err(Refusal::NotYours));
    let known = catalog.look_up("payments", &id("orders"), SECOND).unwrap();
    assert_eq!(known.instances, [at(1)]);
    assert_eq!(known.owner, id("payments"));
}

#[test]
fn whoever_may_not_look_a_name_up_cannot_tell_it_from_none() {
    let catalog = catalog(9, 9);
    for (name, who, known) in [
        ("payments", "orders", true),
        ("payments", "payments", true),
        ("payments", "web", false),
        ("payments", "orders/other", false),
        ("ledger", "orders", false),
        ("nothing", "orders", false),
    ] {
        let found = catalog.look_up(name, &id(who), SECOND);
        assert_eq!(found.is_ok(), known, "{name} {who}");
        if let Err(refusal) = found {
            assert_eq!(refusal, Refusal::NotYours);
        }
    }
}

#[test]
fn an_instance_is_listed_until_its_lease_ends() {
    let mut catalog = catalog(9, 9);
    register(&mut catalog, "payments", "payments", 1).unwrap();
    let count = |catalog: &Catalog, now| {
        let known = catalog.look_up("payments", &id("orders"), now).unwrap();
        known.instances.len()
    };
    assert_eq!(count(&catalog, 30 * SECOND - Duration::from_nanos(1)), 1);
    assert_eq!(count(&catalog, 30 * SECOND), 0, "before anybody has swept");
    let renewed = catalog.register("payments", &id("payments"), at(1), 29 * SECOND, 59 * SECOND);
    assert_eq!(renewed, Ok(Registered::Renewed));
    assert_eq!(catalog.sweep(30 * SECOND), []);
    assert_eq!(count(&catalog, 58 * SECOND), 1);
    let gone = catalog.sweep(59 * SECOND);
    assert_eq!(gone.len(), 1);
    assert_eq!((&*gone[0].service, gone[0].address), ("payments", at(1)));
    assert_eq!(catalog.sweep(60 * SECOND), []);
}

#[test]
fn versions_tell_of_each_change_and_of_nothing_else() {
    let mut catalog = catalog(9, 9);
    let version = |catalog: &Catalog| {
        let known = catalog.look_up("payments", &id("payments"), SECOND);
        known.unwrap().version
    };
    assert_eq!(version(&catalog), 100);
    register(&mut catalog, "payments", "payments", 1).unwrap();
    assert_eq!(version(&catalog), 101);
    register(&mut catalog, "payments", "payments", 1).unwrap();
    register(&mut catalog, "ledger", "payments", 2).unwrap();
    assert_eq!(version(&catalog), 101, "a heartbeat, and another service");
    assert_eq!(
        catalog.withdraw("payments", &id("payments"), at(1), SECOND),
        Ok(true)
    );
    assert_eq!(version(&catalog), 102);
    assert_eq!(
        catalog.withdraw("payments", &id("payments"), at(1), SECOND),
        Ok(false)
    );
    assert_eq!(version(&catalog), 102);
}

#[test]
fn nobody_takes_the_room_of_others() {
    let mut catalog = catalog(2, 3);
    assert!(register(&mut catalog, "payments", "payments", 1).is_ok());
    assert!(register(&mut catalog, "ledger", "payments", 2).is_ok());
    assert_eq!(
        register(&mut catalog, "payments", "payments", 3),
        Err(Refusal::TooMany)
    );
    assert_eq!(
        register(&mut catalog, "payments", "payments", 1),
        Ok(Registered::Renewed)
    );
    assert!(register(&mut catalog, "orders", "orders", 1).is_ok());
    assert_eq!(
        register(&mut catalog, "orders", "orders", 2),
        Err(Refusal::Full)
    );
    // What has ended, or was withdrawn, takes no room.
    catalog
        .withdraw("ledger", &id("payments"), at(2), SECOND)
        .unwrap();
    assert!(register(&mut catalog, "orders", "orders", 2).is_ok());
    let late = catalog.register("payments", &id("payments"), at(9), 31 * SECOND, 60 * SECOND);
    assert_eq!(late, Ok(Registered::New));
}

proptest! {
    /// Whatever anybody does: names stay their owners', and limits hold.
    #[test]
    fn whatever_is_done_names_and_limits_hold(
        steps in proptest::collection::vec((0..3usize, 0..3usize, 0..5u16, 0..4u8, 0..40u32), 0..60),
    ) {
        let mut catalog = catalog(3, 4);
        let (names, workloads) = (["payments", "ledger", "orders"], ["payments", "orders", "web"]);
        let mut now = Duration::ZERO;
        for (name, who, port, step, span) in steps {
            let (name, who) = (names[name], workloads[who]);
            let owns = who == "orders" && name == "orders" || who == "payments" && name != "orders";
            match step {
                0 | 1 => {
                    let done = catalog.register(name, &id(who), at(port), now, now + span * SECOND);
                    prop_assert!(owns || done == Err(Refusal::NotYours));
                }
                2 => {
                    let done = catalog.withdraw(name, &id(who), at(port), now);
                    prop_assert_eq!(done.is_ok(), owns);
                }
                _ => {
                    now += span * SECOND / 2;
                    catalog.sweep(now);
                }
            }
            let count = |name: &str, owner: &str| {
                catalog.look_up(name, &id(owner), now).unwrap().instances.len()
            };
            let of_payments = count("payments", "payments") + count("ledger", "payments");
            prop_assert!(of_payments <= 3 && of_payments + count("orders", "orders") <= 4);
        }
    }
}

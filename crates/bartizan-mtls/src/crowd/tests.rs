use super::*;

const SOON: Duration = Duration::from_millis(50);

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Admits clients, and keeps what each would be told.
struct Check {
    crowd: Crowd,
    now: Instant,
    signals: HashMap<u64, Arc<Signals>>,
}

impl Check {
    fn new(max: usize, max_per_address: usize) -> Self {
        Self {
            crowd: Crowd::new(max, max_per_address),
            now: Instant::now(),
            signals: HashMap::new(),
        }
    }

    fn comes(&mut self, last: u8) -> Result<u64, &'static str> {
        match self.crowd.admit(address(last), self.now) {
            Admission::Admitted { place, signals } => {
                self.signals.insert(place, signals);
                Ok(place)
            }
            Admission::Refused => Err("refused"),
            Admission::Wait => Err("wait"),
        }
    }

    /// So many silent clients of one address.
    fn come(&mut self, last: u8, count: usize) {
        for _ in 0..count {
            self.comes(last).unwrap();
        }
    }

    fn begins(&mut self, place: u64) -> bool {
        self.crowd.begin(place, self.now)
    }

    /// A client that begins at once.
    fn works(&mut self, last: u8) -> u64 {
        let place = self.comes(last).unwrap();
        assert!(self.begins(place), "{place}");
        place
    }

    fn inside(&self) -> Vec<u64> {
        let inside: BTreeSet<_> = self.crowd.members.keys().copied().collect();
        inside.into_iter().collect()
    }

    async fn has_to_go(&self, place: u64) {
        self.signals[&place].must_go.notified().await;
    }

    async fn may_begin(&self, place: u64) {
        self.signals[&place].may_begin.notified().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_silent_make_room_at_once_and_the_first_of_them_first() {
    let mut check = Check::new(1, 1);
    for last in 0..8 {
        check.come(last, 1);
    }
    assert_eq!(check.comes(8), Ok(8));
    assert_eq!(check.inside(), [1, 2, 3, 4, 5, 6, 7, 8]);
    check.has_to_go(0).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_said_what_it_wants_is_not_pushed_out_by_the_silent() {
    let mut check = Check::new(1, 1);
    let good = check.works(1);
    let waits = check.comes(2).unwrap();
    assert!(!check.begins(waits));
    for last in 3..100 {
        check.come(last, 1);
    }
    assert_eq!(check.inside().len(), 8);
    assert_eq!(check.inside()[..2], [good, waits]);
    check.crowd.leave(good, check.now);
    check.may_begin(waits).await;
    assert!(check.begins(waits));
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_has_time_and_who_is_finished_stays() {
    let mut check = Check::new(2, 2);
    let (finished, busy) = (check.works(1), check.works(2));
    check.crowd.advance(finished, Stage::Finished);
    let waits = check.comes(3).unwrap();
    check.now += BUSY_FOR - SOON;
    assert!(!check.begins(waits));
    check.now += SOON;
    assert!(check.begins(waits));
    assert_eq!(check.inside(), [finished, waits]);
    check.has_to_go(busy).await;

    check.crowd.advance(waits, Stage::Refused);
    let next = check.comes(4).unwrap();
    check.now += SWEEP;
    assert!(check.begins(next));
    assert_eq!(check.inside(), [finished, next]);
}

#[tokio::test(start_paused = true)]
async fn an_address_makes_room_among_its_own() {
    let mut check = Check::new(10, 1);
    assert_eq!(check.comes(2), Ok(0));
    check.come(1, 8);
    assert_eq!(check.comes(1), Ok(9));
    assert_eq!(check.inside(), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
    // With nobody silent and nobody idle, the next of them is turned away.
    for place in 2..10 {
        assert_eq!(check.begins(place), place == 2);
    }
    assert_eq!(check.comes(1), Err("refused"));
    assert_eq!(check.comes(3), Ok(10));
    check.now += BUSY_FOR;
    assert_eq!(check.comes(1), Ok(11));
    check.has_to_go(2).await;
    check.may_begin(3).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_with_its_share_holds_up_nobody_else() {
    let mut check = Check::new(4, 2);
    let first = check.works(1);
    check.works(1);
    let third = check.comes(1).unwrap();
    assert!(!check.begins(third));
    let other = check.works(2);
    // Nor is another sent away for it.
    check.now += BUSY_FOR;
    assert!(check.begins(third));
    assert!(check.inside().contains(&other) && !check.inside().contains(&first));
}

#[tokio::test(start_paused = true)]
async fn places_go_to_those_who_wait_in_the_order_of_arrival() {
    let mut check = Check::new(1, 1);
    let works = check.works(1);
    let (second, third) = (check.comes(2).unwrap(), check.comes(3).unwrap());
    assert!(!check.begins(third) && !check.begins(second));
    check.crowd.leave(works, check.now);
    check.may_begin(second).await;
    assert!(check.begins(second) && !check.begins(third));
}

#[tokio::test(start_paused = true)]
async fn a_room_full_of_those_who_wait_lets_nobody_in() {
    let mut check = Check::new(1, 1);
    let works = check.works(1);
    for last in 2..9 {
        let place = check.comes(last).unwrap();
        assert!(!check.begins(place));
    }
    assert_eq!(check.comes(9), Err("wait"));
    assert!(!check.crowd.make_room());
    check.crowd.leave(works, check.now);
    assert_eq!(check.comes(9), Ok(8));
}

#[tokio::test(start_paused = true)]
async fn places_become_free() {
    let mut check = Check::new(1, 1);
    for place in 0..3 {
        assert_eq!(check.works(1), place);
        check.crowd.leave(place, check.now);
        check.crowd.leave(place, check.now);
    }
    let crowd = &check.crowd;
    assert!(crowd.members.is_empty() && crowd.addresses.is_empty());
    assert!(crowd.silent.is_empty() && crowd.line.is_empty() && crowd.working.is_empty());
    assert_eq!(crowd.waiting, 0);
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    for (address, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(network(address).to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_one_address_that_waits_costs_the_others_nothing() {
    let mut check = Check::new(20_000, 2_000);
    for _ in 0..2_000 {
        check.works(1);
    }
    for _ in 0..2 {
        for place in 2_000..16_000 {
            if !check.signals.contains_key(&place) {
                assert_eq!(check.comes(1), Ok(place));
            }
            assert!(!check.begins(place));
            // Those in the line are all that anybody looks at.
            assert!(check.crowd.line.is_empty());
        }
    }
    assert_eq!(check.crowd.waiting, 14_000);
    check.works(2);
}

//! How a request is decided: from what is in hand, from what is known, or by the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Source;
use super::conclude::{Concluded, note_refusal};
use super::fallback::{Fallback, share};
use super::seam::{Answer, Ask, Charge, StoreError, Subject};
use super::shared::SharedLimiter;
use crate::lease::{Grant, Landing, Order, Place, Seek, Terms};
use crate::limiter::Active;
use crate::ticks::Ticks;
use crate::verdict::{Applicable, Report, Verdict};

impl SharedLimiter {
    /// Decides without asking, if that can be done.
    pub(crate) fn at_once(
        &self,
        hash: u64,
        applicable: Applicable,
        cost: u64,
    ) -> Option<Concluded> {
        let state = &self.0;
        let (place, now) = (place(hash, applicable), state.limiter.now());
        let terms = || self.terms(&state.limiter.active(), applicable);
        if let Some((grant, order)) = state.leases.spend(place, cost, now, terms) {
            if let Some(order) = order {
                self.refill(order, &grant);
            }
            return Some(Concluded::paid(place, now, cost, grant, Source::Lease));
        }
        if let Some(refused) = self.known(hash, now, applicable, cost) {
            return Some(refused);
        }
        match state.breaker.is_open() {
            true => Some(self.fall_back(hash, applicable, cost)),
            false => None,
        }
    }

    /// Asks the store, within the deadline.
    pub(crate) async fn ask(
        &self,
        hash: u64,
        subject: Subject,
        applicable: Applicable,
        cost: u64,
    ) -> Concluded {
        let deadline = Instant::now() + self.0.sharing.deadline;
        let place = place(hash, applicable);
        match self.asked(place, subject, applicable, cost, deadline).await {
            Some(concluded) => concluded,
            None => self.fall_back(hash, applicable, cost),
        }
    }

    async fn asked(
        &self,
        place: Place,
        subject: Subject,
        applicable: Applicable,
        cost: u64,
        deadline: Instant,
    ) -> Option<Concluded> {
        let state = &self.0;
        // Half of the time for cells that others may be quicker to spend; then the request is asked
        // for by itself.
        let patience = deadline - state.sharing.deadline / 2;
        while Instant::now() < patience {
            if state.breaker.is_open() {
                return None;
            }
            let now = state.limiter.now();
            let terms = match state.store.can_lease() {
                true => self.terms(&state.limiter.active(), applicable),
                false => None,
            };
            let hold = terms.map_or(Ticks::ZERO, |terms| terms.hold);
            let mut landing = match state.leases.seek(place, cost, now, terms) {
                Seek::Paid(grant) => {
                    return Some(Concluded::paid(place, now, cost, grant, Source::Lease));
                }
                Seek::One => {
                    return self.one(place, subject, applicable, cost, deadline).await;
                }
                Seek::Wait(landing) => landing,
                Seek::Lead(order) => {
                    let landing = order.landing.subscribe();
                    self.fly(order, subject.clone(), applicable, cost);
                    landing
                }
            };
            match landed(&mut landing, deadline).await {
                Landing::Failed | Landing::Flying => return None,
                Landing::Landed => {}
                Landing::Refused => {
                    let now = state.limiter.now();
                    if let Some(known) = self.known(place.hash, now, applicable, cost) {
                        let source = state.store.source();
                        return Some(Concluded { source, ..known });
                    }
                    // If it is a policy that only watches that would refuse, it would for some
                    // time; otherwise somebody was quicker.
                    if self.has_shadows(applicable) {
                        state.leases.bar(place, now.saturating_add(hold));
                    }
                    return self.one(place, subject, applicable, cost, deadline).await;
                }
            }
        }
        self.one(place, subject, applicable, cost, deadline).await
    }

    /// Asks for this request alone.
    async fn one(
        &self,
        place: Place,
        subject: Subject,
        applicable: Applicable,
        cost: u64,
        deadline: Instant,
    ) -> Option<Concluded> {
        let state = &self.0;
        let now = state.limiter.now();
        let ask = Ask {
            subject,
            charges: charges(&state.limiter.active(), applicable, false),
            sizes: vec![cost],
            hold: Ticks::ZERO,
        };
        let answer = self.charge(&ask, deadline).await.ok()?;
        let source = state.store.source();
        Some(match answer.granted {
            Some(_) => {
                let grant = Arc::new(grant(ask, answer, now));
                Concluded::paid(place, now, cost, grant, source)
            }
            None => {
                let active = state.limiter.active();
                let (report, denial) = note_refusal(&active, place.hash, now, &ask, &answer, cost);
                Concluded::refused(place.hash, now, cost, report, denial, source)
            }
        })
    }

    /// Asks the store once, and minds whether it answers.
    async fn charge(&self, ask: &Ask, deadline: Instant) -> Result<Answer, StoreError> {
        self.0.round_trips.fetch_add(1, Ordering::Relaxed);
        let answer = timeout_at(deadline, self.0.store.charge(ask)).await;
        let answer = answer.unwrap_or(Err(StoreError::Silent));
        self.mind(answer.as_ref().err());
        answer
    }

    /// Asks for more before the cells in hand are spent.
    fn refill(&self, order: Order, grant: &Grant) {
        let applicable = Applicable::from_bits(order.place.policies);
        // Without a runtime nobody can ask: the caller is asked for when the cells are spent.
        if tokio::runtime::Handle::try_current().is_ok() && !self.0.breaker.is_open() {
            self.fly(order, grant.subject.clone(), applicable, 1);
        } else {
            self.0.leases.lift(order.place);
        }
    }

    /// Asks for cells ahead, in a task of its own: what was granted is not lost with the request
    /// that was the first to want it.
    fn fly(&self, order: Order, subject: Subject, applicable: Applicable, cost: u64) {
        self.begin_sweeping();
        let this = self.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + this.0.sharing.deadline;
            let landing = this
                .acquire(&order, subject, applicable, cost, deadline)
                .await;
            if landing != Landing::Landed {
                this.0.leases.lift(order.place);
            }
            order.landing.send_replace(landing);
        });
    }

    async fn acquire(
        &self,
        order: &Order,
        subject: Subject,
        applicable: Applicable,
        cost: u64,
        deadline: Instant,
    ) -> Landing {
        let state = &self.0;
        let now = state.limiter.now();
        let Some(terms) = self.terms(&state.limiter.active(), applicable) else {
            return Landing::Refused;
        };
        let ask = Ask {
            subject,
            charges: charges(&state.limiter.active(), applicable, true),
            sizes: terms.sizes(order.cells, cost),
            hold: terms.hold,
        };
        let Ok(answer) = self.charge(&ask, deadline).await else {
            return Landing::Failed;
        };
        let Some(cells) = answer.granted else {
            let active = state.limiter.active();
            note_refusal(&active, order.place.hash, now, &ask, &answer, cost);
            return Landing::Refused;
        };
        let grant = Arc::new(grant(ask, answer, now));
        let until = now.saturating_add(terms.keep());
        state.leases.deposit(order.place, cells, until, &grant);
        Landing::Landed
    }

    /// Refuses what the store would refuse, as far as is known.
    fn known(&self, hash: u64, now: Ticks, applicable: Applicable, cost: u64) -> Option<Concluded> {
        let active = self.0.limiter.active();
        let mut report = Report::new();
        let denial = active.known_refusal(hash, now, cost, applicable, &mut report)?;
        Some(Concluded::refused(
            hash,
            now,
            cost,
            report,
            denial,
            Source::Local,
        ))
    }

    /// Decides by what is declared for a store that does not answer.
    pub(super) fn fall_back(&self, hash: u64, applicable: Applicable, cost: u64) -> Concluded {
        let state = &self.0;
        let now = state.alone.now();
        let mut concluded = Concluded {
            hash,
            now,
            cost,
            report: Report::new(),
            verdict: Some(Verdict::Allowed),
            source: Source::Fallback,
            paid: None,
        };
        let mut local = Applicable::NONE;
        for (index, limit) in state.limiter.active().limits.iter().enumerate() {
            if !applicable.has(index) {
                continue;
            }
            match limit.policy.fallback() {
                Fallback::Closed if !limit.policy.is_shadow() => concluded.verdict = None,
                Fallback::Closed | Fallback::Open => {}
                Fallback::Local => local.add(index),
            }
        }
        if concluded.verdict.is_none() || local == Applicable::NONE {
            return concluded;
        }
        self.follow_rates();
        let active = state.alone.active();
        let verdict = active.decide(hash, now, cost, local, &mut concluded.report);
        concluded.verdict = Some(verdict);
        concluded
    }

    /// Takes over rates that were changed at run time.
    fn follow_rates(&self) {
        let state = &self.0;
        let alone = state.alone.active();
        for (mine, whole) in alone.limits.iter().zip(&state.limiter.active().limits) {
            let rate = share(whole.policy.rate(), state.sharing.instances);
            if mine.policy.rate() != rate {
                // A share of a rate that can be counted can be counted, or the former one stays.
                let _ = state.alone.set_rate(whole.policy.name(), rate);
            }
        }
    }

    fn has_shadows(&self, applicable: Applicable) -> bool {
        let active = self.0.limiter.active();
        let mut policies = active.limits.iter().enumerate();
        policies.any(|(index, limit)| applicable.has(index) && limit.policy.is_shadow())
    }

    fn terms(&self, active: &Active, applicable: Applicable) -> Option<Terms> {
        let policies = active.limits.iter().enumerate();
        let policies = policies.filter(|(index, _)| applicable.has(*index));
        let sharing = &self.0.sharing;
        Terms::of(
            policies.map(|(_, limit)| &limit.gcra),
            sharing.instances,
            sharing.largest,
        )
    }
}

/// The policies that apply. For cells ahead those that only watch count like the others: if one
/// would refuse, each request is asked for by itself.
fn charges(active: &Active, applicable: Applicable, ahead: bool) -> Vec<Charge> {
    let limits = active.limits.iter().enumerate();
    limits
        .filter(|(index, _)| applicable.has(*index))
        .map(|(policy, limit)| Charge {
            policy,
            name: Arc::clone(&limit.name),
            gcra: limit.gcra,
            may_fail: limit.policy.is_shadow() && !ahead,
        })
        .collect()
}

fn grant(ask: Ask, answer: Answer, taken: Ticks) -> Grant {
    Grant {
        subject: ask.subject,
        charges: ask.charges,
        standings: answer.standings,
        taken,
    }
}

fn place(hash: u64, applicable: Applicable) -> Place {
    Place {
        hash,
        policies: applicable.bits(),
    }
}

/// Waits until something has come of an order.
async fn landed(landing: &mut watch::Receiver<Landing>, deadline: Instant) -> Landing {
    let wait = landing.wait_for(|landing| *landing != Landing::Flying);
    match timeout_at(deadline, wait).await {
        Ok(Ok(landing)) => *landing,
        // Whoever asked has gone with his runtime, or it took too long.
        _ => Landing::Failed,
    }
}

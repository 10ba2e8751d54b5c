//! What becomes of charges afterwards.

use std::sync::Arc;

use tokio::time::timeout;

use super::Source;
use super::conclude::Concluded;
use super::seam::{Settle, StoreError, Way};
use super::shared::SharedLimiter;
use crate::lease::{Grant, Leftover};

impl SharedLimiter {
    /// Gives back what a request was charged.
    pub(crate) fn refund(&self, concluded: &Concluded) {
        let Some(paid) = &concluded.paid else {
            return self.settle_alone(concluded, None);
        };
        let now = self.0.limiter.now();
        let is_back = concluded.source == Source::Lease
            && (self.0.leases).put_back(paid.place, concluded.cost, now, &paid.grant);
        if !is_back {
            self.settle_later(settlement(&paid.grant, concluded.cost, Way::Back));
        }
    }

    /// Charges what a request turned out to cost.
    pub(crate) fn owe(&self, concluded: &Concluded, more: u64) {
        match &concluded.paid {
            Some(paid) => self.settle_later(settlement(&paid.grant, more, Way::Owed)),
            None => self.settle_alone(concluded, Some(more)),
        }
    }

    /// Settles what this instance has granted by itself.
    fn settle_alone(&self, concluded: &Concluded, more: Option<u64>) {
        let (alone, now) = (self.0.alone.active(), self.0.alone.now());
        let Concluded {
            hash, cost, report, ..
        } = concluded;
        match more {
            None => alone.refund(*hash, now, *cost, report),
            Some(more) => alone.owe(*hash, now, more, report),
        }
    }

    /// The response does not wait for the store.
    fn settle_later(&self, settlement: Settle) {
        if tokio::runtime::Handle::try_current().is_ok() && !self.0.breaker.is_open() {
            let this = self.clone();
            tokio::spawn(async move { this.settle(&settlement).await });
        }
    }

    /// Gives back what was not spent.
    pub(super) async fn give_back(&self, leftovers: Vec<Leftover>) {
        for Leftover { grant, cells } in leftovers {
            if self.0.breaker.is_open() {
                return;
            }
            self.settle(&settlement(&grant, cells, Way::Back)).await;
        }
    }

    async fn settle(&self, settlement: &Settle) {
        if settlement.charges.is_empty() {
            return;
        }
        // Sent once, whatever comes of it: cells that are not given back are lost, which
        // over-admits nobody.
        let answer = timeout(self.0.sharing.deadline, self.0.store.settle(settlement)).await;
        let answer = answer.unwrap_or(Err(StoreError::Silent));
        self.mind(answer.as_ref().err());
    }
}

fn settlement(grant: &Arc<Grant>, cells: u64, way: Way) -> Settle {
    let charged = grant.charges.iter().zip(&grant.standings);
    let charged = charged.filter(|(_, standing)| standing.charged);
    Settle {
        subject: grant.subject.clone(),
        charges: charged
            .map(|(charge, standing)| (charge.clone(), standing.receipt))
            .collect(),
        cells,
        way,
    }
}

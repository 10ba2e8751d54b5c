//! How long stores and providers are waited for, and how often they are asked.

use std::time::Duration;

use bartizan_source::{Backoff, random};
use tokio::time::{sleep, timeout};

use crate::kek::KekError;
use crate::store::StoreError;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For one call, with all its attempts.
    pub(super) deadline: Duration,
    /// How often a provider is asked, at least once.
    pub(super) attempts: u32,
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Patience {
    /// Asks a store once: whether a change that was not answered was made cannot be known.
    pub(super) async fn ask<T>(
        self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.deadline, call).await.unwrap_or_else(|_| {
            let deadline = self.deadline;
            Err(StoreError::new(format!("no answer within {deadline:?}")))
        })
    }

    /// Asks a provider, and again while it is not available. One attempt has half of the
    /// deadline, so that a connection that went dead silently leaves time for another.
    pub(super) async fn insist<T, F>(self, call: impl Fn() -> F) -> Result<T, KekError>
    where
        F: Future<Output = Result<T, KekError>>,
    {
        let each = if self.attempts > 1 {
            self.deadline / 2
        } else {
            self.deadline
        };
        let late = || KekError::Unavailable(format!("no answer within {:?}", self.deadline));
        let attempts = async {
            let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
            let mut left = self.attempts;
            loop {
                left = left.saturating_sub(1);
                match timeout(each, call()).await.unwrap_or_else(|_| Err(late())) {
                    Err(KekError::Unavailable(_)) if left > 0 => {
                        sleep(backoff.next(random())).await;
                    }
                    answer => return answer,
                }
            }
        };
        timeout(self.deadline, attempts)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(5),
        attempts: 3,
    };

    /// Asks a provider that answers so, one after the other; gives how often and how long.
    async fn check(answers: &[Option<Result<u8, KekError>>]) -> (Result<u8, KekError>, usize, u64) {
        let (asked, start) = (Cell::new(0), Instant::now());
        let answer = PATIENCE
            .insist(|| async {
                let now = asked.replace(asked.get() + 1);
                match &answers[now] {
                    Some(answer) => answer.clone(),
                    None => std::future::pending().await,
                }
            })
            .await;
        (answer, asked.get(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_is_away_is_asked_again_and_one_that_refuses_is_not() {
        let away = || Some(Err(KekError::Unavailable("planned".to_owned())));
        let no = || Some(Err(KekError::Refused("planned".to_owned())));
        let (answer, asked, seconds) = check(&[away(), away(), Some(Ok(7))]).await;
        assert_eq!((answer.ok(), asked, seconds), (Some(7), 3, 0));
        let (answer, asked, _) = check(&[away(), away(), away()]).await;
        assert!(matches!(answer, Err(KekError::Unavailable(_))));
        assert_eq!(asked, 3);
        let (answer, asked, _) = check(&[no()]).await;
        assert!(matches!(answer, Err(KekError::Refused(_))));
        assert_eq!(asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_hangs_is_left_at_the_deadline() {
        let (answer, asked, seconds) = check(&[None, Some(Ok(7))]).await;
        assert_eq!((answer.ok(), asked, seconds), (Some(7), 2, 2));
        let (answer, asked, seconds) = check(&[None, None, None]).await;
        assert!(matches!(answer, Err(KekError::Unavailable(_))));
        assert_eq!((asked, seconds), (2, 5), "the third has no time left");
        let late = PATIENCE.ask::<()>(std::future::pending()).await;
        assert!(late.is_err());
    }
}

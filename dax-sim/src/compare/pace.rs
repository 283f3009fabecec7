//! Decides how long each sample may take, so that a run ends in the time that was announced.

use std::time::Duration;

/// A shorter sample tells more about the scheduler than about the lock.
const SHORTEST: Duration = Duration::from_millis(10);
/// A longer sample adds little.
const LONGEST: Duration = Duration::from_millis(500);
/// The assumed cost of preparing one sample (formatting the device, starting threads) before any
/// sample has run.
const EXPECTED_OVERHEAD: Duration = Duration::from_millis(15);
/// How many samples run before their measured overhead is trusted: the first ones also fault the
/// device in.
const SAMPLES_TO_TRUST: usize = 20;

/// The time a whole run may take, spread over its samples.
///
/// The cost of preparing a sample depends on the machine, so it is measured during the run. If it
/// is higher than expected, later samples are shortened. They are never lengthened. A rate does not
/// depend on how long it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    planned: Duration,
    budget: Option<Duration>,
}

impl Pace {
    /// Every sample takes exactly `duration`, however long that makes the run.
    pub(crate) fn fixed(duration: Duration) -> Pace {
        Pace { planned: duration, budget: None }
    }

    /// `samples` samples in about `budget`.
    pub(crate) fn within(budget: Duration, samples: usize) -> Pace {
        Pace { planned: Pace::planned_within(budget, samples), budget: Some(budget) }
    }

    /// The duration that [`Pace::within`] would plan for each sample.
    pub(crate) fn planned_within(budget: Duration, samples: usize) -> Duration {
        let slot = budget / u32::try_from(samples.max(1)).unwrap_or(u32::MAX);
        let duration = slot.saturating_sub(EXPECTED_OVERHEAD).clamp(SHORTEST, LONGEST);
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// The duration planned for each sample.
    pub(crate) fn planned(&self) -> Duration {
        self.planned
    }

    /// The duration of the next samples. So far `done` samples took `elapsed`, of which `measured`
    /// was their planned duration, and `remaining` are still to come.
    pub(crate) fn next(
        &self,
        elapsed: Duration,
        measured: Duration,
        done: usize,
        remaining: usize,
    ) -> Duration {
        let Some(budget) = self.budget else { return self.planned };
        if done < SAMPLES_TO_TRUST || remaining == 0 {
            return self.planned;
        }
        let overhead = elapsed.saturating_sub(measured) / u32::try_from(done).unwrap_or(u32::MAX);
        let slot = budget.saturating_sub(elapsed) / u32::try_from(remaining).unwrap_or(u32::MAX);
        slot.saturating_sub(overhead).max(SHORTEST).min(self.planned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_fixed_pace_never_changes() {
        let pace = Pace::fixed(ms(7));
        assert_eq!(pace.next(ms(100_000), ms(7), 1000, 1000), ms(7));
    }

    #[test]
    fn the_plan_leaves_room_for_preparation_and_is_bounded() {
        assert_eq!(Pace::within(ms(75_000), 600).planned(), ms(110));
        assert_eq!(Pace::within(ms(75_000), 2).planned(), LONGEST);
        assert_eq!(Pace::within(ms(75_000), 1_000_000).planned(), SHORTEST);
    }

    #[test]
    fn cheap_preparation_leaves_the_plan_alone() {
        let pace = Pace::within(ms(75_000), 600);
        assert_eq!(pace.next(ms(11_500), ms(11_000), 100, 500), ms(110));
    }

    #[test]
    fn dear_preparation_shortens_what_is_left_to_fit() {
        let pace = Pace::within(ms(75_000), 600);
        // 40 ms of preparation a sample: 60 s remain for 500 samples of 120 ms each.
        let next = pace.next(ms(15_000), ms(11_000), 100, 500);
        assert_eq!(next, ms(80));
        assert!(ms(15_000) + (next + ms(40)) * 500 <= ms(75_000));
    }

    #[test]
    fn never_shorter_than_is_worth_measuring() {
        let pace = Pace::within(ms(75_000), 600);
        assert_eq!(pace.next(ms(200_000), ms(11_000), 100, 500), SHORTEST);
    }
}

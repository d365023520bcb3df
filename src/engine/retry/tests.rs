//! The budget of a fleet's retries.

use proptest::prelude::*;

use super::*;

#[test]
fn a_budget_is_full_at_first_and_holds_what_a_reading_of_every_device_earns() {
    // (share, devices of this worker, of all, retries at once, first attempts that earn another)
    for (share, devices, all, at_once, needed) in [
        (0.1, 20, 20, 10, 10),
        (0.1, 1_000, 1_000, 100, 10),
        (0.1, 250, 1_000, 25, 10),
        (0.1, 1, 1_000, 1, 10),
        (0.5, 1, 1, 10, 2),
        (1.0, 4, 4, 10, 1),
    ] {
        let budget = RetryBudget::new(share, devices, all);
        let paid = (0..10_000).filter(|_| budget.pay()).count();
        assert_eq!(paid, at_once, "{share} {devices} of {all}");
        (1..needed).for_each(|_| budget.earn());
        assert!(!budget.pay() || needed == 1, "{share} {devices} of {all}");
        budget.earn();
        assert!(budget.pay() || needed == 1, "{share} {devices} of {all}");
    }
    let none = RetryBudget::new(0.0, 10, 10);
    none.earn();
    assert!(!none.pay());
}

proptest! {
    /// Whatever the workers a fleet is spread over, in no stretch of time are there more retries than its share of the first attempts
    /// and one full bucket, and one for each worker at the utmost.
    #[test]
    fn no_stretch_has_more_retries_than_the_share_and_a_bucket(
        thousandths in 0_u32..=1_000, all in 1_u32..2_000, workers in 1_usize..5,
        steps in prop::collection::vec((0_usize..5, any::<bool>()), 0..600),
    ) {
        let share = f64::from(thousandths) / 1_000.0;
        let part = |worker: usize| (all as usize + workers - 1 - worker) / workers;
        let budgets: Vec<_> = (0..workers).map(|worker| RetryBudget::new(share, part(worker), all)).collect();
        let bucket = (share * f64::from(all)).max(RetryBudget::LEAST) + workers as f64;
        let (mut first, mut retries) = (vec![0_u32], vec![0_u32]);
        for (worker, is_retry) in steps {
            let budget = &budgets[worker % workers];
            let paid = is_retry && budget.pay();
            if !is_retry {
                budget.earn();
            }
            first.push(first.last().unwrap() + u32::from(!is_retry));
            retries.push(retries.last().unwrap() + u32::from(paid));
        }
        for from in (0..first.len()).step_by(7) {
            for to in (from..first.len()).step_by(11) {
                let most = share * f64::from(first[to] - first[from]) + bucket + 1e-3;
                prop_assert!(f64::from(retries[to] - retries[from]) <= most, "{} to {}", from, to);
            }
        }
    }
}

//! How the readings of a fleet, or the attempts to connect, ended all together: the one definition of every rate of failure.

/// How many came due, and how they ended. Attempts to connect and readings are never counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// Came due; in a closed fleet, were started. While a run is on: what counts so far, see [`Self::so_far`].
    pub planned: u64,
    /// Ended ok.
    pub ok: u64,
    /// Refused by the service.
    pub shed: u64,
    /// Failed otherwise.
    pub error: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Never answered.
    pub lost: u64,
    /// Never sent.
    pub dropped: u64,
}

impl Outcomes {
    /// Adds what others came to.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.ok += other.ok;
        self.shed += other.shed;
        self.error += other.error;
        self.timeout += other.timeout;
        self.lost += other.lost;
        self.dropped += other.dropped;
    }

    /// Everything that ended otherwise than ok.
    pub(crate) const fn failed(&self) -> u64 {
        self.shed + self.error + self.timeout + self.lost + self.dropped
    }

    /// Everything that has ended.
    pub(crate) const fn ended(&self) -> u64 {
        self.ok + self.failed()
    }

    /// The same while a run is on, when what is open may still end ok: only what has ended counts, and what is `overdue`.
    #[must_use]
    pub(crate) const fn so_far(self, overdue: u64) -> Self {
        Self { planned: self.ended() + overdue, ..self }
    }

    /// Share of what came due that was not answered ok, 0 to 1; `None` if nothing came due.
    pub(crate) fn error_rate(&self) -> Option<f64> {
        self.share(self.planned.saturating_sub(self.ok))
    }

    /// `part` of what came due, 0 to 1; `None` if nothing did.
    pub(crate) fn share(&self, part: u64) -> Option<f64> {
        (self.planned > 0).then(|| part as f64 / self.planned as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_is_not_ok_is_an_error_at_the_end_and_what_is_open_is_not_yet() {
        let none = Outcomes::default();
        let open = Outcomes { planned: 10, ..none };
        for (case, outcomes, rate) in [
            ("nothing came due", none, None),
            ("never answered to the end", open, Some(1.0)),
            ("still open", open.so_far(0), None),
            ("overdue", Outcomes { ok: 6, ..open }.so_far(2), Some(0.25)),
            ("dropped", Outcomes { ok: 1, dropped: 9, ..open }, Some(0.9)),
            ("lost", Outcomes { ok: 9, lost: 1, ..open }, Some(0.1)),
            ("shed, failed and late", Outcomes { ok: 7, shed: 1, error: 1, timeout: 1, ..open }, Some(0.3)),
            ("all ok", Outcomes { ok: 10, ..open }, Some(0.0)),
        ] {
            assert_eq!(outcomes.error_rate(), rate, "{case}");
        }
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole(
            [ok, shed, error, timeout, lost, dropped] in proptest::array::uniform6(0_u64..1_000), overdue in 0_u64..1_000,
        ) {
            let ended = Outcomes { planned: 0, ok, shed, error, timeout, lost, dropped }.so_far(overdue);
            let parts = [ok, shed, error, timeout, lost, dropped, overdue].map(|part| ended.share(part));
            if let Some(rate) = ended.error_rate() {
                prop_assert!((parts.iter().flatten().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!((rate + ended.share(ok).unwrap() - 1.0).abs() < 1e-9);
            } else {
                prop_assert_eq!(parts, [None; 7]);
            }
        }
    }
}

//! Pairs that are run again: for what, how often, and what is said of it. No rule looks at which build is which.

use crate::compare::{self, Evidence};
use crate::record::Validity;

/// What is wrong with a run: as it is kept, and as it is told in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Whether it is not evidence at all.
    pub(super) is_invalid: bool,
    /// Everything that the run says against itself.
    pub(super) reason: String,
    /// The gist.
    pub(super) brief: String,
}

impl Flaw {
    /// Of a run that calls itself invalid.
    pub(super) fn invalid(validity: Option<&Validity>) -> Self {
        let reasons = validity.map(|validity| validity.reasons.join("; ")).unwrap_or_default();
        let disturbance =
            validity.and_then(|validity| validity.causes().find_map(|(_, cause)| cause.disturbance()));
        let first = || reasons.split(';').next().unwrap_or_default();
        let brief = disturbance.unwrap_or_else(first).to_owned();
        Self { is_invalid: true, reason: format!("a run was invalid ({reasons})"), brief }
    }

    /// What is wrong with a run that another one may be free of, if anything is.
    pub(super) fn of(run: &Result<Evidence, Self>) -> Option<Self> {
        match run {
            Ok(run) => run.disturbance.map(|disturbance| Self::suspect(disturbance, &run.doubts)),
            Err(flaw) => Some(flaw.clone()),
        }
    }

    fn suspect(disturbance: &str, doubts: &[String]) -> Self {
        let reason = format!("a run was suspect ({})", doubts.join("; "));
        Self { is_invalid: false, reason, brief: disturbance.to_owned() }
    }
}

/// How many pairs of a batch may still be run again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    invalid: u32,
    suspect: u32,
}

impl Allowance {
    /// Of a batch of so many pairs. Suspicions use up nothing of what pairs without a result need, which a busy minute makes many.
    pub(super) const fn of(pairs: u32) -> Self {
        Self { invalid: pairs, suspect: compare::repeats(pairs) }
    }

    /// Whether a pair with this flaw may be run again, which is then used up.
    pub(super) fn allows(&mut self, flaw: &Flaw) -> bool {
        let left = if flaw.is_invalid { &mut self.invalid } else { &mut self.suspect };
        let allowed = *left > 0;
        *left = left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cause, Judgement};

    #[test]
    fn suspicions_and_invalid_runs_have_allowances_of_their_own() {
        let mut allowance = Allowance::of(6);
        let suspect = Flaw::suspect("the generator sent late", &["pacing lag".to_owned()]);
        assert_eq!(suspect.reason, "a run was suspect (pacing lag)");
        let invalid = Flaw::invalid(None);
        let mut allowed = |flaw| (0..9).filter(|_| allowance.allows(flaw)).count();
        assert_eq!((allowed(&suspect), allowed(&invalid)), (3, 6));
    }

    #[test]
    fn the_gist_of_a_flaw_is_a_line() {
        let mut validity = Validity::new();
        validity.add(Judgement::Invalid, Cause::Plan, "no reading came due; nothing to judge".into());
        assert_eq!(Flaw::invalid(Some(&validity)).brief, "no reading came due");
        validity.add(Judgement::Invalid, Cause::Lag, "the generator sent late: much; lower the rate".into());
        let flaw = Flaw::invalid(Some(&validity));
        assert_eq!(flaw.brief, "the generator sent late");
        assert!(flaw.reason.ends_with("nothing to judge; the generator sent late: much; lower the rate)"));
    }
}

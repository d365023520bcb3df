//! Exit codes: one meaning each, listed in `--help`.

use std::process::ExitCode;

use crate::record::Judgement;
use crate::results::RunState;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went as asked.
    Fine,
    /// The run could not be done: target unreachable, port in use, files not writable, no reading answered.
    Failed,
    /// The command line or the scenario is wrong.
    Usage,
    /// The candidate is worse than the base.
    Regression,
    /// Neither a difference nor its absence is shown, and that was asked to count.
    Inconclusive,
    /// The measurement is invalid: the generator was the bottleneck, or runs do not compare.
    Invalid,
    /// The service broke what the scenario demands of it.
    Budget,
    /// Interrupted; the files are complete up to then.
    Interrupted,
}

impl Exit {
    /// The table shown by `--help`.
    pub const HELP: &str = "\
Exit codes:
    0  fine
    1  the run could not be done (target unreachable, port in use, files not writable, every device of a
       fleet refused for good, no reading answered)
    2  the command line or the scenario is wrong
   10  regression
   11  inconclusive (only where that is asked to count)
   12  measurement invalid: the generator was the bottleneck, or the runs do not compare
   99  a budget failed, or the service broke what the scenario demands of it
  130  interrupted; the files are complete up to then";

    /// How a run exits that got as far as `state` with `ok` readings of the measured phases answered; `failed` says that a budget
    /// failed or a demanded promise was broken.
    pub(super) const fn of_run(state: RunState, verdict: Judgement, ok: u64, failed: bool) -> Self {
        match (state, verdict) {
            (RunState::Interrupted, _) => Self::Interrupted,
            // Figures that cannot be trusted fail no budget.
            (_, Judgement::Invalid) => Self::Invalid,
            (RunState::Complete, _) if ok == 0 => Self::Failed,
            _ if failed => Self::Budget,
            _ => Self::Fine,
        }
    }

    /// The number the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Regression => 10,
            Self::Inconclusive => 11,
            Self::Invalid => 12,
            Self::Budget => 99,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_reasons_the_gravest_gives_the_code() {
        use Judgement::{Invalid, Suspect, Valid};
        use RunState::{Aborted, Complete, Interrupted};
        for (state, verdict, ok, failed, code) in [
            (Complete, Valid, 1, false, 0),
            (Complete, Suspect, 1, false, 0),
            (Complete, Valid, 1, true, 99),
            (Complete, Suspect, 1, true, 99),
            (Complete, Valid, 0, false, 1),
            (Complete, Valid, 0, true, 1),
            (Complete, Invalid, 1, false, 12),
            (Complete, Invalid, 1, true, 12),
            (Complete, Invalid, 0, true, 12),
            (Aborted, Valid, 1, true, 99),
            (Aborted, Valid, 0, true, 99),
            (Aborted, Invalid, 0, true, 12),
            (Interrupted, Valid, 1, false, 130),
            (Interrupted, Valid, 0, true, 130),
            (Interrupted, Invalid, 0, true, 130),
        ] {
            let exit = Exit::of_run(state, verdict, ok, failed);
            assert_eq!(exit.code(), code, "{state:?} {verdict:?} {ok} {failed}");
        }
    }
}

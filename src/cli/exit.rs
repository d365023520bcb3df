//! Exit codes: one meaning each, listed in `--help`.

use std::process::ExitCode;

use crate::run::Conclusion;

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

    /// The number the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => Conclusion::Fine.exit_code(),
            Self::Failed => Conclusion::Failed.exit_code(),
            Self::Usage => 2,
            Self::Regression => 10,
            Self::Inconclusive => 11,
            Self::Invalid => Conclusion::Invalid.exit_code(),
            Self::Budget => Conclusion::Budget.exit_code(),
            Self::Interrupted => Conclusion::Interrupted.exit_code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Conclusion> for Exit {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Fine => Self::Fine,
            Conclusion::Failed => Self::Failed,
            Conclusion::Invalid => Self::Invalid,
            Conclusion::Budget => Self::Budget,
            Conclusion::Interrupted => Self::Interrupted,
        }
    }
}

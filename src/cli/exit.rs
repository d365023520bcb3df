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
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Fine,
        Self::Failed,
        Self::Usage,
        Self::Regression,
        Self::Inconclusive,
        Self::Invalid,
        Self::Budget,
        Self::Interrupted,
    ];

    /// Those of a command that measures nothing.
    pub(super) const OF_TOOLS: &'static [Self] = &[Self::Fine, Self::Failed, Self::Usage];
    /// Those of a run.
    pub(super) const OF_RUN: &'static [Self] =
        &[Self::Fine, Self::Failed, Self::Usage, Self::Invalid, Self::Budget, Self::Interrupted];
    /// Those of a merge, which ends as a run of all its parts would have ended.
    pub(super) const OF_MERGE: &'static [Self] = Self::OF_RUN;
    /// Those of exercises.
    pub(super) const OF_LAB: &'static [Self] = Self::OF_RUN;
    /// Those of stored runs compared.
    pub(super) const OF_COMPARE: &'static [Self] =
        &[Self::Fine, Self::Failed, Self::Usage, Self::Regression, Self::Inconclusive, Self::Invalid];
    /// Those of a comparison.
    pub(super) const OF_AB: &'static [Self] = &[
        Self::Fine,
        Self::Failed,
        Self::Usage,
        Self::Regression,
        Self::Inconclusive,
        Self::Invalid,
        Self::Interrupted,
    ];

    /// Those of a search for a capacity.
    pub(super) const OF_CAPACITY: &'static [Self] = &[
        Self::Fine,
        Self::Failed,
        Self::Usage,
        Self::Inconclusive,
        Self::Invalid,
        Self::Budget,
        Self::Interrupted,
    ];

    /// The table of `codes`, as `--help` shows it.
    pub(super) fn help(codes: &[Self]) -> String {
        let row = |code: &Self| format!("\n  {:>3}  {}", code.code(), code.meaning());
        format!("Exit codes:{}", codes.iter().map(row).collect::<String>())
    }

    /// What it says, in a line of at most 74 characters.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Failed => "not done: unreachable, refused, in use, not writable, or never answered",
            Self::Usage => "the command line or the scenario is wrong",
            Self::Regression => "regression",
            Self::Inconclusive => "inconclusive (only where that is asked to count)",
            Self::Invalid => "invalid: the generator was the bottleneck, or runs do not compare",
            Self::Budget => "a budget failed, or the service broke what the scenario demands of it",
            Self::Interrupted => "interrupted; the files are complete up to then",
        }
    }

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

/// What a question ends with that could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnInconclusive {
    Pass,
    Fail,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_narrow_terminal_and_numbers_are_distinct() {
        let help = Exit::help(&Exit::ALL);
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert_eq!(help.lines().count(), 1 + Exit::ALL.len());
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }
}

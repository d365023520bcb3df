//! How a service under test is started and stopped, and how runs against it are made.

use std::path::PathBuf;
use std::str::FromStr;

use crate::cli::stored::RESULTS;
use crate::units::Span;

/// How a service under test is started and stopped.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LaunchArgs {
    /// How to tell that a started service is ready: http://… answers with success, HOST:PORT accepts
    /// connections, or log:TEXT was printed [default: its targets accept connections]
    #[arg(long, value_name = "WHAT")]
    pub(super) ready: Option<String>,

    /// How long a service may take to become ready
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    pub(super) ready_within: Span,

    /// How long a service may take to end after SIGTERM, before SIGKILL
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    pub(super) stop_within: Span,

    /// Processors to bind the service to, such as 2-3
    #[arg(long, value_name = "CPUS")]
    pub(in crate::cli) pin_target: Option<Cpus>,
}

impl LaunchArgs {
    /// Whether anything is asked that only a service that is started can heed.
    pub(in crate::cli) const fn is_given(&self) -> bool {
        self.ready.is_some() || self.pin_target.is_some()
    }
}

/// How the runs against it are made.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GeneratorArgs {
    /// Processors to bind the generator to, such as 0,1
    #[arg(long, value_name = "CPUS")]
    pub(in crate::cli) pin_generator: Option<Cpus>,

    /// Worker threads of the generator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) workers: Option<u16>,

    /// Directory under which the directory of all runs together is made
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub(in crate::cli) out: PathBuf,

    /// Show no progress
    #[arg(long, short)]
    pub(in crate::cli) quiet: bool,
}

/// Processors, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Cpus(pub(super) Vec<usize>);

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a list of processors; write for example 0, 0,2 or 2-3");
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().ok().filter(|cpu| *cpu < 1_024);
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            if first > last {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_lists_and_ranges() {
        for (text, cpus) in [("0", vec![0]), ("2-3", vec![2, 3]), ("3,0-1,1", vec![0, 1, 3])] {
            assert_eq!(text.parse(), Ok(Cpus(cpus)), "{text}");
        }
        for text in ["", "a", "1-", "3-2", "0,,1", "9999", "-1"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        assert_eq!(Cpus(vec![0, 2]).to_string(), "0,2");
    }
}

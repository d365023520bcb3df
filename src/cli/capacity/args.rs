//! Arguments of a search for a capacity.

use std::path::PathBuf;

use crate::capacity::Settings;
use crate::cli::amendment::{OverrideArgs, parse_load};
use crate::cli::args::{parse_target, target_help};
use crate::cli::exit::{Exit, OnInconclusive};
use crate::cli::trial::args::{GeneratorArgs, LaunchArgs};
use crate::record::Protocol;
use crate::units::Span;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_CAPACITY))]
pub(in crate::cli) struct CapacityArgs {
    /// The scenario, a TOML file: what a load of 1 is, and what its figures must keep to
    pub(super) scenario: PathBuf,

    #[command(flatten)]
    pub(super) search: SearchArgs,

    /// How long each probe measures: the measured phases together [default: as long as the scenario says]
    #[arg(long, value_name = "SPAN")]
    pub(super) probe_length: Option<Span>,

    #[arg(long = "target", value_name = "PROTOCOL=URL", help = target_help(), value_parser = parse_target)]
    pub(super) targets: Vec<(Protocol, String)>,

    /// Command that starts the service, run by the shell; {port}, {port2}, … {port9}, in --target as well, stand for free ports
    /// [default: --target or [target] of the scenario runs already; without any, every probe starts a bundled reference system]
    #[arg(long, value_name = "CMD", help_heading = "The service")]
    pub(super) start: Option<String>,

    /// Start the service anew for every probe, in place of once for all of them
    #[arg(long, requires = "start", help_heading = "The service")]
    pub(super) fresh: bool,

    /// How long the service may take to recover from a probe before the next one begins all the same
    #[arg(long, value_name = "SPAN", default_value = "30s", help_heading = "The service")]
    pub(super) recover_within: Span,

    #[command(flatten, next_help_heading = "The service")]
    pub(super) launch: LaunchArgs,

    #[command(flatten, next_help_heading = "The runs")]
    pub(super) changes: ChangeArgs,

    #[command(flatten, next_help_heading = "The runs")]
    pub(super) generator: GeneratorArgs,

    #[command(flatten, next_help_heading = "The answer")]
    pub(super) output: OutputArgs,
}

/// What is looked for, and how far.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SearchArgs {
    #[arg(
        long = "budget",
        value_name = "CONDITION|FILE",
        help = "What must hold besides the scenario's budgets: a condition such as 'p99<250ms' or 'error_rate<0.1%', or a file \
                of [[budget]] tables; as often as wanted"
    )]
    pub(super) budgets: Vec<String>,

    /// How wide the interval around the answer may be, as a share of it [default: 5%]
    #[arg(long, value_name = "N%", value_parser = parse_percent)]
    pub(super) precision: Option<f64>,

    /// How sure the interval is to be [default: 95%]
    #[arg(long, value_name = "N%", value_parser = parse_percent)]
    pub(super) confidence: Option<f64>,

    /// Longest time the search may take: no probe begins that would not end in it [default: 15m]
    #[arg(long = "for", value_name = "SPAN")]
    pub(super) allowance: Option<Span>,

    /// Probes at most, of each build where there are two [default: 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) probes: Option<u32>,

    /// Lowest load that is probed, as a factor on the scenario's [default: 0.1, or the lowest at which every budget has
    /// enough readings]
    #[arg(long, value_name = "FACTOR", value_parser = parse_load)]
    pub(super) lowest: Option<f64>,

    /// Highest load that is probed [default: 10]
    #[arg(long, value_name = "FACTOR", value_parser = parse_load)]
    pub(super) highest: Option<f64>,
}

impl SearchArgs {
    /// The first of them that was given, as it is typed.
    pub(in crate::cli) fn given(&self) -> Option<&'static str> {
        let all = [
            (!self.budgets.is_empty(), "--budget"),
            (self.precision.is_some(), "--precision"),
            (self.confidence.is_some(), "--confidence"),
            (self.allowance.is_some(), "--for"),
            (self.probes.is_some(), "--probes"),
            (self.lowest.is_some(), "--lowest"),
            (self.highest.is_some(), "--highest"),
        ];
        all.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// The longest time that the search may take.
    pub(super) fn allowance(&self) -> Span {
        self.allowance.unwrap_or(Span::from_ms(900_000))
    }

    /// The highest load that is probed.
    pub(super) fn highest(&self) -> f64 {
        self.highest.unwrap_or(Settings::default().highest)
    }

    /// How wide the interval may be.
    pub(super) fn precision(&self) -> f64 {
        self.precision.unwrap_or(Settings::default().precision)
    }
}

/// Changes to the scenario that all probes have in common.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// Override the seed: of the factors, their order and every probe's plan
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Override a value of the scenario, such as fleet.meters.rate=2/s or reference.workers=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ChangeArgs {
    /// As overrides of the scenario, with the length of a probe.
    pub(super) fn overrides(&self, probe_length: Option<Span>) -> OverrideArgs {
        OverrideArgs { seed: self.seed, duration: probe_length, load: None, set: self.set.clone() }
    }
}

/// How the answer is told.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Exit code where the answer is not as narrow as asked for, or the service did not hold still: 0 with a warning (pass), or
    /// 11 (fail)
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnInconclusive::Pass)]
    pub(super) on_inconclusive: OnInconclusive,

    /// Write a page to look at in a browser: one file that loads nothing, with the curves in it
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Print the answer without colours and in ASCII alone, as it is printed to pipes
    #[arg(long)]
    pub(super) plain: bool,

    /// Print the record of the search, capacity.json, instead of tables
    #[arg(long, conflicts_with = "plain")]
    pub(super) json: bool,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.map(|percent| percent / 100.0).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a percentage, such as 5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(parse_percent("5%"), Ok(0.05));
        assert_eq!(parse_percent(" 12.5 % "), Ok(0.125));
        for text in ["5", "", "%", "-1%", "101%", "x%", "nan%"] {
            assert!(parse_percent(text).unwrap_err().contains("such as 5%"), "{text}");
        }
    }
}

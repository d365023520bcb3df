//! Arguments of a comparison.

use std::path::PathBuf;

use crate::cli::CliError;
use crate::cli::amendment::OverrideArgs;
use crate::cli::args::parse_target;
use crate::cli::capacity::args::SearchArgs;
use crate::cli::exit::{Exit, OnInconclusive};
use crate::cli::export::ExportArgs;
use crate::cli::trial::args::{GeneratorArgs, LaunchArgs};
use crate::compare::{LOOK_ALPHAS, LOOKS, Settings, Thresholds};
use crate::record::Protocol;
use crate::seed::Seed;
use crate::units::{Span, plural};

/// Fewest pairs by which anything can be significant at 0.05.
pub(super) const FEWEST_PAIRS: u32 = 6;
const MOST_PAIRS: u32 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_AB))]
pub(in crate::cli) struct AbArgs {
    /// The scenario, a TOML file
    pub(super) scenario: PathBuf,

    /// Command that starts the base build, run by the shell. {port}, {port2}, … {port9} stand for free ports
    #[arg(long, value_name = "CMD", required_unless_present = "a_url", conflicts_with = "a_url")]
    pub(super) a: Option<String>,

    /// Command that starts the candidate build
    #[arg(long, value_name = "CMD", required_unless_present = "b_url", conflicts_with = "b_url")]
    pub(super) b: Option<String>,

    /// URL of a base build that is already running: http=URL, ws=URL or mqtt=URL; once per protocol of the
    /// fleets
    #[arg(long, value_name = "PROTOCOL=URL", value_parser = parse_target)]
    pub(super) a_url: Vec<(Protocol, String)>,

    /// URL of a candidate build that is already running
    #[arg(long, value_name = "PROTOCOL=URL", value_parser = parse_target)]
    pub(super) b_url: Vec<(Protocol, String)>,

    /// Label of the base build
    #[arg(long, value_name = "TEXT", default_value = "base")]
    pub(super) a_label: String,

    /// Label of the candidate build
    #[arg(long, value_name = "TEXT", default_value = "candidate")]
    pub(super) b_label: String,

    #[command(flatten)]
    pub(super) trial: TrialArgs,

    /// Compare how much the builds can take, in place of how fast they are: the highest load at which all budgets hold, looked
    /// for in both by pairs of probes
    #[arg(long, conflicts_with_all = ["pairs", "order", "no_confirm", "threshold", "noise", "load"])]
    pub(super) capacity: bool,

    #[command(flatten, next_help_heading = "With --capacity")]
    pub(super) search: SearchArgs,

    /// Report a regression without confirming it with as many fresh pairs
    #[arg(long)]
    pub(super) no_confirm: bool,

    #[command(flatten)]
    pub(super) judge: JudgeArgs,

    /// Noise profile of this machine and scenario [default: what `squall calibrate --aa` keeps]
    #[arg(long, value_name = "FILE")]
    pub(super) noise: Option<PathBuf>,

    #[command(flatten)]
    pub(super) outputs: ExportArgs,
}

/// How builds are started, driven and stopped.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TrialArgs {
    /// Where a started build listens: http=URL, ws=URL or mqtt=URL; {port} stands for the port its command was given
    /// [default: [target] of the scenario, else where `squall serve` listens with {port} for HTTP and {port2} for MQTT]
    #[arg(long = "target", value_name = "PROTOCOL=URL", value_parser = parse_target)]
    pub(super) targets: Vec<(Protocol, String)>,

    #[command(flatten)]
    pub(super) launch: LaunchArgs,

    /// Pairs of runs; with up to three ascending numbers, the comparison ends at the first that is decisive
    #[arg(short = 'n', long, value_name = "N[,N[,N]]", default_value = "8", value_parser = parse_looks)]
    pub(super) pairs: Looks,

    /// Which build of a pair runs first
    #[arg(long, value_enum, default_value_t = Order::Random)]
    pub(super) order: Order,

    #[command(flatten)]
    pub(super) overrides: OverrideArgs,

    #[command(flatten)]
    pub(in crate::cli) generator: GeneratorArgs,
}

/// The rules by which figures are compared.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct JudgeArgs {
    /// Probability of reporting a difference in any figure of two equal builds
    #[arg(long, value_name = "P", value_parser = parse_alpha)]
    pub(in crate::cli) alpha: Option<f64>,

    /// Changes up to this size are noise: p50, p95, p99 or p99.9 = N%, errors = N% (points), floor = SPAN
    /// [default: p50=2% p95=3% p99=5% p99.9=10% errors=0.1% floor=20us]
    #[arg(long, value_name = "FIGURE=N%", value_parser = parse_threshold)]
    pub(in crate::cli) threshold: Vec<Threshold>,

    /// Exit code of an inconclusive comparison: 0 with a warning (pass), or 11 (fail)
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnInconclusive::Pass)]
    pub(super) on_inconclusive: OnInconclusive,

    /// Print the comparison as JSON instead of a table
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Numbers of pairs at which the data are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Looks(pub(super) Vec<u32>);

/// Which build of a pair runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Order {
    /// At random, each as often as the other
    Random,
    /// Alternately
    Abba,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Abba => "abba",
        }
    }
}

/// One noise threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) enum Threshold {
    P50(f64),
    P95(f64),
    P99(f64),
    P999(f64),
    Share(f64),
    FloorMs(f64),
}

fn parse_threshold(text: &str) -> Result<Threshold, String> {
    let remedy = "write for example p99=5%, errors=0.1% or floor=20us";
    let (name, value) = text.split_once('=').ok_or_else(|| format!("no `=` in it; {remedy}"))?;
    if name.trim() == "floor" {
        let floor: Span = value.trim().parse().map_err(|error| format!("{error}; {remedy}"))?;
        return Ok(Threshold::FloorMs(floor.as_ns() as f64 / 1e6));
    }
    let percent = value.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.map(|percent| percent / 100.0).filter(|share| (0.0..10.0).contains(share));
    let share =
        share.ok_or_else(|| format!("`{value}` is not a percentage from 0% to below 1000%; {remedy}"))?;
    match name.trim() {
        "p50" => Ok(Threshold::P50(share)),
        "p95" => Ok(Threshold::P95(share)),
        "p99" => Ok(Threshold::P99(share)),
        "p99.9" | "p99_9" => Ok(Threshold::P999(share)),
        "errors" => Ok(Threshold::Share(share)),
        other => Err(format!("`{other}` is not a figure: p50, p95, p99, p99.9, errors or floor; {remedy}")),
    }
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok().filter(|alpha: &f64| (0.000_1..=0.2).contains(alpha));
    alpha.ok_or_else(|| "write a probability from 0.0001 to 0.2, such as 0.01".to_owned())
}

fn parse_looks(text: &str) -> Result<Looks, String> {
    let looks: Option<Vec<u32>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let looks = looks.filter(|looks| looks.len() <= LOOKS.len() && looks.is_sorted_by(|a, b| a < b));
    let looks = looks.ok_or_else(|| {
        "write one number of pairs, such as 8, or up to three ascending ones, such as 8,14,20".to_owned()
    })?;
    match looks.iter().find(|pairs| !(FEWEST_PAIRS..=MOST_PAIRS).contains(*pairs)) {
        Some(pairs) if *pairs < FEWEST_PAIRS => Err(format!(
            "{} cannot show anything: with fewer than {FEWEST_PAIRS} nothing is significant at 0.05",
            plural((*pairs).into(), "pair")
        )),
        Some(pairs) => Err(format!("{pairs} is more than the {MOST_PAIRS} pairs there may be")),
        None => Ok(Looks(looks)),
    }
}

impl JudgeArgs {
    /// What is asked, of looks after so many pairs; of none if the pairs are there already.
    ///
    /// # Errors
    /// If a level of its own is asked of several looks, or the pairs are too few for it.
    pub(in crate::cli) fn settings(&self, looks: &[u32], seed: Seed) -> Result<Settings, CliError> {
        let level = LOOK_ALPHAS.get(looks.len().saturating_sub(1)).copied().unwrap_or(LOOK_ALPHAS[0]);
        if looks.len() > 1 && self.alpha.is_some() {
            return Err(CliError::usage(format!(
                "--alpha does not go with several looks: each of {} is judged at {level}, which makes 0.05 together",
                looks.len()
            )));
        }
        let (alpha, most) = (self.alpha.unwrap_or(level), looks.last().copied().unwrap_or(u32::MAX));
        let least = (2.0 / alpha).log2().ceil();
        if f64::from(most) < least {
            return Err(CliError::usage(format!(
                "with {} nothing can be significant at {alpha}: ask for at least {least} with -n",
                plural(most.into(), "pair")
            )));
        }
        Ok(Settings { alpha, thresholds: self.thresholds(Thresholds::default()), seed })
    }

    /// What is asked of a comparison that was made with `settings`: those, but for what is given here.
    ///
    /// # Errors
    /// As [`JudgeArgs::settings`].
    pub(in crate::cli) fn overlay(&self, looks: &[u32], settings: &Settings) -> Result<Settings, CliError> {
        let asked = self.settings(looks, settings.seed)?;
        let alpha = if self.alpha.is_some() { asked.alpha } else { settings.alpha };
        Ok(Settings { alpha, thresholds: self.thresholds(settings.thresholds), seed: settings.seed })
    }

    fn thresholds(&self, mut thresholds: Thresholds) -> Thresholds {
        for threshold in &self.threshold {
            match *threshold {
                Threshold::P50(share) => thresholds.p50 = share,
                Threshold::P95(share) => thresholds.p95 = share,
                Threshold::P99(share) => thresholds.p99 = share,
                Threshold::P999(share) => thresholds.p99_9 = share,
                Threshold::Share(share) => thresholds.share = share,
                Threshold::FloorMs(ms) => thresholds.floor_ms = ms,
            }
        }
        thresholds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_pairs_are_checked() {
        assert_eq!(parse_looks("8"), Ok(Looks(vec![8])));
        assert_eq!(parse_looks("8, 14,20"), Ok(Looks(vec![8, 14, 20])));
        for (text, said) in [
            ("5", "5 pairs cannot show anything"),
            ("8,8", "ascending"),
            ("14,8", "ascending"),
            ("6,7,8,9", "up to three"),
            ("x", "write one number"),
            ("5000", "more than the 1000"),
        ] {
            let error = parse_looks(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn thresholds_are_percentages_and_a_floor() {
        assert_eq!(parse_threshold("p99=5%"), Ok(Threshold::P99(0.05)));
        assert_eq!(parse_threshold("p99.9 = 10 %"), Ok(Threshold::P999(0.1)));
        assert_eq!(parse_threshold("errors=0.5%"), Ok(Threshold::Share(0.005)));
        assert_eq!(parse_threshold("floor=50us"), Ok(Threshold::FloorMs(0.05)));
        for text in ["p99", "p99=5", "p98=5%", "p99=-1%", "p99=x%", "floor=5%", "p50=1000%"] {
            let error = parse_threshold(text).unwrap_err();
            assert!(error.contains("write for example"), "{text}: {error}");
        }
    }
}

//! What can be typed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

#[cfg(unix)]
use super::ab::args::{AbArgs, JudgeArgs, TrialArgs};
use super::amendment::OverrideArgs;
#[cfg(unix)]
use super::capacity::args::CapacityArgs;
#[cfg(unix)]
use super::compare::CompareArgs;
use super::exit::Exit;
use super::export::ExportArgs;
#[cfg(unix)]
use super::fault::FaultArgs;
use super::lab::args::LabArgs;
use super::new::SituationParser;
#[cfg(unix)]
use super::phase::PhaseArgs;
use super::proxy::ProxyArgs;
use super::run::ConductArgs;
use super::serve::ServeArgs;
use super::shard::{ShardChoice, parse_start};
use super::stored::RESULTS;
use super::url::UrlArgs;
use super::watch::args::WatchArgs;
use crate::clock::WallTime;
use crate::language::{alternatives, guess};
use crate::protocol::protocols;
use crate::record::{Protocol, RunToken};
use crate::units::Span;

/// Load for fleets of connected devices, and the truth about tail latency.
#[derive(Debug, Parser)]
#[command(
    name = "squall",
    version,
    about,
    after_help = Exit::help(&Exit::ALL),
    max_term_width = 100,
    override_usage = "squall URL [OPTIONS]\n       squall <COMMAND> [OPTIONS]"
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load a service by its URL alone: `squall http://127.0.0.1:8080/ -r 200/s`
    ///
    /// Devices, each with a connection of its own, send at a rate that does not wait for the service, and the run is
    /// reported and stored like any other. It is the run of a scenario, which --save writes down to be built upon.
    #[command(name = "URL", alias = "url")]
    Url(Box<UrlArgs>),
    /// Drive a scenario's fleets and record what happened
    ///
    /// Starts the bundled reference system on free ports unless --target or [target] points elsewhere, connects the
    /// devices, runs warm-up, measured phases and drain, and leaves CSV and HDR logs in a directory of their own.
    /// Ctrl-C ends the run early with complete files; a second Ctrl-C ends it at once.
    Run(RunArgs),
    /// List, start and stop faults in a running test
    ///
    /// Any [[fault]] of the scenario can be switched by hand, planned or not. The run records it in its
    /// events and its manifest: such a run is not comparable with others of the same plan.
    #[cfg(unix)]
    Fault(FaultArgs),
    /// End the phase under way of a running test
    ///
    /// What the plan still has in the phase is left out: its readings never come due, faults in it never begin
    /// or end there, and all that follows comes earlier. The run records that its plan was altered: it is not
    /// comparable with others of the same plan.
    #[cfg(unix)]
    Phase(PhaseArgs),
    /// Compare two builds by pairs of fresh runs in a random order
    ///
    /// Starts each build as a process of its own, waits until it is ready, runs the scenario against it, and
    /// stops it; both runs of a pair follow the same plan. Reports for every percentile and the error rate
    /// whether the candidate is worse, better, no different, or whether the data are inconclusive. A
    /// regression is confirmed with fresh pairs.
    #[cfg(unix)]
    Ab(Box<AbArgs>),
    /// Find the highest load at which a service keeps to its budgets
    ///
    /// Runs the scenario at one load after another, each a factor on its own, in a random order, until the factor up to which
    /// all budgets hold is known as closely as asked for, with an interval. Every probe is an ordinary run; one whose generator
    /// was the bottleneck never counts against the service. Ctrl-C ends the search with what is known by then.
    #[cfg(unix)]
    Capacity(Box<CapacityArgs>),
    /// Compare stored runs, or judge a stored comparison again
    ///
    /// Runs that were not made in pairs give advice only: whatever else changed between them, such as the
    /// time or the machine, is attributed to the build.
    #[cfg(unix)]
    Compare(CompareArgs),
    /// Watch a run on a live screen, or replay one that has ended
    ///
    /// Reads the run's files as they grow, in a process of its own, which costs the run nothing: leave and come
    /// back as you like, also over ssh. Shows phases and faults, response times as a heat map, rates, fleets and
    /// promises; `?` lists the keys. Faults can be switched by hand, and phases and the run be ended.
    #[cfg_attr(not(all(unix, feature = "live")), command(long_about = super::watch::ABSENT))]
    Watch(WatchArgs),
    /// Print the report of a stored run, or export it for CI
    ///
    /// The same report as at the end of the run. The exit code says whether it could be printed and written,
    /// not how the run went.
    Report(ReportArgs),
    /// Validate scenarios and show their plans, without sending anything
    ///
    /// Reports all errors at once, with file, line and column; otherwise shows fleets, phases, expected and
    /// peak rates with a chart over time, and the resources that a run needs.
    Check(CheckArgs),
    /// Merge the shards of one plan into one run, exactly
    ///
    /// Takes the directories that the shards left (squall run --shard K/N) and writes one like that of an
    /// ordinary run: counts and histograms add up to the last bucket, interval by interval, each shard
    /// counted from its own start. Refuses shards of different plans, the same shard twice, and, unless told
    /// otherwise, missing or unfinished ones.
    Merge(MergeArgs),
    /// Write a commented scenario to start from; without a situation, list what there is by purpose
    New(NewArgs),
    /// Print the JSON Schema of scenarios, for editors (taplo) and other tools
    Schema(SchemaArgs),
    /// Run the bundled reference system on its own, until Ctrl-C
    Serve(ServeArgs),
    /// Forward TCP connections through network faults, for any client and service
    ///
    /// The same toxics that act inside squall's own devices, for traffic that squall does not generate: point
    /// the client at the proxy.
    Proxy(ProxyArgs),
    /// Score the bundled detector on labelled recordings, by the rules of the Numenta Anomaly Benchmark
    ///
    /// Every recording passes once, reading by reading, through the detector that judges live readings, with
    /// one threshold for all and no look-ahead. A detector that never alerts scores 0, a perfect one 100.
    Score(ScoreArgs),
    /// Learn with exercises that check your predictions and what you mend
    ///
    /// Each lab has a little theory, a scenario that is broken, and questions. Predict, run, mend, and be told
    /// whether you were right: squall lab lists them.
    Lab(LabArgs),
    /// Measure the limits of this machine, and keep them for later runs
    ///
    /// With --aa: how much runs of a scenario differ here by chance. Otherwise:
    ///
    /// Pacing lag by rate and, for every protocol, the floor of response times on the loopback, the largest
    /// rate and the memory of a device, against raw targets in a process of their own. Takes about a minute
    /// and a half, during which nothing else should run. Later runs against targets on this machine report
    /// how far above its floor they are.
    Calibrate(Box<CalibrateArgs>),
    /// Print what a shell reads to complete commands and options
    ///
    /// For bash, where it completes at all: squall completions bash >
    /// ~/.local/share/bash-completion/completions/squall. For the others, where their own manuals say.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command
    ///
    /// To read it: squall man | man -l -
    Man(ManArgs),
}

/// The form of a service's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogForm {
    Off,
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct CalibrateArgs {
    /// File to keep the profile in [default: the variable `SQUALL_PROFILE`, or squall/profile.json in the
    /// user's data directory]
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,

    /// Show the stored profile and measure nothing
    #[arg(long)]
    pub(super) show: bool,

    /// Measure less precisely, in about half a minute
    #[arg(long)]
    pub(super) quick: bool,

    /// Compare a build with itself instead, and keep how much runs of this scenario differ here: `squall ab`
    /// then tells beforehand which change it can detect
    #[cfg(unix)]
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["show", "quick"])]
    pub(super) aa: Option<PathBuf>,

    /// Command that starts the build, as for `squall ab` [default: the bundled reference system as the
    /// scenario configures it]
    #[cfg(unix)]
    #[arg(long, value_name = "CMD", requires = "aa", help_heading = "With --aa")]
    pub(super) a: Option<String>,

    #[cfg(unix)]
    #[command(flatten, next_help_heading = "With --aa")]
    pub(super) trial: TrialArgs,

    #[cfg(unix)]
    #[command(flatten, next_help_heading = "With --aa")]
    pub(super) judge: JudgeArgs,

    /// Serve raw targets until standard input ends
    #[arg(long, hide = true)]
    pub(super) echo: bool,

    /// Print the memory that idle devices take
    #[arg(long, hide = true, value_name = "PROTOCOL=URL", value_parser = parse_target)]
    pub(super) probe: Option<(Protocol, String)>,

    /// How many of them
    #[arg(long, hide = true, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) devices: u32,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_RUN))]
pub(super) struct RunArgs {
    /// The scenario, a TOML file
    pub(super) scenario: PathBuf,

    #[arg(long = "target", value_name = "PROTOCOL=URL", help = target_help(), value_parser = parse_target)]
    pub(super) targets: Vec<(Protocol, String)>,

    #[command(flatten)]
    pub(super) overrides: OverrideArgs,

    /// Further budgets: a TOML file of [[budget]] tables, in addition to those of the scenario
    #[arg(long, value_name = "FILE")]
    pub(super) budget: Option<PathBuf>,

    /// Local addresses to connect from, in turn: one address has some 28 000 ports per target. For a target
    /// on this machine further addresses are used automatically where they are needed
    #[arg(long = "source-ip", value_name = "IP", value_delimiter = ',')]
    pub(super) source_ips: Vec<IpAddr>,

    /// Have the bundled reference system, where it is the target, listen at this loopback address, MQTT at the port behind it: its
    /// live page then has the same address in every run. 127.0.0.1:0 takes free ports, as it does unless told
    #[arg(long, value_name = "IP:PORT")]
    pub(super) serve_on: Option<SocketAddr>,

    /// Drive only every N-th device, starting from the K-th: one of N runs on as many machines, for `squall
    /// merge`. `env/N` takes K from `JOB_COMPLETION_INDEX` (a Kubernetes Indexed Job) or
    /// `SLURM_ARRAY_TASK_ID`, `env` also takes N, where Slurm provides it; without this option these
    /// variables have no effect. Only shard 1 injects service faults and runs commands
    #[arg(long, value_name = "K/N", value_parser = |text: &str| text.parse::<ShardChoice>())]
    pub(super) shard: Option<ShardChoice>,

    /// Start at this instant of the wall clock, such as 2026-11-20T21:45:00Z, so that all shards start
    /// together
    #[arg(long, value_name = "TIME", value_parser = parse_start)]
    pub(super) start_at: Option<WallTime>,

    /// What the run is called in client identifiers, payloads and {{run}}, so that its messages are told from those
    /// of other runs: 8 characters of a-z and 0-9. Drawn at random unless given; shards derive theirs from plan and
    /// --start-at
    #[arg(long, value_name = "TOKEN")]
    pub(super) run_token: Option<RunToken>,

    #[command(flatten)]
    pub(super) conduct: ConductArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ReportArgs {
    /// The directory of the run, such as results/quickstart/2026-11-20T21-41-15Z [default: the newest under
    /// results/ in this directory]
    pub(super) run: Option<PathBuf>,

    #[command(flatten)]
    pub(super) screen: ReportScreenArgs,

    #[command(flatten)]
    pub(super) outputs: ExportArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_MERGE))]
pub(super) struct MergeArgs {
    /// The directories of the shards' runs, in any order
    #[arg(required = true, value_name = "RUN")]
    pub(super) runs: Vec<PathBuf>,

    /// Directory under which the merged run's own directory is made
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub(super) out: PathBuf,

    /// Label of the build [default: that of the first shard's run]
    #[arg(long, value_name = "TEXT")]
    pub(super) label: Option<String>,

    /// Merge even if shards are missing; the merged run lists them
    #[arg(long)]
    pub(super) allow_missing: bool,

    /// Merge interrupted or killed runs as far as they got; the merged run lists them
    #[arg(long)]
    pub(super) allow_incomplete: bool,

    /// Refuse shards that began further apart than this by their wall clocks, such as 100ms [default: a merged
    /// run whose shards began more than a recording interval apart is suspect]
    #[arg(long, value_name = "SPAN")]
    pub(super) max_skew: Option<Span>,

    #[command(flatten)]
    pub(super) screen: ReportScreenArgs,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ReportScreenArgs {
    /// Print all of the report: every fleet and phase, connections, stages, targets, the generator
    #[arg(long, short)]
    pub(super) verbose: bool,

    /// Print the report without colours and in ASCII alone, as it is printed to pipes
    #[arg(long)]
    pub(super) plain: bool,

    /// Print the report as JSON instead of tables
    #[arg(long, conflicts_with_all = ["verbose", "plain"])]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct CheckArgs {
    /// The scenarios, TOML files
    #[arg(required = true)]
    pub(super) scenarios: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) overrides: OverrideArgs,

    /// Further budgets for each of them, a TOML file of [[budget]] tables
    #[arg(long, value_name = "FILE")]
    pub(super) budget: Option<PathBuf>,

    /// Say on paper how many machines each needs, one shard on each, and which limit decides: machines of so many cores, or of 8, 32
    /// and 96
    #[arg(long, value_name = "CORES", value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[expect(clippy::option_option, reason = "whether it is asked for, and whether a size is named")]
    pub(super) nodes: Option<Option<u32>>,

    /// Print a JSON array with one object per file: its plan, or its problems
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ScoreArgs {
    /// Recordings, CSV files with the columns `timestamp` and `value`, or folders of such
    #[arg(required = true, value_name = "FILE")]
    pub(super) recordings: Vec<PathBuf>,

    /// The anomalous windows of each, in the form of NAB's `combined_windows.json`: a JSON object with an array of windows
    /// per recording, each an array of two timestamps.
    /// A recording belongs to the entry that its path ends with; the entry's folder is its category
    #[arg(long, value_name = "FILE.json")]
    pub(super) windows: PathBuf,

    /// Least score that counts as an anomaly, the same for all recordings; a leap that no earlier one comes near always
    /// counts [default: 2.8, that of a low alert]
    #[arg(long, value_name = "X", value_parser = parse_threshold)]
    pub(super) threshold: Option<f64>,

    /// Print the figures as JSON, those of each recording too
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct NewArgs {
    /// The situation; without one, all are listed
    #[arg(value_parser = SituationParser, hide_possible_values = true)]
    pub(super) situation: Option<String>,

    /// Where to write it [default: the situation's name with .toml]
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ManArgs {
    /// Write a page for every command into this folder instead: squall.1, squall-run.1, …
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct SchemaArgs {
    /// Print the reference of all keys as Markdown instead
    #[arg(long)]
    pub(super) markdown: bool,
}

fn parse_threshold(text: &str) -> Result<f64, String> {
    let threshold = text.parse().ok().filter(|threshold: &f64| threshold.is_finite() && *threshold > 0.0);
    threshold.ok_or_else(|| "write a number above 0, such as 2.8".to_owned())
}

pub(super) fn target_help() -> String {
    let forms: Vec<_> = protocols().map(|facts| format!("{}=URL", facts.protocol)).collect();
    let paths: Vec<_> = protocols().filter_map(|facts| facts.path).collect();
    format!(
        "Target a service of your own: {}; once per protocol of the fleets. A URL without a path, not even /, means {}; a path \
         in the scenario's fleet takes precedence. Before the run squall connects to each target once and sends nothing; all it \
         receives are the readings",
        alternatives(&forms),
        alternatives(&paths)
    )
}

pub(super) fn parse_target(text: &str) -> Result<(Protocol, String), String> {
    let examples: Vec<_> = protocols().map(|facts| format!("{}={}", facts.protocol, facts.example)).collect();
    let remedy = format!("write for example {}", alternatives(&examples));
    let (name, url) = text.split_once('=').ok_or_else(|| format!("no `=` in it; {remedy}"))?;
    let facts = protocols().find(|facts| facts.protocol.name() == name);
    let known = protocols().map(|facts| facts.protocol.name());
    let facts = facts.ok_or_else(|| format!("`{name}` is not a protocol; {}{remedy}", guess(name, known)))?;
    Ok((facts.protocol, url.to_owned()))
}

//! Changes to a scenario, as they are typed.

use std::path::Path;

use super::CliError;
use super::args::RunArgs;
use crate::language::Environment;
use crate::scenario::{Override, Overrides, Scenario};
use crate::seed::Seed;
use crate::units::Span;

/// Changes to a scenario.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OverrideArgs {
    /// Override the seed
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// Total length of the measured phases, such as 30s; each is scaled in proportion
    #[arg(long, value_name = "SPAN")]
    pub(super) duration: Option<Span>,

    /// Factor on the load of the whole scenario, such as 1.5: every device of an open fleet sends at so many times its rate, and a
    /// closed fleet has so many times its devices
    #[arg(long, value_name = "FACTOR", value_parser = parse_load)]
    pub(super) load: Option<f64>,

    /// Override a value of the scenario, such as fleet.meters.rate=2/s or phase.burst.load=4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl OverrideArgs {
    /// The same at another load.
    pub(super) fn at(&self, load: f64) -> Self {
        Self { load: Some(load), ..self.clone() }
    }

    /// The scenario in `file`, so changed.
    pub(super) fn scenario(&self, file: &Path) -> Result<Scenario, CliError> {
        Scenario::load(file, &self.read()?).map_err(CliError::usage)
    }

    /// The changes, parsed.
    pub(super) fn read(&self) -> Result<Overrides, CliError> {
        let parse = |text: &String| {
            Override::parse(text).map_err(|error| match option_for(text) {
                Some(option) => {
                    CliError::usage(format!("`--set {text}` names an option of its own: write {option}"))
                }
                None => CliError::usage(error),
            })
        };
        Ok(Overrides {
            set: self.set.iter().map(parse).collect::<Result<_, _>>()?,
            seed: self.seed.map(Seed),
            duration: self.duration,
            load: self.load,
            environment: Environment::Process,
        })
    }
}

/// The option that `KEY=VALUE` after `--set` was probably meant to be, as it is typed.
fn option_for(text: &str) -> Option<String> {
    let (key, value) = text.split_once('=')?;
    let name = key.trim().replace('_', "-");
    let options = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
    let option = options.get_arguments().find(|option| option.get_long() == Some(name.as_str()))?;
    let takes_value = option.get_action().takes_values();
    Some(if takes_value { format!("--{name} {}", value.trim()) } else { format!("--{name}") })
}

/// Parses a factor on a load.
pub(super) fn parse_load(text: &str) -> Result<f64, String> {
    let load = text.parse().ok().filter(|load: &f64| (1e-4..=1e4).contains(load));
    load.ok_or_else(|| "write a factor from 0.0001 to 10000, such as 1.5".to_owned())
}

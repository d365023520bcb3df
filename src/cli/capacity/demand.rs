//! What must hold at a load that the service can take: the scenario's budgets, and those given beside it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::cli::url::conditions;
use crate::language::{Environment, quote};
use crate::results::replace_text;
use crate::scenario::{Scenario, load_budgets};

/// The file that hands the given budgets to every probe.
const FILE: &str = "budgets.toml";
/// Bytes of a file of budgets that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Budgets that were given on the command line, as the text of a file.
#[derive(Debug, Default)]
pub(super) struct Demand {
    text: String,
}

impl Demand {
    /// Reads what was given: conditions, and files of budgets.
    ///
    /// # Errors
    /// If one is neither.
    pub(super) fn read(given: &[String]) -> Result<Self, CliError> {
        let (stated, files): (Vec<_>, Vec<_>) = given.iter().cloned().partition(|text| {
            // A file may have such a name, too; a condition is what is meant by it.
            text.contains(['<', '>'])
        });
        let mut text = String::new();
        for file in &files {
            let path = Path::new(file);
            text += &read(path).map_err(|error| {
                CliError::usage(format!(
                    "--budget {}: it is no condition such as 'p99<250ms', and no file of budgets can be read there: {error}",
                    quote(file)
                ))
            })?;
            text.push('\n');
        }
        for (key, conditions) in conditions(&stated)? {
            let conditions: Vec<_> =
                conditions.into_iter().map(|text| toml::Value::String(text).to_string()).collect();
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "[[budget]]\n{} = [{}]\n", toml::Value::String(key), conditions.join(", "));
        }
        Ok(Self { text })
    }

    /// Puts it into `folder`, for the probes to be given; `None` where nothing was given.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn store(&self, folder: &Path) -> io::Result<Option<PathBuf>> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let path = folder.join(FILE);
        replace_text(&path, &self.text)?;
        Ok(Some(path))
    }

    /// Adds it to the budgets of `scenario`.
    ///
    /// # Errors
    /// With everything that is wrong with it, or if nothing at all is demanded.
    pub(super) fn add_to(&self, scenario: &mut Scenario, environment: Environment) -> Result<(), CliError> {
        if !self.text.is_empty() {
            let scratch = crate::cli::folder::Scratch::new("budgets").map_err(CliError::failed)?;
            let path = scratch.0.join(FILE);
            std::fs::write(&path, &self.text).map_err(CliError::failed)?;
            let budgets = load_budgets(&path, scenario, environment).map_err(|error| {
                // Nobody has seen the file that they stand in.
                let told = error.to_string().replace(&path.display().to_string(), "--budget");
                CliError::usage(told)
            })?;
            scenario.budgets.extend(budgets);
        }
        if scenario.budgets.is_empty() {
            return Err(CliError::usage(format!(
                "{} demands nothing, and a capacity is the highest load at which its budgets hold: give --budget 'p99<250ms', or add \
                 [[budget]] with p99 = \"<250ms\" to it",
                scenario.source
            )));
        }
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Overrides;

    const SCENARIO: &str = "[scenario]\nname = \"s\"\n[[phase]]\nname = \"p\"\nduration = \"1s\"\n[fleet.a]\nprotocol = \
                            \"http\"\ndevices = 1\nrate = \"1/s\"\n";

    fn scenario() -> Scenario {
        Scenario::parse("s.toml", SCENARIO, &Overrides::default()).unwrap()
    }

    #[test]
    fn conditions_and_files_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("more.toml");
        std::fs::write(&file, "[[budget]]\nname = \"calm\"\nerror_rate = \"<1%\"").unwrap();
        let given = ["p99.9 < 250ms".to_owned(), file.display().to_string(), "p99.9>1us".to_owned()];
        let mut scenario = scenario();
        let demand = Demand::read(&given).unwrap();
        demand.add_to(&mut scenario, Environment::Process).unwrap();
        let all = scenario.budgets.iter().flat_map(|budget| &budget.conditions).map(ToString::to_string);
        assert_eq!(all.collect::<Vec<_>>(), ["error rate < 1%", "p99.9 < 250ms", "p99.9 > 1us"]);
        let stored = demand.store(folder.path()).unwrap().unwrap();
        assert_eq!(stored.file_name().unwrap(), FILE);
        assert_eq!(Demand::read(&[]).unwrap().store(folder.path()).unwrap(), None);
    }

    #[test]
    fn what_demands_nothing_or_cannot_be_read_says_what_to_write() {
        let refused = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
            Demand::read(&given)
                .and_then(|demand| demand.add_to(&mut scenario(), Environment::Process))
                .unwrap_err()
                .message
        };
        assert!(refused(&[]).contains("give --budget 'p99<250ms'"));
        assert!(refused(&["none.toml"]).contains("no condition such as 'p99<250ms'"));
        assert!(refused(&["p99<soon"]).contains("`soon` is not a valid span of time"));
        assert!(!refused(&["p98x<1ms"]).contains("/budgets.toml"));
    }
}

//! What can be typed behind `squall lab`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::args::{parse_target, target_help};
use crate::cli::exit::Exit;
use crate::record::Protocol;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_LAB))]
pub(in crate::cli) struct LabArgs {
    #[command(subcommand)]
    pub(super) command: Option<LabCommand>,

    /// The folder of your labs
    #[arg(long, value_name = "DIR", default_value = "lab", global = true)]
    pub(super) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum LabCommand {
    /// List the labs, how far you are, and what is next (as without a command)
    List,
    /// Write a lab's folder: README.md, scenario.toml, keys.md, and answer.toml with its blanks
    Start {
        /// The lab, such as clock
        lab: String,
        /// Your name: it changes rates and times, so that everybody has numbers of their own. Counts for all
        /// your labs
        #[arg(long, value_name = "NAME")]
        student: Option<String>,
    },
    /// Run a lab and judge it: what you predicted beside the truth, and every law
    ///
    /// Refuses blanks in answer.toml, and changes of what the lab holds fixed. Your answers go into the run
    /// before it begins.
    Run {
        /// The lab
        lab: String,
        #[arg(long = "target", value_name = "PROTOCOL=URL", help = target_help(), value_parser = parse_target)]
        targets: Vec<(Protocol, String)>,
        #[command(flatten)]
        screen: LabScreenArgs,
    },
    /// Judge a run of a lab again, from its files
    Check {
        /// The lab
        lab: String,
        /// Another run than the last
        #[arg(long, value_name = "RUN")]
        run: Option<PathBuf>,
        #[command(flatten)]
        screen: LabScreenArgs,
    },
    /// Give a hint; each is deeper than the one before
    Hint {
        /// The lab
        lab: String,
        /// From 1 to 3 [default: the next one]
        #[arg(value_parser = clap::value_parser!(u8).range(1..=3))]
        depth: Option<u8>,
    },
    /// Write one HTML page of all your labs: predictions, figures, time lines, and your own words
    Report {
        /// The page
        #[arg(long, value_name = "FILE", default_value = "labs.html")]
        html: PathBuf,
    },
    /// For teachers: run every lab broken, solved and with its negative control, and say whether it is judged
    /// right
    ///
    /// What was run before is not run again: start it anew after an interruption and it goes on.
    Verify {
        /// The labs [default: all, with --all]
        #[arg(required_unless_present = "all")]
        labs: Vec<String>,
        /// Every lab
        #[arg(long, conflicts_with = "labs")]
        all: bool,
        /// How often
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        tries: u32,
        /// A student whose rates are taken
        #[arg(long, value_name = "NAME")]
        student: Option<String>,
        /// Directory for runs and the table
        #[arg(long, value_name = "DIR", default_value = "verify")]
        out: PathBuf,
    },
    /// For teachers: judge the labs of many students from their folders, as CSV
    Grade {
        /// Folders of labs, one of each student
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
}

/// How a judgement is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct LabScreenArgs {
    /// Print the judgement as JSON
    #[arg(long)]
    pub(super) json: bool,
}

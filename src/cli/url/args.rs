//! What can be typed after a URL, and how a line that begins with one is told from a command.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cli::exit::Exit;
use crate::cli::run::ConductArgs;
use crate::language::alternatives;
use crate::protocol::protocols;
use crate::units::{Rate, Span};

/// The name of the command that a line without one stands for.
pub(in crate::cli) const COMMAND: &str = "URL";

/// The largest whole number that TOML has to hold.
const MOST_SEED: u64 = i64::MAX as u64;

/// What the root command takes itself.
const ROOT: [&str; 4] = ["-h", "--help", "-V", "--version"];

#[derive(Debug, clap::Args)]
#[command(override_usage = "squall URL [OPTIONS]", after_help = after_help())]
pub(in crate::cli) struct UrlArgs {
    #[arg(value_name = "URL", help = url_help())]
    pub(super) url: String,

    /// Readings per second of all devices together, such as 200/s: requests or messages, whatever the scheme
    /// sends [default: half of what the devices do in a closed loop of 2 s, as a plain figure, which is said]
    #[arg(long, short, value_name = "RATE")]
    pub(super) rate: Option<Rate>,

    /// Devices, each with a connection of its own
    #[arg(long, short = 'c', value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) devices: u32,

    /// How long to measure; a second of warm-up comes before it
    #[arg(long, short, value_name = "SPAN", default_value = "10s")]
    pub(super) duration: Span,

    /// The method of requests [default: GET, or POST with --body]
    #[arg(long, short, value_name = "METHOD")]
    pub(super) method: Option<String>,

    /// A header field of each request, or of the upgrade to WebSocket; as often as wanted
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,

    /// What to send: a text, in which {{seq}}, {{device}} and the like stand for what they name, or a file as it is
    #[arg(long, short, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(super) body: Option<String>,

    /// Have each device send when it was answered, in place of a rate: it shows what the service can do, and hides
    /// how long others would have waited
    #[arg(long, conflicts_with = "rate")]
    pub(super) closed: bool,

    /// Accept any certificate of the service; the report says so
    #[arg(long, short = 'k')]
    pub(super) insecure: bool,

    /// PEM file of the authorities that the certificate is to be issued by [default: those of the system]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) cacert: Option<PathBuf>,

    #[arg(
        long = "budget",
        value_name = "CONDITION",
        help = "What a figure must keep to, such as 'p99<250ms' or 'error_rate<0.1%'; as often as wanted"
    )]
    pub(super) budgets: Vec<String>,

    /// Write the scenario of this run to a new file, too
    #[arg(long, value_name = "FILE.toml")]
    pub(super) save: Option<PathBuf>,

    /// What fixes everything random
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    pub(super) seed: u64,

    #[command(flatten)]
    pub(super) conduct: ConductArgs,
}

/// The first scheme of each protocol, plain and over TLS.
pub(super) fn schemes() -> impl Iterator<Item = &'static str> {
    protocols().filter(|facts| facts.sends()).flat_map(|facts| {
        let over_tls = facts.target.tls_schemes.first().copied();
        [facts.target.scheme()].into_iter().chain(over_tls)
    })
}

/// The same as they begin URLs, in a sentence.
pub(super) fn listed() -> String {
    let forms: Vec<_> = schemes().map(|scheme| format!("{scheme}://")).collect();
    alternatives(&forms)
}

fn url_help() -> String {
    let forms = listed();
    format!(
        "The service: {forms}, and what follows; user:password@ before the host is shown to it and nobody else"
    )
}

fn after_help() -> String {
    let mut text = String::from("What is sent, and what ends a reading:\n");
    for facts in protocols().filter(|facts| facts.sends()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<6} {}", facts.word(), facts.one_line.about);
    }
    text.push_str(
        "\nIn --body TEXT, --header and paths {{device}} is the device, and '${NAME}' an environment variable.\n\
         Whatever else a scenario can state: --save s.toml, change it, squall run s.toml.\n\n",
    );
    text + &Exit::help(Exit::OF_RUN)
}

/// `arguments`, the program's name first, with the command that stands for a URL where a line has none.
pub(in crate::cli) fn arranged(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if let [_, first, rest @ ..] = arguments.as_slice() {
        let begins_with_option =
            first.to_string_lossy().starts_with('-') && ROOT.iter().all(|own| first != own);
        if is_url(first) || begins_with_option && rest.iter().any(|word| is_url(word)) {
            arguments.insert(1, COMMAND.into());
        }
    }
    arguments
}

/// Whether a word is a URL, of whatever scheme.
pub(super) fn is_url(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    word.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_scheme)
    })
}

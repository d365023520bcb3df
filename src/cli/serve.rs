//! `squall serve`: the bundled reference system alone.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use super::CliError;
use super::args::LogForm;
use super::exit::Exit;
use super::signal::Interrupts;
use crate::reference::{self, Config, Server};
use crate::run::bundled;
use crate::scenario::{Override, Overrides, load_setup};
use crate::service::Setup;
use crate::units::Span;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ServeArgs {
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) bind: IpAddr,

    /// Port of HTTP and WebSocket; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(super) http_port: u16,

    /// Port of MQTT; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 1883)]
    pub(super) mqtt_port: u16,

    /// Answer HTTP requests for this name, too: else only those for localhost, a loopback address, or the address they came in at
    #[arg(long = "allow-host", value_name = "NAME", value_parser = allowed_host)]
    pub(super) hosts: Vec<String>,

    /// Let pages of this origin change things and open a WebSocket, too: else only the service's own may
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_parser = allowed_origin)]
    pub(super) origins: Vec<String>,

    /// A file with a [reference] section, such as a scenario
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Change one setting, such as queue.overflow=drop-oldest; docs/reference.md has them all
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,

    /// Log to standard error: nothing, lines of text, or JSON objects
    #[arg(long, value_enum, default_value_t = LogForm::Off)]
    pub(super) log: LogForm,

    /// Accept faults over POST /v1/faults
    #[arg(long)]
    pub(super) faults: bool,

    /// A token with all rights, in place of those in the file; '${NAME}' takes it from the environment, which no list of processes shows
    #[arg(long = "token", value_name = "TEXT")]
    pub(super) tokens: Vec<String>,

    /// A CSV file of tokens: token, and where stated rights (of publish, read and control, separated by spaces) and device
    #[arg(long = "tokens", value_name = "FILE")]
    pub(super) tokens_file: Option<PathBuf>,

    /// Accept signed tokens (JWT) by the secret of HS256 in this file
    #[arg(long, value_name = "FILE")]
    pub(super) jwt_hs256: Option<PathBuf>,

    /// Accept signed tokens (JWT) by the public Ed25519 key in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(super) jwt_eddsa: Option<PathBuf>,

    /// Threads that compute verdicts; 0 computes them where readings come in
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(super) workers: Option<u32>,

    /// Readings the queue holds before the service sheds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) queue: Option<u32>,

    /// Verdicts the cache holds; 0 turns it off
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub(super) cache: Option<u32>,

    /// Processor time one inference costs on top, such as 200us
    #[arg(long, value_name = "SPAN")]
    pub(super) inference: Option<Span>,
}

fn allowed_host(text: &str) -> Result<String, String> {
    reference::host(text).ok_or_else(|| "no name of a host; write for example squall.test".to_owned())
}

fn allowed_origin(text: &str) -> Result<String, String> {
    reference::origin(text).ok_or_else(|| "no origin; write for example https://lab.example:8443".to_owned())
}

/// Serves until the first interrupt.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit, CliError> {
    let config = Config {
        bind: args.bind,
        http_port: args.http_port,
        mqtt_port: args.mqtt_port,
        hosts: args.hosts.clone(),
        origins: args.origins.clone(),
        setup: setup(args)?,
        ..Config::default()
    };
    log(args.log);
    let interrupts = Interrupts::listen(|_| {}).map_err(CliError::failed)?;
    let server = bundled::start(&config)?;
    announce(&server, config.setup.admission.asks())
        .map_err(|error| CliError::failed(format!("cannot write to standard output: {error}")))?;
    interrupts.wait();
    bundled::record(&server, &config.setup)?;
    server.stop();
    Ok(Exit::Fine)
}

/// Has events written to standard error; who never asks for them pays nothing for them.
fn log(form: LogForm) {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    // A second attempt in one process, as in tests, finds the first one's.
    let _ = match form {
        LogForm::Off => Ok(()),
        LogForm::Text => lines.with_ansi(false).try_init(),
        LogForm::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// The flags on tokens as settings. Paths are those of the command line, not of the file.
fn keys(args: &ServeArgs) -> Result<Vec<Override>, CliError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut set = Vec::new();
    if !args.tokens.is_empty() {
        let tokens: Vec<String> = args.tokens.iter().map(|token| quoted(token)).collect();
        set.push(format!("reference.admission.tokens=[{}]", tokens.join(", ")));
    }
    for (key, path) in [
        ("tokens_file", &args.tokens_file),
        ("jwt.hs256.file", &args.jwt_hs256),
        ("jwt.eddsa.file", &args.jwt_eddsa),
    ] {
        let Some(path) = path else { continue };
        let path = std::path::absolute(path).map_err(CliError::failed)?;
        set.push(format!("reference.admission.{key}={}", quoted(&path.display().to_string())));
    }
    set.iter().map(|text| Override::parse(text).map_err(CliError::usage)).collect()
}

/// What the file says, changed by `--set`, changed by the flags.
fn setup(args: &ServeArgs) -> Result<Setup, CliError> {
    let set = args.set.iter().map(|text| {
        let whole = if text.starts_with("reference.") { text.clone() } else { format!("reference.{text}") };
        Override::parse(&whole).map_err(CliError::usage)
    });
    let set = set.chain(keys(args)?.into_iter().map(Ok)).collect::<Result<_, _>>()?;
    let overrides = Overrides { set, ..Overrides::default() };
    let mut setup = load_setup(args.config.as_deref(), &overrides).map_err(CliError::usage)?;
    setup.faults |= args.faults;
    if let Some(count) = args.workers {
        setup.workers.count = count as usize;
    }
    if let Some(capacity) = args.queue {
        setup.queue.capacity = capacity as usize;
    }
    if let Some(capacity) = args.cache {
        setup.cache.capacity = capacity as usize;
    }
    if let Some(cost) = args.inference {
        setup.inference.cost = cost;
    }
    Ok(setup)
}

/// Prints the addresses, one per line, ready to be copied behind `--target`.
fn announce(server: &Server, asks: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "squall reference system")?;
    for (protocol, url) in bundled::addresses(server) {
        writeln!(out, "  {:<5} {url}", protocol.name())?;
    }
    writeln!(out, "  health   http://{}/health", server.http_addr())?;
    writeln!(out, "  metrics  http://{}/metrics", server.http_addr())?;
    if asks {
        writeln!(out, "  tokens   asked for: Authorization: Bearer TOKEN, over MQTT the password")?;
    }
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

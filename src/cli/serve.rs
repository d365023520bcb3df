//! `squall serve`: the bundled reference system alone.

use std::io::Write;

use super::CliError;
use super::args::{LogForm, ServeArgs};
use super::exit::Exit;
use super::signal::Interrupts;
use crate::reference::{Config, Server};
use crate::run::bundled;
use crate::scenario::{Override, Overrides, load_setup};
use crate::service::Setup;

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
    announce(&server)
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

/// What the file says, changed by `--set`, changed by the flags.
fn setup(args: &ServeArgs) -> Result<Setup, CliError> {
    let set = args.set.iter().map(|text| {
        let whole = if text.starts_with("reference.") { text.clone() } else { format!("reference.{text}") };
        Override::parse(&whole).map_err(CliError::usage)
    });
    let overrides = Overrides { set: set.collect::<Result<_, _>>()?, ..Overrides::default() };
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
fn announce(server: &Server) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "squall reference system")?;
    for (protocol, url) in bundled::addresses(server) {
        writeln!(out, "  {:<5} {url}", protocol.name())?;
    }
    writeln!(out, "  health   http://{}/health", server.http_addr())?;
    writeln!(out, "  metrics  http://{}/metrics", server.http_addr())?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

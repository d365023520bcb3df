//! `squall serve`: the bundled reference system alone.

use std::io::Write;

use super::args::ServeArgs;
use super::exit::Exit;
use super::signal::Interrupts;
use super::{Fault, target};
use crate::reference::{Config, Server};
use crate::scenario::ReferenceSettings;

/// Serves until the first interrupt.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit, Fault> {
    let settings = ReferenceSettings {
        workers: args.workers,
        queue: args.queue,
        cache: args.cache,
        inference: args.inference,
    };
    let config = Config {
        bind: args.bind,
        http_port: args.http_port,
        mqtt_port: args.mqtt_port,
        ..target::config(settings)
    };
    let interrupts = Interrupts::listen(|_| {}).map_err(Fault::failed)?;
    let server = Server::start(&config).map_err(Fault::failed)?;
    announce(&server).map_err(|error| Fault::failed(format!("cannot write to standard output: {error}")))?;
    interrupts.wait();
    server.stop();
    Ok(Exit::Fine)
}

/// Prints the addresses, one per line, ready to be copied behind `--target`.
fn announce(server: &Server) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "squall reference system")?;
    for (protocol, url) in target::addresses(server) {
        writeln!(out, "  {:<5} {url}", protocol.name())?;
    }
    writeln!(out, "  health   http://{}/health", server.http_addr())?;
    writeln!(out, "  metrics  http://{}/metrics", server.http_addr())?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

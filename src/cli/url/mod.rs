//! `squall URL`: one line against a service. The line is made a scenario, and that is run like any other.

mod address;
mod args;
mod hint;
mod probe;
mod request;
#[cfg(test)]
mod tests;

use address::Address;
pub(super) use args::{COMMAND, UrlArgs, arranged};
pub(super) use hint::{meant, misplaced};
pub(super) use request::conditions;
use request::{Load, Request};

use super::exit::Exit;
use super::export::Subject;
use super::screen::note;
use super::{CliError, new, run};
use crate::language::veiled;
use crate::run::{Run, Settings};
use crate::units::plural;

/// Runs what the line stands for, and reports.
pub(super) fn url(args: &UrlArgs) -> Result<Exit, CliError> {
    let views = run::views(&args.conduct)?;
    let request = Request::read(args)?;
    args.conduct.outputs.prepare(Subject::Run)?;
    if let Some(file) = &args.save {
        new::absent(file)?;
    }
    let load = match (args.closed, args.rate) {
        (true, _) => Load::Closed,
        (false, Some(rate)) => Load::Open { rate, why: None },
        (false, None) => match chosen(&request, args)? {
            Some(load) => load,
            None => return Ok(Exit::Interrupted),
        },
    };
    let text = request.text(&load);
    let plan = request::plan(&text, args)?;
    save(args, &text)?;
    run::drive(&args.conduct, Run::prepare(plan, &[], run::settings(&args.conduct))?, views)
}

/// The load where none is stated: half of what the service does at the most. `None`: the user has interrupted it.
fn chosen(request: &Request<'_>, args: &UrlArgs) -> Result<Option<Load>, CliError> {
    // What is wrong with the line is said before anything is sent.
    request::scenario(&request.text(&request.any_load()), args)?;
    note(&format!(
        "no --rate: to choose one, {} in a closed loop for {}; nothing of that is in the results",
        plural(args.devices.into(), "device"),
        probe::LENGTH
    ));
    let settings = Settings { label: String::new(), ..run::settings(&args.conduct) };
    let Some(found) = probe::probe(request::scenario(&request.probe(), args)?, settings)? else {
        note("interrupted before there was a rate: nothing was measured");
        return Ok(None);
    };
    note(&format!("rate: {}; --rate states another", found.sentence()));
    Ok(Some(Load::Open { rate: found.rate, why: Some(found.sentence()) }))
}

/// Writes the scenario where it is asked for.
fn save(args: &UrlArgs, text: &str) -> Result<(), CliError> {
    let Some(file) = &args.save else { return Ok(()) };
    let is_secret = veiled(text) != text;
    new::write_new(file, text, is_secret)?;
    let shown = file.display();
    if is_secret {
        note(&format!(
            "note: {shown} holds a secret as it was typed; write ${{NAME}} there to take it from the environment"
        ));
    }
    if !args.conduct.quiet {
        note(&format!("the scenario of this run is in {shown}; next time: squall run {shown}"));
    }
    Ok(())
}

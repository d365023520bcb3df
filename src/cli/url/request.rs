//! What a line asks for, and the scenario that it stands for: the only thing that is run.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::probe;
use super::{Address, UrlArgs};
use crate::cli::CliError;
use crate::language::{Diagnostics, Location, is_secret_field, quote};
use crate::protocol::{KeyLine, Keys};
use crate::scenario::{Overrides, Plan, Scenario, ScenarioError};
use crate::units::{Rate, Span};

/// The fleet of the scenario.
const FLEET: &str = "clients";
/// The name of its phase.
const PHASE: &str = "steady";
/// Sending before the measured phase.
const WARM_UP: Span = Span::from_ms(1_000);
/// Readings per second that one device sends.
const RATES: (f64, f64) = (1e-5, 1e5);
/// Largest file of a body: the scenario has to hold it.
const LARGEST_BODY: u64 = 512 << 10;
/// Where a comment begins in its line.
const COMMENT: usize = 34;

/// When the devices send.
#[derive(Debug)]
pub(super) enum Load {
    /// At a rate of all of them together; `why` says where it comes from, if the user has not stated it.
    Open { rate: Rate, why: Option<String> },
    /// When they were answered.
    Closed,
}

/// What a line asks for.
#[derive(Debug)]
pub(super) struct Request<'a> {
    args: &'a UrlArgs,
    address: Address,
    /// Header fields, those that hold secrets apart.
    headers: Vec<(String, String)>,
    secret_headers: Vec<(String, String)>,
    /// The template of the payload.
    body: Option<String>,
    /// What figures must keep to, by key.
    budgets: Vec<(String, Vec<String>)>,
    cacert: Option<PathBuf>,
}

impl<'a> Request<'a> {
    /// Reads the line, and the file that it names for a body.
    ///
    /// # Errors
    /// If something in it is wrong that the scenario could not say as well.
    pub(super) fn read(args: &'a UrlArgs) -> Result<Self, CliError> {
        let address = Address::read(&args.url)?;
        let body = args.body.as_deref().map(|body| payload(body, &address)).transpose()?;
        suited(args, &address)?;
        let (mut headers, mut secret_headers) = (Vec::new(), Vec::new());
        for header in &args.headers {
            let (name, value) = field(header)?;
            let is_twin = |(other, _): &(String, String)| other.eq_ignore_ascii_case(&name);
            if headers.iter().chain(&secret_headers).any(is_twin) {
                return Err(CliError::usage(format!("--header {name} is given twice; write it once")));
            }
            let kept = if is_secret_field(&name) { &mut secret_headers } else { &mut headers };
            kept.push((name, value));
        }
        let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if takes(&address, "method") && !is_typed && body.as_deref().is_some_and(is_json) {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        // The scenario may come to lie in another directory.
        let cacert = args.cacert.as_ref().map(std::path::absolute).transpose().map_err(CliError::failed)?;
        let budgets = conditions(&args.budgets)?;
        Ok(Self { args, address, headers, secret_headers, body, budgets, cacert })
    }

    /// A load that any number of devices takes.
    pub(super) fn any_load(&self) -> Load {
        Load::Open { rate: Rate::per_second(self.args.devices.into()).unwrap_or_default(), why: None }
    }

    /// The scenario of the run, as text.
    pub(super) fn text(&self, load: &Load) -> String {
        self.written(load, (WARM_UP, self.args.duration, None))
    }

    /// The scenario of the probe that chooses a rate, as text.
    pub(super) fn probe(&self) -> String {
        self.written(&Load::Closed, (Span::ZERO, probe::LENGTH, Some(probe::DRAIN)))
    }

    fn written(&self, load: &Load, (warm_up, duration, drain): (Span, Span, Option<Span>)) -> String {
        let Self { args, address, .. } = self;
        let mut text = Lines::default();
        text.comment(
            "One line of squall, as a scenario: change what you like. `squall check` shows its plan, and",
        );
        text.comment("docs/scenarios.md says what else can be stated.");
        text.table("[scenario]");
        text.text("name", &address.name, "names the directory of its results");
        text.text("about", &format!("{} in one line", address.shown), "");
        if args.seed != 1 {
            text.line("seed", &args.seed.to_string(), "");
        }
        text.table("[target]");
        text.text(address.facts.word(), &address.target, "");
        if args.insecure {
            text.table("[target.tls]");
            text.text("insecure", crate::scenario::INSECURE, "the certificate is not judged");
        } else if let Some(file) = &self.cacert {
            text.table("[target.tls]");
            text.text("ca", &file.to_string_lossy(), "");
        }
        text.table("[run]");
        text.text("warm_up", &warm_up.to_string(), "before the measured phase, kept out of its figures");
        if let Some(drain) = drain {
            text.text("drain", &drain.to_string(), "");
        }
        text.table("[[phase]]");
        text.text("name", PHASE, "");
        text.text("duration", &duration.to_string(), "");
        self.fleet(load, &mut text);
        if drain.is_none() && !self.budgets.is_empty() {
            text.table("[[budget]]");
            for (key, conditions) in &self.budgets {
                let conditions: Vec<_> = conditions.iter().map(|condition| quoted(condition)).collect();
                match conditions.as_slice() {
                    [one] => text.line(&bare(key), one, ""),
                    several => text.line(&bare(key), &format!("[{}]", several.join(", ")), ""),
                }
            }
        }
        text.0
    }

    /// The keys that the protocol has for such a line.
    fn keys(&self) -> &'static Keys {
        let one_line = &self.address.facts.one_line;
        if self.body.is_some() { &one_line.stated } else { &one_line.usual }
    }

    fn fleet(&self, load: &Load, text: &mut Lines) {
        let Self { args, address, .. } = self;
        text.0.push('\n');
        if let Load::Open { why: Some(why), .. } = load {
            text.comment(&format!("{why}."));
        }
        text.heading(&format!("[fleet.{FLEET}]"));
        text.text("protocol", address.facts.word(), "");
        text.line("devices", &args.devices.to_string(), "a connection each");
        match load {
            Load::Open { rate, .. } => {
                text.text("rate", &each(*rate, args.devices), &format!("of each device; {rate} of all"));
            }
            Load::Closed => text.text("model", "closed", "a device sends when it was answered"),
        }
        if let Some(body) = &self.body {
            text.line("payload", &format!("{{ format = \"template\", template = {} }}", quoted(body)), "");
        }
        text.keys(self.keys().fleet.iter());
        self.auth(text);
        let own = format!("[fleet.{FLEET}.{}]", address.facts.word());
        let method = args.method.as_deref();
        let keys = self.keys().own.iter().filter(|(key, _, _)| *key != "method" || method.is_none());
        let place = address.place.iter();
        let mut table = Lines::default();
        for (key, value) in
            place.map(|(key, place)| (*key, place.as_str())).chain(method.map(|own| ("method", own)))
        {
            table.text(key, value, "");
        }
        table.keys(keys);
        if !table.0.is_empty() {
            text.table(&own);
            text.0.push_str(&table.0);
        }
        if !self.headers.is_empty() {
            text.table(&format!("[fleet.{FLEET}.{}.headers]", address.facts.word()));
            self.headers.iter().for_each(|(name, value)| text.text(&bare(name), value, ""));
        }
    }

    /// Who the devices are.
    fn auth(&self, text: &mut Lines) {
        if let Some((user, password)) = &self.address.login {
            text.table(&format!("[fleet.{FLEET}.auth]"));
            if !user.is_empty() {
                text.text("username", user, "");
            }
            if let Some(password) = password {
                text.text("password", password, "");
            }
        }
        if !self.secret_headers.is_empty() {
            text.table(&format!("[fleet.{FLEET}.auth.headers]"));
            self.secret_headers.iter().for_each(|(name, value)| text.text(&bare(name), value, ""));
        }
    }
}

/// Checks the scenario of a line; what is wrong with it is said of the line.
///
/// # Errors
/// With everything that is wrong.
pub(super) fn scenario(text: &str, args: &UrlArgs) -> Result<Scenario, CliError> {
    Scenario::parse("the line", text, &Overrides::default()).map_err(|error| refused(error, args))
}

/// The plan of a line's scenario, whose budgets can have data.
///
/// # Errors
/// With everything that is wrong.
pub(super) fn plan(text: &str, args: &UrlArgs) -> Result<Plan, CliError> {
    let plan = Plan::new(scenario(text, args)?);
    plan.budgets_have_data().map_err(|error| refused(error, args))?;
    Ok(plan)
}

fn refused(error: ScenarioError, args: &UrlArgs) -> CliError {
    match error {
        ScenarioError::Faulty(found) => CliError::usage(of_line(found, args)),
        other @ ScenarioError::Unreadable { .. } => CliError::usage(other),
    }
}

/// Problems of a scenario nobody has seen, at the options that they come from.
fn of_line(mut found: Diagnostics, args: &UrlArgs) -> Diagnostics {
    for problem in &mut found.problems {
        if let Some(option) = option(&problem.key, args) {
            problem.location = Location::Given(option);
            problem.key.clear();
        }
    }
    found
}

/// The option that gave the value at `key`, as it is typed.
fn option(key: &str, args: &UrlArgs) -> Option<String> {
    if key.starts_with("budget") {
        let metric = key.rsplit('.').next().unwrap_or_default();
        let typed = args.budgets.iter().filter(|text| {
            let (own, _) = parted(text).unwrap_or_default();
            own == metric
        });
        let typed: Vec<_> = typed.map(|text| format!("'{}'", quote(text))).collect();
        return Some(format!("--budget {}", typed.join(", ")).trim_end().to_owned());
    }
    if let Some((_, header)) = key.split_once(".headers.") {
        return Some(format!("--header {}", header.trim_end_matches(".value")));
    }
    let last = key.rsplit('.').next().unwrap_or_default();
    let option = match last {
        "duration" => "--duration",
        "rate" => "--rate",
        "devices" => "--devices",
        "payload" | "template" | "framing" => "--body",
        "method" => "--method",
        "headers" => "--header",
        "ca" => "--cacert",
        _ if key.starts_with("fleet.") || key.starts_with("target.") => "URL",
        _ => return None,
    };
    Some(option.to_owned())
}

/// Whether the protocol's own table has `key`.
fn takes(address: &Address, key: &str) -> bool {
    address.facts.sections.first().is_some_and(|section| section.field(key).is_some())
}

/// What the line asks for and the scheme of its URL cannot have.
fn suited(args: &UrlArgs, address: &Address) -> Result<(), CliError> {
    let scheme = address.target.split_once("://").map_or("", |(scheme, _)| scheme);
    let refusal = |option: &str, what: &str| {
        Err(CliError::usage(format!("{option}: {scheme}:// has no {what}; take the option out")))
    };
    if args.method.is_some() && !takes(address, "method") {
        return refusal("--method", "methods");
    }
    if !args.headers.is_empty() && !takes(address, "headers") {
        return refusal("--header", "header fields");
    }
    for (option, is_given) in [("--insecure", args.insecure), ("--cacert", args.cacert.is_some())] {
        if is_given && !address.is_tls {
            let secure = address.facts.target.tls_schemes.first().copied().unwrap_or_default();
            let remedy = format!("write {secure}://, or take the option out");
            return Err(CliError::usage(format!("{option}: {scheme}:// has no certificate; {remedy}")));
        }
    }
    let Some(rate) = args.rate else { return Ok(()) };
    let each = rate.as_per_second() / f64::from(args.devices);
    if each < RATES.0 || each > RATES.1 {
        return Err(CliError::usage(format!(
            "--rate {rate} is {each}/s for each of {} device(s), and a device sends from {}/s to {}/s; change --rate or --devices",
            args.devices, RATES.0, RATES.1
        )));
    }
    Ok(())
}

/// Name and value of a header field.
fn field(text: &str) -> Result<(String, String), CliError> {
    let (name, value) =
        text.split_once(':').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(|| {
            // It may be a secret whose name was forgotten.
            CliError::usage("--header has no name and colon; write for example 'X-Tenant: a'")
        })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The template of what is sent: a text is one, a file is sent as it is.
fn payload(argument: &str, address: &Address) -> Result<String, CliError> {
    let Some(file) = argument.strip_prefix('@') else { return Ok(argument.to_owned()) };
    let text = content(Path::new(file))?;
    // Where squall ends a line itself, the end of the file's last one is it.
    let ends_lines = takes(address, "line_end");
    let text = if ends_lines { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
    Ok(text.replace("{{", "{{{{").replace("${", "$${"))
}

fn content(file: &Path) -> Result<String, CliError> {
    let shown = file.display();
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(LARGEST_BODY + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        CliError::usage(format!("--body: cannot read {shown}: {error}; write @FILE, or the text itself"))
    })?;
    if bytes.len() as u64 > LARGEST_BODY {
        return Err(CliError::usage(format!(
            "--body: {shown} has more than {} KiB; send less, or state its size in a scenario: payload = {{ size = … }}",
            LARGEST_BODY >> 10
        )));
    }
    String::from_utf8(bytes).map_err(|_| {
        CliError::usage(format!(
            "--body: {shown} is not UTF-8, as a scenario has to be; send text, or base64"
        ))
    })
}

/// Whether a text looks like JSON, placeholders or not.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Conditions such as `p99 < 250ms` behind `--budget`, by the key of the figure.
///
/// # Errors
/// If one is none.
pub(in crate::cli) fn conditions(stated: &[String]) -> Result<Vec<(String, Vec<String>)>, CliError> {
    let mut budgets: Vec<(String, Vec<String>)> = Vec::new();
    for text in stated {
        let Some((key, condition)) = parted(text) else {
            let message =
                format!("--budget `{}` is not a condition; write for example 'p99<250ms'", quote(text));
            return Err(CliError::usage(message));
        };
        match budgets.iter_mut().find(|(other, _)| *other == key) {
            Some((_, conditions)) => conditions.push(condition),
            None => budgets.push((key, vec![condition])),
        }
    }
    Ok(budgets)
}

/// The key of the figure and what is asked of it, of a condition such as `p99 < 250ms`.
fn parted(text: &str) -> Option<(String, String)> {
    let at = text.find(['<', '>']).filter(|at| !text[..*at].trim().is_empty())?;
    Some((text[..at].trim().replace(['.', ' '], "_"), text[at..].replace(' ', "")))
}

/// The rate of one of `devices` that reach `rate` together.
pub(super) fn each(rate: Rate, devices: u32) -> String {
    let (all, devices) = (rate.as_per_second(), f64::from(devices));
    let one = all / devices;
    // What has no short decimals is exact as so many in so many seconds.
    let is_short = (one * 1e4).fract() == 0.0 && (one * devices).to_bits() == all.to_bits();
    if is_short { format!("{one}/s") } else { format!("{all}/{devices}s") }
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A key as TOML has it.
fn bare(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { quoted(key) }
}

/// The lines of a scenario.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn comment(&mut self, words: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# {words}");
    }

    /// Opens a table, set off from what is before it.
    fn table(&mut self, title: &str) {
        self.0.push('\n');
        self.heading(title);
    }

    fn heading(&mut self, title: &str) {
        let _ = writeln!(self.0, "{title}");
    }

    fn text(&mut self, key: &str, value: &str, about: &str) {
        self.line(key, &quoted(value), about);
    }

    fn line(&mut self, key: &str, value: &str, about: &str) {
        let line = format!("{key} = {value}");
        let _ = match about {
            "" => writeln!(self.0, "{line}"),
            _ => writeln!(self.0, "{line:<COMMENT$}# {about}"),
        };
    }

    fn keys<'k>(&mut self, keys: impl Iterator<Item = &'k KeyLine>) {
        keys.for_each(|(key, value, about)| self.line(key, value, about));
    }
}

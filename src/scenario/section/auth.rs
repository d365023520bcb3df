//! `auth` and `credentials` of a fleet: what its devices prove by who they are.

use std::sync::Arc;

use crate::clock::Tick;
use crate::fleet::{Device, RunFacts, Scope};
use crate::language::{Field, FieldValue, Fields, Kind, Refusal, Reporter, Section, Text};
use crate::protocol::{Driver, Identity, Misfit, Pattern, Rendering, template};
use crate::scenario::credential::{self, Credentials, Part, Sheet, Source};
use crate::scenario::model::Fleet;
use crate::seed::Seed;

pub(super) static AUTH: Section = Section {
    title: "auth = { … }",
    about: "what its devices prove by who they are; certificates stand under `tls`",
    by: None,
    fields: &[
        Field::optional(
            "bearer",
            Kind::Short(&SECRET),
            "a token: as bearer over http and ws, over mqtt as the password of a user named as the device",
        ),
        Field::optional(
            "username",
            Kind::Text,
            "user name, of basic authentication over http and ws; may name the device",
        ),
        Field::optional("password", Kind::Short(&SECRET), "its password"),
        Field::with(
            "headers",
            Kind::Map(&Kind::Short(&SECRET), "name"),
            "",
            "http and ws only: secret header fields, such as X-Api-Key",
        ),
    ],
};

pub(super) static SECRET: Section = Section {
    title: "bearer = { … }",
    about: "a secret: as a bare text, or in a file; none is shown, stored, or part of the plan's digest",
    by: None,
    fields: &[
        Field::optional(
            "value",
            Kind::Text,
            "the secret; may name the device; ${NAME} takes it from the environment",
        ),
        Field::optional(
            "file",
            Kind::Text,
            "a file that holds it alone, from the directory of the scenario; {{device}}, {{fleet}} and {{index}} may be part of the path",
        ),
    ],
};

/// A fleet whose credentials are read: its name, and how many devices it has.
type Members<'f> = (&'f str, u32);

/// What the devices of a fleet show, its files read; `None` where nothing is said. Of what shapes the traffic `canonical` is told.
pub(super) fn credentials(
    fields: &Fields,
    driver: &dyn Driver,
    members: Members<'_>,
    canonical: &mut String,
    report: &mut Reporter<'_>,
) -> Option<Arc<Credentials>> {
    let mut found = Credentials::default();
    let auth = fields.table("auth");
    if let Some(auth) = &auth {
        stated(auth, members, &mut found, report);
    }
    if let Some(path) = fields.text("credentials") {
        let judge = |name: &str, cells: &[(&Part, &str)]| {
            let cells = cells.iter().map(|(part, cell)| (*part, (*cell).to_owned()));
            let shown = credential::credential(cells);
            driver.present(&shown, &mut Identity::of(name))
        };
        match Sheet::read(&report.context().directory, &path, members, &judge) {
            Ok((parts, sheet)) => {
                let sheet = Arc::new(sheet);
                for (column, part) in parts.into_iter().enumerate() {
                    if found.has(&part) {
                        let message = format!("the file has {}, which `auth` states, too", part.title());
                        fields.refuse("credentials", report, message, "keep one of the two");
                    }
                    found.0.push((part, Source::Column(Arc::clone(&sheet), column)));
                }
            }
            Err(refusals) => {
                for (message, help) in refusals {
                    fields.refuse("credentials", report, message, help);
                }
                // What the file lacks, it may lack for that reason.
                return None;
            }
        }
    }
    let key = if auth.is_some() { "auth" } else { "credentials" };
    if let Some((message, help)) = objection(&found, auth.as_ref()) {
        fields.refuse(key, report, message, help);
    }
    if found.0.is_empty() {
        return None;
    }
    found.canonical(canonical);
    Some(Arc::new(found))
}

/// What the parts lack, or cannot be together.
fn objection(found: &Credentials, auth: Option<&Fields>) -> Option<(&'static str, &'static str)> {
    let login = found.has(&Part::Username) || found.has(&Part::Password);
    let is_bare = |auth: &Fields| AUTH.fields.iter().all(|field| auth.given(field.name).is_none());
    if auth.is_some_and(is_bare) {
        return Some(("states nothing", "write bearer, username and password, or headers"));
    }
    if login && found.has(&Part::Bearer) {
        let message = "states a token and a user name or password, and a device shows one or the other";
        return Some((message, "take one of the two out"));
    }
    (found.has(&Part::Password) && !found.has(&Part::Username))
        .then_some(("states a password and no user name", "add `username`"))
}

/// What `auth` itself says.
fn stated(auth: &Fields, members: Members<'_>, found: &mut Credentials, report: &mut Reporter<'_>) {
    for (key, part) in [("bearer", Part::Bearer), ("password", Part::Password)] {
        if let Some(secret) = auth.table(key) {
            found.0.extend(source(&secret, members, report).map(|source| (part, source)));
        }
    }
    if let Some(name) = auth.text("username") {
        match template(&name, &[], Scope::Device) {
            Ok(template) => {
                found.0.push((Part::Username, Source::Pattern(Pattern { template, written: name })));
            }
            Err((message, help)) => auth.refuse("username", report, message, help),
        }
    }
    for (name, _, value) in auth.map("headers") {
        let FieldValue::Table(secret) = value else { continue };
        let part = Part::Header(name.to_owned());
        found.0.extend(source(secret, members, report).map(|source| (part, source)));
    }
}

/// Where a secret comes from, files read.
fn source(secret: &Fields, members: Members<'_>, report: &mut Reporter<'_>) -> Option<Source> {
    match (secret.text("value"), secret.text("file")) {
        (Some(written), None) => match template(&written, &[], Scope::Device) {
            Ok(template) => {
                report.context().conceal(written.written());
                Some(Source::Pattern(Pattern { template, written }))
            }
            Err((message, help)) => {
                secret.refuse("value", report, message, help);
                None
            }
        },
        (None, Some(path)) => {
            let read = in_files(&path, members, report);
            read.map_err(|(message, help)| secret.refuse("file", report, message, help)).ok()
        }
        // A value at fault is reported.
        (None, None) if secret.given("value").is_some() || secret.given("file").is_some() => None,
        (None, None) => {
            secret.refuse("value", report, "is missing", "write a text, or { file = \"…\" }");
            None
        }
        (Some(_), Some(_)) => {
            secret.refuse("file", report, "stands beside a `value`", "keep one of the two");
            None
        }
    }
}

/// The secret of all devices, or of each, in files.
fn in_files(path: &Text, (fleet, devices): Members<'_>, report: &Reporter<'_>) -> Result<Source, Refusal> {
    let template = template(path, &[], Scope::Device)?;
    if template.names_run() {
        return Err(("a file cannot be named by the run".into(), "take {{run}} out".into()));
    }
    let directory = &report.context().directory;
    if template.is_text() {
        let secret = credential::secret(directory, path.value())?;
        report.context().keep_to_itself(secret.reveal());
        return Ok(Source::Text(secret));
    }
    let mut sheet = Sheet::new(devices, 1);
    for index in 0..devices {
        let secret = credential::secret(directory, &template.for_device(fleet, index))?;
        sheet.push(index, std::iter::once(secret.reveal()));
    }
    Ok(Source::Column(Arc::new(sheet), 0))
}

/// Reports what the fleet's protocol cannot carry of its credentials. What stands in files by device was judged when they were read.
pub(super) fn presented(fleet: &Fleet, fields: &Fields, report: &mut Reporter<'_>) {
    if fleet.credentials.is_none() {
        return;
    }
    let format = &fleet.device_model.payload.format;
    for index in [0, fleet.devices.saturating_sub(1)] {
        let device = Device::new(&fleet.device_model, index, Tick::ZERO, Seed(0));
        let rendering = Rendering { device: &device, format, run: RunFacts::default() };
        if let (_, Some(misfit)) = fleet.presented(&rendering) {
            return refuse(fields, &misfit, report);
        }
    }
}

/// Reports a misfit at its key under `auth`, or else at the file.
fn refuse(fields: &Fields, misfit: &Misfit, report: &mut Reporter<'_>) {
    let Misfit { key, subject, fault, help } = *misfit;
    let message = format!("{subject} {fault}");
    match fields.table("auth") {
        Some(auth) if auth.given(key).is_some() => auth.refuse(key, report, message, help),
        Some(_) => fields.refuse("auth", report, message, help),
        None => fields.refuse("credentials", report, message, help),
    }
}

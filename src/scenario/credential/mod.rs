//! What the devices of a fleet prove by who they are: stated once, by a template, or for each in a file.

mod sheet;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub(super) use self::sheet::Sheet;
use crate::language::{Refusal, quote};
use crate::protocol::{Credential, Login, Pattern, Rendering};
use crate::units::Secret;

/// Largest file that holds one secret, bytes.
const LARGEST: u64 = 64 << 10;

/// A part of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Bearer,
    Username,
    Password,
    /// The header field of this name.
    Header(String),
}

impl Part {
    /// As messages call it.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Bearer => "a token".to_owned(),
            Self::Username => "a user name".to_owned(),
            Self::Password => "a password".to_owned(),
            Self::Header(name) => format!("the header field {}", quote(name)),
        }
    }
}

/// Where a part comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// What the scenario says, which may name the device.
    Pattern(Pattern),
    /// What a file says, as it stands there.
    Text(Secret),
    /// A column of what was read for each device.
    Column(Arc<Sheet>, usize),
}

/// The credentials of a fleet, of no part more than one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials(pub(super) Vec<(Part, Source)>);

impl Credentials {
    /// What the device that `rendering` is for shows.
    pub(crate) fn of(&self, rendering: &Rendering<'_>) -> Credential {
        let texts = self.0.iter().filter_map(|(part, source)| {
            let text = match source {
                Source::Pattern(pattern) => rendering.of(pattern),
                Source::Text(secret) => secret.reveal().to_owned(),
                Source::Column(sheet, column) => sheet.cell(rendering.device.index(), *column)?.to_owned(),
            };
            Some((part, text))
        });
        credential(texts)
    }

    /// What they are to the digest of a plan: of which kinds, and no word of them.
    pub(super) fn canonical(&self, out: &mut String) {
        let mut kinds: Vec<String> = self.0.iter().map(|(part, _)| format!("{part:?}")).collect();
        kinds.sort_unstable();
        out.push_str("fleet.auth=");
        out.push_str(&kinds.join(" "));
        out.push('\n');
    }

    /// Whether it has `part`.
    pub(super) fn has(&self, part: &Part) -> bool {
        self.0.iter().any(|(own, _)| own == part)
    }
}

/// The credential made of these parts.
pub(super) fn credential<'p>(parts: impl Iterator<Item = (&'p Part, String)>) -> Credential {
    let mut made = Credential::default();
    let (mut user, mut password) = (None, None);
    for (part, text) in parts {
        match part {
            Part::Bearer => made.bearer = Some(Secret::new(text)),
            Part::Username => user = Some(text),
            Part::Password => password = Some(Secret::new(text)),
            Part::Header(name) => made.headers.push((name.clone(), Secret::new(text))),
        }
    }
    made.login = user.map(|user| Login { user, password });
    made
}

/// The secret in the file `path`, without the line end that editors leave behind it.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(super) fn secret(directory: &Path, path: &str) -> Result<Secret, Refusal> {
    let full = directory.join(path);
    let shown = quote(&full.display().to_string());
    let unreadable = |error: &io::Error| {
        let message = format!("cannot read {shown}: {}", super::load::plain(error));
        (
            message,
            "give the path of a file that holds the secret alone, from the directory of the scenario".into(),
        )
    };
    let mut bytes = Vec::new();
    let read = File::open(&full).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(&io::Error::other("it is larger than 64 KiB")));
    }
    // What is not text is not repeated: it may be a secret all the same.
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&io::Error::other("it is not UTF-8")))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(unreadable(&io::Error::other("it is empty")));
    }
    Ok(Secret::new(text))
}

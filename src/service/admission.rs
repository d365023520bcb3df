//! Who may send, and how much.

use std::path::PathBuf;

use super::token::{self, JWT, Jwt, TOKEN, Token};
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::Rate;
use crate::units::word::words;

/// A quota: a sustained rate, and how much may come at once on top of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Readings per second, above 0.
    pub rate: Rate,
    /// Readings that may come at once, at least 1.
    pub burst: u32,
}

words! {
    /// What becomes of whoever shows no token, where tokens are asked for.
    AnonymousPolicy {
        /// It is turned away: 401 over HTTP and WebSocket, not authorised over MQTT.
        Refuse = "refuse",
        /// It may publish and read.
        Admit = "admit",
        /// The same, with a quota of its own.
        Limit = "limit",
    }
}

words! {
    /// What an MQTT publisher hears of a reading that was not taken.
    RefusalNotice {
        /// PUBACK, and a `shed` message in place of the verdict.
        Verdict = "verdict",
        /// PUBACK and nothing else: the loss shows only as a missing verdict.
        Silence = "silence",
        /// No PUBACK either, as some brokers do.
        Withhold = "withhold",
    }
}

/// Who may send, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Quota of each device.
    pub device: Option<Quota>,
    /// Quota of all devices together.
    pub total: Option<Quota>,
    /// Quota of each token; whoever shows none counts as one more.
    pub per_token: Option<Quota>,
    /// Quota of each connection.
    pub per_connection: Option<Quota>,
    /// Quota of each address that readings come from.
    pub per_address: Option<Quota>,
    /// Plain tokens. Where there are none, and no keys of signed ones, nobody needs one.
    pub tokens: Vec<Token>,
    /// A file of further ones.
    pub tokens_file: Option<PathBuf>,
    /// Keys of signed tokens.
    pub jwt: Jwt,
    /// What becomes of senders without a token, where tokens are asked for.
    pub anonymous: AnonymousPolicy,
    /// Quota of each device whose sender has no token, where they are limited.
    pub anonymous_device: Option<Quota>,
    /// Whether quotas hold over all instances of a cluster together, but for those of connections.
    pub shared: bool,
    /// What MQTT publishers hear of refusals.
    pub mqtt: RefusalNotice,
}

pub(crate) static ADMISSION: Section = Section {
    title: "admission = { … }",
    about: "who may send, and how much; what is refused is shed with 429 or its like",
    by: None,
    fields: &[
        Field::optional("device", Kind::Short(&QUOTA), "quota of each device"),
        Field::optional("total", Kind::Short(&QUOTA), "quota of all devices together"),
        Field::optional(
            "per_token",
            Kind::Short(&QUOTA),
            "quota of each token, by its name, whatever devices it speaks for; senders without one share one more",
        ),
        Field::optional(
            "per_connection",
            Kind::Short(&QUOTA),
            "quota of each connection, whatever devices speak over it",
        ),
        Field::optional(
            "per_address",
            Kind::Short(&QUOTA),
            "quota of each address that readings come from, of IPv6 of the first 64 bits",
        ),
        Field::optional(
            "tokens",
            Kind::List(&Kind::Short(&TOKEN)),
            "tokens, shown as bearer or password over HTTP and WebSocket, as password over MQTT; wrong ones are always refused",
        ),
        Field::optional(
            "tokens_file",
            Kind::Text,
            "CSV file of further ones: token, and where stated rights (separated by spaces) and device",
        ),
        Field::optional("jwt", Kind::Table(&JWT), JWT.about),
        Field::with(
            "anonymous",
            Kind::Word(AnonymousPolicy::WORDS),
            "refuse",
            "what becomes of whoever shows no token, where there are some: admit and limit let it publish and read",
        ),
        Field::optional(
            "anonymous_device",
            Kind::Short(&QUOTA),
            "quota of each device of senders without a token",
        ),
        Field::with(
            "shared",
            Kind::Flag,
            "false",
            "quotas hold over all instances of the cluster together, counted in Redis; while that is away each instance has its \
             part of them",
        ),
        Field::with(
            "mqtt",
            Kind::Word(RefusalNotice::WORDS),
            "verdict",
            "what publishers hear of a refusal: a message, only the acknowledgement, or not even that",
        ),
    ],
};

pub(crate) static QUOTA: Section = Section {
    title: "device = { … }",
    about: "a quota; a bare rate has a burst of 1",
    by: None,
    fields: &[
        Field::required("rate", Kind::Rate(0.001, 1e9), "readings per second"),
        Field::with("burst", Kind::Integer(1, 1_000_000_000), "1", "readings that may come at once"),
    ],
};

impl Default for Admission {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&ADMISSION), &mut Reporter::new(""))
    }
}

impl Admission {
    /// Whether anybody is asked for a token.
    pub const fn asks(&self) -> bool {
        !self.tokens.is_empty() || self.tokens_file.is_some() || self.jwt.is_on()
    }

    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let quota = |key| {
            fields
                .table(key)
                .map(|quota| Quota { rate: quota.rate("rate"), burst: quota.integer("burst") as u32 })
        };
        let tokens = token::tokens(fields, report);
        let directory = report.context().directory.clone();
        let tokens_file = fields.text("tokens_file").map(|path| directory.join(path.value()));
        let jwt = token::jwt(fields, report);
        let anonymous = fields.choice("anonymous");
        let open = ["tokens", "tokens_file", "jwt"].iter().all(|key| fields.given(key).is_none());
        for (key, message) in [
            ("anonymous", "nobody is anonymous where there are no tokens"),
            ("per_token", "nobody shows a token where there are none"),
        ] {
            if open && fields.given(key).is_some() {
                fields.refuse(key, report, message, "add `tokens`, or take this line out");
            }
        }
        Self {
            device: quota("device"),
            total: quota("total"),
            per_token: quota("per_token"),
            per_connection: quota("per_connection"),
            per_address: quota("per_address"),
            tokens,
            tokens_file,
            jwt,
            anonymous,
            anonymous_device: quota("anonymous_device"),
            shared: fields.flag("shared"),
            mqtt: fields.choice("mqtt"),
        }
    }
}

//! `[target]`: where readings go.

use std::sync::LazyLock;

use super::tls::TLS;

use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::protocol::protocols;
use crate::scenario::model::Target;
use crate::units::Secret;

pub(super) static TARGET: LazyLock<Section> = LazyLock::new(|| Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system, if that speaks it",
    by: None,
    fields: protocols()
        .map(|facts| Field::optional(facts.word(), Kind::Address(&facts.target), facts.target_about))
        .chain([Field::optional("tls", Kind::Table(&TLS), TLS.about), CONTROL_TOKEN])
        .collect::<Vec<_>>()
        .leak(),
});

/// What the service's control is shown.
const CONTROL_TOKEN: Field = Field::optional(
    "control_token",
    Kind::Text,
    "the token that is shown where service faults are ordered, as bearer; ${NAME} takes it from the environment",
);

pub(super) fn control_token(fields: &Fields, report: &Reporter<'_>) -> Option<Secret> {
    let token = fields.text("control_token")?;
    report.context().conceal(token.written());
    Some(Secret::new(token.value()))
}

pub(super) fn target(fields: &Fields) -> Target {
    let stated = protocols().filter_map(|facts| Some((facts.protocol, fields.text(facts.protocol.name())?)));
    Target(stated.collect())
}

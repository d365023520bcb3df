//! `tcp` of a fleet: where its messages begin and end, and how replies name their readings.

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, correlation};
use super::super::{Correlation, Identity, OwnSettings, Settings};
use super::framing::Framing;
use crate::fleet::Format;
use crate::language::{Field, Kind, Reporter, Section};

pub(super) static TCP: Section = Section {
    title: "tcp = { … }",
    about: "tcp only: where messages begin and end, and how replies name their readings",
    by: Some("framing"),
    fields: &[
        Field::with(
            "framing",
            Kind::Word(&["line", "length"]),
            "line",
            "line: each message, of the service too, ends with a line feed; length: each follows its length in bytes, 4 of them, \
             big-endian. A reply has at most 256 KiB",
        ),
        Field::with(
            "line_end",
            Kind::Word(&["lf", "crlf"]),
            "lf",
            "what ends a line: LF, or CR LF as in NMEA 0183; of the service either is understood",
        )
        .only(&["line"]),
        Field::optional(
            "correlate",
            Kind::Text,
            "close = \"reply\" only, and required there: a JSON pointer to the sequence number in the reply (/id), or order",
        ),
    ],
};

/// Settings of a TCP fleet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TcpExchange {
    framing: Framing,
    /// How a reply names its reading, for `close = "reply"`.
    correlation: Correlation,
}

pub(super) fn tcp(stated: &Stated<'_>, report: &mut Reporter<'_>) -> TcpExchange {
    let fields = stated.own;
    let framing = match fields.word("framing") {
        Some("length") => Framing::Length,
        _ => Framing::Line { crlf: fields.word("line_end") == Some("crlf") },
    };
    let unfit = match stated.format {
        _ if framing == Framing::Length => None,
        Format::Json => None,
        Format::Cbor | Format::Binary => Some((
            "a line ends at a line feed, and a payload in cbor or binary may have one anywhere",
            "write framing = \"length\", or payload = { format = \"json\" }",
        )),
        Format::Template(template) => template.text().contains('\n').then_some((
            "a line ends at a line feed, and the template of the payload has one",
            "take it out, since squall ends every line itself, or write framing = \"length\"",
        )),
    };
    if let Some((message, help)) = unfit {
        fields.refuse("framing", report, message, help);
    }
    TcpExchange { framing, correlation: correlation(fields, stated.reply, report) }
}

impl Exchange for TcpExchange {
    fn settings(&self, usual: Settings) -> Settings {
        let own = OwnSettings::of(self.framing);
        Settings { correlation: self.correlation.clone(), own, ..usual }
    }

    fn identity(&self, _: &Rendering<'_>, usual: Identity) -> Identity {
        usual
    }

    fn place(&self) -> Option<&Pattern> {
        None
    }

    fn framing(&self, _: usize) -> usize {
        self.framing.overhead()
    }
}

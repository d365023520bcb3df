//! Encodings of a reading. They append to a buffer the caller reuses and allocate nothing else.

use std::sync::Arc;

use super::clock::Clock;
use super::device::{DeviceModel, Reading, RunFacts};
use super::size::SizeDistribution;
use super::template::Template;
use crate::record::{RunToken, TraceContext, Traced};
use crate::seed::Stream;

/// How readings are written down.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Payload {
    /// The encoding.
    pub format: Format,
    /// The size of the whole, by padding; `None` leaves it as it is.
    pub size: Option<SizeDistribution>,
    /// Whether the built-in encodings name the run.
    pub run: bool,
    /// Whether JSON and CBOR say which seeded anomaly shows.
    pub truth: bool,
    /// The schema of JSON and CBOR where it is not the first, which is not named.
    pub schema: Option<u8>,
}

/// An encoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// One JSON object: `{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}`, a key per channel,
    /// values rounded to four decimals; `run` after `device` where the run is named; `device_ns` after `intended_ns` where
    /// clocks are wrong; behind these the trace context where readings hold one, and the `truth` where they tell it: the number of
    /// the anomaly within the device, 0 for none; `pad` at the end to reach a size. From schema 2 on `schema` comes first, `class` with the
    /// fleet's name follows `device`, and `intended_ns` is called `taken_ns`.
    #[default]
    Json,
    /// The same keys as a CBOR map (RFC 8949) of definite length, shortest integers, values as 64-bit floats.
    Cbor,
    /// Layout 1: the byte 1; the length of the device's name in one byte and the name; the sequence number and
    /// `intended_ns` as 64-bit integers; the number of channels in one byte and their values as 64-bit floats, all
    /// big-endian; then zero bytes to reach a size. Layout 2, where the run is named: the byte 2, the 8 characters of its token, and
    /// the rest as in layout 1.
    Binary,
    /// A text of the author's own.
    Template(Arc<Template>),
}

impl Payload {
    /// Whether readings name the run.
    pub fn names_run(&self) -> bool {
        match &self.format {
            Format::Template(template) => template.names_run(),
            Format::Json | Format::Cbor | Format::Binary => self.run,
        }
    }

    /// Whether encoding needs a random stream.
    pub(super) fn draws(&self) -> bool {
        let random = matches!(&self.format, Format::Template(template) if template.draws());
        random || !matches!(self.size, None | Some(SizeDistribution::Fixed(_)))
    }
}

/// What a payload or template is rendered from: a device, and one reading of it.
#[derive(Debug)]
pub(super) struct RenderContext<'a> {
    pub(super) model: &'a DeviceModel,
    pub(super) id: &'a str,
    pub(super) index: u32,
    pub(super) reading: Option<&'a Reading>,
    /// The device's own clock, and how far it is ahead beside that, nanoseconds.
    pub(super) clock: Clock,
    pub(super) skew_ns: i64,
    pub(super) run: RunFacts,
    /// What its device speaks when the reading is due.
    pub(super) schema: Option<u8>,
    pub(super) stream: Option<&'a Stream>,
}

impl RenderContext<'_> {
    /// What the device's own clock shows when the reading is due, nanoseconds; 0 without one.
    pub(super) fn device_ns(&self) -> i64 {
        self.reading.map_or(0, |reading| self.clock.reads(reading.intended).saturating_add(self.skew_ns))
    }

    /// The token to be named by a built-in encoding.
    fn named(&self) -> Option<RunToken> {
        self.run.token.filter(|_| self.model.payload.run)
    }

    /// The key and the trace context that a built-in encoding is to hold.
    fn traced(&self) -> Option<(&str, TraceContext)> {
        let field = self.model.trace.as_ref()?.field.as_deref()?;
        self.run.token.and(self.trace()).map(|trace| (field, trace))
    }

    /// What a built-in encoding is to say of the anomaly that shows in `reading`.
    fn truth(&self, reading: &Reading) -> Option<u64> {
        let shown = reading.mark.map_or(0, |mark| u64::from(mark.episode));
        self.model.payload.truth.then_some(shown)
    }

    /// The key under which its schema has when a reading was due.
    const fn time_key(&self) -> &'static str {
        if self.schema.is_some() { "taken_ns" } else { "intended_ns" }
    }

    /// What the reading is known by in the traces of the service.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let (tracing, reading) = (self.model.trace.as_ref()?, self.reading?);
        let token = self.run.token.unwrap_or(RunToken::UNSET);
        Some(TraceContext::of(token, self.id, Traced::Reading(reading.seq), tracing.share))
    }

    /// The stream of this reading, from its beginning.
    pub(super) fn draws(&self) -> Option<Stream> {
        let mut stream = self.stream?.clone();
        stream.set_stream(self.reading.map_or(0, |reading| reading.seq));
        Some(stream)
    }
}

/// Appends `reading` as the fleet's payload says.
pub(super) fn encode(context: &RenderContext<'_>, reading: &Reading, out: &mut Vec<u8>) {
    let payload = &context.model.payload;
    let mut stream = if context.stream.is_some() { context.draws() } else { None };
    let size = payload.size.as_ref().map(|distribution| match (distribution, &mut stream) {
        (SizeDistribution::Fixed(size), _) => *size as usize,
        (distribution, Some(stream)) => distribution.draw(stream),
        (distribution, None) => distribution.most() as usize,
    });
    let begin = out.len();
    match &payload.format {
        Format::Json => json(context, reading, size, out),
        Format::Cbor => cbor(context, reading, size, out),
        Format::Binary => binary(context, reading, out),
        Format::Template(template) => return template.render(context, size.zip(stream), out),
    }
    if let (Format::Binary, Some(size)) = (&payload.format, size) {
        out.resize(out.len().max(begin + size), 0);
    }
}

/// Names consist of characters that JSON takes as they are; scenarios allow no others.
fn json(context: &RenderContext<'_>, reading: &Reading, size: Option<usize>, out: &mut Vec<u8>) {
    const OVERHEAD: usize = b",\"pad\":\"\"".len();
    let begin = out.len();
    out.push(b'{');
    if let Some(schema) = context.schema {
        out.extend_from_slice(b"\"schema\":");
        integer(schema.into(), out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"device\":\"");
    out.extend_from_slice(context.id.as_bytes());
    if context.schema.is_some() {
        out.extend_from_slice(b"\",\"class\":\"");
        out.extend_from_slice(context.model.fleet.as_bytes());
    }
    if let Some(token) = context.named() {
        out.extend_from_slice(b"\",\"run\":\"");
        out.extend_from_slice(&token.bytes());
    }
    out.extend_from_slice(b"\",\"seq\":");
    integer(reading.seq, out);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(context.time_key().as_bytes());
    out.extend_from_slice(b"\":");
    integer(reading.intended.0, out);
    if !context.model.clock.is_right() {
        out.extend_from_slice(b",\"device_ns\":");
        signed(context.device_ns(), out);
    }
    if let Some((field, trace)) = context.traced() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(b"\":\"");
        out.extend_from_slice(&trace.bytes());
        out.push(b'"');
    }
    if let Some(truth) = context.truth(reading) {
        out.extend_from_slice(b",\"truth\":");
        integer(truth, out);
    }
    for (channel, value) in context.model.channels.iter().zip(reading.values.as_slice()) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(channel.name.as_bytes());
        out.extend_from_slice(b"\":");
        decimal(*value, out);
    }
    let missing = size.unwrap_or(0).saturating_sub(out.len() + 1 - begin);
    if missing >= OVERHEAD {
        out.extend_from_slice(b",\"pad\":\"");
        out.resize(out.len() + missing - OVERHEAD, b'x');
        out.push(b'"');
    }
    out.push(b'}');
}

fn cbor(context: &RenderContext<'_>, reading: &Reading, size: Option<usize>, out: &mut Vec<u8>) {
    const UNSIGNED: u8 = 0;
    const NEGATIVE: u8 = 1 << 5;
    let begin = out.len();
    let skewed = !context.model.clock.is_right();
    let (named, traced) = (context.named(), context.traced());
    let truth = context.truth(reading);
    let optional = [skewed, named.is_some(), traced.is_some(), truth.is_some()];
    let optional =
        optional.map(usize::from).iter().sum::<usize>() + 2 * usize::from(context.schema.is_some());
    let entries = 3 + optional + context.model.channels.len();
    head(MAP, entries as u64, out);
    if let Some(schema) = context.schema {
        text("schema", out);
        head(UNSIGNED, schema.into(), out);
    }
    text("device", out);
    text(context.id, out);
    if context.schema.is_some() {
        text("class", out);
        text(&context.model.fleet, out);
    }
    if let Some(token) = named {
        text("run", out);
        head(TEXT, RunToken::LENGTH as u64, out);
        out.extend_from_slice(&token.bytes());
    }
    text("seq", out);
    head(UNSIGNED, reading.seq, out);
    text(context.time_key(), out);
    head(UNSIGNED, reading.intended.0, out);
    if skewed {
        text("device_ns", out);
        let device_ns = context.device_ns();
        match u64::try_from(device_ns) {
            Ok(ahead) => head(UNSIGNED, ahead, out),
            Err(_) => head(NEGATIVE, device_ns.unsigned_abs() - 1, out),
        }
    }
    if let Some((field, trace)) = traced {
        text(field, out);
        head(TEXT, TraceContext::LENGTH as u64, out);
        out.extend_from_slice(&trace.bytes());
    }
    if let Some(truth) = truth {
        text("truth", out);
        head(UNSIGNED, truth, out);
    }
    for (channel, value) in context.model.channels.iter().zip(reading.values.as_slice()) {
        text(&channel.name, out);
        out.push(0xfb);
        out.extend_from_slice(&value.to_be_bytes());
    }
    pad(entries, begin, size, out);
}

/// Fills a map of so many entries that begins at `begin` up with one more, where it is to be larger.
fn pad(entries: usize, begin: usize, size: Option<usize>, out: &mut Vec<u8>) {
    // With one entry more the head of this one takes two bytes.
    const ONE_BYTE: usize = 23;
    let grows = entries == ONE_BYTE;
    // The key takes 4 bytes, the head of the text 1 to 5 by its length.
    let missing = size.unwrap_or(0).saturating_sub(out.len() - begin + usize::from(grows));
    let length = match missing {
        0..5 => return,
        5..29 => missing - 5,
        29..262 => missing - 6,
        262..65_543 => missing - 7,
        _ => missing - 9,
    };
    if grows {
        out.splice(begin..=begin, [MAP | 0x18, ONE_BYTE as u8]);
    }
    let count = if entries < ONE_BYTE { begin } else { begin + 1 };
    if let Some(count) = out.get_mut(count) {
        *count += 1;
    }
    text("pad", out);
    head(TEXT, length as u64, out);
    out.resize(out.len() + length, b'x');
}

const TEXT: u8 = 3 << 5;
const MAP: u8 = 5 << 5;

/// A major type with its argument in the shortest form (RFC 8949 §3).
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let (info, tail): (u8, &[u8]) = match argument {
        0..24 => (argument as u8, &[]),
        24..0x100 => (24, &bytes[7..]),
        0x100..0x1_0000 => (25, &bytes[6..]),
        0x1_0000..0x1_0000_0000 => (26, &bytes[4..]),
        _ => (27, &bytes),
    };
    out.push(major | info);
    out.extend_from_slice(tail);
}

fn text(text: &str, out: &mut Vec<u8>) {
    head(TEXT, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn binary(context: &RenderContext<'_>, reading: &Reading, out: &mut Vec<u8>) {
    // Names of fleets have 64 bytes at most, so a device's fits into 255.
    match context.named() {
        None => out.push(1),
        Some(token) => {
            out.push(2);
            out.extend_from_slice(&token.bytes());
        }
    }
    out.push(context.id.len() as u8);
    out.extend_from_slice(context.id.as_bytes());
    out.extend_from_slice(&reading.seq.to_be_bytes());
    out.extend_from_slice(&reading.intended.0.to_be_bytes());
    let values = reading.values.as_slice();
    out.push(values.len() as u8);
    for value in values {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    integer(value.unsigned_abs(), out);
}

pub(super) fn integer(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// At most four decimals, without trailing zeros. Formatting by hand is a fifth of the cost of `{}` on a float,
/// and the same on every machine. Values beyond ±9 × 10¹⁴ stop there; signals are bounded far below.
pub(super) fn decimal(value: f64, out: &mut Vec<u8>) {
    let scaled = (value * 1e4).round() as i64;
    if scaled < 0 {
        out.push(b'-');
    }
    let scaled = scaled.unsigned_abs();
    integer(scaled / 10_000, out);
    let mut fraction = scaled % 10_000;
    if fraction == 0 {
        return;
    }
    let mut digits = *b".0000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
    out.extend_from_slice(&digits[..end]);
}

#[cfg(test)]
mod tests;

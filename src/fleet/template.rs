//! Templates: texts with placeholders, for payloads, topics, paths and headers of any service.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use rand::RngExt;

use super::payload::{RenderContext, decimal, integer, signed};
use crate::record::{RunToken, TraceContext};
use crate::seed::Stream;
use crate::units::is_steering;

/// Longest text that a random field may make.
const LONGEST: u32 = 65_536;

/// What a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The device alone: what is said once per connection.
    Device,
    /// The reading too.
    Reading,
}

/// A text with placeholders; an empty one unless read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    text: Box<str>,
    parts: Box<[TemplatePart]>,
}

#[derive(Debug, Clone, PartialEq)]
enum TemplatePart {
    Text(Box<str>),
    Device,
    Fleet,
    Index,
    Run,
    Seq,
    IntendedNs,
    DeviceNs,
    /// Unix time by the device's clock, in units of so many nanoseconds.
    Unix(u64),
    Rfc3339,
    Traceparent,
    Value(usize),
    Int(i64, i64),
    Float(f64, f64),
    Hex(u32),
    Choice(Box<[Box<str>]>),
    Uuid,
    Pad,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct TemplateError {
    /// Where in the text, bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Placeholders of the device, then those of the reading.
const DEVICE: [&str; 4] = ["device", "fleet", "index", "run"];
const READING: [&str; 15] = [
    "seq",
    "intended_ns",
    "device_ns",
    "unix_s",
    "unix_ms",
    "unix_ns",
    "rfc3339",
    "traceparent",
    "value",
    "int",
    "float",
    "hex",
    "choice",
    "uuid",
    "pad",
];

impl Template {
    /// Reads `text`, in which `{{name}}` stands for what it names: `device`, `fleet`, `index` and `run`, the token of the run; of the reading `seq`,
    /// `intended_ns`, `device_ns`, `unix_s`, `unix_ms`, `unix_ns`, `rfc3339`, `traceparent`, `value` (the first channel) and every channel by
    /// its name; drawn by the seed `int LEAST MOST`, `float LEAST MOST`, `hex DIGITS`, `choice a|b|c`, `uuid`; and `pad`, which
    /// fills up to the payload's size. `{{{{` stands for `{{`.
    ///
    /// # Errors
    /// Where a placeholder is not closed, not known, or not known in this `scope`.
    pub fn parse(text: &str, channels: &[&str], scope: Scope) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
        while let Some(found) = text[at..].find("{{") {
            let open = at + found;
            literal.push_str(&text[at..open]);
            if text[open + 2..].starts_with("{{") {
                literal.push_str("{{");
                at = open + 4;
                continue;
            }
            let Some(length) = text[open + 2..].find("}}") else {
                return Err(TemplateError {
                    at: open..text.len(),
                    message: "a placeholder is not closed".into(),
                    help: "write {{name}}, or {{{{ for the characters {{".into(),
                });
            };
            let close = open + 2 + length;
            let part = placeholder(text[open + 2..close].trim(), channels, scope)
                .map_err(|(message, help)| TemplateError { at: open..close + 2, message, help })?;
            if part == TemplatePart::Pad && parts.contains(&TemplatePart::Pad) {
                return Err(TemplateError {
                    at: open..close + 2,
                    message: "`pad` stands there twice".into(),
                    help: "keep one of them".into(),
                });
            }
            if !literal.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
            at = close + 2;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(literal.into()));
        }
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Templates of the device alone that show what it can come to: each of the words that it chooses from, the longest first,
    /// and a digit for whatever it counts or measures.
    pub(crate) fn specimens(&self) -> Vec<Self> {
        let words = |part: &TemplatePart| match part {
            TemplatePart::Choice(words) => words.len(),
            _ => 1,
        };
        let most = self.parts.iter().map(words).max().unwrap_or(1);
        let part = |part: &TemplatePart, nth: usize| match part {
            TemplatePart::Text(_) | TemplatePart::Device | TemplatePart::Fleet | TemplatePart::Index => {
                part.clone()
            }
            TemplatePart::Choice(words) => {
                let mut words: Vec<&Box<str>> = words.iter().collect();
                words.sort_by_key(|word| std::cmp::Reverse(word.len()));
                TemplatePart::Text(words[nth % words.len()].clone())
            }
            TemplatePart::Hex(digits) => TemplatePart::Text("0".repeat(*digits as usize).into()),
            TemplatePart::Uuid => TemplatePart::Text("0".repeat(36).into()),
            TemplatePart::Rfc3339 => TemplatePart::Text("0000-00-00T00:00:00.000Z".into()),
            TemplatePart::Traceparent => TemplatePart::Text("0".repeat(TraceContext::LENGTH).into()),
            TemplatePart::Pad => TemplatePart::Text("".into()),
            _ => TemplatePart::Text("0".into()),
        };
        let specimen = |nth| Self {
            text: self.text.clone(),
            parts: self.parts.iter().map(|found| part(found, nth)).collect(),
        };
        (0..most).map(specimen).collect()
    }

    /// Whether it names the reading.
    pub fn per_reading(&self) -> bool {
        self.parts.iter().any(|part| {
            !matches!(
                part,
                TemplatePart::Text(_)
                    | TemplatePart::Device
                    | TemplatePart::Fleet
                    | TemplatePart::Index
                    | TemplatePart::Run
            )
        })
    }

    /// Whether it names nothing.
    pub(crate) fn is_text(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, TemplatePart::Text(_)))
    }

    /// What it says of device number `index` of `fleet`, as far as names go: before there is a run or a reading.
    pub(crate) fn for_device(&self, fleet: &str, index: u32) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(words) => text.push_str(words),
                TemplatePart::Device => text.push_str(&super::device::name(fleet, index)),
                TemplatePart::Fleet => text.push_str(fleet),
                TemplatePart::Index => text.push_str(&index.to_string()),
                _ => {}
            }
        }
        text
    }

    /// Whether it names the run.
    pub fn names_run(&self) -> bool {
        self.parts.contains(&TemplatePart::Run)
    }

    /// Whether it names what readings are known by in the traces of the service.
    pub(crate) fn names_trace(&self) -> bool {
        self.parts.contains(&TemplatePart::Traceparent)
    }

    /// Whether it has random fields.
    pub(super) fn draws(&self) -> bool {
        self.parts.iter().any(|part| {
            matches!(
                part,
                TemplatePart::Int(..)
                    | TemplatePart::Float(..)
                    | TemplatePart::Hex(_)
                    | TemplatePart::Choice(_)
                    | TemplatePart::Uuid
            )
        })
    }

    /// Appends what it says. `sized` is the size to reach with `pad`, and the stream from which it was drawn.
    pub(super) fn render(
        &self,
        context: &RenderContext<'_>,
        sized: Option<(usize, Stream)>,
        out: &mut Vec<u8>,
    ) {
        let begin = out.len();
        let (size, mut stream) = match sized {
            Some((size, stream)) => (size, Some(stream)),
            None => match context.model.payload.size {
                Some(super::SizeDistribution::Fixed(size)) => (size as usize, context.draws()),
                _ => (0, context.draws()),
            },
        };
        let mut pad = None;
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                TemplatePart::Device => out.extend_from_slice(context.id.as_bytes()),
                TemplatePart::Fleet => out.extend_from_slice(context.model.fleet.as_bytes()),
                TemplatePart::Index => integer(u64::from(context.index), out),
                TemplatePart::Run => {
                    out.extend_from_slice(&context.run.token.unwrap_or(RunToken::UNSET).bytes());
                }
                TemplatePart::Pad => pad = Some(out.len()),
                of_reading => of_reading.write(context, stream.as_mut(), out),
            }
        }
        if let Some(at) = pad {
            let missing = size.saturating_sub(out.len() - begin);
            let end = out.len();
            out.resize(end + missing, b'x');
            // The tail behind the placeholder moves to the end.
            out.copy_within(at..end, at + missing);
            out[at..at + missing].fill(b'x');
        }
    }
}

impl TemplatePart {
    fn write(&self, context: &RenderContext<'_>, stream: Option<&mut Stream>, out: &mut Vec<u8>) {
        let Some(reading) = context.reading else { return };
        let unix_ns = || i128::from(context.run.epoch_ns) + i128::from(context.device_ns());
        match self {
            Self::Seq => integer(reading.seq, out),
            Self::IntendedNs => integer(reading.intended.0, out),
            Self::DeviceNs => signed(context.device_ns(), out),
            Self::Unix(unit) => {
                let units = unix_ns().div_euclid(i128::from(*unit));
                signed(i64::try_from(units).unwrap_or(i64::MAX), out);
            }
            Self::Rfc3339 => {
                let since = Duration::from_nanos(u64::try_from(unix_ns().max(0)).unwrap_or(u64::MAX));
                let stamp = humantime::format_rfc3339_millis(UNIX_EPOCH + since);
                out.extend_from_slice(stamp.to_string().as_bytes());
            }
            Self::Traceparent => {
                if let Some(trace) = context.trace() {
                    out.extend_from_slice(&trace.bytes());
                }
            }
            Self::Value(channel) => {
                decimal(reading.values.as_slice().get(*channel).copied().unwrap_or_default(), out);
            }
            random => {
                if let Some(stream) = stream {
                    random.draw(stream, out);
                }
            }
        }
    }

    fn draw(&self, stream: &mut Stream, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match self {
            Self::Int(least, most) => signed(stream.random_range(*least..=*most), out),
            Self::Float(least, most) => decimal(least + (most - least) * stream.random::<f64>(), out),
            Self::Hex(digits) => {
                out.extend((0..*digits).map(|_| HEX[stream.random_range(0..16_usize)]));
            }
            Self::Choice(words) => {
                let word = &words[stream.random_range(0..words.len())];
                out.extend_from_slice(word.as_bytes());
            }
            Self::Uuid => {
                // RFC 9562 §5.4: version 4, variant 10.
                let bits = stream.random::<u128>() & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
                for (nth, digit) in format!("{bits:032x}").bytes().enumerate() {
                    if matches!(nth, 8 | 12 | 16 | 20) {
                        out.push(b'-');
                    }
                    out.push(digit);
                }
            }
            _ => {}
        }
    }
}

type Refusal = (String, String);

fn placeholder(words: &str, channels: &[&str], scope: Scope) -> Result<TemplatePart, Refusal> {
    let (name, arguments) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    let arguments = arguments.trim();
    let part = match name {
        "device" => TemplatePart::Device,
        "fleet" => TemplatePart::Fleet,
        "index" => TemplatePart::Index,
        "run" => TemplatePart::Run,
        _ if scope == Scope::Device => return Err(unknown(name, channels, scope)),
        "seq" => TemplatePart::Seq,
        "intended_ns" => TemplatePart::IntendedNs,
        "device_ns" => TemplatePart::DeviceNs,
        "unix_s" => TemplatePart::Unix(1_000_000_000),
        "unix_ms" => TemplatePart::Unix(1_000_000),
        "unix_ns" => TemplatePart::Unix(1),
        "rfc3339" => TemplatePart::Rfc3339,
        "traceparent" => TemplatePart::Traceparent,
        "uuid" => TemplatePart::Uuid,
        "pad" => TemplatePart::Pad,
        "int" | "float" | "hex" | "choice" => return random(name, arguments),
        channel => match channels.iter().position(|known| *known == channel) {
            Some(at) => TemplatePart::Value(at),
            None if channel == "value" => TemplatePart::Value(0),
            None => return Err(unknown(name, channels, scope)),
        },
    };
    if arguments.is_empty() {
        return Ok(part);
    }
    Err((format!("`{name}` takes nothing behind it"), format!("write {{{{{name}}}}}")))
}

fn random(name: &str, arguments: &str) -> Result<TemplatePart, Refusal> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let refuse =
        |help: &str| Err((format!("`{name} {}` draws nothing", shown(arguments)), format!("write {help}")));
    match (name, words.as_slice()) {
        ("int", [least, most]) => match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if least <= most => Ok(TemplatePart::Int(least, most)),
            _ => refuse("whole numbers, the smaller first: {{int 1 6}}"),
        },
        ("float", [least, most]) => match (least.parse::<f64>(), most.parse::<f64>()) {
            (Ok(least), Ok(most)) if least <= most && least.abs() <= 1e12 && most.abs() <= 1e12 => {
                Ok(TemplatePart::Float(least, most))
            }
            _ => refuse("numbers, the smaller first: {{float 0 1}}"),
        },
        ("hex", [digits]) => match digits.parse() {
            Ok(digits) if (1..=LONGEST).contains(&digits) => Ok(TemplatePart::Hex(digits)),
            _ => refuse("a number of digits: {{hex 16}}"),
        },
        ("choice", [_, ..]) => {
            Ok(TemplatePart::Choice(arguments.split('|').map(|word| word.trim().into()).collect()))
        }
        ("int", _) => refuse("two whole numbers: {{int 1 6}}"),
        ("float", _) => refuse("two numbers: {{float 0 1}}"),
        ("hex", _) => refuse("a number of digits: {{hex 16}}"),
        _ => refuse("words to choose from: {{choice on|off}}"),
    }
}

fn unknown(name: &str, channels: &[&str], scope: Scope) -> Refusal {
    let message = format!("`{}` is not a valid placeholder here", shown(name));
    if scope == Scope::Device && READING.contains(&name) {
        let help = "this is said once per connection: write {{device}}, {{fleet}}, {{index}} or {{run}}";
        return (message, help.into());
    }
    let known: Vec<&str> = match scope {
        Scope::Device => DEVICE.to_vec(),
        Scope::Reading => DEVICE.iter().chain(&READING).chain(channels).copied().collect(),
    };
    let near = known.iter().filter(|known| strsim::osa_distance(name, known) <= 1 + known.len() / 4);
    let help = match near.min_by_key(|known| strsim::osa_distance(name, known)) {
        Some(meant) => format!("did you mean {{{{{meant}}}}}?"),
        None => format!("known here: {}", known.join(", ")),
    };
    (message, help)
}

/// A user's words, shortened and made harmless for repeating in a message.
fn shown(words: &str) -> String {
    words.chars().take(40).map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;

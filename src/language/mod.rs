//! The language of documents: fields, values, TOML with locations, and diagnostics. One table of fields gives the check, the
//! schema and the manual; what the tables say is the business of the rooms above.

mod address;
mod check;
mod context;
mod diagnostic;
mod document;
mod field;
mod manual;
mod refusal;
pub(crate) mod schema;
mod typography;
mod value;
mod veil;

pub(crate) use address::{AddressFault, AddressForm, Carried, without_login};
pub(crate) use check::{Fields, check, join};
pub(crate) use context::{Context, Environment};
pub(crate) use diagnostic::{Diagnostic, Diagnostics, Location, Origin, Reporter, guess, nearest};
pub(crate) use document::{Entry, Node, Table, Value, read, read_value};
pub(crate) use field::{Field, Kind, NUMBER, Section, alternatives, conjunction, listed};
pub(crate) use manual::{manual, manual_of};
pub(crate) use refusal::{Refusal, quote};
pub(crate) use value::{FieldValue, Text, harmless, is_name, unfit};
pub(crate) use veil::{is_secret_field, veiled};

#[cfg(test)]
pub(crate) use {field::Need, value::is_default};

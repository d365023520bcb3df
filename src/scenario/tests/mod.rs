//! Tests of the room as a whole.

mod broken;
mod example;
mod expansion;
mod reference;
mod table;

//! Tests of the room as a whole.

mod auth;
mod broken;
mod example;
mod expansion;
mod grammar;
mod reference;
mod scaling;
mod staircase;
mod table;
mod tls;

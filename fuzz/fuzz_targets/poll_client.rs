//! What a server answers to whoever polls it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| squall::protocol::fuzz::poll(data));

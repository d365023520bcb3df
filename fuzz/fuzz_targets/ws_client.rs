//! What a WebSocket service sends after the upgrade.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| squall::protocol::fuzz::ws(data));

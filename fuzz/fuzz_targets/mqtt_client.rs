//! What an MQTT broker sends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| squall::protocol::fuzz::mqtt(data));

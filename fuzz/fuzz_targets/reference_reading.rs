//! What a device sends to the bundled system.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| squall::reference::fuzz::reading(data));

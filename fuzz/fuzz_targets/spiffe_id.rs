#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::spiffe_id::check(bytes));

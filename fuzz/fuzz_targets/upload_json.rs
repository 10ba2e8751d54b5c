#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::upload_json::check(bytes));

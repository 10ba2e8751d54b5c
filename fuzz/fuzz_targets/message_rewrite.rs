#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::message_rewrite::check(bytes));

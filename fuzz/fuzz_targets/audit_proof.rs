#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::audit_proof::check(bytes));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::workload_api::check(bytes));

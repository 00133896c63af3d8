#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lacon_fuzz::bombs(data));

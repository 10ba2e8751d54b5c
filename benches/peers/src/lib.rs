//! Nothing but benches: `cargo bench --manifest-path benches/peers/Cargo.toml`.

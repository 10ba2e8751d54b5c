//! Writes the seeds of the fuzz targets: what our own generators make, and what is nearly that.
//!
//! `cargo run --package properties --example seeds` replaces what it wrote before in `fuzz/seeds`;
//! what is there beside that stays. Keys and signatures are new each time. No seed is a whole secret
//! by the patterns in `.ci/secrets`: tokens have their signatures cut, API keys come without their
//! beginning.
#![expect(
    clippy::indexing_slicing,
    reason = "a seed that cannot be made stops it"
)]

mod audit;
mod encrypt;
mod identity;
mod limits;
mod rules;
mod tokens;

use std::fs;
use std::path::Path;

use properties::TARGETS;

type Error = Box<dyn std::error::Error>;

/// Seeds under the names of their targets and their own.
#[derive(Default)]
struct Seeds(Vec<(&'static str, &'static str, Vec<u8>)>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) {
        self.0.push((target, name, bytes.into()));
    }

    fn add_all(&mut self, target: &'static str, seeds: &[(&'static str, &str)]) {
        for (name, text) in seeds {
            self.add(target, name, *text);
        }
    }
}

/// Bytes with their number in front.
fn piece(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_le_bytes()[..], bytes].concat()
}

fn main() -> Result<(), Error> {
    let mut seeds = Seeds::default();
    audit::add(&mut seeds)?;
    encrypt::add(&mut seeds)?;
    identity::add(&mut seeds)?;
    limits::add(&mut seeds);
    rules::add(&mut seeds)?;
    tokens::add(&mut seeds)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (target, name, bytes) in &seeds.0 {
        if !TARGETS.iter().any(|(known, _)| known == target) {
            return Err(format!("there is no target {target}").into());
        }
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
    }
    for (target, _) in TARGETS {
        if !folder.join(target).is_dir() {
            return Err(format!("{target} has no seed").into());
        }
    }
    Ok(())
}

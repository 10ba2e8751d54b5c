//! Holds every committed input to what its target promises, and the folders to each other.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use properties::TARGETS;
use properties::packed::unpack;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    let path = folder(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(of: &str) -> Vec<String> {
    let entries = fs::read_dir(folder(of)).unwrap_or_else(|error| panic!("{of}: {error}"));
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

/// What is committed for a target: the seeds as files, and what was found since in one text.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let seeds = fs::read_dir(folder(&format!("seeds/{target}")))
        .into_iter()
        .flatten();
    let mut inputs: Vec<_> = seeds
        .map(|seed| fs::read(seed.unwrap().path()).unwrap())
        .collect();
    let corpus = read(&format!("corpora/{target}.txt"));
    inputs.extend(unpack(&corpus).unwrap_or_else(|| panic!("corpora/{target}.txt is not packed")));
    inputs
}

#[test]
fn every_committed_input_keeps_what_its_target_promises() {
    let mut broken = Vec::new();
    for (target, check) in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{target} has no inputs");
        for input in inputs {
            if catch_unwind(|| check(&input)).is_err() {
                broken.push(format!("{target}: {}", input.escape_ascii()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_target_is_in_every_list_and_nothing_else_is() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(targets.is_sorted());
    for of in ["corpora", "fuzz_targets", "seeds"] {
        assert_eq!(names(of), targets, "fuzz/{of}");
    }
    let manifest = read("Cargo.toml");
    let bins: Vec<_> = manifest.split("[[bin]]\n").skip(1).collect();
    assert_eq!(bins.len(), targets.len(), "fuzz/Cargo.toml");
    let (readme, time) = (read("README.md"), read("TIME.md"));
    for target in targets {
        let bin = format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
        assert!(
            bins.iter().any(|it| it.starts_with(&bin)),
            "{target} is not in fuzz/Cargo.toml"
        );
        let call = format!("properties::{target}::check(bytes)");
        assert!(
            read(&format!("fuzz_targets/{target}.rs")).contains(&call),
            "{target}"
        );
        assert!(
            readme.contains(&format!("| `{target}` |")),
            "{target} is not in fuzz/README.md"
        );
        assert!(
            time.contains(&format!("| `{target}` |")),
            "{target} is not in fuzz/TIME.md"
        );
    }
}

#[test]
fn the_committed_inputs_stay_small() {
    let size = |of: &str| -> u64 {
        let mut sum = 0;
        let mut folders = vec![folder(of)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => sum += entry.metadata().unwrap().len(),
                }
            }
        }
        sum
    };
    assert!(size("seeds") <= 200 * 1024, "{}", size("seeds"));
    assert!(size("corpora") <= 1536 * 1024, "{}", size("corpora"));
}

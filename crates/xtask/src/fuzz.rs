//! Runs the fuzz targets, keeps account of their time, and minimises what they found.

mod ledger;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, bail};

use self::ledger::Ledger;
use crate::command::Command;

/// How long each target runs, in seconds, unless somebody says otherwise.
pub const SECONDS: u32 = 60;

/// Where what is found goes, below the root: it is large, and `--cmin` commits the best of it.
const WORK: &str = "target/deep/fuzz";

/// The account of the time.
const LEDGER: &str = "fuzz/TIME.md";

/// Inputs are no longer than this, which is what requests have. Longer ones find little, slowly.
const LONGEST: u32 = 8192;

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Writes the committed corpora anew from what was found, instead of looking for more.
    pub minimise: bool,
    /// How long each target runs.
    pub seconds: u32,
    /// Which targets; all if none is named.
    pub targets: Vec<String>,
}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// Something in it is not understood.
    pub fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            minimise: false,
            seconds: SECONDS,
            targets: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--cmin" => options.minimise = true,
                "--seconds" => {
                    let seconds = arguments.next().context("--seconds N")?;
                    options.seconds = seconds.parse().context("--seconds N")?;
                }
                option if option.starts_with('-') => bail!("there is no option {option}"),
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(options)
    }
}

/// Runs or minimises the targets, and tells whether nothing was found.
///
/// # Errors
///
/// There is no such target, a tool is missing, or a file cannot be read or written.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<bool> {
    let all = targets(root)?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let chosen = match options.targets.is_empty() {
        true => all,
        false => options.targets.clone(),
    };
    let triple = host(root)?;
    let mut good = true;
    for name in &chosen {
        let target = Target::prepare(root, name, &triple)?;
        if options.minimise {
            target.minimise()?;
        } else {
            good &= target.look(options.seconds)?;
        }
    }
    Ok(good)
}

fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets")).context("list fuzz/fuzz_targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap_or_default();
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// The machine that this is, as the toolchain calls it.
fn host(root: &Path) -> anyhow::Result<String> {
    let version = Command::new("rustc").args(["-vV"]).output(root)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// One target, built, with its inputs unpacked.
struct Target<'t> {
    root: &'t Path,
    name: &'t str,
    binary: PathBuf,
    /// What was found here before, and what is found now.
    found: PathBuf,
    /// What is committed.
    committed: PathBuf,
}

impl<'t> Target<'t> {
    fn prepare(root: &'t Path, name: &'t str, triple: &str) -> anyhow::Result<Self> {
        let work = root.join(WORK);
        let build = ["fuzz", "build", "--fuzz-dir", "fuzz", "--target-dir"];
        let build = Command::cargo_of("nightly", build);
        build
            .args([work.join("build").as_os_str(), name.as_ref()])
            .run(root)?;
        let target = Self {
            root,
            name,
            binary: work.join("build").join(triple).join("release").join(name),
            found: work.join("found").join(name),
            committed: work.join("committed").join(name),
        };
        fs::create_dir_all(&target.found)?;
        empty(&target.committed)?;
        if target.packed().exists() {
            let (packed, committed) = (target.packed(), target.committed.clone());
            corpora("unpack", &packed, &committed).run(root)?;
        }
        Ok(target)
    }

    fn packed(&self) -> PathBuf {
        self.root
            .join("fuzz/corpora")
            .join(format!("{}.txt", self.name))
    }

    fn inputs(&self) -> [PathBuf; 3] {
        let seeds = self.root.join("fuzz/seeds").join(self.name);
        [self.found.clone(), self.committed.clone(), seeds]
    }

    /// Looks for inputs that break the target, and writes down how long.
    fn look(&self, seconds: u32) -> anyhow::Result<bool> {
        let artifacts = self.root.join("fuzz/artifacts").join(self.name);
        fs::create_dir_all(&artifacts)?;
        let log = self.root.join(WORK).join(format!("{}.log", self.name));
        eprintln!("$ {} for {seconds} s, log in {}", self.name, log.display());
        // The shell tells how much time the process took, to be found behind all that it said.
        let status = process::Command::new("bash")
            .args(["-c", r#"TIMEFORMAT="cpu %U %S"; time "$@""#, "fuzz"])
            .arg(&self.binary)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            // A thread that ends a moment later would be taken for a leak.
            .args(["-timeout=60", "-rss_limit_mb=4096", "-detect_leaks=0"])
            .arg("-print_final_stats=1")
            .args(self.inputs().iter().filter(|folder| folder.is_dir()))
            .stderr(File::create(&log)?)
            .status()
            .context("start bash")?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let path = self.root.join(LEDGER);
        let mut ledger = Ledger::read(&fs::read_to_string(&path)?)?;
        ledger.add(self.name, &ledger::Run::of(&said, status.success())?);
        fs::write(&path, ledger.to_string())?;
        if !status.success() {
            let from = said.find("panicked at").or_else(|| said.find("ERROR:"));
            let shown = said.get(from.unwrap_or_default()..).unwrap_or_default();
            let shown: Vec<&str> = shown.lines().take(4).collect();
            eprintln!("{} FOUND SOMETHING: {}", self.name, shown.join("\n"));
        }
        Ok(status.success())
    }

    /// Packs the fewest and shortest inputs that lead everywhere in the code where any leads: how
    /// often something is passed on the way does not count, so that there are few of them.
    fn minimise(&self) -> anyhow::Result<()> {
        let kept = self.root.join(WORK).join("kept").join(self.name);
        empty(&kept)?;
        let merge = Command::new(&self.binary.to_string_lossy())
            .args(["-merge=1", "-use_counters=0", "-timeout=60"])
            .args([format!("-max_len={LONGEST}")])
            .args([&kept])
            .args(self.inputs().iter().filter(|folder| folder.is_dir()));
        merge.run(self.root)?;
        corpora("pack", &kept, &self.packed()).run(self.root)?;
        // What a fuzzer made that scanners would take for a secret is not committed.
        let script = r#"patterns="$(grep -Ev '^(#|$)' .ci/secrets)"
            kept="$(grep -Evf <(printf '%s\n' "$patterns") "$1" || (($? == 1)))"
            printf '%s\n' "$kept" >"$1""#;
        let clean = Command::new("bash").args(["-euc", script, "fuzz"]);
        clean.args([self.packed()]).run(self.root)
    }
}

/// Unpacks a committed corpus into a folder, or packs a folder into one.
fn corpora(what: &str, from: &Path, to: &Path) -> Command {
    let run = [
        "run",
        "--quiet",
        "--package",
        "properties",
        "--bin",
        "corpora",
        "--",
        what,
    ];
    Command::cargo(run).args([from, to])
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_is_read_from_the_command_line() {
        let check = |arguments: &[&str], expected: Option<(bool, u32, &[&str])>| {
            let found = Options::read(arguments).ok();
            let expected = expected.map(|(minimise, seconds, targets)| Options {
                minimise,
                seconds,
                targets: targets.iter().map(|it| (*it).to_owned()).collect(),
            });
            assert_eq!(found, expected, "{arguments:?}");
        };
        check(&[], Some((false, SECONDS, &[])));
        check(&["--cmin", "token"], Some((true, SECONDS, &["token"])));
        check(
            &["--seconds", "1800", "a", "b"],
            Some((false, 1800, &["a", "b"])),
        );
        check(&["--seconds"], None);
        check(&["--seconds", "x"], None);
        check(&["--fast"], None);
    }
}

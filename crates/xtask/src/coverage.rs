//! How many lines of each library its own tests run.
//!
//! What counts is a line of shipped code: lines of tests inside of `src` are run by definition,
//! and would flatter. A crate is measured by its own tests alone, with all features; that another
//! crate's tests pass through it does not show that anybody looked at what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::source::Source;
use crate::tidy::rooms;
use crate::workspace::{Member, Workspace};

/// Where the measurements are, below the root; one file for each package.
pub const FOLDER: &str = "target/deep/coverage";

/// Of a hundred lines of a library, how many are run at least.
const LIBRARY: u64 = 85;

/// Of a hundred lines of its domain rooms.
const DOMAIN: u64 = 95;

/// Libraries that have no bound.
const EXCLUDED: [(&str, &str); 2] = [
    (
        "bartizan-encrypt-derive",
        "runs inside of the compiler: what it makes of good and bad structs is tested in \
         bartizan-encrypt, by what compiles and what does not",
    ),
    (
        "bartizan-testkit",
        "is run by the tests of every other crate, and by nobody in production",
    ),
];

/// The libraries that are measured.
pub fn measured(workspace: &Workspace) -> impl Iterator<Item = &Member> {
    workspace.published().filter(|member| {
        let is_excluded = EXCLUDED.iter().any(|(name, _)| *name == member.name);
        member.has_library && !is_excluded
    })
}

/// Some lines, and how many of them were run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    lines: u64,
    run: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.run += other.run;
    }

    fn reaches(self, bound: u64) -> bool {
        self.run * 100 >= self.lines * bound
    }
}

impl fmt::Display for Tally {
    /// In percent, rounded down: nothing reaches a bound by rounding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.run * 1000).checked_div(self.lines).unwrap_or(1000);
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

/// The lines of one library.
#[derive(Clone, Debug)]
pub struct Covered {
    package: String,
    library: Tally,
    domain: Tally,
    /// With whether each is a domain room.
    files: Vec<(String, Tally, bool)>,
}

impl Covered {
    /// Reads what was measured of a package below `root`.
    ///
    /// # Errors
    ///
    /// It was not measured.
    pub fn read(root: &Path, package: &str, sources: &[Source]) -> anyhow::Result<Self> {
        let path = root.join(FOLDER).join(package).with_extension("lcov");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let root = format!("{}/", root.display());
        Ok(Self::new(package, &counts(&text, &root), sources))
    }

    fn new(package: &str, counts: &Counts<'_>, sources: &[Source]) -> Self {
        let mut covered = Self {
            package: package.to_owned(),
            library: Tally::default(),
            domain: Tally::default(),
            files: Vec::new(),
        };
        for source in sources.iter().filter(|it| !it.is_test()) {
            let Some((name, _)) = source.room() else {
                continue;
            };
            let lines = counts.get(source.path.as_str());
            let (true, Some(lines)) = (name == package, lines) else {
                continue;
            };
            let (tally, is_domain) = (tally(source, lines), rooms::is_domain(source));
            covered.library.add(tally);
            if is_domain {
                covered.domain.add(tally);
            }
            covered.files.push((source.path.clone(), tally, is_domain));
        }
        covered
    }

    /// Whether both bounds are reached.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.library.lines > 0 && self.library.reaches(LIBRARY) && self.domain.reaches(DOMAIN)
    }

    /// The files below their bound, with most lines that were not run first.
    #[must_use]
    pub fn files_below(&self) -> Vec<String> {
        let mut below: Vec<_> = self
            .files
            .iter()
            .filter(|(_, tally, is_domain)| !tally.reaches(bound(*is_domain)))
            .collect();
        below.sort_by_key(|(_, tally, _)| std::cmp::Reverse(tally.lines - tally.run));
        let shown = below.into_iter().map(|(path, tally, is_domain)| {
            let (not_run, bound) = (tally.lines - tally.run, bound(*is_domain));
            format!("{path}: {tally} of {bound} %, {not_run} lines are not run")
        });
        shown.collect()
    }
}

fn bound(is_domain: bool) -> u64 {
    if is_domain { DOMAIN } else { LIBRARY }
}

/// A table of all, to be printed or put into a document.
#[must_use]
pub fn table(all: &[Covered]) -> String {
    let mut table = format!(
        "| crate | lines | run, at least {LIBRARY} % | of domain rooms | run, at least {DOMAIN} % |\n\
         |---|---|---|---|---|\n"
    );
    for covered in all {
        let Covered {
            package,
            library,
            domain,
            ..
        } = covered;
        let (lines, of_domain) = (library.lines, domain.lines);
        let of_domain = match of_domain {
            0 => "none | ".to_owned(),
            lines => format!("{lines} | {domain}"),
        };
        let verdict = if covered.is_enough() {
            ""
        } else {
            " **below**"
        };
        table += &format!("| {package} | {lines} | {library}{verdict} | {of_domain} |\n");
    }
    for (package, reason) in EXCLUDED {
        table += &format!("\n`{package}` is not measured: it {reason}.\n");
    }
    table
}

/// How often each line was run, by file and number.
type Counts<'t> = BTreeMap<&'t str, BTreeMap<usize, u64>>;

/// Reads LCOV: `SF:` begins a file, `DA:line,count` is a line of it.
fn counts<'t>(lcov: &'t str, root: &str) -> Counts<'t> {
    let mut counts = Counts::new();
    let mut file = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = Some(path.strip_prefix(root).unwrap_or(path));
        } else if let Some(data) = line.strip_prefix("DA:")
            && let Some(file) = file
        {
            let mut numbers = data.split(',').map(str::parse::<u64>);
            if let (Some(Ok(number)), Some(Ok(count))) = (numbers.next(), numbers.next()) {
                let lines = counts.entry(file).or_default();
                // Code that is compiled several times is reported several times.
                let known = lines.entry(number as usize).or_insert(0);
                *known = count.max(*known);
            }
        }
    }
    counts
}

/// The lines of shipped code of a file.
fn tally(source: &Source, counts: &BTreeMap<usize, u64>) -> Tally {
    let mut tally = Tally::default();
    for (index, text) in source.masked.shipped.lines().enumerate() {
        if let Some(count) = counts.get(&(index + 1))
            && !text.trim().is_empty()
        {
            tally.lines += 1;
            tally.run += u64::from(*count > 0);
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A domain room with four lines of code and a test, and a room of plumbing.
    fn sources() -> Vec<Source> {
        let rules = "fn a() {\n    b();\n    c();\n}\n#[cfg(test)]\nmod tests {\n    f();\n}\n";
        vec![
            Source::new("crates/bartizan-jwt/src/rules.rs", rules),
            Source::new(
                "crates/bartizan-jwt/src/guard.rs",
                "fn a() {\n    b();\n}\n",
            ),
            Source::new("crates/bartizan-mtls/src/rules.rs", rules),
        ]
    }

    fn covered(lcov: &str) -> Covered {
        Covered::new("bartizan-jwt", &counts(lcov, "/root/"), &sources())
    }

    const GUARD: &str = "SF:/root/crates/bartizan-jwt/src/guard.rs\nDA:1,3\nDA:2,3\nDA:3,3\n";

    #[test]
    fn lines_of_tests_and_of_other_crates_do_not_count() {
        let covered = covered(&format!(
            "{GUARD}SF:/root/crates/bartizan-jwt/src/rules.rs\nDA:1,1\nDA:2,0\nDA:2,4\nDA:7,9\n\
             end_of_record\nSF:/root/crates/bartizan-mtls/src/rules.rs\nDA:1,0\n"
        ));
        assert_eq!(covered.library, Tally { lines: 5, run: 5 });
        assert_eq!(covered.domain, Tally { lines: 2, run: 2 });
        assert!(covered.is_enough() && covered.files_below().is_empty());
    }

    #[test]
    fn a_domain_room_below_its_bound_is_named() {
        let covered = covered(&format!(
            "{GUARD}SF:/root/crates/bartizan-jwt/src/rules.rs\nDA:1,1\nDA:2,0\nDA:3,1\nDA:4,1\n"
        ));
        assert!(covered.library.reaches(LIBRARY), "six of seven");
        assert!(!covered.is_enough());
        let below = covered.files_below();
        assert_eq!(
            below,
            ["crates/bartizan-jwt/src/rules.rs: 75.0 % of 95 %, 1 lines are not run"]
        );
        let table = table(&[covered]);
        assert!(
            table.contains("| bartizan-jwt | 7 | 85.7 % **below** | 4 | 75.0 % |"),
            "{table}"
        );
    }

    #[test]
    fn a_package_without_measurements_is_not_enough() {
        assert!(!covered("").is_enough());
    }

    #[test]
    fn nothing_reaches_a_bound_by_rounding() {
        let almost = Tally {
            lines: 10_000,
            run: 8_499,
        };
        assert!(!almost.reaches(LIBRARY));
        assert_eq!(almost.to_string(), "84.9 %");
    }
}

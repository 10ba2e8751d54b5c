//! The packages of the workspace, as far as the rules and the steps need to know them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The workspace: where it is, and its packages in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Its root folder.
    pub root: PathBuf,
    /// Its packages.
    pub members: Vec<Member>,
    /// The oldest Rust that its published packages promise to build with.
    pub rust_version: Option<String>,
}

/// One package of the workspace.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its folder, relative to the root.
    pub folder: PathBuf,
    /// Whether a registry may get it.
    pub published: bool,
    /// Its features in alphabetical order, without `default`.
    pub features: Vec<String>,
    /// What it depends on inside this workspace.
    pub family: Vec<Edge>,
    /// Whether it has a library.
    pub has_library: bool,
    /// The text of its manifest.
    pub manifest: String,
    /// The manifest fields that a published package must have and that are absent.
    pub absent_fields: Vec<&'static str>,
    /// The words that a registry finds it by.
    pub keywords: Vec<String>,
    /// The shelves that a registry puts it on.
    pub categories: Vec<String>,
    /// Whose types its public items may show, as `name::*`.
    pub shows: Vec<String>,
}

/// One package of the workspace depends on another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edge {
    /// The package depended on.
    pub to: String,
    /// For what: `normal`, `build` or `dev`.
    pub kind: Kind,
    /// The version required, `*` when there is none.
    pub requirement: String,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The build script.
    Build,
    /// Tests, benches and examples.
    Dev,
    /// The code itself.
    Normal,
}

impl Workspace {
    /// Reads the workspace that this tool was built in.
    ///
    /// # Errors
    ///
    /// `cargo metadata` failed, or a manifest cannot be read.
    pub fn read() -> anyhow::Result<Self> {
        let root = root()?;
        let metadata = MetadataCommand::new()
            .cargo_path(cargo())
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        let packages = metadata.workspace_packages();
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        let mut members = packages
            .iter()
            .map(|package| Member::read(&root, package, &names))
            .collect::<anyhow::Result<Vec<_>>>()?;
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let rust_version = packages
            .iter()
            .filter(|package| package.publish.is_none())
            .filter_map(|package| package.rust_version.as_ref())
            .max()
            .map(ToString::to_string);
        Ok(Self {
            root,
            members,
            rust_version,
        })
    }

    /// The package of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The packages that a registry may get.
    pub fn published(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.published)
    }
}

impl Member {
    fn read(root: &Path, package: &Package, names: &[&str]) -> anyhow::Result<Self> {
        let path = package.manifest_path.as_std_path();
        let folder = path.parent().context("a manifest is in a folder")?;
        let manifest =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
            published: package.publish.as_ref().is_none_or(|to| !to.is_empty()),
            features: package
                .features
                .keys()
                .filter(|name| *name != "default")
                .cloned()
                .collect(),
            family: family(package, names),
            has_library: package
                .targets
                .iter()
                .any(|target| target.is_lib() || target.is_proc_macro()),
            manifest,
            absent_fields: absent_fields(package, folder),
            keywords: package.keywords.clone(),
            categories: package.categories.clone(),
            shows: shows(package),
        })
    }
}

fn family(package: &Package, names: &[&str]) -> Vec<Edge> {
    package
        .dependencies
        .iter()
        .filter(|dependency| names.contains(&dependency.name.as_str()))
        .map(|dependency| Edge {
            to: dependency.name.clone(),
            kind: match dependency.kind {
                DependencyKind::Build => Kind::Build,
                DependencyKind::Development => Kind::Dev,
                _ => Kind::Normal,
            },
            requirement: dependency.req.to_string(),
        })
        .collect()
}

/// The table that `cargo-check-external-types` reads.
fn shows(package: &Package) -> Vec<String> {
    let list = package
        .metadata
        .get("cargo_check_external_types")
        .and_then(|table| table.get("allowed_external_types"))
        .and_then(|list| list.as_array());
    let names = list.into_iter().flatten().filter_map(|name| name.as_str());
    names.map(str::to_owned).collect()
}

fn absent_fields(package: &Package, folder: &Path) -> Vec<&'static str> {
    let docs_rs = package
        .metadata
        .get("docs")
        .and_then(|docs| docs.get("rs"))
        .is_some();
    let readme = package
        .readme
        .as_ref()
        .is_some_and(|readme| folder.join(readme).is_file());
    let fields = [
        ("description", package.description.is_some()),
        ("license", package.license.is_some()),
        ("repository", package.repository.is_some()),
        ("documentation", package.documentation.is_some()),
        ("rust-version", package.rust_version.is_some()),
        ("keywords", !package.keywords.is_empty()),
        ("categories", !package.categories.is_empty()),
        ("readme (and its file)", readme),
        ("[package.metadata.docs.rs]", docs_rs),
        ("CHANGELOG.md", folder.join("CHANGELOG.md").is_file()),
        ("LICENSE-MIT", folder.join("LICENSE-MIT").is_file()),
        ("LICENSE-APACHE", folder.join("LICENSE-APACHE").is_file()),
    ];
    fields
        .into_iter()
        .filter(|(_, present)| !present)
        .map(|(name, _)| name)
        .collect()
}

/// The cargo that runs this tool.
#[must_use]
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The root folder of the workspace that this tool was built in.
fn root() -> anyhow::Result<PathBuf> {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("the tool's manifest is two folders below the root")
}

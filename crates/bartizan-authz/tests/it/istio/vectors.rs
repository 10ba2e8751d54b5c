//! The policies that Istio's own tests are made of.

use std::path::{Path, PathBuf};

use bartizan_authz::{IstioErrorKind, IstioImport};

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("BARTIZAN_VECTORS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    Some(named.unwrap_or(beside).join("istio-authz")).filter(|folder| folder.is_dir())
}

/// Which files are refused, and why. Everything else that is a policy is imported.
const REFUSED: [(&str, &str); 6] = [
    ("allow-full-rule-in.yaml", "metadata of Envoy's filters"),
    ("custom-bad-multiple-providers-in.yaml", "action CUSTOM"),
    ("custom-both-http-tcp-in.yaml", "action CUSTOM"),
    ("custom-only-http-in.yaml", "action CUSTOM"),
    ("custom-simple-http-in.yaml", "action CUSTOM"),
    ("deny-both-http-tcp-in.yaml", "metadata of Envoy's filters"),
];

#[test]
fn every_policy_of_istios_tests_is_imported_or_refused_with_its_reason() {
    let Some(folder) = folder() else {
        println!("no folder istio-authz; name its parent in BARTIZAN_VECTORS");
        return;
    };
    let mut files = Vec::new();
    for kind in ["http", "tcp"] {
        let entries = std::fs::read_dir(folder.join(kind)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let (mut imported, mut refused, mut filters) = (0, 0, 0);
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let import = IstioImport::new().for_any_workload().allow_unmatched();
        let found = import
            .with_trust_domains(["td1", "cluster.local"])
            .read(&text);
        let expected = REFUSED.iter().find(|(known, _)| *known == name);
        match found {
            Ok(found) => {
                let rules = found.policy.rules().count();
                println!("{name:46} {rules} rules, unmatched {:?}", found.unmatched);
                for note in &found.notes {
                    println!("{:46} {note}", "");
                }
                assert_eq!(expected, None, "{name}");
                assert!(name.ends_with("-in.yaml"), "{name}");
                // What was imported is a policy of ours, which can be written down.
                let text = found.policy.to_toml();
                let again = bartizan_authz::Policy::from_toml(&text).unwrap();
                assert_eq!(again.to_toml(), text, "{name}");
                imported += 1;
            }
            Err(error) => {
                println!("{name:46} refused: {error}");
                if matches!(error.kind, IstioErrorKind::NotAPolicy(_)) {
                    // What Istio makes of policies, for Envoy.
                    assert!(!name.ends_with("-in.yaml"), "{name}");
                    filters += 1;
                    continue;
                }
                let (_, reason) = expected.unwrap_or_else(|| panic!("{name}: {error}"));
                assert!(error.to_string().contains(reason), "{error}");
                refused += 1;
            }
        }
    }
    println!(
        "{} files: {imported} imported, {refused} refused, {filters} configurations of Envoy",
        files.len()
    );
    assert_eq!(imported + refused + filters, files.len());
    assert_eq!((imported, refused), (21, 6));
}

//! The file that is shown is one that holds.

use std::path::Path;

use bartizan::config::Config;

#[test]
fn the_file_says_what_is_enforced_and_nothing_that_is_not_known() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("invoices.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    Config::load(&file).unwrap();

    let slip = text.replace("audiences", "audience");
    let error = Config::from_toml(&slip, ".").unwrap_err().to_string();
    assert!(error.contains("did you mean `audiences`?"), "{error}");
}

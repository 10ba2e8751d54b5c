//! The file that is shown is one that holds.

use bartizan::config::Config;
use bartizan_testkit::DevelopmentCa;

#[test]
fn the_file_says_what_is_enforced_and_nothing_that_is_not_known() {
    let folder = std::env::temp_dir().join(format!("invoices-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder, "ca").unwrap();

    let text = include_str!("../invoices.toml");
    let file = Config::from_toml(text, &folder);
    let slip = Config::from_toml(&text.replace("audiences", "audience"), &folder);
    std::fs::remove_dir_all(&folder).unwrap();

    let shown = file.unwrap().effective().to_string();
    assert!(shown.contains("https://127.0.0.1:8445"), "{shown}");
    let error = slip.unwrap_err().to_string();
    assert!(error.contains("did you mean `audiences`?"), "{error}");
}

//! The way of fuzzing into the reader: without an environment and without files.

use crate::config::document::Config;
use crate::config::problem::ConfigError;
use crate::config::toml_text;

/// Reads a text in TOML.
///
/// # Errors
///
/// [`ConfigError`] with everything that is wrong.
pub fn read_toml(text: &str) -> Result<Config, ConfigError> {
    Config::of_stranger(&toml_text::read(text)?)
}

/// Reads a text in YAML.
///
/// # Errors
///
/// [`ConfigError`] with everything that is wrong.
#[cfg(feature = "yaml")]
pub fn read_yaml(text: &str) -> Result<Config, ConfigError> {
    Config::of_stranger(&crate::config::yaml_text::read(text)?)
}

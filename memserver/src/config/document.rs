//! Files in TOML: text in, values out.

use serde::de::DeserializeOwned;

/// Reads a document.
///
/// # Errors
/// One line that says what is wrong, and where.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        format!("line {line}: {}", error.message().replace('\n', " "))
    })
}

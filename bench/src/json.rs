//! One flat JSON object, written field by field: all that the programs' output needs.

use std::fmt::Write as _;

/// A JSON object under construction.
#[derive(Clone, Debug, Default)]
pub struct Object(String);

impl Object {
    /// Adds a whole number.
    #[must_use]
    pub fn integer(self, name: &str, value: u64) -> Self {
        self.raw(name, &value.to_string())
    }

    /// Adds a number; what JSON can't express becomes `null`.
    #[must_use]
    pub fn number(self, name: &str, value: f64) -> Self {
        let text = if value.is_finite() { format!("{value:.4}") } else { "null".to_owned() };
        self.raw(name, &text)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        let quoted = quote(value);
        self.raw(name, &quoted)
    }

    /// The object as text.
    #[must_use]
    pub fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }

    fn raw(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        let _ = write!(self.0, "{}: {value}", quote(name));
        self
    }
}

fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_separated_and_quoted() {
        let text = Object::default()
            .integer("n", 3)
            .number("x", f64::NAN)
            .text("quote", "a\"b\\c\n")
            .finish();
        assert_eq!(text, r#"{"n": 3, "x": null, "quote": "a\"b\\c\u000a"}"#);
    }
}

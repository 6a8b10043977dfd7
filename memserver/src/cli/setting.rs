//! Flags and `-o` words as settings: each has one name, by which a variable and a key of a file
//! call it as well. Where a value comes from is not known here.

use super::error::StartupError;
use super::flags::{FLAGS, Flag};
use super::options::Options;
use super::row::{self, Policy, Set, Takes};
use super::suggest;
use super::value::Value;
use super::words::{WORDS, Word};

/// What variables of ours begin with.
pub(super) const PREFIX: &str = "MEMSERVER_";

/// A row of one of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setting {
    /// A flag.
    Flag(&'static Flag),
    /// A word of `-o`.
    Word(&'static Word),
}

/// What a setting is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It is not to have what came before it either.
    Off,
    /// It is, without a value.
    On,
    /// A value, without blanks around it.
    Value(String),
}

/// A setting that somebody gave.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// What is set.
    pub(super) setting: Setting,
    /// How it was spelled, for messages about the value.
    pub(super) spelled: String,
    /// How messages about the setting itself call it.
    pub(super) label: String,
    /// To what.
    pub(super) given: Given,
}

impl Setting {
    /// All that a variable or a file can set.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let flags = FLAGS.iter().filter(|flag| !matches!(flag.policy, Policy::ConfigAction));
        flags.map(Self::Flag).chain(WORDS.iter().map(Self::Word))
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|setting| setting.name() == name)
    }

    /// Its name, without dashes in front.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flag(flag) => flag.long,
            Self::Word(word) => word.name,
        }
    }

    /// Its variable.
    pub(super) fn variable(self) -> String {
        PREFIX.to_owned() + &self.name().replace('-', "_").to_ascii_uppercase()
    }

    /// Whether it takes a value.
    pub(super) fn takes(self) -> Takes {
        match self {
            Self::Flag(flag) => flag.takes,
            Self::Word(word) => word.takes,
        }
    }

    /// What applies without it.
    pub(super) fn default(self) -> &'static str {
        match self {
            Self::Flag(flag) => flag.default,
            Self::Word(word) => word.default,
        }
    }

    /// What happens when it is given.
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Flag(flag) => flag.policy,
            Self::Word(word) => word.policy,
        }
    }

    fn set(self) -> Set {
        match self {
            Self::Flag(flag) => flag.set,
            Self::Word(word) => word.set,
        }
    }

    /// The setting that is named most like `name`, as `spell` writes it.
    pub(super) fn nearest(name: &str, spell: fn(Self) -> String) -> Option<String> {
        let known: Vec<String> = Self::all().map(spell).collect();
        suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
    }
}

impl Assignment {
    /// Puts the value into `options`.
    ///
    /// # Errors
    /// The value does not fit, or this build lacks the feature.
    pub(super) fn apply(&self, options: &mut Options) -> Result<(), StartupError> {
        let text = match &self.given {
            Given::Off => return Ok(()),
            Given::On => "",
            Given::Value(text) => text,
        };
        let value = Value { name: &self.spelled, text };
        row::apply(options, &self.label, self.setting.policy(), self.setting.set(), value)
    }
}

/// Puts layers together, the weakest first: what a later one names counts instead of all that the
/// earlier ones said about it.
pub(super) fn merge(layers: impl IntoIterator<Item = Vec<Assignment>>) -> Vec<Assignment> {
    let mut kept: Vec<Assignment> = Vec::new();
    for layer in layers {
        let named = |name| layer.iter().any(|other| other.setting.name() == name);
        kept.retain(|assignment| !named(assignment.setting.name()));
        kept.extend(layer);
    }
    kept.retain(|assignment| assignment.given != Given::Off);
    kept
}

//! The first words that are not flags of a server but commands of our own. What they do is not
//! known here.

/// Name and meaning of every command.
pub(crate) const COMMANDS: [(&str, &str); 7] = [
    ("dump", "print the keys of a server, also as JSON"),
    ("hash-password", "print the hash of a password, for a file of users"),
    ("healthcheck", "exit with 0 if a server answers, otherwise with 1"),
    ("snapshot", "copy the items of a server to a file, or back"),
    ("stats", "print the statistics of a server, also as JSON"),
    ("top", "show what a server does, second by second"),
    ("warm", "copy the items of a server to another one"),
];

/// The words of a command, if `args`, the program's own name first, begin with one.
pub(crate) fn command(args: &[String]) -> Option<&[String]> {
    let (_, rest) = super::Name::take(args);
    let word = rest.first()?;
    COMMANDS.iter().any(|(name, _)| name == word).then_some(rest)
}

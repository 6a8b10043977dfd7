//! Files and ports, by Landlock: what is not needed can't be reached, whatever the file's rights.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Needs;

/// The newest version whose rights are asked for; what the kernel does not know is left out.
const NEWEST: ABI = ABI::V6;
/// Where `-d` sends what would be printed.
const NOWHERE: &str = "/dev/null";

/// Restricts this thread, and those that it starts, to the files of `needs`, and to the ports that
/// are open already.
///
/// # Errors
/// Why the system does not.
pub(super) fn restrict(needs: &Needs) -> Result<(), String> {
    let status = rules(needs).and_then(RulesetCreated::restrict_self);
    match status.map_err(|error| error.to_string())?.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has none".to_owned()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn rules(needs: &Needs) -> Result<RulesetCreated, landlock::RulesetError> {
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let written = read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
    let rules = allow(rules, places(&needs.read), read)?;
    let rules = allow(rules, places(&needs.written), written | AccessFs::Truncate)?;
    let rules = allow(rules, places(&needs.removed), AccessFs::RemoveFile.into())?;
    let nowhere = [PathBuf::from(NOWHERE)].into_iter();
    allow(rules, nowhere, AccessFs::ReadFile | AccessFs::WriteFile)
}

/// Allows `access` to what lies in `places`, as far as they exist.
fn allow(
    mut rules: RulesetCreated,
    places: impl Iterator<Item = PathBuf>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    for place in places {
        if let Ok(place) = PathFd::new(place) {
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
    }
    Ok(rules)
}

/// The folders of `files`. Files are replaced by others of their name, so their folders count; and
/// where a file is a link, also the folder that it leads to.
fn places(files: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let behind = |file: &PathBuf| -> io::Result<PathBuf> { Ok(folder(&file.canonicalize()?)) };
    files.iter().flat_map(move |file| [Some(folder(file)), behind(file).ok()]).flatten()
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

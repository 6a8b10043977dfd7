//! Users: looking them up and becoming one.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid};

/// Whether the process has the superuser's rights.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root() || rustix::process::getuid().is_root()
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Its name, or its number as text.
    pub(crate) name: String,
    /// Its number.
    pub(crate) uid: u32,
    /// Its first group.
    pub(crate) gid: u32,
}

impl User {
    /// Looks a name or a number up. The file is read here because a static program has no other
    /// way; a number needs no entry.
    pub(crate) fn find(name: &str) -> Option<Self> {
        find_user(&fs::read_to_string("/etc/passwd").unwrap_or_default(), name)
    }

    /// Becomes this user for good, without any other group. Only the calling thread changes, so
    /// this has to come before there are others.
    ///
    /// # Errors
    /// Missing privileges.
    pub(crate) fn assume(&self) -> io::Result<()> {
        let uid = Uid::from_raw(self.uid);
        let gid = Gid::from_raw(self.gid);
        // The user last: without the superuser's rights groups can't be changed any more.
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    // `parse` would accept a sign.
    let number = name.parse::<u32>().ok().filter(|_| !name.starts_with('+'));
    let entries = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        Some((name, fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?))
    });
    let mut entries: Vec<_> = entries.collect();
    // A name counts more than a number.
    entries.sort_by_key(|entry| entry.0 != name);
    let entry = entries.into_iter().find(|entry| entry.0 == name || Some(entry.1) == number);
    let known = entry.map(|entry| (entry.1, entry.2));
    // The superuser's number is the same everywhere, also where there is no list.
    let (uid, gid) = known.or(number.or((name == "root").then_some(0)).map(|uid| (uid, uid)))?;
    Some(User { name: name.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:\n\
        12:x:77:78::/:\nmemcached:x:11211:11212::/:\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let user = |name: &str| find_user(PASSWD, name).map(|user| (user.uid, user.gid));
        assert_eq!(user("memcached"), Some((11211, 11212)));
        assert_eq!(user("11211"), Some((11211, 11212)));
        assert_eq!(user("12"), Some((77, 78)));
        assert_eq!(user("4711"), Some((4711, 4711)));
        assert_eq!(user("root"), Some((0, 0)));
        assert_eq!(find_user("", "root").map(|user| user.uid), Some(0));
        for unknown in ["nosuch", "", "broken", "+5", "-5", "4294967296"] {
            assert_eq!(user(unknown), None, "{unknown}");
        }
    }
}

//! `stats conns`: the lines about every connection of every worker.

use crate::state::control::ConnQuery;

/// Calls `stat` for every line of the next `count` connections; false if they were the last.
pub(super) fn step(query: &ConnQuery, count: usize, mut stat: impl FnMut(&[u8], &[u8])) -> bool {
    let (infos, more) = query.take(count);
    for info in infos {
        let mut add = |name: &str, value: &str| {
            stat(format!("{}:{name}", info.number).as_bytes(), value.as_bytes());
        };
        add("addr", &info.peer);
        if let Some(local) = &info.local {
            add("listen_addr", local);
        }
        add("state", info.state);
        add("secs_since_last_cmd", &info.idle.to_string());
    }
    more
}

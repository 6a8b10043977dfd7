//! The transcripts over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::peer::{LOOK, Remote, Stream};
use crate::program::{Client, Folder, Program};
use crate::{play, play_all, script};

use super::{Authority, Encrypted};

type Session = StreamOwned<ClientConnection, std::net::TcpStream>;

impl Stream for Session {
    fn end(&mut self) {
        self.conn.send_close_notify();
        let _ = self.conn.complete_io(&mut self.sock);
    }
}

fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Remote<Session> {
    let Client(mut stream) = Encrypted::connect(config, address);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.sock.set_read_timeout(Some(LOOK)).unwrap();
    Remote::over(stream)
}

#[test]
fn over_tls() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    authority.issue("server");
    let words = authority.words("server", "");
    let config = authority.client().config();
    let mut cases = script::all();
    // The clock of another program can't be moved.
    cases.retain(|case| !case.plain && case.duration() == 0);
    play_all(&cases, |case| {
        let flags = case.flags.iter().map(String::as_str);
        let flags: Vec<_> =
            ["-Z", "-o", &words, "-o", "memlimit_max=1g"].into_iter().chain(flags).collect();
        let program = Program::start(&flags);
        play(case, || connect(&config, program.address()), |_| ()).map(drop)
    });
}

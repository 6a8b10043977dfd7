//! One client's TLS without I/O: what the socket brings goes in and plain bytes come out, and the
//! other way round. Handshake, alerts and key changes happen on the way.
//!
//! A session owns no buffer while nothing is half done. Records are decrypted where the caller has
//! read them, and encrypted where the caller wants to send them from.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, ProtocolVersion};

use super::certificates;

/// The state in which plain bytes can be encrypted.
type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// One client's TLS.
pub(crate) struct Session {
    conn: UnbufferedServerConnection,
    /// What the peer has sent of records and messages whose end has not arrived. rustls remembers
    /// places in it, and has to be given it in every call.
    partial: Vec<u8>,
    /// Plain bytes that nobody has taken yet, of which the first `taken` are gone.
    plain: Vec<u8>,
    taken: usize,
    /// Records of the handshake, alerts and key changes that are to be sent.
    outgoing: Vec<u8>,
    /// The peer has said that it will send no more.
    is_ended: bool,
}

/// The peer has broken the protocol, or can't agree with us.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub(crate) struct Fault(String);

impl Session {
    /// A session with a client that has sent nothing. None if the configuration does not allow it,
    /// which a server's does.
    pub(super) fn new(config: Arc<ServerConfig>) -> Option<Self> {
        let conn = UnbufferedServerConnection::new(config).ok()?;
        Some(Self {
            conn,
            partial: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            is_ended: false,
        })
    }

    /// Whether requests can't be exchanged yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    /// Whether the peer will send no more.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether plain bytes wait to be taken.
    pub(crate) fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Bytes of its buffers.
    pub(crate) fn held(&self) -> usize {
        self.plain.capacity() + self.partial.capacity()
    }

    /// The beginning of a record whose end has not arrived.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Sessions that the client may resume, as memcached counts them: tickets of TLS 1.3, or one.
    pub(crate) fn resumable(&self) -> u64 {
        let is_13 = self.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_resumed = self.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        match (is_13, is_resumed) {
            (true, false) => 2,
            (true, true) | (false, false) => 1,
            (false, true) => 0,
        }
    }

    /// The owner that the client's certificate names, if it has shown one.
    pub(crate) fn subject(&self) -> Option<String> {
        certificates::subject(self.conn.peer_certificates()?.first()?)
    }

    /// Gives `sink` the plain bytes that wait; it returns how many it has taken.
    pub(crate) fn take_plain(&mut self, sink: &mut dyn FnMut(&[u8]) -> usize) -> usize {
        let count = sink(&self.plain[self.taken..]);
        self.taken += count;
        if self.taken == self.plain.len() {
            self.plain = Vec::new();
            self.taken = 0;
        }
        count
    }

    /// Takes what the peer has sent, behind what [`Session::partial`] returns. `sink` is given what
    /// it carries and returns how much of it it has taken; what it has not taken waits.
    ///
    /// # Errors
    /// [`Fault`]. What [`Session::take_outgoing`] returns then tells the peer.
    pub(crate) fn receive(
        &mut self,
        received: &mut [u8],
        sink: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Result<(), Fault> {
        let mut used = 0;
        loop {
            let Self { conn, plain, outgoing, is_ended, .. } = self;
            let UnbufferedStatus { discard, state } =
                conn.process_tls_records(&mut received[used..]);
            let mut is_done = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(fault)?.payload;
                        let count = if plain.is_empty() { sink(payload) } else { 0 };
                        plain.extend_from_slice(&payload[count..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, outgoing)?,
                // They are in `outgoing`, which is as good as sent.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => *is_ended = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    is_done = true;
                }
                // Both sides have said that they are done; nothing else is left for it to be.
                Ok(_) => {
                    *is_ended = true;
                    is_done = true;
                }
                Err(error) => {
                    self.collect_alerts(&mut received[used + discard..]);
                    return Err(fault(error));
                }
            }
            used += discard;
            if is_done {
                // Without a rest it gives its memory back.
                self.partial = received[used..].to_vec();
                return Ok(());
            }
        }
    }

    /// What TLS itself has to say to the peer since the last call.
    pub(crate) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Encrypts `plain` to the beginning of `out`, which grows as needed; how many bytes it has
    /// become.
    ///
    /// # Errors
    /// The session is over, or its key is worn out and can't be changed.
    pub(crate) fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        self.write(out, |traffic, room| traffic.encrypt(plain, room))
    }

    /// Tells the peer that nothing more follows, like [`Session::encrypt`].
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn say_goodbye(&mut self, out: &mut Vec<u8>) -> Result<usize, Fault> {
        self.write(out, |traffic, room| traffic.queue_close_notify(room))
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        write: impl Fn(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<usize, Fault> {
        let mut start = 0;
        loop {
            // No record of it is complete, so nothing is taken from it.
            match self.conn.process_tls_records(&mut self.partial).state {
                // A key change that was due before goes first.
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    let mut record = Vec::new();
                    encode(data, &mut record)?;
                    let end = start + record.len();
                    out.resize(out.len().max(end), 0);
                    out[start..end].copy_from_slice(&record);
                    start = end;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => loop {
                    match write(&mut traffic, &mut out[start..]) {
                        Ok(count) => return Ok(start + count),
                        Err(EncryptError::InsufficientSize(size)) => {
                            out.resize(start + size.required_size, 0);
                        }
                        Err(error) => return Err(fault(error)),
                    }
                },
                Ok(state) => return Err(Fault(format!("nothing can be sent: {state:?}"))),
                Err(error) => return Err(fault(error)),
            }
        }
    }

    /// Collects what tells the peer about its fault. `rest` was received and not used.
    fn collect_alerts(&mut self, rest: &mut [u8]) {
        // Once that is collected, the next call would look at the rest again.
        while self.conn.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(data)) =
                self.conn.process_tls_records(rest).state
            && encode(data, &mut self.outgoing).is_ok()
        {}
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .field("plain", &self.plain.len())
            .field("outgoing", &self.outgoing.len())
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

fn fault(error: impl fmt::Display) -> Fault {
    Fault(error.to_string())
}

/// Appends a record that rustls has made to `out`.
fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    // Asked first how long it is.
    let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) else { return Ok(()) };
    out.resize(start + size.required_size, 0);
    data.encode(&mut out[start..]).map_err(fault)?;
    Ok(())
}

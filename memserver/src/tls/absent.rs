//! TLS in a build without it: the same names, of whose types there are no values.

use std::path::Path;

use crate::config::tls::{ClientCheck, TlsSettings};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("this build has no TLS")]
pub(crate) struct TlsError;

/// The TLS of one server.
#[derive(Debug)]
pub(crate) enum Context {}

/// One client's TLS.
#[derive(Debug)]
pub(crate) enum Session {}

/// The authorities that servers' certificates may come from.
#[derive(Clone, Debug)]
pub(crate) enum Trust {}

impl Trust {
    pub(crate) fn read(_: &Path, _: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        Err(TlsError)
    }

    pub(crate) fn stream<S>(&self, _: &str, _: S) -> Result<S, TlsError> {
        match *self {}
    }
}

impl Context {
    pub(crate) fn new(_: &TlsSettings, _: &mut Vec<String>) -> Result<Self, TlsError> {
        Err(TlsError)
    }

    pub(crate) fn session(&self, _: ClientCheck) -> Option<Session> {
        match *self {}
    }

    pub(crate) fn wbuf_size(&self) -> usize {
        match *self {}
    }

    pub(crate) fn refresh(&self) -> Result<(), TlsError> {
        match *self {}
    }

    pub(crate) fn look_for_changes(&self) {
        match *self {}
    }

    pub(crate) fn age_secs(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn days_left(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn provider(&self) -> &'static str {
        match *self {}
    }
}

impl Session {
    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_ended(&self) -> bool {
        match *self {}
    }

    pub(crate) fn has_plain(&self) -> bool {
        match *self {}
    }

    pub(crate) fn held(&self) -> usize {
        match *self {}
    }

    pub(crate) fn partial(&self) -> &[u8] {
        match *self {}
    }

    pub(crate) fn resumable(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn subject(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn take_plain(&mut self, _: &mut dyn FnMut(&[u8]) -> usize) -> usize {
        match *self {}
    }

    pub(crate) fn receive(
        &mut self,
        _: &mut [u8],
        _: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Result<(), TlsError> {
        match *self {}
    }

    pub(crate) fn take_outgoing(&mut self) -> Vec<u8> {
        match *self {}
    }

    pub(crate) fn encrypt(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<usize, TlsError> {
        match *self {}
    }

    pub(crate) fn say_goodbye(&mut self, _: &mut Vec<u8>) -> Result<usize, TlsError> {
        match *self {}
    }
}

//! memproto

//! What a request is answered.

use std::fmt::Write as _;
use std::time::Duration;

use super::conn::{Reply, is_too_large};
use crate::report::exposition::{self, Format};
use crate::report::page::{self, History};
use crate::state::shared::Shared;

/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a worker may leave a question unanswered before it counts as hanging.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The page loads its style and nothing else, sends nothing, and stands in no other page.
const PAGE_HEADERS: &str = "Content-Security-Policy: default-src 'none'; \
    style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Referrer-Policy: no-referrer\r\n";

const TEXT: &str = "text/plain; charset=utf-8";

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: &'static str,
    media_type: &'static str,
    /// Whole header lines.
    headers: &'static str,
    body: String,
}

impl Answer {
    fn new(status: &'static str, media_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, media_type, headers: "", body: body.into() }
    }

    /// One line of text.
    fn line(status: &'static str, text: &str) -> Self {
        Self::new(status, TEXT, format!("{text}\n"))
    }

    fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let Self { status, media_type, headers, body } = self;
        let len = body.len();
        let mut text = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n");
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "Content-Length: {len}\r\n{headers}Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        );
        if with_body {
            text.push_str(&body);
        }
        text.into_bytes()
    }
}

/// What `head`, the request as far as it has come, is answered.
pub(super) fn to(head: &[u8], shared: &Shared, history: &History) -> Reply {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let answer = match request.parse(head) {
        Ok(status) if status.is_complete() => {
            let method = request.method.unwrap_or_default();
            let answer = match method {
                "GET" | "HEAD" => get(&request, shared, history),
                _ => Answer {
                    headers: "Allow: GET, HEAD\r\n",
                    ..Answer::line("405 Method Not Allowed", "only GET and HEAD")
                },
            };
            return Reply::Bytes(answer.into_bytes(method != "HEAD"));
        }
        Ok(_) if !is_too_large(head) => return Reply::NotYet,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            Answer::line("431 Request Header Fields Too Large", "the request is too large")
        }
        Err(error) => Answer::line("400 Bad Request", &error.to_string()),
    };
    Reply::Bytes(answer.into_bytes(true))
}

fn get(request: &httparse::Request<'_, '_>, shared: &Shared, history: &History) -> Answer {
    let target = request.path.unwrap_or_default();
    match target.split('?').next().unwrap_or_default() {
        "/" => Answer {
            headers: PAGE_HEADERS,
            ..Answer::new("200 OK", "text/html; charset=utf-8", page::page(shared, history))
        },
        "/style.css" => Answer::new("200 OK", "text/css; charset=utf-8", page::STYLE),
        "/livez" => livez(shared),
        "/readyz" if shared.phase.is_ready() => Answer::line("200 OK", "ready"),
        "/readyz" => Answer::line("503 Service Unavailable", shared.phase.name()),
        "/metrics" => {
            let format = format(request.headers);
            let body = exposition::exposition(shared, format);
            Answer::new("200 OK", format.media_type(), body)
        }
        _ => Answer::line("404 Not Found", "there are /, /livez, /readyz and /metrics"),
    }
}

/// A worker that hangs keeps its clients waiting for ever, and only a restart helps.
fn livez(shared: &Shared) -> Answer {
    match shared.control.longest_silence() {
        Some((worker, silence)) if silence >= SILENCE_MAX => {
            let secs = silence.as_secs();
            let text = format!("worker {worker} has not answered for {secs} s");
            Answer::line("503 Service Unavailable", &text)
        }
        _ => Answer::line("200 OK", "alive"),
    }
}

/// The format that is asked for.
fn format(headers: &[httparse::Header<'_>]) -> Format {
    let accepts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("accept"));
    let mut values = accepts.filter_map(|header| str::from_utf8(header.value).ok());
    if values.any(|value| value.contains("application/openmetrics-text")) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

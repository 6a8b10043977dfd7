//! The lines that answer refused statistics and administrative commands. They are memcached's to
//! the letter, also where their form differs from one command to the next: tools compare them.

use memproto::ParseError;

use crate::admin;
use crate::report::stats;

const UNKNOWN: &[u8] = ParseError::UnknownCommand.reply();
const BAD_FORMAT: &[u8] = ParseError::BadLineFormat.reply();

/// The line for a refused `stats`.
pub(super) fn stats(refusal: stats::Refusal) -> &'static [u8] {
    use stats::Refusal;
    match refusal {
        Refusal::Unknown => UNKNOWN,
        Refusal::NotANumber => BAD_FORMAT,
        Refusal::NoSuchClass => b"CLIENT_ERROR Illegal slab id\r\n",
        Refusal::MissingWord => b"CLIENT_ERROR bad command line\r\n",
        Refusal::DetailUsage => b"CLIENT_ERROR usage: stats detail on|off|dump\r\n",
        Refusal::OutOfMemory => b"SERVER_ERROR out of memory writing stats\r\n",
    }
}

/// The line for a refused administrative command.
pub(super) fn admin(refusal: admin::Refusal) -> &'static [u8] {
    use admin::Refusal;
    match refusal {
        Refusal::Unknown => UNKNOWN,
        Refusal::NotANumber => BAD_FORMAT,
        Refusal::CrawlerRuns => b"ERROR failed to start lru crawler thread\r\n",
        Refusal::CrawlerDisabled => b"CLIENT_ERROR lru crawler disabled\r\n",
        Refusal::SleepTooLong => b"CLIENT_ERROR sleep must be one second or less\r\n",
        Refusal::NothingToCrawl => b"NOTSTARTED no items to crawl\r\n",
        Refusal::CannotCrawlHash => b"ERROR an unknown error happened\r\n",
        Refusal::NoSuchClass => b"BADCLASS invalid class id\r\n",
        Refusal::SharesTooLarge => b"ERROR hot and warm pcts must not exceed 80\r\n",
        Refusal::FactorTooSmall => b"ERROR hot/warm age factors must be greater than 0\r\n",
        Refusal::LimitTooSmall => b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n",
        Refusal::LimitInBytes => b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n",
        Refusal::LimitOutOfBounds => {
            b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"
        }
        Refusal::ReassignDisabled => b"CLIENT_ERROR slab reassignment disabled\r\n",
        Refusal::SameClass => b"SAME src and dst class are identical\r\n",
        Refusal::NoSuchClassToMove => b"BADCLASS invalid src or dst class id\r\n",
        Refusal::NothingToSpare => b"NOSPARE source class has no spare pages\r\n",
        Refusal::WindowOutOfBounds => b"CLIENT_ERROR automove window too low or too high\r\n",
        Refusal::BadCertificates => b"Error loading the certificates; the old ones stay\r\n",
        Refusal::NoTls => b"Error TLS not enabled\r\n",
    }
}

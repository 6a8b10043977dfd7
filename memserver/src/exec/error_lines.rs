//! The lines that answer refused statistics and administrative commands. They are memcached's to
//! the letter, also where their form differs from one command to the next: tools compare them.

use memproto::ParseError;

use crate::admin::AdminError;
use crate::report::stats::StatsError;

const UNKNOWN: &[u8] = ParseError::UnknownCommand.reply();
const BAD_FORMAT: &[u8] = ParseError::BadLineFormat.reply();

/// The line for a refused `stats`.
pub(super) fn stats(error: StatsError) -> &'static [u8] {
    match error {
        StatsError::Unknown => UNKNOWN,
        StatsError::NotANumber => BAD_FORMAT,
        StatsError::NoSuchClass => b"CLIENT_ERROR Illegal slab id\r\n",
        StatsError::MissingWord => b"CLIENT_ERROR bad command line\r\n",
        StatsError::DetailUsage => b"CLIENT_ERROR usage: stats detail on|off|dump\r\n",
        StatsError::OutOfMemory => b"SERVER_ERROR out of memory writing stats\r\n",
    }
}

/// The line for a refused administrative command.
pub(super) fn admin(error: AdminError) -> &'static [u8] {
    match error {
        AdminError::Unknown => UNKNOWN,
        AdminError::NotANumber => BAD_FORMAT,
        AdminError::CrawlerRuns => b"ERROR failed to start lru crawler thread\r\n",
        AdminError::CrawlerDisabled => b"CLIENT_ERROR lru crawler disabled\r\n",
        AdminError::SleepTooLong => b"CLIENT_ERROR sleep must be one second or less\r\n",
        AdminError::NothingToCrawl => b"NOTSTARTED no items to crawl\r\n",
        AdminError::CannotCrawlHash => b"ERROR an unknown error happened\r\n",
        AdminError::NoSuchClass => b"BADCLASS invalid class id\r\n",
        AdminError::SharesTooLarge => b"ERROR hot and warm pcts must not exceed 80\r\n",
        AdminError::FactorTooSmall => b"ERROR hot/warm age factors must be greater than 0\r\n",
        AdminError::LimitTooSmall => b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n",
        AdminError::LimitInBytes => {
            b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"
        }
        AdminError::LimitOutOfBounds => {
            b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"
        }
        AdminError::ReassignDisabled => b"CLIENT_ERROR slab reassignment disabled\r\n",
        AdminError::SameClass => b"SAME src and dst class are identical\r\n",
        AdminError::NoSuchClassToMove => b"BADCLASS invalid src or dst class id\r\n",
        AdminError::NothingToSpare => b"NOSPARE source class has no spare pages\r\n",
        AdminError::WindowOutOfBounds => b"CLIENT_ERROR automove window too low or too high\r\n",
        AdminError::BadCertificates => b"Error loading the certificates; the old ones stay\r\n",
        AdminError::NoTls => b"Error TLS not enabled\r\n",
    }
}

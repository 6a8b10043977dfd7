//! The way that packets take to a socket, as the system tells it, and how it may be asked to look
//! for them. Linux only.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Where the packets of a TCP connection come from: the number of the network card's queue, none
/// if the kernel does not know it, as over loopback.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert_eq!(memsys::network::queue_of(&listener), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn queue_of(socket: &impl AsFd) -> Option<u32> {
    let socket = socket.as_fd().as_raw_fd();
    let mut queue: libc::c_uint = 0;
    let mut size = size_of_val(&queue) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the result has room for as many bytes as is said.
    let result = unsafe {
        let to = (&raw mut queue).cast();
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_INCOMING_NAPI_ID, to, &raw mut size)
    };
    (result == 0 && queue != 0).then_some(queue)
}

/// The processor that received the last packet of a connection.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// // None before something has arrived.
/// let processor = memsys::network::processor_of(&listener);
/// # let _ = processor;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn processor_of(socket: &impl AsFd) -> Option<u32> {
    // -1 before there was one.
    rustix::net::sockopt::socket_incoming_cpu(socket).ok().filter(|&cpu| cpu != u32::MAX)
}

/// Has whoever waits at `poll` look for packets himself for so many microseconds, before the card
/// has to interrupt.
///
/// # Errors
/// The kernel is older than 6.9, or was built without that.
///
/// ```
/// use rustix::event::epoll::{CreateFlags, create};
///
/// let poll = create(CreateFlags::CLOEXEC)?;
/// if let Err(error) = memsys::network::busy_poll(&poll, 50) {
///     eprintln!("no busy polling: {error}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn busy_poll(poll: &impl AsFd, microseconds: u32) -> io::Result<()> {
    use rustix::ioctl::{Setter, ioctl, opcode};
    const SET: rustix::ioctl::Opcode = opcode::write::<Params>(EPOLL_IOC, 1);
    let params = Params { microseconds, ..Params::default() };
    // SAFETY: the opcode is that of EPIOCSPARAMS, whose argument is such a struct.
    Ok(unsafe { ioctl(poll, Setter::<SET, Params>::new(params)) }?)
}

/// `struct epoll_params` of Linux; zero packets stand for the usual number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
struct Params {
    microseconds: u32,
    packets: u16,
    prefers: u8,
    padding: u8,
}

/// What the numbers of the kernel's requests about polls have in common.
const EPOLL_IOC: u8 = 0x8A;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        (client, server)
    }

    #[test]
    fn loopback_has_processors_and_no_queues() {
        let (_client, server) = connected();
        assert_eq!(queue_of(&server), None);
        let count = std::thread::available_parallelism().unwrap().get() as u32;
        assert!(processor_of(&server).is_some_and(|cpu| cpu < count.max(1024)));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(queue_of(&one), None);
    }

    #[test]
    fn a_kernel_takes_the_time_or_says_that_it_can_not() {
        use rustix::ioctl::{Getter, ioctl, opcode};
        const GET: rustix::ioctl::Opcode = opcode::read::<Params>(EPOLL_IOC, 2);
        let poll =
            rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
        match busy_poll(&poll, 70) {
            Ok(()) => {
                // SAFETY: the opcode is that of EPIOCGPARAMS, whose result is such a struct.
                let params = unsafe { ioctl(&poll, Getter::<GET, Params>::new()) }.unwrap();
                assert_eq!(params.microseconds, 70);
            }
            Err(error) => {
                let refusal = rustix::io::Errno::from_io_error(&error);
                let known = [rustix::io::Errno::NOTTY, rustix::io::Errno::INVAL];
                assert!(refusal.is_some_and(|errno| known.contains(&errno)), "{error}");
            }
        }
    }
}

//! Namespaces of this process, and a helper that stays outside of them.

use std::{
    io::{self, PipeWriter, Read as _, Write as _},
    mem,
};

use nix::{
    errno::Errno,
    libc,
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork},
};

/// A process that waits until it is told to do its work.
pub(crate) struct Helper {
    pid: Pid,
    tell: PipeWriter,
}

impl Helper {
    /// Starts it. It ends without working when this process drops it or ends.
    pub(crate) fn start(work: impl FnOnce() -> io::Result<()>) -> io::Result<Self> {
        let (mut listen, tell) = io::pipe()?;
        // SAFETY: this process has a single thread, so that the child can do what its parent can.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, tell }),
            ForkResult::Child => {
                drop(tell);
                let told = listen.read_exact(&mut [0]);
                let failed = told.and_then(|()| work()).is_err();
                // SAFETY: ends the process at once, without what its parent has registered for an end.
                unsafe { libc::_exit(i32::from(failed)) }
            }
        }
    }

    /// Lets it work, and waits until it has: whether it succeeded.
    pub(crate) fn succeeds(mut self) -> bool {
        let told = self.tell.write_all(&[1]).is_ok();
        let pid = self.pid;
        // Without this a helper that was not told would wait for ever.
        drop(self.tell);
        told && loop {
            match waitpid(pid, None) {
                Err(Errno::EINTR) => {}
                ended => break matches!(ended, Ok(WaitStatus::Exited(_, 0))),
            }
        }
    }
}

/// Puts this process into a new user namespace and a new, empty network namespace.
pub(crate) fn leave_network() -> io::Result<()> {
    // SAFETY: takes an integer and touches no memory of this process.
    Errno::result(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Makes 127.0.0.1 work in a new network namespace.
pub(crate) fn raise_loopback() -> io::Result<()> {
    /// `IFF_UP`, which `libc` has in another width.
    const UP: libc::c_short = 1;
    // SAFETY: plain integers and arrays of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = byte.cast_signed() as libc::c_char;
    }
    // SAFETY: takes integers and returns a descriptor of ours.
    let socket =
        Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `request` is what these two requests read and write, and outlives them; of its union
    // the kernel fills the flags, which are zero before.
    let done = unsafe {
        Errno::result(libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &raw mut request)).and_then(|_| {
            request.ifr_ifru.ifru_flags |= UP;
            Errno::result(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut request))
        })
    };
    // SAFETY: nobody else has this descriptor.
    let _ = unsafe { libc::close(socket) };
    done?;
    Ok(())
}

//! A command's output in two places: what it writes goes to the container's own stream and to a file
//! (`stdoutConfig`, `stderrConfig`; runtime.md section 3.6). Does I/O.
//!
//! There is no thread for it. The loop that waits for the command sleeps on the pipes as well, and the
//! container's stream and the file are only written to when they take something: a log, or a named pipe,
//! that nobody reads delays neither a signal nor a timeout.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, PipeReader, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd,
};

use crate::files::{FileError, failed};

/// What a pipe holds unless somebody changes it, and so the most that one look finds.
const PIPE_BYTES: usize = 64 * 1024;
/// What a stream takes without making us wait, once it says that it takes something (PIPE_BUF).
const PIECE_BYTES: usize = 4096;

/// Where the command's own stdout and stderr lead.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// The streams that are written to a file as well; most steps have none.
#[derive(Debug)]
pub(crate) struct Tee {
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    /// The container's own stream, past the standard library's buffer.
    target: OwnedFd,
    /// None once nobody can write to it any more.
    pipe: Option<PipeReader>,
    /// None once it could not be written.
    file: Option<File>,
    path: PathBuf,
    /// What has been read; `sent` bytes of it are in the stream, and `written` are in the file.
    buffer: Vec<u8>,
    sent: usize,
    written: usize,
    /// Once the command has ended: how much of what is in the pipe may be the command's.
    rest: Option<usize>,
    problem: Option<String>,
}

impl Tee {
    /// Nothing goes to a file.
    pub(crate) fn none() -> (Self, Outputs) {
        let outputs = Outputs {
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
        };
        (Self { streams: Vec::new() }, outputs)
    }

    /// Opens the files that are named, and makes the pipes. A name that is empty is none.
    pub(crate) fn open(stdout: &str, stderr: &str) -> Result<(Self, Outputs), FileError> {
        let mut streams = Vec::new();
        let mut output = |path: &str, target: BorrowedFd<'_>| {
            if path.is_empty() {
                return Ok(Stdio::inherit());
            }
            let (stream, writer) = Stream::open(Path::new(path), target)?;
            streams.push(stream);
            Ok(writer)
        };
        let outputs = Outputs {
            stdout: output(stdout, io::stdout().as_fd())?,
            stderr: output(stderr, io::stderr().as_fd())?,
        };
        Ok((Self { streams }, outputs))
    }

    /// Passes on what can be passed on without waiting; not for ever, however much there is.
    pub(crate) fn pass(&mut self) {
        self.streams.iter_mut().for_each(Stream::pass);
    }

    /// What to sleep on until there is more to pass on.
    pub(crate) fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.streams.iter().flat_map(Stream::sources).flatten()
    }

    /// The command has ended. What it wrote is in the pipes; what processes that it left behind write
    /// from now on need not be waited for.
    pub(crate) fn finish(&mut self) {
        for stream in &mut self.streams {
            if let (Some(pipe), None) = (&stream.pipe, stream.rest) {
                let holds = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).unwrap_or_default();
                stream.rest = Some(usize::try_from(holds).unwrap_or_default().max(PIPE_BYTES));
            }
        }
    }

    /// Whether all that the command wrote is passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.streams
            .iter()
            .all(|stream| stream.sources().iter().all(Option::is_none))
    }

    /// Nobody waits any longer for those who do not take what the command wrote.
    pub(crate) fn give_up(&mut self) {
        for stream in &mut self.streams {
            if stream.written < stream.buffer.len() && stream.file.take().is_some() {
                let path = stream.path.display();
                let sentence = format!("the output in {path} is not whole: nobody reads that pipe");
                stream.problem = Some(sentence);
            }
        }
    }

    /// Why a file lacks something.
    pub(crate) fn problem(&self) -> Option<String> {
        self.streams.iter().find_map(|stream| stream.problem.clone())
    }
}

impl Stream {
    fn open(path: &Path, target: BorrowedFd<'_>) -> Result<(Self, Stdio), FileError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("create the directory", parent))?;
        }
        let open = || {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o644);
            // A pipe that nobody has opened shall be an error, and one that is full not make us wait.
            let file = options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
            let (pipe, writer) = io::pipe()?;
            Ok((file, pipe, writer, target.try_clone_to_owned()?))
        };
        let (file, pipe, writer, target) = open().map_err(failed("write the output to", path))?;
        let stream = Self {
            target,
            pipe: Some(pipe),
            file: Some(file),
            path: path.to_owned(),
            buffer: Vec::new(),
            sent: 0,
            written: 0,
            rest: None,
            problem: None,
        };
        Ok((stream, writer.into()))
    }

    /// Those who have to take something, else who may give more.
    fn sources(&self) -> [Option<PollFd<'_>>; 2] {
        let stream = (self.sent < self.buffer.len()).then_some(self.target.as_fd());
        let file = self.file.as_ref().filter(|_| self.written < self.buffer.len());
        let full = [stream, file.map(|file| file.as_fd())];
        if full.iter().any(Option::is_some) {
            return full.map(|full| full.map(|full| PollFd::new(full, PollFlags::POLLOUT)));
        }
        let pipe = self.pipe.as_ref().filter(|_| self.rest != Some(0));
        [
            pipe.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
            None,
        ]
    }

    fn pass(&mut self) {
        if self.send_and_write() {
            self.receive();
            self.send_and_write();
        }
    }

    /// Whether everything is in both places.
    fn send_and_write(&mut self) -> bool {
        let (sent, written) = (self.send(), self.write());
        sent && written
    }

    /// Whether everything is in the container's stream.
    fn send(&mut self) -> bool {
        while self.sent < self.buffer.len() {
            if !is_ready(self.target.as_fd(), PollFlags::POLLOUT) {
                return false;
            }
            let end = self.buffer.len().min(self.sent + PIECE_BYTES);
            match unistd::write(&self.target, &self.buffer[self.sent..end]) {
                Ok(count) => self.sent += count,
                Err(Errno::EINTR | Errno::EAGAIN) => return false,
                // Nobody reads the container's stream any more; the file is still written.
                Err(_) => self.sent = self.buffer.len(),
            }
        }
        true
    }

    fn receive(&mut self) {
        let Some(pipe) = self.pipe.as_mut().filter(|_| self.rest != Some(0)) else {
            return;
        };
        if !is_ready(pipe.as_fd(), PollFlags::POLLIN) {
            self.rest = self.rest.map(|_| 0);
            return;
        }
        (self.sent, self.written) = (0, 0);
        self.buffer.resize(PIPE_BYTES, 0);
        match pipe.read(&mut self.buffer) {
            Ok(count) => {
                self.buffer.truncate(count);
                self.rest = self.rest.map(|rest| rest.saturating_sub(count));
                if count == 0 {
                    self.pipe = None;
                }
            }
            Err(error) => {
                self.buffer.clear();
                if error.kind() != ErrorKind::Interrupted {
                    self.pipe = None;
                }
            }
        }
    }

    /// Whether everything is in the file, or nothing goes there any more.
    fn write(&mut self) -> bool {
        while let Some(file) = &mut self.file {
            if self.written == self.buffer.len() {
                break;
            }
            if !is_ready(file.as_fd(), PollFlags::POLLOUT) {
                return false;
            }
            match file.write(&self.buffer[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                    return false;
                }
                Err(error) => {
                    self.file = None;
                    self.problem = Some(failed("write the output to", &self.path)(error).to_string());
                }
            }
        }
        true
    }
}

fn is_ready(descriptor: BorrowedFd<'_>, what: PollFlags) -> bool {
    // An end and an error count as well: reading and writing tell them.
    poll(&mut [PollFd::new(descriptor, what)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

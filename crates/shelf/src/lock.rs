//! Locks on files and directories. They go with the process that holds them: no crash leaves one.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Takes the lock of an open file or directory, which is held until it is closed; `false` where
/// another process holds it.
///
/// # Errors
///
/// The system's error: a file system without locks.
pub fn take(file: impl AsFd) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::open_directory;

    #[test]
    fn one_holds_it_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| open_directory(dir.path()).unwrap());
        assert!(take(&first).unwrap());
        assert!(!take(&second).unwrap());
        drop(first);
        assert!(take(&second).unwrap());
    }
}

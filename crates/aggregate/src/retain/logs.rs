//! The wrapper's logs: the newest stay.

use std::io;

use rustix::fs::{AtFlags, FileType};

use super::{Next, PartDone, RetainError, RetainOptions, RetainPart, choose, count, shown};
use shelf::read;

pub fn run(options: &RetainOptions, doing: &mut Next<'_>) -> PartDone {
    let mut done = PartDone::new(RetainPart::Logs);
    let Some(directory) = &options.logs else {
        "no directory for logs is named".clone_into(&mut done.summary);
        return done;
    };
    if options.keep_logs == 0 {
        "all are kept".clone_into(&mut done.summary);
        return done;
    }
    let (mut removed, mut bytes) = (0, 0);
    let failed =
        |doing, source: io::Error| RetainError::Read { doing, path: directory.clone(), source };
    match read::open_directory(directory).and_then(|fd| Ok((read::names_in(&fd)?, fd))) {
        // The first run has no logs yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => done.troubles.push(failed("list", error)),
        Ok((names, fd)) => {
            for name in choose::logs(&names, options.keep_logs) {
                let path = directory.join(name);
                let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW);
                let size = match stat {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                        u64::try_from(stat.st_size).unwrap_or(0)
                    }
                    Ok(_) => {
                        done.left.push(format!("{} is not a file", shown(&path)));
                        continue;
                    }
                    Err(errno) => {
                        let source = errno.into();
                        done.troubles.push(RetainError::Read { doing: "look at", path, source });
                        continue;
                    }
                };
                if !options.dry_run {
                    doing(&format!("remove {}", shown(&path)));
                    if let Err(errno) = rustix::fs::unlinkat(&fd, name, AtFlags::empty()) {
                        let source = errno.into();
                        done.troubles.push(RetainError::Write { doing: "remove", path, source });
                        continue;
                    }
                }
                done.steps.push(format!("remove {} ({size} bytes)", shown(&path)));
                removed += 1;
                bytes += size;
            }
        }
    }
    let logs = count(removed, "file", "files");
    done.summary = if options.dry_run {
        format!("{logs} would be removed, {bytes} bytes freed")
    } else {
        format!("{logs} removed, {bytes} bytes freed")
    };
    done
}

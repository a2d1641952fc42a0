//! A file that grows: read on at its end, also where another file takes its name or it begins anew.
//!
//! Logs are rotated in two ways. A file is moved away and another made in its place: what is left
//! in the old one is read, and then the new one. Or it is copied and cut: then what stands before
//! the place that was read is shorter, or is not what was read, and the file is read from its
//! beginning. A last line without an end is one by then.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// So many of the bytes that were read last are compared with those that are there.
const RECENT: usize = 64;

/// The text of a file that grows; it has no end.
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    /// Where the next byte is read.
    position: u64,
    /// What was read last.
    recent: Vec<u8>,
    /// How long is waited at the end of the file.
    pause: Duration,
    /// Whether the last read met the end of the file.
    drained: Arc<AtomicBool>,
}

impl Tail {
    pub(super) fn open(path: &Path, file: File, pause: Duration) -> Self {
        Self {
            path: path.to_owned(),
            file,
            position: 0,
            recent: Vec::new(),
            pause,
            drained: Arc::default(),
        }
    }

    /// Says after each read whether it met the end of the file.
    pub(super) fn drained(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.drained)
    }

    /// Another text is read from its beginning; whether a line has to end before it, for which
    /// there is room.
    fn begin_anew(&mut self, room: &mut [u8]) -> bool {
        let is_cut = self.recent.last().is_some_and(|last| *last != b'\n');
        self.position = 0;
        self.recent.clear();
        match room.first_mut().filter(|_| is_cut) {
            Some(first) => {
                *first = b'\n';
                true
            }
            None => false,
        }
    }

    /// Whether what stands before the place that was read is what was read.
    fn is_continued(&mut self) -> io::Result<bool> {
        let length = self.recent.len() as u64;
        self.file.seek(SeekFrom::Start(self.position - length))?;
        let mut there = Vec::with_capacity(RECENT);
        self.file.by_ref().take(length).read_to_end(&mut there)?;
        Ok(there == self.recent)
    }

    /// Whether another file has the name, and something in it. Until then whoever writes may still
    /// write to the old one.
    fn is_replaced(&self) -> io::Result<bool> {
        let Ok(now) = fs::metadata(&self.path) else {
            return Ok(false);
        };
        let is_other = identity(&now) != identity(&self.file.metadata()?);
        Ok(is_other && now.is_file() && now.len() > 0)
    }

    fn note(&mut self, read: &[u8]) {
        self.position += read.len() as u64;
        self.recent.extend_from_slice(
            read.get(read.len().saturating_sub(RECENT)..)
                .unwrap_or(read),
        );
        let old = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..old);
    }
}

/// What tells a file from another of its name.
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> impl PartialEq + use<> {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(metadata: &fs::Metadata) -> impl PartialEq + use<> {
    metadata.created().ok()
}

impl Read for Tail {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut is_left = false;
        loop {
            let count = self.file.read(room)?;
            // Since the last look the file may have become another: what was read is of that then.
            if !self.is_continued()? {
                self.file.rewind()?;
                if self.begin_anew(room) {
                    return Ok(1);
                }
                continue;
            }
            self.file
                .seek(SeekFrom::Start(self.position + count as u64))?;
            self.note(room.get(..count).unwrap_or_default());
            let is_drained = self.file.metadata()?.len() <= self.position;
            self.drained.store(is_drained, Ordering::Release);
            if count > 0 || room.is_empty() {
                return Ok(count);
            }
            if !self.is_replaced()? {
                thread::sleep(self.pause);
            } else if !is_left {
                // What was written before the other file was made is read first.
                is_left = true;
            } else if let Ok(file) = File::open(&self.path) {
                self.file = file;
                is_left = false;
                if self.begin_anew(room) {
                    return Ok(1);
                }
            } else {
                thread::sleep(self.pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A file that is followed, and its lines as they are read.
    struct Site {
        folder: tempfile::TempDir,
        lines: Receiver<String>,
    }

    impl Site {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            fs::write(&path, "").unwrap();
            let tail = Tail::open(&path, File::open(&path).unwrap(), Duration::from_millis(1));
            let (tell, lines) = channel();
            thread::spawn(move || {
                for line in BufReader::new(tail).lines() {
                    if tell.send(line.unwrap()).is_err() {
                        return;
                    }
                }
            });
            Self { folder, lines }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("log")
        }

        fn append(&self, text: &str) {
            let log = File::options().append(true).create(true).open(self.path());
            log.unwrap().write_all(text.as_bytes()).unwrap();
        }

        #[track_caller]
        fn reads(&self, expected: &[&str]) {
            for expected in expected {
                let line = self.lines.recv_timeout(Duration::from_secs(20));
                assert_eq!(line.as_deref(), Ok(*expected));
            }
        }
    }

    #[test]
    fn a_file_is_read_on_as_it_grows_and_a_line_when_it_ends() {
        let site = Site::new();
        site.append("one\ntw");
        site.reads(&["one"]);
        site.append("o\n");
        site.reads(&["two"]);
        site.append("three\nfour\n");
        site.reads(&["three", "four"]);
    }

    #[test]
    fn a_file_that_is_moved_away_is_read_to_its_end_and_then_the_next() {
        let site = Site::new();
        site.append("one\n");
        site.reads(&["one"]);
        let old = site.folder.path().join("log.1");
        fs::rename(site.path(), &old).unwrap();
        // Whoever writes has not heard of it yet.
        let mut log = File::options().append(true).open(&old).unwrap();
        log.write_all(b"two\n").unwrap();
        site.reads(&["two"]);
        fs::write(site.path(), "").unwrap();
        log.write_all(b"three\nhalf").unwrap();
        site.reads(&["three"]);
        site.append("four\n");
        site.reads(&["half", "four"]);
        fs::remove_file(site.path()).unwrap();
        site.append("five\n");
        site.reads(&["five"]);
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_read_from_its_beginning() {
        let site = tempfile::tempdir().unwrap();
        let path = site.path().join("log");
        fs::write(&path, "one\ntwo\nthree\nfour\n").unwrap();
        let mut tail = Tail::open(&path, File::open(&path).unwrap(), Duration::from_millis(1));
        let mut room = [0; 6];
        let mut next = || {
            let count = tail.read(&mut room).unwrap();
            String::from_utf8(room[..count].to_vec()).unwrap()
        };
        assert_eq!(next(), "one\ntw");
        fs::write(&path, "another text that is longer\n").unwrap();
        // The line that was cut ends.
        assert_eq!(next(), "\n");
        assert_eq!(next(), "anothe");
        assert_eq!(next(), "r text");
    }

    #[test]
    fn a_file_that_is_cut_is_read_from_its_beginning() {
        let site = Site::new();
        site.append("a first line that is long\nand half of");
        site.reads(&["a first line that is long"]);
        fs::write(site.path(), "short\n").unwrap();
        site.reads(&["and half of", "short"]);
        // Cut, and longer than before when it is looked at.
        let again = "other lines\nand more of them\n";
        let beside = site.folder.path().join("beside");
        fs::write(&beside, again).unwrap();
        let log = File::options().write(true).open(site.path()).unwrap();
        io::copy(&mut File::open(&beside).unwrap(), &mut &log).unwrap();
        site.reads(&["other lines", "and more of them"]);
    }
}

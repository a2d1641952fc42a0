//! The seam to the disk: what the audit asks of it, so that a test can let each of it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, Write};
use std::path::Path;

/// Where files are kept. What is written counts after a `sync` alone; that a file was made, moved
/// or removed, after a `sync_folder`.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it, where there is none; that it is there is durable.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names in a folder, in no order.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Makes a file, which must not exist.
    fn create(&self, file: &Path) -> io::Result<Box<dyn Append>>;
    /// A file that exists, to write at its end.
    fn append(&self, file: &Path) -> io::Result<Box<dyn Append>>;
    /// A file that exists, to read from its beginning.
    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Writes what a file has behind `from` again, and makes it durable: it may have been written
    /// by somebody whose sync failed, or did not come, and stand in memory alone.
    fn settle(&self, file: &Path, from: u64) -> io::Result<()>;
    /// Cuts a file, durably.
    fn truncate(&self, file: &Path, length: u64) -> io::Result<()>;
    /// Moves a file in the place of another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// Makes durable what was made, moved or removed in a folder.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that grows.
pub trait Append: Send {
    /// Writes at the end; a part of it may be there after a failure.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
}

/// The real one. Files and folders are for their owner alone.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = named_parent(folder) {
            self.make_folder(parent)?;
        }
        match own_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.and_then(|()| self.sync_folder(above(folder))),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|it| it.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(folder)?.map(name).collect()
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn Append>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        for_owner(&mut options);
        Ok(Box::new(options.open(file)?))
    }

    fn append(&self, file: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(OpenOptions::new().append(true).open(file)?))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(file)?))
    }

    fn settle(&self, file: &Path, from: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(file)?;
        let mut bytes = Vec::new();
        file.seek(io::SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)?;
        file.seek(io::SeekFrom::Start(from))?;
        Write::write_all(&mut file, &bytes)?;
        file.sync_all()
    }

    fn truncate(&self, file: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(file)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    #[cfg(unix)]
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    /// Folders cannot be opened here; the file system orders what it does with names.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Append for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

fn named_parent(folder: &Path) -> Option<&Path> {
    folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
}

/// The folder in which something stands.
pub(super) fn above(path: &Path) -> &Path {
    named_parent(path).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn own_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn own_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

/// Makes new files readable by their owner alone.
#[cfg(unix)]
pub(super) fn for_owner(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

/// Files belong to whom the folder belongs to.
#[cfg(not(unix))]
pub(super) fn for_owner(_: &mut OpenOptions) {}

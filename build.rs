//! Tells the program what it was built from, so that an audit can tell a changed engine from a
//! changed policy: `RULECTL_SOURCE` is a digest of every file of `src/` and of `Cargo.lock`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let mut files = vec![PathBuf::from("Cargo.lock")];
    collect(Path::new("src"), &mut files)?;
    files.sort();
    let mut digest = OFFSET;
    for file in &files {
        for part in [
            file.to_string_lossy().as_bytes(),
            b"\0",
            &fs::read(file)?,
            b"\0",
        ] {
            digest = part.iter().fold(digest, |digest, byte| {
                (digest ^ u64::from(*byte)).wrapping_mul(PRIME)
            });
        }
    }
    println!("cargo:rustc-env=RULECTL_SOURCE={digest:016x}");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.lock");
    Ok(())
}

/// FNV-1a of 64 bits: nobody has a reason to make two sources collide.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

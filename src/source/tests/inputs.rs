use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{found, gzip_member, owned, read, zstd};
use crate::source::{Input, Limits, Reader, SourceError, expand};

/// A directory with these files, each holding its own name in an object.
fn directory(files: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{{\"file\":\"{file}\"}}\n")).unwrap();
    }
    directory
}

/// The names, or the errors, for words below the directory, without the directory.
fn expanded(directory: &TempDir, words: &[&str]) -> Vec<String> {
    let root = format!("{}/", directory.path().display());
    let word = |word: &&str| match *word {
        "-" => "-".to_owned(),
        word => format!("{root}{word}"),
    };
    let words: Vec<String> = words.iter().map(word).collect();
    let lines: Vec<String> = match expand(&words) {
        Ok(inputs) => inputs.iter().map(Input::name).collect(),
        Err(errors) => errors.iter().map(SourceError::to_string).collect(),
    };
    lines.iter().map(|line| line.replace(&root, "")).collect()
}

#[track_caller]
fn check(directory: &TempDir, words: &[&str], expected: &[&str]) {
    assert_eq!(expanded(directory, words), expected);
}

#[test]
fn words_become_inputs() {
    let files = [
        "b.json",
        "a.json",
        "a.txt",
        "x[1].json",
        "d/c.json",
        "d/e/f.json",
        ".h.json",
    ];
    let directory = directory(&files);
    check(
        &directory,
        &["b.json", "-", "a.json"],
        &["b.json", "<stdin>", "a.json"],
    );
    check(&directory, &["*.json"], &["a.json", "b.json", "x[1].json"]);
    check(
        &directory,
        &["?.{json,txt}"],
        &["a.json", "a.txt", "b.json"],
    );
    check(&directory, &["x[1].json"], &["x[1].json"]);
    check(&directory, &["x[[]1].json"], &["x[1].json"]);
    check(&directory, &["*/*.json"], &["d/c.json"]);
    check(&directory, &["d//*.json"], &["d//c.json"]);
    check(&directory, &["d/**"], &["d/c.json", "d/e/f.json"]);
    check(&directory, &["**/[cf].json"], &["d/c.json", "d/e/f.json"]);
    check(&directory, &[".*.json"], &[".h.json"]);
    check(&directory, &[], &[]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let directory = directory(&["d/a.json"]);
    check(
        &directory,
        &[
            "-", "none", "d", "d/a.json", "*.csv", "d*", "no/*", "[z", "-",
        ],
        &[
            "`none`: no such file",
            "`d` is a directory; give a glob such as `d/*.ndjson`",
            "`*.csv` matches no file",
            "`d` is a directory; give a glob such as `d/*.ndjson`",
            "`no/*` matches no file",
            "`[z` is not a valid glob: unclosed character class; missing ']'",
            "`-` (standard input) is given more than once",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_fifo_is_refused_without_being_opened() {
    let directory = directory(&["a"]);
    let fifo = directory.path().join("pipe");
    if !Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .is_ok_and(|status| status.success())
    {
        return;
    }
    let message = "`pipe` is a FIFO and not a regular file; pipe it in and give `-`";
    check(&directory, &["pipe"], &[message]);
    check(&directory, &["*"], &[message]);
    let error = Reader::new(vec![Input::File(fifo)]).next().unwrap().err();
    assert!(matches!(
        error,
        Some(SourceError::NotRegular { kind: "FIFO", .. })
    ));
}

#[cfg(unix)]
#[test]
fn links_to_directories_do_not_lead_in_circles() {
    let directory = directory(&["d/a.json"]);
    std::os::unix::fs::symlink(directory.path(), directory.path().join("d/up")).unwrap();
    check(&directory, &["**/*.json"], &["d/a.json"]);
    check(&directory, &["d/*/d/*.json"], &["d/up/d/a.json"]);
}

#[test]
fn files_are_read_in_order_and_counted() {
    let directory = directory(&["a", "c"]);
    let path = |name: &str| Input::File(Path::new(directory.path()).join(name));
    let inputs = vec![path("a"), path("b"), path("c")];
    let mut reader = Reader::new(inputs.clone());
    assert_eq!(reader.inputs(), inputs);
    assert_eq!(reader.total(), None);
    let places: Vec<Option<u32>> = reader
        .by_ref()
        .map(|chunk| Some(chunk.ok()?.records().next()?.place.input))
        .collect();
    assert_eq!(places, [Some(0), None, Some(2)]);
    assert_eq!(reader.read_so_far(), 26);
    assert_eq!(Reader::new(vec![path("a"), path("c")]).total(), Some(26));
}

#[test]
fn a_reader_can_go_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    sent(Reader::new(vec![Input::Stdin]));
    assert_eq!(Reader::new(vec![Input::Stdin]).total(), None);
}

/// Text that compresses badly enough to take several blocks.
fn records(count: usize) -> String {
    let random = |n: usize| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (0..count)
        .map(|n| format!("{{\"n\":{n},\"x\":{}}}\n", random(random(n))))
        .collect()
}

#[test]
fn what_comes_before_the_end_of_a_cut_off_file_is_read() {
    let text = records(5000);
    let lines: Vec<&str> = text.lines().collect();
    for (bytes, format) in [
        (gzip_member(text.as_bytes()), "gzip"),
        (zstd(text.as_bytes()), "zstd"),
    ] {
        let found = read(&bytes[..bytes.len() - 5000], Limits::default());
        assert_eq!(
            found.errors,
            [format!("`test`: the {format} data is cut off")]
        );
        let (last, whole) = found.records.split_last().unwrap();
        assert!(whole.len() > 1000);
        for (record, line) in whole.iter().zip(&lines) {
            assert!(record.ends_with(line));
        }
        assert!(lines[whole.len()].starts_with(last.split_once(": ").unwrap().1));
    }
}

/// A decoder drops what it has made in the call that meets the damage; how much that is must not
/// depend on how much text is asked for.
#[test]
fn damage_costs_the_same_whatever_the_size_of_the_chunks() {
    let text = records(12_000);
    for mut bytes in [gzip_member(text.as_bytes()), zstd(text.as_bytes())] {
        let (middle, after) = (bytes.len() / 2, bytes.len() / 2 + 64);
        bytes[middle..after].fill(0xff);
        let of_chunks = |chunk| {
            let record = 1024;
            read(&bytes, Limits { chunk, record })
        };
        let whole = of_chunks(1 << 20);
        assert_eq!(whole.errors.len(), 1);
        assert!(whole.records.len() > 1000);
        for chunk in [64, 1000, 1 << 14] {
            assert_eq!(of_chunks(chunk), whole, "chunks of {chunk} bytes");
        }
    }
}

#[test]
fn a_bad_checksum_costs_no_record() {
    let text = records(5000);
    let mut bytes = gzip_member(text.as_bytes());
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let found = read(&bytes, Limits::default());
    assert_eq!(found.records.len(), 5000);
    assert!(
        found.errors[0].starts_with("`test`: the gzip data is corrupt: "),
        "{found:?}"
    );
    let trailing = [gzip_member(b"{}"), b"trailing".to_vec()].concat();
    assert_eq!(read(&trailing, Limits::default()).records, ["1: {}"]);
}

#[test]
fn reading_goes_on_with_the_next_input() {
    let memory = |name: &str, bytes: &[u8]| Input::Memory {
        name: name.to_owned(),
        bytes: bytes.into(),
    };
    let cut = gzip_member(b"{\"a\":1}\n{\"b\":2}");
    let found = found(Reader::new(vec![
        memory("cut.gz", &cut[..cut.len() - 4]),
        memory("wide", b"\xff\xfe{\0}\0"),
        memory("empty", b""),
        memory("last", b"[{}]"),
    ]));
    assert_eq!(found.records, ["1: {\"a\":1}", "2: {\"b\":2}", "1: {}"]);
    let wide =
        "`wide` is UTF-16 text; convert it to UTF-8 first: `iconv -f UTF-16 -t UTF-8 < in > out`";
    assert_eq!(
        found.errors,
        owned(&["`cut.gz`: the gzip data is cut off", wide])
    );
}

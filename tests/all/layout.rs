//! The layout of `src/` against the table of allowed arrows in `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn modules_import_what_the_table_allows_and_nothing_else() {
    let allowed = allowed();
    let real = real();
    let names = |arrows: &Arrows| arrows.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(&allowed),
        names(&real),
        "the table has a row for each module of src/"
    );
    for (module, imports) in &real {
        let row = &allowed[module];
        let extra: Vec<_> = imports.difference(row).collect();
        assert!(
            extra.is_empty(),
            "`{module}` imports {extra:?}, which the table does not allow"
        );
        let unused: Vec<_> = row.difference(imports).collect();
        assert!(
            unused.is_empty(),
            "the table allows `{module}` to import {unused:?}, and it does not"
        );
    }
}

#[test]
fn no_module_is_reached_from_what_it_imports() {
    let real = real();
    for module in real.keys() {
        let mut reached = BTreeSet::new();
        let mut todo: Vec<&String> = real[module].iter().collect();
        while let Some(next) = todo.pop() {
            if reached.insert(next) {
                todo.extend(&real[next]);
            }
        }
        assert!(
            !reached.contains(module),
            "an import circle goes through `{module}`"
        );
    }
}

/// The rows of the table: | `module` | `a`, `b` |
fn allowed() -> Arrows {
    let text = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let name = Regex::new("`([a-z_]+)`").unwrap();
    let table = text
        .split("| module | may import |")
        .nth(1)
        .expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let (module, imports) = row.trim_matches('|').split_once('|').expect("two columns");
        let names = |text: &str| {
            name.captures_iter(text)
                .map(|found| found[1].to_owned())
                .collect()
        };
        let module: BTreeSet<String> = names(module);
        (module.into_iter().next().expect("a module"), names(imports))
    })
    .collect()
}

/// What each module names after `crate::`, unit tests included.
fn real() -> Arrows {
    // `use crate::{a, b}` would hide its second name: one line a module.
    let import = Regex::new(r"\bcrate::([a-z_]+|\{)").unwrap();
    let mut arrows = Arrows::new();
    for file in rust_files(Path::new("src")) {
        let inside = file.strip_prefix("src").unwrap();
        let first = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let text = code(&fs::read_to_string(&file).unwrap());
        let imports = arrows.entry(module.clone()).or_default();
        imports.extend(
            import
                .captures_iter(&text)
                .map(|found| found[1].to_owned())
                .filter(|name| *name != module),
        );
    }
    arrows
}

/// The text without its comment lines, which may point at any module.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

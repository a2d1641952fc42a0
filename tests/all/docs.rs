//! The documentation is true: every example in the Markdown files is run.
//!
//! The first words after the fence of a block say what it is:
//!
//! | block | what is asked of it |
//! |---|---|
//! | `yaml rule` | loads without a problem as `rules/x.yml` of the shipped policy |
//! | `toml routing`, `yaml tools`, `markdown prompt` | loads without a problem in the place of the shipped file |
//! | `toml tables` | loads without a problem at the end of the shipped `routing.toml` |
//! | `toml settings` | is read without a problem as `rulectl.toml` |
//! | `yaml suite` | passes |
//! | `yaml scenario` | is read without an error as a scenario of `rulectl tenant` |
//! | `yaml workflow` | what it runs is run, by `workflows` |
//! | `console` | each `$` line prints what stands below it; a line `…` stands for any lines |
//! | `… file=PATH` | no check of its own; the later blocks of the page find it in the policy |
//! | `… excerpt=PATH` | stands, line by line, in that file of the repository |
//! | `text`, `sh`, `json` | nothing |
//!
//! The `console` blocks of a page share one copy of the policy. `BLESS=1 cargo
//! test docs` writes into them what the program prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use rulectl::config::Given;
use rulectl::diag::Problems;
use tempfile::TempDir;

const RULECTL: &str = env!("CARGO_BIN_EXE_rulectl");

#[cfg(unix)]
#[test]
fn every_example_is_true() {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let pages: Vec<_> = pages()
            .into_iter()
            .map(|page| scope.spawn(move || check_page(&page)))
            .collect();
        pages
            .into_iter()
            .flat_map(|page| page.join().expect("a page is checked without a panic"))
            .collect()
    });
    assert!(
        failures.is_empty(),
        "\n\n{}\n\n{} examples are not true",
        failures.join("\n\n"),
        failures.len()
    );
}

#[test]
fn every_code_has_a_row_and_every_row_a_code() {
    let code = Regex::new("\"(RL[0-9]{4})\"").expect("a regex");
    let row = Regex::new(r"(?m)^\| (RL[0-9]{4}) \|").expect("a regex");
    let find = |regex: &Regex, text: &str| -> Vec<String> {
        regex
            .captures_iter(text)
            .map(|found| found[1].to_owned())
            .collect()
    };
    let in_source: BTreeSet<String> = files_below(&repository().join("src"), "rs")
        .iter()
        .flat_map(|path| find(&code, &read(path)))
        .collect();
    let listed = find(&row, &read(&repository().join("docs/diagnostics.md")));
    let in_table: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(
        in_source, in_table,
        "codes of src against rows of docs/diagnostics.md"
    );
    assert_eq!(
        listed,
        in_table.into_iter().collect::<Vec<_>>(),
        "rows are sorted and each stands once"
    );
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]+)").expect("a regex");
    for page in pages() {
        for found in link.captures_iter(&read(&page)) {
            let target = &found[1];
            let folder = page.parent().expect("a page stands in a folder");
            assert!(
                target.contains("://") || folder.join(target).exists(),
                "{}: nothing at {target}",
                page.display()
            );
        }
    }
}

/// A fenced block of a page.
struct Block {
    /// The line of the opening fence, from 1.
    line: usize,
    /// The words after the fence.
    info: Vec<String>,
    body: String,
}

fn check_page(path: &Path) -> Vec<String> {
    let text = read(path);
    let page = path
        .strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string();
    let mut extra: Vec<(String, String)> = Vec::new();
    let mut console: Option<TempDir> = None;
    let mut blessed: Vec<(Block, String)> = Vec::new();
    let mut failures = Vec::new();
    for block in blocks(&text) {
        let place = format!("{page}:{}", block.line);
        let words: Vec<&str> = block.info.iter().map(String::as_str).collect();
        let outcome = match words.as_slice() {
            [_, mark] if mark.starts_with("file=") => {
                let file = (mark.trim_start_matches("file=").to_owned(), block.body.clone());
                if let Some(policy) = &console {
                    write(policy.path(), &file);
                }
                extra.push(file);
                Ok(())
            }
            [_, mark] if mark.starts_with("excerpt=") => stands_in(mark.trim_start_matches("excerpt="), &block.body),
            ["yaml", "rule"] => loads("rules/x.yml", &block.body, &extra),
            ["toml", "routing"] => loads("routing.toml", &block.body, &extra),
            ["toml", "tables"] => {
                let shipped = read(&repository().join("routing.toml"));
                loads("routing.toml", &format!("{shipped}\n{}", block.body), &extra)
            }
            ["yaml", "tools"] => loads("tools.yaml", &block.body, &extra),
            ["markdown", "prompt"] => loads("prompts/risk.md", &block.body, &extra),
            ["toml", "settings"] => sets(&block.body),
            ["yaml", "scenario"] => rulectl::tenant::Scenario::read(&block.body)
                .map(drop)
                .map_err(|wrong| wrong.to_string()),
            ["yaml", "suite"] => passes(&block.body, &extra),
            ["console"] => {
                let policy = console.get_or_insert_with(|| policy(&extra));
                match prints(&block.body, policy.path()) {
                    Err((_, actual)) if std::env::var_os("BLESS").is_some() => {
                        blessed.push((block, actual));
                        Ok(())
                    }
                    Err((failure, _)) => Err(failure),
                    Ok(()) => Ok(()),
                }
            }
            ["text" | "sh" | "json"] | ["yaml", "workflow"] => Ok(()),
            _ => Err("a block says what it is after its fence; the head of tests/all/docs.rs lists the words".to_owned()),
        };
        failures.extend(outcome.err().map(|failure| format!("{place}: {failure}")));
    }
    if !blessed.is_empty() {
        fs::write(path, bless(&text, &blessed)).expect("the page can be written");
    }
    failures
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let info = info.split_whitespace().map(str::to_owned).collect();
                open = Some(Block {
                    line: at + 1,
                    info,
                    body: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.body.push_str(line);
                block.body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn sets(body: &str) -> Result<(), String> {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("rulectl.toml"), body).expect("the file can be written");
    let mut problems = Problems::default();
    let given = Given {
        folder: folder.path(),
        environment: &|_| None,
        flags: &[],
    };
    let config = rulectl::config::read(&given, &mut problems);
    let told: Vec<_> = problems
        .sorted()
        .into_iter()
        .map(|problem| &problem.message)
        .collect();
    if told.is_empty() {
        let model = config.model().map(drop).map_err(|none| none.to_string());
        let tenant = config.tenant().map(drop).ok_or("no tenant is configured");
        let says = |table: &str| body.contains(table);
        let model = if says("[llm]") { model } else { Ok(()) };
        model.and(if says("[okta]") {
            tenant.map_err(str::to_owned)
        } else {
            Ok(())
        })
    } else {
        Err(format!("{told:?}"))
    }
}

fn stands_in(file: &str, body: &str) -> Result<(), String> {
    let whole = read(&repository().join(file));
    let (whole, part): (Vec<&str>, Vec<&str>) = (whole.lines().collect(), body.lines().collect());
    let found = whole.windows(part.len()).any(|lines| lines == part);
    found
        .then_some(())
        .ok_or_else(|| format!("does not stand in {file} like this"))
}

fn loads(place: &str, body: &str, extra: &[(String, String)]) -> Result<(), String> {
    let policy = policy(extra);
    write(policy.path(), &(place.to_owned(), body.to_owned()));
    let (good, output) = sh("rulectl check", policy.path());
    (good && output.starts_with("no problems"))
        .then_some(())
        .ok_or(output)
}

fn passes(body: &str, extra: &[(String, String)]) -> Result<(), String> {
    let policy = policy(extra);
    write(
        policy.path(),
        &("fixtures/x.test.yml".to_owned(), body.to_owned()),
    );
    let (good, output) = sh("rulectl test", policy.path());
    good.then_some(()).ok_or(output)
}

/// Runs the commands of a block. Else: the first difference, and the block as it should be.
fn prints(body: &str, folder: &Path) -> Result<(), (String, String)> {
    let mut failure = None;
    let mut whole = String::new();
    for (command, expected) in commands(body) {
        let script = command.replace("cargo run --release --locked -- ", "rulectl ");
        let shown = if script.starts_with("cargo ") {
            expected
        } else {
            let actual = lines(&sh(&script, folder).1);
            if agrees(&expected, &actual) {
                expected
            } else {
                failure.get_or_insert(format!("`{command}` prints\n{}", actual.join("\n")));
                shortened(&expected, &actual)
            }
        };
        let lines: String = shown.iter().map(|line| format!("{line}\n")).collect();
        whole.push_str(&format!("$ {command}\n{lines}"));
    }
    failure.map_or(Ok(()), |failure| Err((failure, whole)))
}

fn commands(body: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => panic!("a console block begins with `$ `: {line}"),
        }
    }
    commands
}

fn sh(script: &str, folder: &Path) -> (bool, String) {
    let programs = Path::new(RULECTL)
        .parent()
        .expect("the program stands in a folder")
        .display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder)
        .env("PATH", format!("{programs}:{path}"))
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    (
        output.status.success(),
        String::from_utf8(output.stdout).expect("output is UTF-8"),
    )
}

/// The lines of an output, without the one that says how long a run took.
fn lines(output: &str) -> Vec<String> {
    static RATE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\d+ (\w+) in [\d.]+ s, \d+ \w+/s$").expect("a regex"));
    let kept = output.lines().filter(|line| !RATE.is_match(line));
    kept.map(|line| line.trim_end().to_owned()).collect()
}

/// Digests change with every edit of the policy, so any agrees with any.
fn steady(lines: &[String]) -> Vec<String> {
    static DIGEST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b[0-9a-f]{64}\b|\bpolicy [0-9a-f]{12}\b").expect("a regex"));
    let line = |line: &String| DIGEST.replace_all(line.trim_end(), "DIGEST").into_owned();
    lines.iter().map(line).collect()
}

fn is_gap(line: &str) -> bool {
    matches!(line.trim(), "…" | "...")
}

/// Whether the expected lines are the actual ones, a gap standing for any number of them.
fn agrees(expected: &[String], actual: &[String]) -> bool {
    fn from(expected: &[String], actual: &[String]) -> bool {
        match expected.split_first() {
            None => actual.is_empty(),
            Some((line, rest)) if is_gap(line) => {
                (0..=actual.len()).any(|at| from(rest, &actual[at..]))
            }
            Some((line, rest)) => actual
                .split_first()
                .is_some_and(|(found, left)| found == line && from(rest, left)),
        }
    }
    from(&steady(expected), &steady(actual))
}

/// The actual lines with the gaps of the expected ones, each between the same numbers of lines.
fn shortened(expected: &[String], actual: &[String]) -> Vec<String> {
    let mut parts: Vec<&[String]> = expected.split(|line| is_gap(line)).collect();
    let (Some(first), Some(last)) = (parts.first().copied(), parts.pop()) else {
        return actual.to_vec();
    };
    if parts.is_empty() || first.len() + last.len() > actual.len() {
        return actual.to_vec();
    }
    let end = actual.len() - last.len();
    let mut at = first.len();
    let mut shown = actual[..at].to_vec();
    for part in &parts[1..] {
        let begin = part
            .first()
            .and_then(|line| actual[at..end].iter().position(|found| found == line));
        if let Some(begin) = begin.filter(|begin| at + begin + part.len() <= end) {
            shown.push("…".to_owned());
            shown.extend_from_slice(&actual[at + begin..at + begin + part.len()]);
            at += begin + part.len();
        }
    }
    shown.push("…".to_owned());
    shown.extend_from_slice(&actual[end..]);
    shown
}

fn bless(text: &str, blocks: &[(Block, String)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (block, body) in blocks.iter().rev() {
        let begin = block.line;
        lines.splice(
            begin..begin + block.body.lines().count(),
            body.lines().map(str::to_owned),
        );
    }
    lines.join("\n") + "\n"
}

/// A copy of the shipped policy and its logs, without its suites, and with the files of a page.
fn policy(extra: &[(String, String)]) -> TempDir {
    let copy = TempDir::new().expect("a temporary folder");
    for name in ["rules", "prompts", "fixtures", "routing.toml", "tools.yaml"] {
        duplicate(&repository().join(name), &copy.path().join(name));
    }
    extra.iter().for_each(|file| write(copy.path(), file));
    copy
}

fn duplicate(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder can be made");
        for entry in fs::read_dir(from).expect("a folder of the repository") {
            let name = entry.expect("an entry").file_name();
            duplicate(&from.join(&name), &to.join(&name));
        }
    } else if !from.to_string_lossy().ends_with(".test.yml") {
        fs::copy(from, to).expect("a file can be copied");
    }
}

fn write(folder: &Path, (path, text): &(String, String)) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a file stands in a folder"))
        .expect("a folder can be made");
    fs::write(path, text).expect("a file can be written");
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
        .map(|name| repository().join(name))
        .to_vec();
    pages.extend(files_below(&repository().join("docs"), "md"));
    // What is written from the rules is held against them.
    pages.retain(|page| !read(page).starts_with("<!-- Written by `rulectl docs`"));
    pages
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

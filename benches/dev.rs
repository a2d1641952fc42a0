//! How long a save waits for its verdict: `cargo bench --bench dev`.
//!
//! `rulectl dev` watches a copy of the shipped policy, in which a threshold is saved to and fro.
//! Beside it, what `check`, `test` and `diff` take by themselves over the same folder.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "without its material there is nothing to measure, and figures are for stdout"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RULECTL: &str = env!("CARGO_BIN_EXE_rulectl");

/// So many saves.
const SAVES: usize = 40;

/// What is saved to and fro.
const CHANGES: [(&str, &str); 2] = [("{gte: 5}", "{gte: 6}"), ("{gte: 6}", "{gte: 5}")];

fn main() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    for part in ["rules", "prompts", "fixtures", "routing.toml", "tools.yaml"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        run(Command::new("cp").arg("-r").arg(from).arg(place));
    }
    let git = |words: &[&str]| run(Command::new("git").current_dir(place).args(words));
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    let name = [
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.com",
    ];
    git(&[&name[..], &["commit", "-qm", "begin"]].concat());
    let waits = saves(place);
    println!("| work | median | most |\n|---|--:|--:|");
    row("`dev`, from save to verdict", waits);
    for words in [["check"], ["test"], ["diff"]] {
        let once = |_| {
            let begun = Instant::now();
            run(Command::new(RULECTL).current_dir(place).args(words));
            begun.elapsed()
        };
        row(
            &format!("`{}`", words.concat()),
            (0..SAVES).map(once).collect(),
        );
    }
}

/// How long each save waits for the line that says whether it is good.
fn saves(place: &Path) -> Vec<Duration> {
    let mut child = Command::new(RULECTL)
        .current_dir(place)
        .arg("dev")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut verdicts = lines.map_while(Result::ok).filter(|line| {
        let words = ["good: ", "failing: ", "broken: "];
        words.iter().any(|word| line.starts_with(word))
    });
    verdicts.next().expect("a verdict");
    let rule = place.join("rules/sign_in.yml");
    let waits = CHANGES.iter().cycle().take(SAVES).map(|(from, to)| {
        let text = fs::read_to_string(&rule).expect("readable");
        assert!(text.contains(from), "no {from}");
        let begun = Instant::now();
        fs::write(&rule, text.replace(from, to)).expect("written");
        verdicts.next().expect("a verdict");
        begun.elapsed()
    });
    let waits = waits.collect();
    child.kill().expect("it runs until it is ended");
    child.wait().expect("it ended");
    waits
}

fn run(command: &mut Command) {
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    // A diff that cannot tell ends with another number, and takes as long.
    done.expect("it runs");
}

fn row(work: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |at: Option<&Duration>| at.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let median = ms(times.get(times.len() / 2));
    println!("| {work} | {median:.0} ms | {:.0} ms |", ms(times.last()));
}

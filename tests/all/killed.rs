//! Real runs that are killed: what they had said and done is in the audit, and it goes on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rulectl::audit::{Against, Audit, Options, Record, read, verify};
use rulectl::event::Digest;
use serde_json::Value;

use crate::harness::{log, program, small_folder};

/// Runs over files and of events as they come are killed at moments that follow from a seed: some
/// when the audit has grown by so much, some when so much time has passed. `RULECTL_CASES` says
/// how many.
#[test]
fn a_run_that_is_killed_leaves_what_it_said_and_did_in_the_audit() {
    let rounds = std::env::var("RULECTL_CASES").ok();
    let rounds: u64 = rounds.and_then(|it| it.parse().ok()).unwrap_or(24);
    let folder = small_folder();
    let mut seen = Seen::default();
    for round in 0..rounds {
        let killed = killed_run(folder.path(), &mut Dice(round));
        killed.check(folder.path(), &mut seen);
    }
    // They were killed while something was to be lost.
    assert!(seen.cut_short > 0 && seen.printed > 0, "{seen:?}");
    let replayed = rulectl(folder.path(), &["replay"]);
    assert_eq!(replayed.0, 0, "{}", replayed.1);
}

#[derive(Debug, Default)]
struct Seen {
    /// Records of the audit so far.
    records: u64,
    /// Runs that began and did not end.
    cut_short: u64,
    /// Lines that runs had printed.
    printed: u64,
}

/// A run that is over, one way or the other.
struct Killed {
    words: String,
    status: ExitStatus,
    printed: String,
    said: String,
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Starts a run and kills it at some moment.
fn killed_run(folder: &Path, dice: &mut Dice) -> Killed {
    let demo_day = log("demo-day.ndjson");
    let mut words: Vec<&str> = vec!["run", "--format", "ndjson", "--events"];
    let follows = dice.below(3) > 0;
    if follows {
        words.extend(["-", "--follow"]);
    } else {
        words.push(demo_day.to_str().unwrap());
    }
    if dice.below(2) == 0 {
        words.push("--append");
    }
    if follows && dice.below(2) == 0 {
        words.extend(["--state", "state"]);
    }
    let before = grown(folder);
    let output = |name: &str| File::create(folder.join(name)).unwrap();
    let mut child = Command::new(program().get_program())
        .args(&words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(output("printed"))
        .stderr(output("said"))
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    let fed = feed(input, Dice(dice.below(u64::MAX)));
    let by = match dice.below(4) {
        0 => before,
        1 => before + dice.below(2_000),
        2 => before + dice.below(20_000),
        _ => before + dice.below(70_000),
    };
    wait_until_grown(&mut child, folder, by);
    std::thread::sleep(Duration::from_micros(dice.below(4_000)));
    // It may have ended just now.
    child.kill().unwrap();
    let status = child.wait().unwrap();
    drop(fed.join().unwrap());
    let said = |name: &str| String::from_utf8(fs::read(folder.join(name)).unwrap()).unwrap();
    Killed {
        words: words.join(" "),
        status,
        printed: said("printed"),
        said: said("said"),
    }
}

/// Feeds the demo day or its beginning, some events at a time. What it gives is the input where
/// it does not end.
fn feed(mut input: ChildStdin, mut dice: Dice) -> JoinHandle<Option<ChildStdin>> {
    let text = fs::read_to_string(log("demo-day.ndjson")).unwrap();
    std::thread::spawn(move || {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.truncate(1 + dice.below(lines.len() as u64) as usize);
        while !lines.is_empty() {
            let next = lines.len().min(1 + dice.below(60) as usize);
            let some: String = lines.drain(..next).collect();
            if input.write_all(some.as_bytes()).is_err() {
                return None; // it was killed, or does not read this
            }
            std::thread::sleep(Duration::from_millis(dice.below(4)));
        }
        (dice.below(2) == 0).then_some(input)
    })
}

/// How many bytes the segments of the audit have.
fn grown(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder.join("data/audit")) else {
        return 0;
    };
    let files = entries.filter_map(Result::ok).filter_map(|entry| {
        let is_segment = entry.path().extension().is_some_and(|it| it == "jsonl");
        entry.metadata().ok().filter(|_| is_segment)
    });
    files.map(|metadata| metadata.len()).sum()
}

fn wait_until_grown(child: &mut Child, folder: &Path, by: u64) {
    let begun = Instant::now();
    while grown(folder) <= by
        && child.try_wait().unwrap().is_none()
        && begun.elapsed() < Duration::from_millis(1_500)
    {
        std::thread::sleep(Duration::from_micros(300));
    }
}

impl Killed {
    #[track_caller]
    fn check(&self, folder: &Path, seen: &mut Seen) {
        let Self { words, said, .. } = self;
        match self.status.code() {
            None | Some(0) => {}
            // A run that was killed before left artifacts that cannot be added to.
            Some(2) if words.contains("--append") => {
                assert!(said.contains("interrupted"), "{words}: {said}");
            }
            Some(code) => panic!("{words} ended with {code}: {said}"),
        }
        // Whoever comes next opens the log.
        let audit = folder.join("data/audit");
        let (opened, _) = Audit::open(&audit, Options::live(None)).unwrap();
        drop(opened);
        let report = verify(&audit, &Against::default(), &mut |_, _| {}).unwrap();
        assert!(report.verified, "{words}: {:?}", report.findings);
        let records: Vec<Record> = read(&audit).unwrap().map(Result::unwrap).collect();
        check_artifacts(folder, &records, words);
        let new = records.get(seen.records as usize..).unwrap();
        self.check_printed(new, seen);
        self.check_run(folder, new, seen);
        seen.records = records.len() as u64;
    }

    /// What was printed is recorded, in the same order.
    fn check_printed(&self, records: &[Record], seen: &mut Seen) {
        let words = &self.words;
        let whole = self
            .printed
            .rsplit_once('\n')
            .map_or("", |(whole, _)| whole);
        let lines: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        seen.printed += lines.len() as u64;
        let outcomes = || lines.iter().filter(|line| line["run"].is_null());
        for part in ["finding", "risk", "promotion"] {
            let kind = if part == "finding" { part } else { "risk" };
            let mut recorded = of_kind(records, kind).map(|record| &record.body[part]);
            for line in outcomes() {
                assert_eq!(recorded.next(), Some(&line[part]), "{words}");
            }
        }
        for part in ["incident", "plan"] {
            let recorded: Vec<&Value> = of_kind(records, part).map(|it| &it.body[part]).collect();
            for line in outcomes() {
                let told = &line["response"][part];
                assert!(
                    told.is_null() || recorded.contains(&told),
                    "{words}: {told}"
                );
            }
        }
        if lines.iter().any(|line| !line["run"].is_null()) {
            assert_eq!(of_kind(records, "run.ended").count(), 1, "{words}");
        }
    }

    /// What the run decided comes out the same, as far as it came.
    fn check_run(&self, folder: &Path, records: &[Record], seen: &mut Seen) {
        let words = &self.words;
        let Some(begun) = of_kind(records, "run.begun").next() else {
            return;
        };
        let run = begun.run.unwrap();
        let has_ended = of_kind(records, "run.ended").count() == 1;
        seen.cut_short += u64::from(!has_ended);
        let run = run.to_string();
        let (code, told) = rulectl(folder, &["replay", "--format", "json", "--run", &run]);
        assert_eq!(code, 0, "{words}: {told}");
        let report: Value = serde_json::from_str(&told).unwrap();
        let report = &report["runs"][0];
        let kinds = [
            "route", "finding", "risk", "incident", "plan", "commands", "draft",
        ];
        let decided = kinds.map(|kind| of_kind(records, kind).count());
        let decided: usize = decided.iter().sum();
        assert_eq!(report["same"], decided, "{words}: {report}");
        assert_eq!(report["cut_short"], !has_ended, "{words}: {report}");
        assert!(has_ended || report["beyond"].is_u64(), "{words}: {report}");
        let (code, shown) = rulectl(folder, &["show"]);
        assert!([0, 2].contains(&code), "{words}: {shown}");
    }
}

/// Each artifact in its place was announced.
fn check_artifacts(folder: &Path, records: &[Record], words: &str) {
    let mut announced = BTreeSet::new();
    for record in of_kind(records, "artifacts.intended") {
        for (name, artifact) in record.body["artifacts"].as_object().unwrap() {
            announced.insert((
                name.clone(),
                artifact["sha256"].as_str().unwrap().to_owned(),
            ));
        }
    }
    for name in [
        "findings",
        "risks",
        "routes",
        "incidents",
        "plans",
        "commands",
        "drafts",
    ] {
        let file: PathBuf = folder.join("data").join(format!("{name}.jsonl"));
        if let Ok(bytes) = fs::read(file) {
            let artifact = (name.to_owned(), Digest::of(&bytes).to_string());
            assert!(announced.contains(&artifact), "{words}: {name}");
        }
    }
}

fn of_kind<'r>(records: &'r [Record], kind: &str) -> impl Iterator<Item = &'r Record> {
    let kind = kind.to_owned();
    records.iter().filter(move |record| record.kind == kind)
}

/// What the program answers in a folder.
fn rulectl(folder: &Path, words: &[&str]) -> (i32, String) {
    let output = program().current_dir(folder).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap();
    (code, String::from_utf8(said).unwrap())
}

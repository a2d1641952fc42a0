//! The rules that are measured: SigmaHQ's, and any number of generated ones.

use std::fs;
use std::io;
use std::iter::repeat_n;
use std::path::{Path, PathBuf};

use rulectl::detect::Detector;
use tempfile::TempDir;

/// The head of a rule, and kinds of detections behind how many of each there are.
const TEMPLATE: &str = include_str!("../rules.template");

const OTHER: &str =
    "title: For another log\nlogsource: {product: zeek}\ndetection: {a: {b: c}, condition: a}\n";

/// A file of this project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The detector of these rules, as `rulectl detect` runs it.
pub fn detector(rules: &Path) -> Detector {
    let loaded = rulectl::policy::load_rules(rules);
    loaded
        .detector
        .expect("the rules have no errors")
        .reporting_matches()
}

/// A folder of generated rules, and one for another product, which is not run: a
/// folder without any rule is an error.
pub fn generated(count: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("other.yml"), OTHER).expect("the rule is written");
    write_generated(folder.path(), count).expect("the rules are written");
    folder
}

/// Writes rules that depend on their number alone. Nearly all watch for values
/// that never occur, as most rules of a large set do.
pub fn write_generated(folder: &Path, count: usize) -> io::Result<()> {
    let mut parts = TEMPLATE.split("--- ");
    let head = parts.next().unwrap_or_default();
    let kinds: Vec<&str> = parts.flat_map(kind).collect();
    (0..count)
        .zip(kinds.iter().cycle())
        .try_for_each(|(number, kind)| {
            let text = format!("{head}{kind}")
                .replace("{number}", &number.to_string())
                .replace("{high}", &(number / 256 % 256).to_string())
                .replace("{low}", &(number % 256).to_string());
            fs::write(folder.join(format!("generated_{number}.yml")), text)
        })
}

/// A folder of rules with a script behind a line about the type of an event.
pub fn scripted(count: usize, event_type: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rule = |number: usize| {
        format!(
            "title: Scripted {number}\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: '{event_type}'}}, condition: s}}\nrulectl: {{script: script.rhai#holds}}\n"
        )
    };
    for number in 0..count {
        let path = folder.path().join(format!("scripted_{number}.yml"));
        fs::write(path, rule(number)).expect("the rule is written");
    }
    let script = "fn holds(event) {\n    let hour = hour(event.time);\n    (hour < 6 || hour >= 20) && event.field(\"actor.alternateId\").like(\"svc-*\")\n}\n";
    fs::write(folder.path().join("script.rhai"), script).expect("the script is written");
    folder
}

/// One detection, as often as its first line says.
fn kind(part: &str) -> impl Iterator<Item = &str> {
    let (times, detection) = part.split_once('\n').expect("a number on a line");
    repeat_n(detection, times.trim().parse().expect("a number"))
}

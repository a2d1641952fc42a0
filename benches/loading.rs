//! Loading a policy: reading, checking and compiling its rules.
//!
//! `cargo bench --bench loading`. The rules lie in a temporary folder beside
//! this project's own `routing.toml`, `tools.yaml` and prompts, so that what is
//! measured is all that a command does before the first event.

#![expect(
    clippy::expect_used,
    reason = "without its rules there is nothing to measure"
)]

use std::path::Path;
use std::{fs, io};

use divan::Bencher;
use divan::counter::ItemsCount;
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// The Okta rules of SigmaHQ, as they are published.
#[divan::bench]
fn real_rules(bencher: Bencher<'_, '_>) {
    let real = project().join("fixtures/sigma/okta");
    measure(bencher, |rules| copy(&real, rules));
}

/// Rules that watch for values that seldom occur, as most rules of a large set do.
#[divan::bench(args = [1_000, 3_000])]
fn generated_rules(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, |rules| {
        (0..count).try_for_each(|number| {
            fs::write(rules.join(format!("rule_{number}.yml")), generated(number))
        })
    });
}

/// Loads the policy whose rules `write` writes.
fn measure(bencher: Bencher<'_, '_>, write: impl Fn(&Path) -> io::Result<()>) {
    let folder = policy(write).expect("the policy is written");
    let loaded = rulectl::policy::load(folder.path());
    let rules = loaded.policy.expect("the policy has no errors").rules.len();
    bencher
        .counter(ItemsCount::new(rules))
        .bench(|| rulectl::policy::load(folder.path()));
}

/// A policy with this project's settings and other rules.
fn policy(write: impl Fn(&Path) -> io::Result<()>) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for file in ["routing.toml", "tools.yaml"] {
        fs::copy(project().join(file), folder.path().join(file))?;
    }
    for directory in ["prompts", "rules"] {
        fs::create_dir(folder.path().join(directory))?;
    }
    copy(&project().join("prompts"), &folder.path().join("prompts"))?;
    write(&folder.path().join("rules"))?;
    Ok(folder)
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A rule that depends on its number alone. Of 20 rules, 12 name event types, 5
/// look for a part of a text, and one each is for a network, an expression and
/// two searches.
fn generated(number: usize) -> String {
    let detection = match number % 20 {
        0..7 => format!(
            "  selection:\n    eventType: 'policy.rule.change_{number}'\n    outcome.result: SUCCESS\n  condition: selection\n"
        ),
        7..12 => format!(
            "  selection:\n    eventType:\n      - 'group.profile.update_{number}'\n      - 'user.lifecycle.suspend_{number}'\n      - 'app.access.revoke_{number}'\n  condition: selection\n"
        ),
        12..15 => format!(
            "  selection:\n    client.userAgent.rawUserAgent|contains: 'scanner/{number}.'\n  condition: selection\n"
        ),
        15 => format!(
            "  selection:\n    actor.alternateId|endswith: '@partner{number}.example.net'\n  condition: selection\n"
        ),
        16 => format!(
            "  selection:\n    displayMessage: '*emergency change {number}*'\n  condition: selection\n"
        ),
        17 => format!(
            "  selection:\n    client.ipAddress|cidr: '10.{}.{}.0/24'\n  condition: selection\n",
            number / 256 % 256,
            number % 256
        ),
        18 => format!(
            "  selection:\n    debugContext.debugData.requestUri|re: '/api/v[0-9]+/hidden-{number}(/|$)'\n  condition: selection\n"
        ),
        _ => format!(
            "  selection:\n    eventType: 'user.session.start'\n    target.displayName: 'Old Application {number}'\n  known:\n    securityContext.domain|endswith: '.site{number}.example.com'\n  condition: selection and not known\n"
        ),
    };
    format!(
        "title: Generated rule {number}\nname: generated_{number}\nstatus: test\ndescription: One of many rules of its kind\nlogsource:\n  product: okta\n  service: okta\ndetection:\n{detection}level: medium\n"
    )
}

//! Everything that editors, checkouts and systems do to the files of a policy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

/// How long is waited for what must come.
const LONG: Duration = Duration::from_secs(20);

/// Looks without a hint would hide that hints are missed.
const HINTED: Pace = Pace {
    quiet: Duration::from_millis(20),
    look: Duration::from_secs(3600),
};

/// A watched folder with a rule, and what is told of it.
struct Site {
    folder: TempDir,
    watch: Watch,
    told: Receiver<Digest>,
}

impl Site {
    fn new(pace: Pace, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("policy/rules/a.yml"), "title: a");
        write(&folder.path().join("policy/routing.toml"), "");
        prepare(folder.path());
        let (tell, told) = channel();
        let policy = folder.path().join("policy");
        let watch = Watch::begin(&policy, Watched::Project, pace, move |digest| {
            let _ = tell.send(digest);
        });
        assert_eq!(watch.hindrance(), None);
        Self {
            folder,
            watch,
            told,
        }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("policy").join(path)
    }

    /// Waits until the content is told that there is.
    #[track_caller]
    fn is_told(&self, what: &str) -> Digest {
        let end = Instant::now() + LONG;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let told = self.told.recv_timeout(left);
            let told = told.unwrap_or_else(|_| panic!("{what} is not told"));
            let policy = self.folder.path().join("policy");
            if told == content(&policy, Watched::Project).digest {
                return told;
            }
        }
    }

    /// Takes a look, and nothing is told.
    #[track_caller]
    fn is_not_told(&self, what: &str) {
        // What is told after this is that of the marker, unless something is told of what went before.
        let marker = self.at("rules/marker.yml");
        let quiet = content(&self.at(""), Watched::Project).digest;
        self.watch.look();
        write(&marker, what);
        let told = self.told.recv_timeout(LONG).unwrap();
        assert_ne!(told, quiet, "{what} is told");
        fs::remove_file(&marker).unwrap();
        self.is_told("the end of the marker");
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// As editors do: beside the file, and then in its place.
fn save(path: &Path, text: &str) {
    let beside = path.with_extension("yml~");
    write(&beside, text);
    fs::rename(beside, path).unwrap();
}

#[test]
fn every_way_to_change_a_file_is_told() {
    let site = Site::new(HINTED, |_| {});
    let before = site.watch.began();
    save(&site.at("rules/a.yml"), "title: b");
    let renamed = site.is_told("a file that is renamed into place");
    assert_ne!(renamed, before);
    save(&site.at("rules/a.yml"), "title: c");
    site.is_told("a second one");
    write(&site.at("rules/a.yml"), "title: a");
    assert_eq!(site.is_told("a file that is written over"), before);
    fs::remove_file(site.at("rules/a.yml")).unwrap();
    site.is_told("a file that is deleted");
    write(&site.at("rules/a.yml"), "title: a");
    assert_eq!(site.is_told("a file that is made again"), before);
    write(&site.at("routing.toml"), "x");
    site.is_told("routing.toml");
    write(&site.at("tools.yaml"), "x");
    site.is_told("tools.yaml, which was not there");
    write(&site.at("prompts/risk.md"), "x");
    site.is_told("a folder that was not there");
    write(&site.at("prompts/risk.md"), "y");
    site.is_told("a file in it");
    write(&site.at("rules/lists/deep/er/vpn.txt"), "x");
    site.is_told("a list in new folders");
    write(&site.at("rules/lists/deep/er/vpn.txt"), "y");
    site.is_told("another list there");
    write(&site.at("fixtures/a.test.yml"), "x");
    site.is_told("a suite");
}

#[test]
fn what_is_no_part_of_the_policy_is_not_told() {
    let site = Site::new(HINTED, |folder| {
        write(&folder.join("policy/data/findings.jsonl"), "");
        write(&folder.join("policy/.git/HEAD"), "");
    });
    for path in [
        "data/findings.jsonl",
        ".git/HEAD",
        "target/debug/x",
        "README.md",
        "rules/.a.yml.swp",
        "rules/a.yml~",
        "rules/4913",
        "rules/#a.yml#",
        "rules/.#a.yml",
        "rules/NOTES.txt",
    ] {
        write(&site.at(path), "x");
        site.is_not_told(path);
    }
}

#[test]
fn a_save_without_a_change_is_not_told() {
    let site = Site::new(HINTED, |_| {});
    save(&site.at("rules/a.yml"), "title: a");
    site.is_not_told("a file that is renamed into place");
    write(&site.at("rules/a.yml"), "title: a");
    site.is_not_told("a file that is written over");
}

#[test]
fn links_that_are_swapped_are_told() {
    // As Kubernetes mounts a config map.
    let site = Site::new(HINTED, |folder| {
        let rules = folder.join("policy/rules");
        write(&rules.join("..1/b.yml"), "one");
        write(&rules.join("..2/b.yml"), "two");
        symlink("..1", rules.join("..data")).unwrap();
        symlink("..data/b.yml", rules.join("b.yml")).unwrap();
    });
    for (target, again) in [("..2", "two"), ("..1", "one")] {
        let rules = site.at("rules");
        symlink(target, rules.join("..new")).unwrap();
        fs::rename(rules.join("..new"), rules.join("..data")).unwrap();
        site.is_told("a link that is swapped");
        write(&rules.join(target).join("b.yml"), "more");
        site.is_told("a file behind a link");
        write(&rules.join(target).join("b.yml"), again);
        site.is_told("the file behind it again");
    }
}

#[test]
fn a_folder_that_is_a_link_is_followed() {
    let site = Site::new(HINTED, |folder| {
        fs::rename(folder.join("policy"), folder.join("one")).unwrap();
        write(&folder.join("two/rules/a.yml"), "title: two");
        fs::rename(folder.join("one/rules"), folder.join("shared")).unwrap();
        symlink("../shared", folder.join("one/rules")).unwrap();
        symlink("one", folder.join("policy")).unwrap();
    });
    let folder = site.folder.path();
    write(&folder.join("shared/a.yml"), "title: more");
    site.is_told("a file in a folder behind two links");
    symlink("two", folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("policy")).unwrap();
    site.is_told("the folder that is swapped");
    write(&folder.join("two/rules/a.yml"), "title: again");
    site.is_told("a file in the other folder");
}

#[test]
fn a_checkout_of_many_files_is_told_and_so_is_a_folder_that_goes_and_comes() {
    let site = Site::new(HINTED, |_| {});
    for number in 0..300 {
        save(&site.at(&format!("rules/team/{number}.yml")), "title: team");
    }
    site.is_told("a checkout");
    fs::rename(site.at(""), site.folder.path().join("away")).unwrap();
    site.is_told("a folder that is gone");
    for number in 0..50 {
        write(&site.at(&format!("rules/{number}.yml")), "title: other");
    }
    site.is_told("another folder of its name");
    save(&site.at("rules/7.yml"), "title: seven");
    site.is_told("a file in it");
}

#[test]
fn what_no_hint_tells_is_seen_by_looking() {
    let pace = Pace {
        look: Duration::from_millis(20),
        ..HINTED
    };
    let mut site = Site::new(pace, |_| {});
    let (tell, told) = channel();
    let policy = site.folder.path().join("policy");
    let mut watching = Watching {
        folder: policy.clone(),
        watched: Watched::Policy,
        pace,
        watcher: None,
        hindrance: None,
        places: Places::default(),
        heard: BTreeSet::new(),
        took: Duration::ZERO,
    };
    let (began, _) = watching.look(&State::default());
    let (hints, come) = sync_channel(1);
    let state = Arc::new(State::default());
    let of_thread = Arc::clone(&state);
    let thread = thread::spawn(move || {
        watching.watch(began, &come, &of_thread, move |digest| {
            let _ = tell.send(digest);
        });
    });
    site.told = told;
    write(&site.at("rules/a.yml"), "title: seen");
    let seen = site.told.recv_timeout(LONG).unwrap();
    assert_ne!(seen, began);
    state.over.store(true, Ordering::Release);
    drop(hints);
    thread.join().unwrap();
}

#[test]
fn a_watch_that_is_dropped_ends() {
    let site = Site::new(HINTED, |_| {});
    let Site { watch, told, .. } = site;
    drop(watch);
    assert_eq!(told.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn what_cannot_be_read_is_content_too() {
    let folder = tempfile::tempdir().unwrap();
    let digest = || content(folder.path(), Watched::Policy).digest;
    let mut seen = vec![digest()];
    let rule = folder.path().join("rules/a.yml");
    write(&rule, "title: a");
    seen.push(digest());
    fs::write(&rule, b"title: \xff").unwrap();
    seen.push(digest());
    fs::remove_file(&rule).unwrap();
    seen.push(digest());
    symlink("nowhere", &rule).unwrap();
    seen.push(digest());
    fs::remove_file(&rule).unwrap();
    symlink("a.yml", &rule).unwrap();
    seen.push(digest());
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len());
}

#[test]
fn a_rule_whose_name_begins_as_a_comment_is_watched() {
    let site = Site::new(HINTED, |_| {});
    write(&site.at("rules/#b.yml"), "title: b");
    site.is_told("a rule with a sign before its name");
    write(&site.at("rules/#b.yml"), "title: c");
    site.is_told("a change of it");
}

#[test]
fn a_policy_that_was_saved_and_then_broken_is_not_taken() {
    let place = tempfile::tempdir().unwrap();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics/good");
    for file in [
        "rules/sign_in.yml",
        "routing.toml",
        "tools.yaml",
        "prompts/risk.md",
    ] {
        write(
            &place.path().join(file),
            &fs::read_to_string(good.join(file)).unwrap(),
        );
    }
    let active = crate::policy::load(place.path()).policy.unwrap().digest;
    let (tell, told) = channel();
    let reload = Reload::begin(
        place.path(),
        HINTED,
        digest(place.path(), Watched::Policy),
        active,
        move |news| {
            let _ = tell.send(matches!(news, News::Ready(_)));
        },
    );
    let rule = place.path().join("rules/sign_in.yml");
    let text = fs::read_to_string(&rule).unwrap();
    write(&rule, &format!("{text}# another\n"));
    assert_eq!(told.recv_timeout(LONG), Ok(true));
    write(&rule, "title: [");
    assert_eq!(told.recv_timeout(LONG), Ok(false));
    assert!(reload.take().is_none());
}

#[test]
fn a_file_that_stands_anywhere_is_watched_once_it_is_named() {
    let site = Site::new(HINTED, |folder| write(&folder.join("data/a.log"), "one"));
    let log = site.folder.path().join("data/a.log");
    let missing = site.folder.path().join("data/b.log");
    site.watch.also([log.clone(), missing.clone()]);
    site.is_not_told("nothing changed");
    save(&log, "two");
    site.is_told("a log");
    save(&missing, "one");
    site.is_told("a log that was not there");
    // What changed before it is named again is still told.
    save(&log, "three");
    site.watch.also([log.clone()]);
    site.is_told("a log that is named again");
    site.watch.also([]);
    save(&log, "four");
    site.is_not_told("a log that nobody names");
}

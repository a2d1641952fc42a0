//! A disk that fails: what was not synced survives a crash in part, and any call can be the last.

mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::audit::disk::{Append, Disk, above};

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub(in crate::audit) struct Dice(pub(in crate::audit) u64);

impl Dice {
    pub(in crate::audit) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(in crate::audit) fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    fn flips(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Fault {
    /// The machine stops.
    Crash,
    /// Calls fail with an error, so many of them.
    Fails(io::ErrorKind, usize),
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(in crate::audit) struct Simulated(Arc<Mutex<World>>);

struct World {
    dice: Dice,
    nodes: Vec<Node>,
    now: Names,
    durable: Names,
    /// What happened to names since their folder was synced.
    pending: Vec<(PathBuf, Change)>,
    /// So many calls until something goes wrong.
    fault: Option<(usize, Fault)>,
    is_down: bool,
    writes: usize,
}

#[derive(Clone, Default)]
struct Names {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
}

#[derive(Clone)]
enum Change {
    Folder(PathBuf),
    Link(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Unlink(PathBuf),
}

#[derive(Default)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Written and not synced.
    dirty: Vec<Range<usize>>,
}

/// What a call may do.
enum Step {
    Whole,
    /// In part, and then it fails.
    Part(io::Error),
}

impl Simulated {
    pub(in crate::audit) fn new(seed: u64) -> Self {
        let mut root = Names::default();
        root.folders.insert(PathBuf::from("data"));
        Self(Arc::new(Mutex::new(World {
            dice: Dice(seed),
            nodes: Vec::new(),
            now: root.clone(),
            durable: root,
            pending: Vec::new(),
            fault: None,
            is_down: false,
            writes: 0,
        })))
    }

    /// Lets something go wrong after so many calls that change the disk.
    pub(in crate::audit) fn arm(&self, fault: Option<(usize, Fault)>) {
        self.world().fault = fault;
    }

    /// How many calls changed the disk, or tried to.
    pub(in crate::audit) fn writes(&self) -> usize {
        self.world().writes
    }

    pub(in crate::audit) fn is_down(&self) -> bool {
        self.world().is_down
    }

    /// The machine stops, if it has not, and starts again.
    pub(in crate::audit) fn crash(&self) {
        let mut world = self.world();
        world.crash();
        world.is_down = false;
    }

    /// Each file that is there now.
    pub(in crate::audit) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world();
        let files = world.now.files.iter();
        files
            .map(|(path, node)| (path.clone(), world.nodes[*node].now.clone()))
            .collect()
    }

    /// Somebody else writes a file, past the log; without bytes, it is removed.
    pub(in crate::audit) fn put(&self, path: &Path, bytes: Option<&[u8]>) {
        let mut world = self.world();
        let Some(bytes) = bytes else {
            world.now.files.remove(path);
            world.durable.files.remove(path);
            return;
        };
        let node = world.nodes.len();
        world.nodes.push(Node {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
            dirty: Vec::new(),
        });
        world.now.files.insert(path.to_owned(), node);
        world.durable.files.insert(path.to_owned(), node);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics in here")
    }

    fn change(&self, folder: &Path, change: Change) -> io::Result<()> {
        let mut world = self.world();
        let step = world.step()?;
        if matches!(step, Step::Whole) || world.is_down && world.dice.flips() {
            world.now.apply(&change);
            world.pending.push((folder.to_owned(), change));
        }
        step.end()
    }
}

impl Step {
    fn end(self) -> io::Result<()> {
        match self {
            Self::Whole => Ok(()),
            Self::Part(error) => Err(error),
        }
    }
}

impl Names {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Folder(folder) => drop(self.folders.insert(folder.clone())),
            Change::Link(file, node) => drop(self.files.insert(file.clone(), *node)),
            Change::Unlink(file) => drop(self.files.remove(file)),
            Change::Move(from, to) => {
                if let Some(node) = self.files.remove(from) {
                    self.files.insert(to.clone(), node);
                }
            }
        }
    }
}

impl World {
    /// What the next call that changes the disk may do.
    fn step(&mut self) -> io::Result<Step> {
        if self.is_down {
            return Err(io::Error::other("the machine is down"));
        }
        self.writes += 1;
        match &mut self.fault {
            Some((0, Fault::Crash)) => {
                self.fault = None;
                self.is_down = true;
                Ok(Step::Part(io::Error::other("the machine stops")))
            }
            Some((0, Fault::Fails(kind, left))) => {
                let kind = *kind;
                *left -= 1;
                if *left == 0 {
                    self.fault = None;
                }
                Ok(Step::Part(kind.into()))
            }
            Some((calls, _)) => {
                *calls -= 1;
                Ok(Step::Whole)
            }
            None => Ok(Step::Whole),
        }
    }

    fn node(&self, file: &Path) -> io::Result<usize> {
        let node = self.now.files.get(file).copied();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, node: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        let step = self.step()?;
        let length = match step {
            Step::Whole => bytes.len(),
            Step::Part(_) => self.dice.below(bytes.len() + 1),
        };
        let node = &mut self.nodes[node];
        node.now.resize(node.now.len().max(at + length), 0);
        node.now[at..at + length].copy_from_slice(&bytes[..length]);
        node.dirty.push(at..at + length);
        step.end()
    }

    fn sync(&mut self, node: usize) -> io::Result<()> {
        let step = self.step()?;
        let node = &mut self.nodes[node];
        let parts = !matches!(step, Step::Whole);
        if !parts || !self.is_down {
            // Where it fails, what was dirty is taken for clean, whatever reached the disk.
            node.persist(parts.then_some(&mut self.dice));
            node.dirty.clear();
        }
        step.end()
    }

    fn crash(&mut self) {
        let mut prefixes: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (folder, _) in &self.pending {
            *prefixes.entry(folder.clone()).or_default() += 1;
        }
        for pending in prefixes.values_mut() {
            *pending = self.dice.below(*pending + 1);
        }
        for (folder, change) in std::mem::take(&mut self.pending) {
            let left = prefixes.get_mut(&folder).expect("counted");
            if *left > 0 {
                *left -= 1;
                self.durable.apply(&change);
            }
        }
        let folders = self.durable.folders.clone();
        let is_there = |path: &Path| above(path) == Path::new(".") || folders.contains(above(path));
        self.durable.folders.retain(|folder| is_there(folder));
        let folders = self.durable.folders.clone();
        self.durable
            .files
            .retain(|file, _| folders.contains(above(file)));
        for node in &mut self.nodes {
            node.persist(Some(&mut self.dice));
            node.dirty.clear();
            node.now = node.durable.clone();
        }
        self.now = self.durable.clone();
    }
}

impl Node {
    /// Puts what is dirty on the disk; with dice, any part of it, in pieces of any size.
    fn persist(&mut self, mut dice: Option<&mut Dice>) {
        for dirty in &self.dirty {
            let mut at = dirty.start;
            while at < dirty.end.min(self.now.len()) {
                let most = dirty.end.min(self.now.len()) - at;
                let piece = dice
                    .as_mut()
                    .map_or(most, |dice| (1 + dice.below(64)).min(most));
                if dice.as_mut().is_none_or(|dice| dice.flips()) {
                    // What lies before it and was not written is a hole.
                    self.durable.resize(self.durable.len().max(at + piece), 0);
                    self.durable[at..at + piece].copy_from_slice(&self.now[at..at + piece]);
                }
                at += piece;
            }
            // The length may be durable without the bytes.
            if dice.as_mut().is_some_and(|dice| dice.below(4) == 0) {
                let length = dirty.end.min(self.now.len()).max(self.durable.len());
                self.durable.resize(length, 0);
            }
        }
    }
}

/// An open file.
struct Open(Simulated, usize);

impl Append for Open {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.0.world();
        let end = world.nodes[self.1].now.len();
        world.write(self.1, end, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.world().sync(self.1)
    }
}

impl Disk for Simulated {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self.world().now.folders.contains(folder) {
            return Ok(());
        }
        if above(folder) != Path::new(".") {
            self.make_folder(above(folder))?;
        }
        self.change(above(folder), Change::Folder(folder.to_owned()))?;
        self.sync_folder(above(folder))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        if !world.now.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = world.now.files.keys().chain(&world.now.folders);
        let inside = paths.filter(|path| above(path) == folder);
        let name = |path: &PathBuf| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        Ok(inside.map(name).collect())
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn Append>> {
        let node = {
            let mut world = self.world();
            if world.now.files.contains_key(file) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !world.now.folders.contains(above(file)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            world.nodes.push(Node::default());
            world.nodes.len() - 1
        };
        self.change(above(file), Change::Link(file.to_owned(), node))?;
        Ok(Box::new(Open(self.clone(), node)))
    }

    fn append(&self, file: &Path) -> io::Result<Box<dyn Append>> {
        let node = self.world().node(file)?;
        Ok(Box::new(Open(self.clone(), node)))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        let world = self.world();
        let node = world.node(file)?;
        Ok(Box::new(Cursor::new(world.nodes[node].now.clone())))
    }

    fn settle(&self, file: &Path, from: u64) -> io::Result<()> {
        let mut world = self.world();
        let node = world.node(file)?;
        let from = from as usize;
        let bytes = world.nodes[node].now[from..].to_vec();
        world.write(node, from, &bytes)?;
        world.sync(node)
    }

    fn truncate(&self, file: &Path, length: u64) -> io::Result<()> {
        let mut world = self.world();
        let node = world.node(file)?;
        let step = world.step()?;
        if matches!(step, Step::Whole) || world.dice.flips() {
            let node = &mut world.nodes[node];
            node.now.truncate(length as usize);
            node.durable.truncate(length as usize);
            node.dirty.iter_mut().for_each(|dirty| {
                dirty.start = dirty.start.min(length as usize);
                dirty.end = dirty.end.min(length as usize);
            });
        }
        if matches!(step, Step::Whole) {
            let node = &mut world.nodes[node];
            node.persist(None);
            node.dirty.clear();
        }
        step.end()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(above(from), above(to), "a move within a folder");
        self.world().node(from)?;
        self.change(above(from), Change::Move(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.world().node(file)?;
        self.change(above(file), Change::Unlink(file.to_owned()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut world = self.world();
        let is_known = world.now.folders.contains(folder) || folder == Path::new(".");
        if !is_known {
            return Err(io::ErrorKind::NotFound.into());
        }
        let step = world.step()?;
        if matches!(step, Step::Whole) {
            let (synced, left) = std::mem::take(&mut world.pending)
                .into_iter()
                .partition(|(of, _)| of == folder);
            world.pending = left;
            synced
                .iter()
                .for_each(|(_, change)| world.durable.apply(change));
        }
        step.end()
    }
}

#[test]
fn what_was_not_synced_survives_in_part_alone() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let disk = Simulated::new(seed);
        let file = Path::new("data/file");
        let mut open = disk.create(file).expect("made");
        disk.sync_folder(Path::new("data")).expect("synced");
        open.write_all(&[1; 200]).expect("written");
        open.sync().expect("synced");
        open.write_all(&[2; 200]).expect("written");
        disk.crash();
        let bytes = disk.files()[file].clone();
        assert_eq!(bytes[..200], [1; 200], "what was synced");
        let rest = &bytes[200..];
        assert!(rest.iter().all(|byte| [0, 2].contains(byte)));
        outcomes.insert((rest.len() == 200, rest.contains(&2), rest.contains(&0)));
    }
    assert!(outcomes.len() >= 4, "{outcomes:?}");
}

//! Named lists of values in `rules/lists/`, for Sigma's `expand` and for scripts.
//!
//! `NAME.txt` has one value a line, `NAME.csv` columns under a header. A column is
//! called `NAME.COLUMN`; `NAME` alone is the first one.

mod index;
mod read;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use self::index::Index;
use self::read::read;
use crate::diag::{FileId, Problems, Span};

/// The codes of problems in a list.
pub mod codes {
    /// A list that cannot be read, or a value that is not of its kind.
    pub const LIST: &str = "RL0115";
    /// A list without values, with values that stand twice, or whose kind is said too late.
    pub const ODD_LIST: &str = "RL0116";
}

/// The lists of a policy by name.
///
/// ```
/// use rulectl::detect::Lists;
/// use rulectl::diag::Problems;
///
/// let mut problems = Problems::default();
/// let text = "# kind: networks\nnetwork,site\n192.0.2.0/24,Berlin\n192.0.2.128/25,Tokyo\n";
/// let file = problems.add_file("rules/lists/offices.csv", text);
/// let mut lists = Lists::default();
/// lists.add("offices.csv", file, text, &mut problems);
/// assert!(!problems.has_errors());
/// assert_eq!(lists.has("offices", "192.0.2.7"), Ok(true));
/// assert_eq!(lists.has("offices.site", "tokyo"), Ok(true));
/// assert_eq!(lists.lookup("offices", "192.0.2.200", "site"), Ok(Some("Tokyo")));
/// assert_eq!(lists.lookup("offices", "203.0.113.1", "site"), Ok(None));
/// assert!(lists.lookup("offices", "192.0.2.7", "city").is_err());
/// ```
#[derive(Debug, Default)]
pub struct Lists(BTreeMap<String, List>);

/// Why a list cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// No list has the name.
    #[error("there is no list `{0}`")]
    List(String),
    /// The list has no such column.
    #[error("the list `{list}` has no column `{column}`")]
    Column {
        /// The list.
        list: String,
        /// The column.
        column: String,
    },
}

/// What the values of a list are: those of its first column, where it has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// Sigma texts, wildcards included.
    #[default]
    Texts,
    /// Networks and addresses.
    Networks,
    /// Numbers of autonomous systems, written `64500` or `AS64500`; a value of an event is
    /// one of them as the number or as the text of it, `64500`.
    AsNumbers,
}

#[derive(Debug)]
struct List {
    file: FileId,
    kind: ListKind,
    /// The names of the columns; that of a text list has none.
    columns: Vec<String>,
    /// Row by row.
    cells: Vec<Cell>,
    /// One for each column, made when it is first asked.
    indexes: Vec<OnceLock<Index>>,
}

/// A value, and where it is written.
#[derive(Debug)]
struct Cell {
    text: Box<str>,
    start: u32,
    end: u32,
}

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub struct Column<'l> {
    list: &'l List,
    at: usize,
}

impl Lists {
    /// Adds the list that a file of `rules/lists/` holds, whose path there says what it
    /// is called and how it is written; reports what is wrong with it.
    pub fn add(&mut self, path: &str, file: FileId, text: &str, problems: &mut Problems) {
        let (name, ending) = path.rsplit_once('.').unwrap_or((path, "txt"));
        if self.0.contains_key(name) {
            problems
                .file_error(codes::LIST, file, format!("there is another list `{name}`"))
                .help("give one of the two files another name; the ending is no part of it");
            return;
        }
        let list = read(ending == "csv", file, text, problems);
        self.0.insert(name.to_owned(), list);
    }

    /// Whether a value is in a list: one of its texts, an address in one of its networks,
    /// one of its numbers; the same that a line with `expand` says of it. `name` is that of
    /// a list or, for another column than the first, `LIST.COLUMN`.
    ///
    /// # Errors
    ///
    /// Where there is no such list or column.
    pub fn has(&self, name: &str, value: &str) -> Result<bool, NotThere> {
        Ok(self.column(name)?.find(value).is_some())
    }

    /// How many texts with wildcards a list has: those that a value is tried with one by one.
    pub fn wildcards(&self, name: &str) -> usize {
        let index = self.column(name).ok().and_then(Column::index);
        index.map_or(0, Index::wildcards)
    }

    /// The value that stands in a column beside the first that is the key, or of networks
    /// beside the smallest that has the address in it; `None` where the list does not
    /// have the key. `name` is that of a list or, where the keys are not in the first
    /// column, `LIST.COLUMN`.
    ///
    /// # Errors
    ///
    /// Where there is no such list or column.
    pub fn lookup(&self, name: &str, key: &str, column: &str) -> Result<Option<&str>, NotThere> {
        let keys = self.column(name)?;
        let names = &keys.list.columns;
        let at = names.iter().position(|name| name == column);
        let at = at.ok_or_else(|| NotThere::Column {
            list: name.to_owned(),
            column: column.to_owned(),
        })?;
        let row = keys.find(key);
        Ok(row.and_then(|row| Some(&*keys.list.cell(row, at)?.text)))
    }

    /// The column of this name: `LIST`, or `LIST.COLUMN`.
    ///
    /// # Errors
    ///
    /// Where there is no such list or column.
    pub fn column(&self, name: &str) -> Result<Column<'_>, NotThere> {
        if let Some(list) = self.0.get(name) {
            return Ok(Column { list, at: 0 });
        }
        let mut dots = name.rmatch_indices('.');
        let named = dots.find_map(|(dot, _)| {
            let (list, column) = (name.get(..dot)?, name.get(dot + 1..)?);
            Some((self.0.get(list)?, list, column))
        });
        let (list, name, column) = named.ok_or_else(|| NotThere::List(name.to_owned()))?;
        let at = list.columns.iter().position(|name| name == column);
        let at = at.ok_or_else(|| NotThere::Column {
            list: name.to_owned(),
            column: column.to_owned(),
        })?;
        Ok(Column { list, at })
    }

    /// Everything that can be named: each list and each column of a table, `vpn` and `vpn.ip`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let named = |(name, list): (&String, &List)| {
            let columns = list.columns.iter().map(|column| format!("{name}.{column}"));
            std::iter::once(name.clone())
                .chain(columns)
                .collect::<Vec<_>>()
        };
        self.0.iter().flat_map(named).collect()
    }

    /// The names of the columns of a list.
    pub fn columns(&self, list: &str) -> impl Iterator<Item = &str> {
        let list = self.0.get(list);
        list.into_iter()
            .flat_map(|list| list.columns.iter().map(String::as_str))
    }
}

impl List {
    /// How many columns there are: one at least.
    fn width(&self) -> usize {
        self.columns.len().max(1)
    }

    fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        self.cells.get(row * self.width() + column)
    }
}

impl<'l> Column<'l> {
    /// What its values are.
    #[must_use]
    pub fn kind(self) -> ListKind {
        if self.at == 0 {
            self.list.kind
        } else {
            ListKind::Texts
        }
    }

    /// The values, and where each is written.
    pub fn values(self) -> impl Iterator<Item = (&'l str, Span)> {
        let file = self.list.file;
        let cells = self.list.cells.iter().skip(self.at);
        cells.step_by(self.list.width()).map(move |cell| {
            let span = Span {
                file,
                start: cell.start,
                end: cell.end,
            };
            (&*cell.text, span)
        })
    }

    /// The row of a value.
    fn find(self, value: &str) -> Option<usize> {
        self.index()?.find(value)
    }

    fn index(self) -> Option<&'l Index> {
        let index = self.list.indexes.get(self.at)?;
        let made = || Index::new(self.kind(), self.values().map(|(text, _)| text));
        Some(index.get_or_init(made))
    }
}

#[cfg(test)]
mod tests;

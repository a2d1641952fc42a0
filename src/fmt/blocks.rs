//! The keys of a mapping as blocks of lines, each with the comments that are about it.

use std::ops::Range;

use crate::document::WORD_OF_ALLOWANCES;
use crate::fmt::lines::Lines;

/// Where a block begins: at a key.
pub(super) struct Head {
    /// The line of the key.
    pub(super) line: usize,
    /// How far the key stands from the beginning of its line.
    pub(super) column: usize,
    /// Its place in the order; of two that are equal the one written first is first.
    pub(super) place: usize,
}

/// The lines of a mapping in the order of the places of its keys. The block of the first key begins
/// where `first` does, and what stands above its end stays above; `inside` arranges the lines of a
/// block, behind that of its key; it is given the number of the block.
pub(super) fn arranged(
    lines: &Lines<'_>,
    range: Range<usize>,
    first: Range<usize>,
    heads: &[Head],
    mut inside: impl FnMut(usize, Range<usize>) -> Vec<usize>,
) -> Vec<usize> {
    if heads.is_empty() {
        return range.collect();
    }
    let ends = heads
        .iter()
        .skip(1)
        .map(|head| head.line)
        .chain([range.end]);
    let mut start = first.start;
    let mut arranged: Vec<usize> = (range.start..first.end).collect();
    let mut blocks: Vec<(usize, Vec<usize>)> = Vec::new();
    for (number, (head, next)) in heads.iter().zip(ends).enumerate() {
        let end = end_of(lines, head, next);
        let mut block: Vec<usize> = (start..=head.line).collect();
        block.extend(inside(number, head.line + 1..end));
        blocks.push((head.place, block));
        start = end;
    }
    blocks.sort_by_key(|(place, _)| *place);
    arranged.extend(blocks.into_iter().flat_map(|(_, block)| block));
    arranged.extend(start..range.end);
    arranged
}

/// Where the head of a file or document ends, and where the block of its first key begins. The
/// first comment is about the whole; what stands below that, behind an empty line, is about the
/// key, and so is a comment that suppresses a warning of the line below it. Empty lines between
/// the two are of both.
pub(super) fn below_head(lines: &Lines<'_>, start: usize, heads: &[Head]) -> Range<usize> {
    let Some(key) = heads.first().map(|head| head.line) else {
        return start..start;
    };
    let comment = |at: usize| lines.comment(at).map(|(_, comment)| comment);
    let is_comment = |at: &usize| comment(*at).is_some();
    let is_blank = |at: &usize| lines.is_blank(*at);
    let is_other = |at: usize| !is_blank(&at) && !is_comment(&at);
    let past = |from: usize, is_meant: &dyn Fn(&usize) -> bool| {
        from + (from..key).take_while(is_meant).count()
    };
    let above =
        |is_meant: &dyn Fn(&usize) -> bool| key - (start..key).rev().take_while(is_meant).count();
    let first_ends = past(past(start, &is_blank), &is_comment);
    if (start..key).any(is_other) {
        let first = above(&is_comment);
        return first..first;
    }
    if first_ends < key {
        return first_ends..past(first_ends, &is_blank);
    }
    let is_allowance =
        |at: &usize| comment(*at).is_some_and(|comment| comment.contains(WORD_OF_ALLOWANCES));
    let first = above(&is_allowance);
    first..first
}

/// Where a block ends: comments that stand as far left as its key, and empty lines with those,
/// are about what comes next, and so is a comment that suppresses a warning of the line below it.
fn end_of(lines: &Lines<'_>, head: &Head, next: usize) -> usize {
    let is_between = |at: &usize| lines.is_blank(*at) || lines.comment(*at).is_some();
    let between = (head.line + 1..next).rev().take_while(is_between).last();
    let is_own = |at: &usize| {
        let comment = lines.comment(*at);
        comment.is_some_and(|(column, comment)| {
            column > head.column && !comment.contains(WORD_OF_ALLOWANCES)
        })
    };
    let start = between.unwrap_or(next);
    (start..next).rev().find(is_own).map_or(start, |at| at + 1)
}

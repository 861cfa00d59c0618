//! The page as text that people write, and blocks between comments that nobody does.

use std::collections::BTreeMap;

/// What ends a block.
pub(super) const END: &str = "<!-- end -->";

/// Where the text of a block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the docs of a source file.
    Keys,
    /// From the suites of a contract.
    Capabilities,
}

const OPENS: [(&str, Kind); 2] = [("<!-- keys of ", Kind::Keys), ("<!-- capabilities of ", Kind::Capabilities)];

/// A block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) kind: Kind,
    /// The source file, or the contract.
    pub(super) of: &'a str,
    /// Its first line.
    pub(super) open: &'a str,
    /// What stands in it.
    pub(super) text: &'a str,
}

impl Block<'_> {
    /// The rows of its table by what they begin with.
    pub(super) fn rows(&self) -> BTreeMap<String, String> {
        let rows = self.text.lines().filter(|line| line.starts_with("| ")).skip(1);
        rows.filter_map(|row| Some((row.split('|').nth(1)?.trim().to_owned(), row.to_owned()))).collect()
    }
}

/// The texts around the blocks, one more than these, and the blocks.
pub(super) fn parts(page: &str) -> (Vec<&str>, Vec<Block<'_>>) {
    let (mut between, mut blocks, mut rest) = (Vec::new(), Vec::new(), page);
    while let Some((before, block, after)) = first(rest) {
        between.push(before);
        blocks.push(block);
        rest = after;
    }
    between.push(rest);
    (between, blocks)
}

/// What stands before the first block, the block, and what stands behind it.
fn first(page: &str) -> Option<(&str, Block<'_>, &str)> {
    let found = OPENS.iter().filter_map(|(open, kind)| Some((page.find(open)?, *open, *kind)));
    let (at, begin, kind) = found.min_by_key(|(at, ..)| *at)?;
    let (before, rest) = page.split_at(at);
    let (open, tail) = rest.split_at(rest.find('\n')? + 1);
    let (text, after) = tail.split_once(END)?;
    let of = open.strip_prefix(begin)?.trim_end().strip_suffix("-->")?.trim_end();
    Some((before, Block { kind, of, open, text }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_text_and_blocks() {
        let page =
            "a\n<!-- keys of x/y.rs -->\n| key |\n<!-- end -->\nb\n<!-- capabilities of bus -->\n<!-- end -->\nc";
        let (between, blocks) = parts(page);
        assert_eq!(between, ["a\n", "\nb\n", "\nc"]);
        let shown: Vec<_> = blocks.iter().map(|b| (b.kind, b.of, b.text)).collect();
        assert_eq!(shown, [(Kind::Keys, "x/y.rs", "| key |\n"), (Kind::Capabilities, "bus", "")]);
        assert_eq!(parts("<!-- keys of nothing that ends").0.len(), 1);
    }

    #[test]
    fn rows_are_known_by_their_first_cell() {
        let text = "| backend | x |\n|---|---|\n| nats | no |\n";
        let block = Block { kind: Kind::Capabilities, of: "bus", open: "", text };
        assert_eq!(block.rows(), BTreeMap::from([("nats".to_owned(), "| nats | no |".to_owned())]));
    }
}

//! Datagrams to one peer, one behind the other in one buffer, so that a burst costs one system call.

use super::segment::{HEAD, Head};

/// Datagrams in the order they leave.
#[derive(Debug)]
pub(crate) struct Datagrams {
    mtu: usize,
    bytes: Vec<u8>,
    /// Where each complete datagram ends.
    ends: Vec<usize>,
}

/// Datagrams that one system call can send: all as long as the first, but for the last, which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst<'a> {
    pub(crate) bytes: &'a [u8],
    /// Bytes of each datagram but the last.
    pub(crate) each: usize,
}

/// Most bytes of a burst: what fits one IP packet before it is cut up.
const MOST: usize = 65_000;

impl Datagrams {
    /// No datagrams, which will be at most `mtu` bytes long.
    pub(crate) fn new(mtu: usize) -> Self {
        Self { mtu, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Appends a segment whose data comes in two pieces, in a new datagram if the last one has no room.
    pub(crate) fn segment(&mut self, head: &Head, data: [&[u8]; 2]) {
        let len = data.iter().map(|piece| piece.len()).sum::<usize>();
        let begun = self.bytes.len() - self.ends.last().copied().unwrap_or(0);
        if begun + HEAD + len > self.mtu {
            self.seal();
        }
        head.write(len, &mut self.bytes);
        for piece in data {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Ends the last datagram.
    pub(crate) fn seal(&mut self) {
        if self.ends.last().copied().unwrap_or(0) < self.bytes.len() {
            self.ends.push(self.bytes.len());
        }
    }

    /// How many datagrams are complete.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets all, and the buffer too if it was a large burst.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(MOST);
    }

    /// Each complete datagram.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().filter_map(move |&end| self.bytes.get(std::mem::replace(&mut from, end)..end))
    }

    /// The complete datagrams in bursts of at most `most` datagrams.
    pub(crate) fn bursts(&self, most: usize) -> impl Iterator<Item = Burst<'_>> {
        let mut ends = self.ends.iter().copied().peekable();
        let mut from = 0;
        std::iter::from_fn(move || {
            let mut to = ends.next()?;
            let each = to - from;
            let (mut count, mut last) = (1, each);
            while let Some(&end) = ends.peek() {
                let len = end - to;
                if count >= most || last < each || len > each || end - from > MOST {
                    break;
                }
                (count, last, to) = (count + 1, len, end);
                ends.next();
            }
            let bytes = self.bytes.get(std::mem::replace(&mut from, to)..to)?;
            Some(Burst { bytes, each })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::segment::Cmd, *};

    fn of(sizes: &[usize]) -> Datagrams {
        let mut all = Datagrams::new(1400);
        for &size in sizes {
            all.segment(&Head { conv: 1, cmd: Cmd::Push, wnd: 1, ts: 0, sn: 0, una: 0 }, [&vec![7; size - HEAD], b""]);
            all.seal();
        }
        all
    }

    fn check(sizes: &[usize], most: usize, want: &[(usize, usize)]) {
        let all = of(sizes);
        let got: Vec<_> = all.bursts(most).map(|b| (b.bytes.len(), b.each)).collect();
        assert_eq!(got, want, "{sizes:?}");
        let lens: Vec<_> = all.iter().map(<[u8]>::len).collect();
        assert_eq!(lens, sizes);
    }

    #[test]
    fn equal_datagrams_make_one_burst_that_a_shorter_one_ends() {
        check(&[100, 100, 40, 100], 64, &[(240, 100), (100, 100)]);
        check(&[24, 1400, 1400], 64, &[(24, 24), (2800, 1400)]);
        check(&[100; 5], 2, &[(200, 100), (200, 100), (100, 100)]);
        check(&[100; 3], 1, &[(100, 100); 3]);
        check(&[1400; 50], 64, &[(46 * 1400, 1400), (4 * 1400, 1400)]);
        check(&[], 64, &[]);
    }

    #[test]
    fn segments_share_a_datagram_up_to_the_mtu() {
        let mut all = Datagrams::new(100);
        let head = Head { conv: 1, cmd: Cmd::Ack, wnd: 1, ts: 0, sn: 0, una: 0 };
        for _ in 0..5 {
            all.segment(&head, [b"", b""]);
        }
        all.seal();
        all.seal();
        assert_eq!(all.iter().map(<[u8]>::len).collect::<Vec<_>>(), [96, 24]);
    }
}

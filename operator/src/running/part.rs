//! Files become the blocks of parts, and are read back from them.
//!
//! A part is what one Secret carries: blocks one after the other, each a gzip member of its own. So a change costs its
//! own block to write, hash and compress, and the others are copied as they are. A block is a line of JSON that lists
//! its files, and then their contents as they are: nothing is escaped, and nothing has to be text.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{Files, SHARES, size_of};
use super::generation::{PackError, joined_digest};
use super::{Fragment, MAX_PART_BYTES, MAX_PART_COMPRESSED, blocks_of, digest, hexadecimal};

/// A share of a generation's fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Place in the generation, from 0.
    pub index: usize,
    /// SHA-256 over the digests of its blocks, in hexadecimal.
    pub digest: String,
    /// Bytes before compression.
    pub size: usize,
    /// The part, gzip: a member for each block.
    pub gzip: Arc<[u8]>,
    blocks: Vec<Block>,
}

/// A block of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    /// SHA-256 of the block before compression, in hexadecimal.
    digest: String,
    /// Bytes before compression.
    size: usize,
    /// Where it is in the part.
    place: Range<usize>,
}

/// Of levels 1 to 9; the first is quicker still, and makes larger parts.
const LEVEL: Compression = Compression::new(2);

/// A file of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below `current/`.
    pub path: String,
    /// The content.
    pub content: Vec<u8>,
}

/// A file in the list of a block.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed<T> {
    /// Stable key of the source.
    key: T,
    /// Path below `current/`.
    path: T,
    /// Bytes of the content.
    size: usize,
}

/// The fragments of one of `count` equal shares, in the order of their keys.
pub(super) fn share_of(layers: [&Files; 2], index: usize, count: usize) -> Vec<&Fragment> {
    let places = (index..SHARES).step_by(count);
    let mut share: Vec<&Fragment> = places
        .flat_map(|place| layers.into_iter().flat_map(move |files| files.share(place).iter()))
        .collect();
    share.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    share
}

/// Packs files into so many parts. What was not touched, of places in [`Files`], is taken from the parts before; they
/// are as many.
pub(super) fn pack(
    layers: [&Files; 2],
    touched: &[bool],
    count: usize,
    before: Option<&[Part]>,
) -> Result<Vec<Part>, PackError> {
    let is_touched =
        |index: usize, count: usize| touched.iter().skip(index).step_by(count).any(|touched| *touched);
    let mut press = None;
    (0..count)
        .map(|index| {
            let before = before.and_then(|before| before.get(index));
            if let Some(part) = before.filter(|_| !is_touched(index, count)) {
                return Ok(part.clone());
            }
            let blocks = blocks_of(count);
            let mut packing = Packer { index, ..Packer::default() };
            for block in 0..blocks {
                let (place, places) = (index + block * count, count * blocks);
                let kept = before.filter(|_| !is_touched(place, places));
                match kept.and_then(|part| Some((part, part.blocks.get(block)?))) {
                    Some((part, block)) => packing.keep(part, block),
                    None => packing
                        .write(&share_of(layers, place, places), press.get_or_insert_with(Press::new))?,
                }
            }
            packing.finish().map_err(|found| found.too_large(&share_of(layers, index, count)))
        })
        .collect()
}

/// A part that is being packed.
#[derive(Default)]
struct Packer {
    index: usize,
    size: usize,
    gzip: Vec<u8>,
    blocks: Vec<Block>,
}

impl Packer {
    /// Adds a block as another part has it.
    fn keep(&mut self, part: &Part, block: &Block) {
        self.add(block.digest.clone(), block.size, part.gzip.get(block.place.clone()).unwrap_or_default());
    }

    /// Adds a block of these files.
    fn write(&mut self, share: &[&Fragment], press: &mut Press) -> Result<(), PackError> {
        let Written { list, digest, size } = Written::of(share)?;
        // Nothing that is known to be too large is compressed only to be thrown away.
        let gzip =
            if self.size + size > MAX_PART_BYTES { Vec::new() } else { press.gzip(pieces(&list, share))? };
        self.add(digest, size, &gzip);
        Ok(())
    }

    fn add(&mut self, digest: String, size: usize, gzip: &[u8]) {
        let begin = self.gzip.len();
        self.size += size;
        self.gzip.extend_from_slice(gzip);
        self.blocks.push(Block { digest, size, place: begin..self.gzip.len() });
    }

    /// The part, where it is within its bounds.
    fn finish(self) -> Result<Part, Self> {
        if self.size > MAX_PART_BYTES || self.gzip.len() > MAX_PART_COMPRESSED {
            return Err(self);
        }
        let digest = joined_digest(self.blocks.iter().map(|block| block.digest.as_str()));
        Ok(Part { index: self.index, digest, size: self.size, gzip: self.gzip.into(), blocks: self.blocks })
    }

    fn too_large(&self, share: &[&Fragment]) -> PackError {
        let largest = share.iter().max_by_key(|f| f.bytes.len());
        PackError::TooLarge {
            index: self.index,
            compressed: self.gzip.len(),
            size: self.size,
            largest: largest.map(|f| f.key.clone()).unwrap_or_default(),
            largest_size: largest.map_or(0, |f| f.bytes.len()),
        }
    }
}

/// A block before compression. It is never in one piece, as the contents are in memory already.
struct Written {
    /// The list of its files, with the end of the line.
    list: Vec<u8>,
    /// SHA-256 of the whole, in hexadecimal.
    digest: String,
    /// Bytes of the whole.
    size: usize,
}

impl Written {
    /// A block of these files.
    fn of(share: &[&Fragment]) -> Result<Self, PackError> {
        let files: Vec<Listed<&str>> = share
            .iter()
            .map(|file| Listed { key: file.key.as_str(), path: file.path.as_str(), size: file.bytes.len() })
            .collect();
        let mut list = Vec::with_capacity(share.iter().map(|file| size_of(file) - file.bytes.len()).sum());
        serde_json::to_writer(&mut list, &files).map_err(|e| PackError::Encoding(e.to_string()))?;
        list.push(b'\n');
        let (mut sha, mut size) = (Sha256::new(), 0);
        for piece in pieces(&list, share) {
            sha.update(piece);
            size += piece.len();
        }
        Ok(Self { digest: hexadecimal(&sha.finalize()), list, size })
    }
}

/// What a block is, one after the other: its list and its contents.
fn pieces<'a>(list: &'a [u8], share: &'a [&Fragment]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::once(list).chain(share.iter().map(|file| &*file.bytes))
}

/// What blocks are compressed with, one after the other: to set up a compressor takes as long as a small block.
struct Press {
    deflate: DeflateEncoder<Vec<u8>>,
}

impl Press {
    /// What a gzip member begins with (RFC 1952): deflate, no name, no time, no system.
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

    fn new() -> Self {
        Self { deflate: DeflateEncoder::new(Self::HEADER.to_vec(), LEVEL) }
    }

    /// A block in its pieces, as a gzip member.
    fn gzip<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, PackError> {
        let failed = |e: std::io::Error| PackError::Encoding(e.to_string());
        let mut crc = Crc::new();
        for piece in pieces {
            self.deflate.write_all(piece).map_err(failed)?;
            crc.update(piece);
        }
        // Ends this member and begins the next one: to set the compressor back takes as long as some KiB.
        let mut member = self.deflate.reset(Self::HEADER.to_vec()).map_err(failed)?;
        member.extend(crc.sum().to_le_bytes());
        member.extend(crc.amount().to_le_bytes());
        Ok(member)
    }
}

/// Unpacks the blocks of a part, at most `most` bytes of them, and gives the digest of the part; none where it is
/// none, or larger.
pub(super) fn unpack(mut gzip: &[u8], most: usize, mut each: impl FnMut(Vec<u8>)) -> Option<String> {
    let (mut left, mut digests) = (most, Vec::new());
    while !gzip.is_empty() {
        let mut text = Vec::new();
        let mut block = GzDecoder::new(gzip);
        // One byte more than there may be is enough to know.
        block.by_ref().take(left as u64 + 1).read_to_end(&mut text).ok()?;
        left = left.checked_sub(text.len())?;
        gzip = block.into_inner();
        digests.push(digest(&text));
        each(text);
    }
    Some(joined_digest(digests.iter().map(String::as_str)))
}

/// The files of a block that was unpacked; none where it is no block.
pub(super) fn files_of(block: &[u8]) -> Option<Vec<Entry>> {
    let end = block.iter().position(|byte| *byte == b'\n')?;
    let (list, mut left) = (block.get(..end)?, block.get(end + 1..)?);
    let list: Vec<Listed<String>> = serde_json::from_slice(list).ok()?;
    let mut files = Vec::with_capacity(list.len());
    for Listed { path, size, .. } in list {
        let (content, rest) = left.split_at_checked(size)?;
        files.push(Entry { path, content: content.to_vec() });
        left = rest;
    }
    left.is_empty().then_some(files)
}

/// The digest of a part that is in a Secret, compressed; none where it is none.
pub fn part_digest(gzip: &[u8]) -> Option<String> {
    unpack(gzip, MAX_PART_BYTES, drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::running::{MAX_PARTS, TARGET_PART_BYTES};

    fn files(count: usize, changed: usize) -> Files {
        let text = "y".repeat(TARGET_PART_BYTES / 8);
        let file = |number: usize| {
            let content = if number == changed { "changed" } else { text.as_str() };
            Fragment::new(format!("k{number}"), format!("rules/{number}.yaml"), content.as_bytes())
        };
        (0..count).map(file).collect::<Vec<_>>().iter().collect()
    }

    fn packed(files: &Files, before: Option<(&Files, &[Part])>, count: usize) -> Vec<Part> {
        let is_touched = |place| before.is_none_or(|(old, _)| !files.has_same_share(old, place));
        let touched: Vec<bool> = (0..SHARES).map(is_touched).collect();
        pack([files, &Files::default()], &touched, count, before.map(|(_, parts)| parts)).unwrap()
    }

    #[test]
    fn a_change_writes_its_own_block_and_copies_the_others() {
        for count in [1, 8, MAX_PARTS] {
            let (old, new) = (files(200, usize::MAX), files(200, 7));
            let before = packed(&old, None, count);
            let after = packed(&new, Some((&old, &before)), count);
            assert_eq!(after, packed(&new, None, count), "it is the same as packed anew");
            let blocks = |parts: &[Part]| -> Vec<(String, Vec<u8>)> {
                let bytes = |part: &Part, block: &Block| part.gzip[block.place.clone()].to_vec();
                let of = |part: &Part| -> Vec<_> {
                    part.blocks.iter().map(|block| (block.digest.clone(), bytes(part, block))).collect()
                };
                parts.iter().flat_map(of).collect()
            };
            let (before, after) = (blocks(&before), blocks(&after));
            assert_eq!(before.len(), count * blocks_of(count));
            assert_eq!(before.iter().zip(&after).filter(|(old, new)| old != new).count(), 1);
        }
    }

    /// What is kept is not looked into: a block that were written anew would be whole again.
    #[test]
    fn a_block_that_is_kept_is_not_packed_again() {
        let (old, new) = (files(200, usize::MAX), files(200, 7));
        let mut before = packed(&old, None, 1);
        for block in &mut before[0].blocks {
            block.digest = "kept".to_owned();
        }
        let after = packed(&new, Some((&old, &before)), 1);
        let kept = after[0].blocks.iter().filter(|block| block.digest == "kept").count();
        assert_eq!(kept, blocks_of(1) - 1);
    }

    #[test]
    fn a_block_is_read_as_it_was_written_and_as_nothing_else() {
        let contents: [&[u8]; 4] = [b"", b"\n", b"{\"a\": \"\\u00e4\"}\n[]\n", &[0xff, 0, b'\n', 0xfe]];
        let file = |(number, content): (usize, &&[u8])| {
            Fragment::new(format!("k\n{number}"), format!("rules/\"{number}.yaml"), *content)
        };
        let files: Vec<Fragment> = contents.iter().enumerate().map(file).collect();
        let share: Vec<&Fragment> = files.iter().collect();
        let written = Written::of(&share).unwrap();
        let block = pieces(&written.list, &share).collect::<Vec<_>>().concat();
        assert_eq!((written.digest, written.size), (digest(&block), block.len()));
        let entry = |file: &Fragment| Entry { path: file.path.clone(), content: file.bytes.to_vec() };
        assert_eq!(files_of(&block), Some(files.iter().map(entry).collect()));
        assert_eq!(files_of(b"[]\n"), Some(Vec::new()));
        for end in 0..block.len() {
            assert_eq!(files_of(&block[..end]), None, "cut after {end} bytes");
        }
        assert_eq!(files_of(&[&block, b"x".as_slice()].concat()), None, "more than it lists");
        for (list, what) in [
            (r#"[{"key":"a","path":"b","size":-1}]"#, "no size"),
            (r#"[{"key":"a","path":"b","size":18446744073709551615}]"#, "more than there is"),
            (r#"[{"key":"a","path":"b","size":0,"more":1}]"#, "another form"),
            (r#"{"fragments":[]}"#, "another form"),
        ] {
            assert_eq!(files_of(format!("{list}\n").as_bytes()), None, "{what}");
        }
    }

    #[test]
    fn blocks_in_another_order_are_another_part() {
        let part = packed(&files(40, usize::MAX), None, 1).remove(0);
        assert_eq!(part_digest(&part.gzip), Some(part.digest.clone()));
        let (first, rest) = part.gzip.split_at(part.blocks[0].place.end);
        let moved = [rest, first].concat();
        assert!(part_digest(&moved).is_some_and(|digest| digest != part.digest));
        assert_eq!(part_digest(&[&part.gzip, b"more".as_slice()].concat()), None);
        assert!(unpack(&part.gzip, part.size, drop).is_some());
        assert_eq!(unpack(&part.gzip, part.size - 1, drop), None, "no more is unpacked than there may be");
    }
}

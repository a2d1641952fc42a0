//! Numbers and texts one behind the other in bytes: a number takes seven bits
//! a byte, small end first, and a text is its length and its UTF-8.

/// Appends a number.
pub(super) fn pack_number(packed: &mut Vec<u8>, mut number: u64) {
    while let Some(more) = Some(number >> 7).filter(|more| *more > 0) {
        packed.push(low_bits(number) | MORE);
        number = more;
    }
    packed.push(low_bits(number));
}

/// Appends bytes with their length.
pub(super) fn pack_bytes(packed: &mut Vec<u8>, bytes: &[u8]) {
    pack_number(packed, bytes.len() as u64);
    packed.extend_from_slice(bytes);
}

/// Appends a text with its length.
pub(super) fn pack_text(packed: &mut Vec<u8>, text: &str) {
    pack_bytes(packed, text.as_bytes());
}

/// The bit of a byte that says that the number goes on.
const MORE: u8 = 0x80;

fn low_bits(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & !MORE
}

/// Takes what was packed off the front; `None` at the end or where it is something else.
pub(super) trait Unpacked<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]>;

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.take(1)? else { return None };
            number |= u64::from(byte & !MORE) << shift;
            if byte & MORE == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

impl<'a> Unpacked<'a> for &'a [u8] {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.split_at_checked(length)?;
        *self = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let mut packed = Vec::new();
        let numbers = [0, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|n| pack_number(&mut packed, *n));
        pack_text(&mut packed, "né");
        pack_bytes(&mut packed, &[]);
        let mut rest = packed.as_slice();
        for number in numbers {
            assert_eq!(rest.number(), Some(number));
        }
        assert_eq!(rest.text(), Some("né"));
        assert_eq!(rest.bytes(), Some(&[][..]));
        assert_eq!(rest.number(), None);
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for packed in [&[0x80_u8][..], &[3, b'a'], &[1, 0xff], &[0xff; 11]] {
            assert_eq!((&mut &*packed).text(), None, "{packed:?}");
        }
    }
}

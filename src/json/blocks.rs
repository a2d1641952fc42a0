//! Which bytes of a text are structure, found 64 at a time, one bit a byte.
//!
//! The method is that of Langdale and Lemire, *Parsing Gigabytes of JSON per Second*
//! (2019), section 3.1: quotes that are not escaped open and close strings, the
//! parity of the quotes before a byte tells whether it stands in one, and what
//! stands outside is structure.
//!
//! This is the one place with `unsafe`: calls of functions compiled for processors
//! with more than the common instructions, after asking for them, and in those the
//! loads and stores of a whole block. Everything else is safe code, and all ways of
//! classifying a block are held against each other by a test.

/// Bytes in a block.
const BLOCK: usize = 64;

/// So many places are written at once, whether there are so many or not.
const AHEAD: usize = 8;

/// By its low four bits, from 10 on, the operator that a byte with bit 0x20 set may be.
/// That takes two control characters for operators too; no text with one is read.
#[cfg(target_arch = "x86_64")]
const OPERATORS: [u8; 4] = [b':', b'{', b',', b'}'];

/// What a block holds: bit `n` is about byte `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block {
    quotes: u64,
    backslashes: u64,
    /// `{`, `}`, `[`, `]`, `:` and `,`, wherever they stand.
    operators: u64,
}

/// What is known of the text up to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strings {
    /// All ones when the next byte stands in a string, else zero.
    inside: u64,
    /// 1 when the next byte is escaped.
    escaped: u64,
    /// 1 when the last byte ended a string.
    ended: u64,
    /// Bits of what no text in compact JSON has.
    faults: u64,
    /// Whether there was a control character.
    controls: bool,
    /// Whether all bytes so far are ASCII.
    pub(super) ascii: bool,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            inside: 0,
            escaped: 0,
            ended: 0,
            faults: 0,
            controls: false,
            ascii: true,
        }
    }
}

impl Strings {
    /// Whether the text so far may be compact JSON as far as strings go: each is
    /// closed, holds no control character and only JSON's escapes, and is
    /// followed by structure.
    pub(super) fn are_sound(&self) -> bool {
        self.inside == 0 && self.faults == 0 && !self.controls
    }

    /// The structure of a block that begins at `start`.
    #[inline(always)]
    fn structure(
        &mut self,
        block: Block,
        text: &[u8],
        start: usize,
        parity: impl Fn(u64) -> u64,
    ) -> u64 {
        let escaped = self.escaped(block.backslashes);
        let quotes = block.quotes & !escaped;
        let inside = parity(quotes) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        let ends = quotes & !inside;
        self.faults |= (ends << 1 | self.ended) & !block.operators;
        self.ended = ends >> 63;
        let unusual = escaped & !block.quotes & !block.backslashes;
        if unusual != 0 {
            self.faults |= bad_escapes(text, start, unusual);
        }
        block.operators & !inside
    }

    /// The bytes behind a backslash that is not escaped itself.
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        let starts = backslashes & !self.escaped;
        let follows = starts << 1 | self.escaped;
        // A run of backslashes escapes what follows it if its length is odd: adding the
        // bits of runs that start at odd places carries each to the place behind its end.
        let (sum, carried) = (starts & !EVEN & !follows).overflowing_add(starts);
        self.escaped = u64::from(carried);
        (EVEN ^ (sum << 1)) & follows
    }
}

/// Which of the escaped bytes, none of them `"` or `\`, JSON does not have.
#[inline(never)]
fn bad_escapes(text: &[u8], start: usize, mut escaped: u64) -> u64 {
    let mut bad = 0;
    while escaped != 0 {
        let bit = escaped & escaped.wrapping_neg();
        let at = start + escaped.trailing_zeros() as usize;
        escaped ^= bit;
        let good = match text.get(at) {
            Some(b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => {
                let digits = text.get(at + 1..at + 5);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        };
        if !good {
            bad |= bit;
        }
    }
    bad
}

/// Writes the places of the structure of a text and says how many there are.
pub(super) fn look(strings: &mut Strings, text: &[u8], places: &mut Vec<u32>) -> usize {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        #[expect(
            unsafe_code,
            reason = "a call of a function compiled for processors with AVX-512"
        )]
        // SAFETY: `is_there` has asked the processor for every feature that `look` is compiled for.
        return unsafe { avx512::look(strings, text, places) };
    }
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        #[expect(
            unsafe_code,
            reason = "a call of a function compiled for processors with AVX2"
        )]
        // SAFETY: `is_there` has asked the processor for every feature that `look` is compiled for.
        return unsafe { avx2::look(strings, text, places) };
    }
    words::look(strings, text, places)
}

/// The loop of [`look`] over blocks, given how one is classified.
#[inline(always)]
fn look_with(
    strings: &mut Strings,
    text: &[u8],
    places: &mut Vec<u32>,
    mut classify: impl FnMut(&[u8; BLOCK]) -> Block,
    parity: impl Fn(u64) -> u64,
    write: impl Fn(u64, u32, &mut [u32; BLOCK]),
) -> usize {
    let mut state = *strings;
    let mut start = 0;
    let mut count = 0;
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let last = padded(rest);
    for bytes in blocks.iter().chain(last.as_ref()) {
        let structure = state.structure(classify(bytes), text, start, &parity);
        if places.len() < count + BLOCK {
            places.resize(2 * (count + BLOCK), 0);
        }
        if let Some(room) = places.get_mut(count..).and_then(<[u32]>::first_chunk_mut) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`Marks` takes no longer text"
            )]
            write(structure, start as u32, room);
        }
        count += structure.count_ones() as usize;
        start += BLOCK;
    }
    *strings = state;
    count
}

/// What is behind the last whole block, with blanks behind it; `None` where nothing is.
fn padded(rest: &[u8]) -> Option<[u8; BLOCK]> {
    let mut bytes = [b' '; BLOCK];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    (!rest.is_empty()).then_some(bytes)
}

/// Writes the places of the bits, and whatever behind them.
#[inline(always)]
fn write_each(mut bits: u64, start: u32, room: &mut [u32; BLOCK]) {
    for slots in room.as_chunks_mut::<AHEAD>().0 {
        for slot in slots {
            *slot = start.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            return;
        }
    }
}

/// For processors with AVX-512 and its byte instructions (Intel since 2019, AMD since 2022).
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8,
        _mm_setr_epi8, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_cmpeq_epi8_mask,
        _mm512_cmplt_epu8_mask, _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32,
        _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_min_epu8, _mm512_movepi8_mask,
        _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setzero_si512,
        _mm512_shuffle_epi8, _mm512_storeu_si512,
    };

    use super::{BLOCK, Block, OPERATORS, Strings, look_with};

    pub(super) fn is_there() -> bool {
        super::avx2::is_there()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn look(strings: &mut Strings, text: &[u8], places: &mut Vec<u32>) -> usize {
        let [a, b, c, d] = OPERATORS.map(u8::cast_signed);
        let operators = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0);
        let operators = _mm512_broadcast_i32x4(operators);
        let all_of = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
        let mut least = all_of(b' ');
        let mut all = _mm512_setzero_si512();
        let classify = |bytes: &[u8; BLOCK]| {
            let block = load(bytes);
            least = _mm512_min_epu8(least, block);
            all = _mm512_or_si512(all, block);
            let folded = _mm512_or_si512(block, all_of(0x20));
            Block {
                quotes: _mm512_cmpeq_epi8_mask(block, all_of(b'"')),
                backslashes: _mm512_cmpeq_epi8_mask(block, all_of(b'\\')),
                operators: _mm512_cmpeq_epi8_mask(folded, _mm512_shuffle_epi8(operators, block)),
            }
        };
        let parity = |bits: u64| {
            let bits = _mm_set_epi64x(0, bits.cast_signed());
            let product = _mm_clmulepi64_si128(bits, _mm_set1_epi8(-1), 0);
            _mm_cvtsi128_si64(product).cast_unsigned()
        };
        let mut numbers = [0; BLOCK];
        for (number, at) in numbers.iter_mut().zip(0..) {
            *number = at;
        }
        let numbers = load(&numbers);
        let write = |bits: u64, start: u32, room: &mut [u32; BLOCK]| {
            let places = _mm512_maskz_compress_epi8(bits, numbers);
            let start = _mm512_set1_epi32(start.cast_signed());
            let count = bits.count_ones();
            let [first, second, third, fourth] = room.as_chunks_mut::<16>().0 else {
                return;
            };
            let quarter = |quarter| _mm512_add_epi32(start, _mm512_cvtepu8_epi32(quarter));
            store(first, quarter(_mm512_extracti32x4_epi32::<0>(places)));
            if count > 16 {
                store(second, quarter(_mm512_extracti32x4_epi32::<1>(places)));
                store(third, quarter(_mm512_extracti32x4_epi32::<2>(places)));
                store(fourth, quarter(_mm512_extracti32x4_epi32::<3>(places)));
            }
        };
        let count = look_with(strings, text, places, classify, parity, write);
        strings.ascii &= _mm512_movepi8_mask(all) == 0;
        strings.controls |= _mm512_cmplt_epu8_mask(least, all_of(b' ')) != 0;
        count
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(bytes: &[u8; BLOCK]) -> __m512i {
        #[expect(unsafe_code, reason = "a load of 64 bytes")]
        // SAFETY: the array has the 64 bytes that are read; they need not be aligned.
        unsafe {
            _mm512_loadu_si512(bytes.as_ptr().cast())
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(places: &mut [u32; 16], values: __m512i) {
        #[expect(unsafe_code, reason = "a store of 64 bytes")]
        // SAFETY: the array has the 64 bytes that are written; they need not be aligned.
        unsafe {
            _mm512_storeu_si512(places.as_mut_ptr().cast(), values);
        }
    }
}

/// For processors with AVX2 (Intel since 2013, AMD since 2015).
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{BLOCK, Block, OPERATORS, Strings, look_with, write_each};
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8,
        _mm_setr_epi8, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
        _mm256_max_epu8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
        _mm256_shuffle_epi8,
    };

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    #[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn look(strings: &mut Strings, text: &[u8], places: &mut Vec<u32>) -> usize {
        let [a, b, c, d] = OPERATORS.map(u8::cast_signed);
        let operators = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0);
        let operators = _mm256_broadcastsi128_si256(operators);
        let bits = |low: __m256i, high: __m256i| {
            let [low, high] = [low, high].map(|half| _mm256_movemask_epi8(half).cast_unsigned());
            u64::from(low) | u64::from(high) << 32
        };
        let is =
            |half: __m256i, byte: u8| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte.cast_signed()));
        let is_operator = |half: __m256i| {
            let folded = _mm256_or_si256(half, _mm256_set1_epi8(0x20));
            _mm256_cmpeq_epi8(folded, _mm256_shuffle_epi8(operators, half))
        };
        let mut least = _mm256_set1_epi8(0x20);
        let mut all = _mm256_set1_epi8(0);
        let classify = |bytes: &[u8; BLOCK]| {
            let [low, high] = bytes.as_chunks::<32>().0 else {
                return Block::default();
            };
            let (low, high) = (load(low), load(high));
            least = _mm256_min_epu8(least, _mm256_min_epu8(low, high));
            all = _mm256_or_si256(all, _mm256_or_si256(low, high));
            Block {
                quotes: bits(is(low, b'"'), is(high, b'"')),
                backslashes: bits(is(low, b'\\'), is(high, b'\\')),
                operators: bits(is_operator(low), is_operator(high)),
            }
        };
        // A product without carries with all ones adds each bit to all above it.
        let parity = |bits: u64| {
            let bits = _mm_set_epi64x(0, bits.cast_signed());
            let product = _mm_clmulepi64_si128(bits, _mm_set1_epi8(-1), 0);
            _mm_cvtsi128_si64(product).cast_unsigned()
        };
        let count = look_with(strings, text, places, classify, parity, write_each);
        strings.ascii &= _mm256_movemask_epi8(all) == 0;
        let space = _mm256_set1_epi8(0x20);
        strings.controls |=
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(least, space), least)) != -1;
        count
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        #[expect(unsafe_code, reason = "a load of 32 bytes")]
        // SAFETY: the array has the 32 bytes that are read; they need not be aligned.
        unsafe {
            _mm256_loadu_si256(bytes.as_ptr().cast())
        }
    }
}

/// For all other processors: eight bytes at a time in a word.
mod words {
    use super::{BLOCK, Block, Strings, look_with, write_each};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;

    pub(super) fn look(strings: &mut Strings, text: &[u8], places: &mut Vec<u32>) -> usize {
        let mut all = 0;
        let mut controls = 0;
        let classify = |bytes: &[u8; BLOCK]| {
            let mut block = Block::default();
            for (at, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
                let word = u64::from_le_bytes(*word);
                let folded = word | (0x20 * ONES);
                let operators =
                    is(folded, b'{') | is(folded, b'}') | is(word, b':') | is(word, b',');
                block.quotes |= bits(is(word, b'"')) << (8 * at);
                block.backslashes |= bits(is(word, b'\\')) << (8 * at);
                block.operators |= bits(operators) << (8 * at);
                all |= word;
                controls |= below_space(word);
            }
            block
        };
        let count = look_with(strings, text, places, classify, parity, write_each);
        strings.ascii &= all & HIGHS == 0;
        strings.controls |= controls != 0;
        count
    }

    /// The high bit of each byte that is the given one.
    #[inline(always)]
    fn is(word: u64, byte: u8) -> u64 {
        let other = word ^ (ONES * u64::from(byte));
        !(((other & !HIGHS) + !HIGHS) | other) & HIGHS
    }

    /// The high bit of each byte below the space.
    #[inline(always)]
    fn below_space(word: u64) -> u64 {
        !(((word & !HIGHS) + (0x60 * ONES)) | word) & HIGHS
    }

    /// The high bits of the eight bytes, side by side.
    #[inline(always)]
    fn bits(highs: u64) -> u64 {
        (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }

    fn parity(mut bits: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << shift;
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Processors with AVX2 and all others find the same.
        #[test]
        fn every_processor_finds_the_same(text in "([ -~]{0,90}|[\"\\\\{}\\[\\]:,ä\u{1}\u{7f}u]{0,40}){0,4}") {
            let found = |look: fn(&mut Strings, &[u8], &mut Vec<u32>) -> usize| {
                let (mut strings, mut places) = (Strings::default(), Vec::new());
                let count = look(&mut strings, text.as_bytes(), &mut places);
                (strings, places[..count].to_vec())
            };
            proptest::prop_assert_eq!(found(look), found(words::look));
            #[cfg(target_arch = "x86_64")]
            if avx2::is_there() {
                // SAFETY: see `look`.
                #[expect(unsafe_code, reason = "see `look`")]
                let found_by_avx2 = found(|strings, text, places| unsafe { avx2::look(strings, text, places) });
                proptest::prop_assert_eq!(found_by_avx2, found(words::look));
            }
        }
    }
}

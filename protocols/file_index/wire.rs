//! Numbers in as few bytes as they need: the low seven bits of a byte are the next bits of the
//! number, the highest bit says that more follow. A column of numbers is stored as differences,
//! small negative ones being as short as small positive ones.

use super::DecodeError;

const SHORT: DecodeError = DecodeError::Malformed("it ends too early");

pub(crate) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends the numbers without their count.
pub(crate) fn put_column(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut last = 0_u64;
    for n in numbers {
        let difference = n.wrapping_sub(last) as i64;
        put_number(out, ((difference << 1) ^ (difference >> 63)) as u64);
        last = n;
    }
}

/// Appends byte strings without their count: how long each is, and then all of them.
pub(crate) fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a [u8]> + Clone) {
    put_column(out, texts.clone().map(|text| text.len() as u64));
    texts.for_each(|text| out.extend_from_slice(text));
}

/// What is left to read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(DecodeError::Malformed("a number is too large"))
    }

    /// How many items follow, each of which takes at least `item_bytes`: no more memory is set
    /// aside than a file of this size can fill.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let n = self.number()?;
        let most = self.0.len() / item_bytes;
        usize::try_from(n).ok().filter(|n| *n <= most).ok_or(SHORT)
    }

    /// So many byte strings, none of which may be longer than that.
    pub(crate) fn texts(
        &mut self,
        count: usize,
        bytes_max: usize,
    ) -> Result<Vec<Box<[u8]>>, DecodeError> {
        let lengths = self.column(count)?;
        let text = |length: u64| {
            let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
            let length = length.ok_or(DecodeError::Malformed("a key is too long"))?;
            let (text, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
            self.0 = rest;
            Ok(text.into())
        };
        lengths.into_iter().map(text).collect()
    }

    pub(crate) fn column(&mut self, count: usize) -> Result<Vec<u64>, DecodeError> {
        let mut last = 0_u64;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            let n = self.number()?;
            let difference = (n >> 1) ^ (n & 1).wrapping_neg();
            last = last.wrapping_add(difference);
            numbers.push(last);
        }
        Ok(numbers)
    }
}

//! A text that the next line is expected to repeat, kept so that the comparison is cheap.

/// Bytes that one comparison covers.
const HEAD_BYTES: usize = 16;

/// An expected text. Most keys fit one machine comparison; a call to compare memory would cost
/// more than reading the value behind the key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefix<'a> {
    text: &'a [u8],
    head: u128,
    mask: u128,
}

impl<'a> Prefix<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.as_bytes();
        let head_len = text.len().min(HEAD_BYTES);
        let mut head = [0; HEAD_BYTES];
        for (to, from) in head.iter_mut().zip(text) {
            *to = *from;
        }
        let unused_bits = 8 * (HEAD_BYTES - head_len) as u32;
        // The first byte is the lowest, so the unused ones are the highest.
        let mask = u128::MAX.checked_shr(unused_bits).unwrap_or(0);
        Self { text, head: u128::from_le_bytes(head), mask }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// True when `rest` begins with the text.
    #[inline]
    pub(super) fn begins(&self, rest: &[u8]) -> bool {
        let Some(head) = rest.first_chunk::<HEAD_BYTES>() else {
            return rest.starts_with(self.text);
        };
        let differs = (u128::from_le_bytes(*head) ^ self.head) & self.mask != 0;
        !differs && (self.text.len() <= HEAD_BYTES || rest.starts_with(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_plain_comparison() {
        let line = "usage_user_of_the_first_core=1,usage_system=2 17000000000000";
        for len in 0..line.len() {
            let prefix = Prefix::new(&line[..len]);
            assert_eq!(prefix.len(), len);
            for rest in [line, &line[1..], &line[..len], &line[..len.saturating_sub(1)], "", "us"] {
                let expected = rest.as_bytes().starts_with(&line.as_bytes()[..len]);
                assert_eq!(prefix.begins(rest.as_bytes()), expected, "{len} {rest}");
            }
        }
    }

    #[test]
    fn a_difference_anywhere_counts() {
        let text = "0123456789abcdefghij=";
        let prefix = Prefix::new(text);
        for at in 0..text.len() {
            let mut other = format!("{text}12345678901234567890").into_bytes();
            other[at] ^= 1;
            assert!(!prefix.begins(&other), "{at}");
        }
    }
}

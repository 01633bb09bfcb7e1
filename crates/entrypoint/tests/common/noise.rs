//! Text for which compression makes no room; for the tests beside the code as well.

/// So many characters of it, each one byte.
pub(crate) fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let characters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'#' + u8::try_from(state % 91).unwrap())
    });
    characters.filter(|it| *it != '\\').take(length).collect()
}

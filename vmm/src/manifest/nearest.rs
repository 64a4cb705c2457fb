//! The known word that an unknown one was probably meant to be.

/// How alike two words must be, from 0 to 1, before one is worth suggesting for the other.
const ALIKE: f64 = 0.75;

/// The word of `known` that is most like `word`, if any is like it at all.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_ascii_lowercase();
            (strsim::jaro_winkler(&lower, &other), candidate)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised() {
        let known = ["image", "memory", "vcpus", "max-connections"];
        assert_eq!(nearest("mem", known), Some("memory"));
        assert_eq!(nearest("Imgae", known), Some("image"));
        assert_eq!(nearest("max_connections", known), Some("max-connections"));
        assert_eq!(nearest("vcpu", known), Some("vcpus"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("", known), None);
    }
}

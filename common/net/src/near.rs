//! Near names, for messages about a name that nobody knows.

/// How alike two names are called near, 0 to 1 (Jaro and Winkler).
const NEAR: f64 = 0.8;

/// The one of `known` that `name` was probably meant to be, if one is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let name = plain(name);
    let ranked = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &plain(known)), known));
    let best = ranked.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_found_and_what_is_far_is_not() {
        let known = ["token-file", "coordinator", "ca"];
        assert_eq!(nearest("tokenfile", known), Some("token-file"));
        assert_eq!(nearest("TOKEN_FILE", known), Some("token-file"));
        assert_eq!(nearest("cordinator", known), Some("coordinator"));
        assert_eq!(nearest("budget", known), None);
        assert_eq!(nearest("x", []), None);
    }
}

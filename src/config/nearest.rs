//! The known name that is nearest to an unknown one.

use strsim::damerau_levenshtein;

/// The candidate that differs least from `name`, if that is little enough to be
/// what was meant.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(2);
    let simple = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let wanted = simple(name);
    candidates
        .into_iter()
        .map(|candidate| (damerau_levenshtein(&wanted, &simple(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_and_nothing_far_away() {
        let names = ["address", "port", "trusted_proxies", "allowed_origins"];
        for (written, meant) in [
            ("adress", Some("address")),
            ("Port", Some("port")),
            ("trusted-proxies", Some("trusted_proxies")),
            ("allowed_origin", Some("allowed_origins")),
            ("prot", Some("port")),
            ("something", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written}");
        }
    }
}

//! The pages about configuration say what the program does.

use super::samples::samples;

const CORPUS: &str = include_str!("corpus.md");
const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const LIMITS: &str = include_str!("../../../docs/limits.md");
const MIGRATION: &str = include_str!("../../../docs/migrate-from-centrifugo.md");

#[test]
fn each_of_many_wrong_configurations_gets_its_exact_report() {
    let samples = samples(CORPUS);
    assert!(samples.len() >= 60, "{}", samples.len());
    for sample in samples {
        sample.check();
    }
}

#[test]
fn the_samples_of_the_pages_are_what_they_say() {
    for (page, least) in [(CONFIGURATION, 4), (MIGRATION, 5), (LIMITS, 1)] {
        let samples = samples(page);
        assert!(samples.len() >= least, "{}", samples.len());
        for sample in samples {
            sample.check();
        }
    }
}

#[test]
fn the_page_lists_the_options_that_there_are() {
    let (_, rest) = CONFIGURATION.split_once("<!-- options -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of options -->\n").unwrap();
    let doc = sealcast::config::markdown();
    let differs = table.lines().zip(doc.lines()).find(|(page, program)| page != program);
    assert_eq!(differs, None, "put what `sealcast config doc` prints between the markers");
    assert_eq!(table, doc, "put what `sealcast config doc` prints between the markers");
}

//! The README's table of what leaves the device is made from the catalogue. `BLESS=1` writes it anew.

use qcloud_agent::card::Card;
use qcloud_agent::egress::catalogue::{kept, parcels, recipient};
use qcloud_agent::features::ALL;
use std::path::Path;

const BEGIN: &str = "<!-- generated: parcels -->\n";
const END: &str = "<!-- end -->";

fn table() -> String {
    let cards: Vec<&'static Card> = ALL.iter().map(|row| row.card).collect();
    let mut table =
        String::from("| parcel | what | fields | to | kept there |\n|---|---|---|---|---|\n");
    for parcel in parcels(&cards) {
        let fields: Vec<_> =
            parcel.fields.iter().map(|field| format!("`{}`", field.path)).collect();
        table += &format!(
            "| `{}` | {} | {} | {} | {} |\n",
            parcel.id,
            parcel.what,
            fields.join(", "),
            recipient(parcel.to),
            kept(parcel.retention)
        );
    }
    table
}

#[test]
fn the_readme_says_what_the_catalogue_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("the marker stands in the README") + BEGIN.len();
    let end = begin + text[begin..].find(END).expect("the end marker stands in the README");
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{}{}{}", &text[..begin], table(), &text[end..]);
        std::fs::write(&path, blessed).unwrap();
    } else {
        assert_eq!(&text[begin..end], table(), "run this test with BLESS=1");
    }
}

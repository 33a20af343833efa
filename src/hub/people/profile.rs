//! A person's profile: what may stand in it, why, and who sees it (promises Q3, Q4, Q6).

use super::email::Email;
use super::{EMAIL, People, PeopleError, Person};
use crate::clock::Wall;
use crate::hub::speech::{Language, Said, Zone, said};
use crate::hub::store::StoreError;
use crate::hub::store::account::ProfileRow;

/// A field of the profile. The page, the export and the tests read these.
pub struct Field {
    /// Its key in the export and in the form, and its column.
    pub key: &'static str,
    /// What it is called.
    pub label: Said,
    /// Why it is asked for.
    pub why: Said,
    /// Who sees it.
    pub seen_by: Said,
    /// When it goes.
    pub until: Said,
    /// Whether there is no account without it.
    pub required: bool,
    /// The most characters it may have.
    pub most: usize,
}

const YOU: Said = said("you alone", "nur Sie", "bara du");
const ERASED: Said = said(
    "until you empty it, or delete the account",
    "bis Sie es leeren oder das Konto löschen",
    "tills du tömmer det eller raderar kontot",
);

/// Everything a profile can hold.
pub static FIELDS: &[Field] = &[
    Field {
        key: "email",
        label: said("Mail address", "E-Mail-Adresse", "E-postadress"),
        why: said(
            "you sign in with it, and are told there what happens in your account",
            "Sie melden sich damit an und erfahren dort, was in Ihrem Konto geschieht",
            "du loggar in med den och får veta där vad som händer i ditt konto",
        ),
        seen_by: said(
            "you, and whoever runs this hub",
            "Sie und wer diesen Hub betreibt",
            "du, och den som driver den här hubben",
        ),
        until: said(
            "until you delete the account",
            "bis Sie das Konto löschen",
            "tills du raderar kontot",
        ),
        required: true,
        most: 254,
    },
    Field {
        key: "name",
        label: said("Name", "Name", "Namn"),
        why: said(
            "so that people you share with know who you are",
            "damit Menschen, mit denen Sie teilen, wissen, wer Sie sind",
            "så att de du delar med vet vem du är",
        ),
        seen_by: said(
            "you, and the people you share devices with",
            "Sie und die Menschen, mit denen Sie Geräte teilen",
            "du, och de du delar enheter med",
        ),
        until: ERASED,
        required: false,
        most: 100,
    },
    Field {
        key: "phone",
        label: said("Telephone", "Telefon", "Telefon"),
        why: said(
            "a note for yourself; the hub never calls it",
            "eine Notiz für Sie selbst; der Hub ruft dort nie an",
            "en anteckning för dig själv; hubben ringer aldrig dit",
        ),
        seen_by: YOU,
        until: ERASED,
        required: false,
        most: 40,
    },
    Field {
        key: "language",
        label: said("Language", "Sprache", "Språk"),
        why: said(
            "the pages speak it; without it they speak what your browser asks for",
            "die Seiten sprechen sie; sonst sprechen sie, worum Ihr Browser bittet",
            "sidorna talar det; annars talar de det din webbläsare ber om",
        ),
        seen_by: YOU,
        until: ERASED,
        required: false,
        most: 8,
    },
    Field {
        key: "zone",
        label: said("Time zone", "Zeitzone", "Tidszon"),
        why: said(
            "the pages show times in it; without it they show UTC",
            "die Seiten zeigen Zeiten in ihr; sonst in UTC",
            "sidorna visar tider i den; annars i UTC",
        ),
        seen_by: YOU,
        until: ERASED,
        required: false,
        most: 64,
    },
    Field {
        key: "findable",
        label: said(
            "Who may find me by my address",
            "Wer mich über meine Adresse finden darf",
            "Vem som får hitta mig via min adress",
        ),
        why: said(
            "everybody else gets the same answer as for an address that nobody has",
            "alle anderen bekommen dieselbe Antwort wie für eine Adresse, die niemand hat",
            "alla andra får samma svar som för en adress som ingen har",
        ),
        seen_by: YOU,
        until: ERASED,
        required: false,
        most: 8,
    },
];

/// Who may find somebody by their address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Findable {
    /// Nobody.
    #[default]
    Nobody,
    /// People they share devices with.
    Shared,
}

impl Findable {
    /// Both, with the words they are kept as.
    pub const ALL: [(&'static str, Self); 2] = [("nobody", Self::Nobody), ("shared", Self::Shared)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(word, _)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, one)| *one)
    }
}

/// What a person has said of themself; nothing of it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What they are called.
    pub name: Option<String>,
    /// Their telephone number.
    pub phone: Option<String>,
    /// Their language.
    pub language: Option<Language>,
    /// Their time zone.
    pub zone: Option<Zone>,
    /// Who may find them.
    pub findable: Findable,
}

/// A field that cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field `{0}` cannot be that")]
pub struct BadField(pub &'static str);

impl Profile {
    /// Reads what was typed or kept for a field; an empty text empties it.
    ///
    /// # Errors
    /// [`BadField`] for a text that is too long, has control characters, or is none of those to choose from.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), BadField> {
        let field = FIELDS.iter().find(|field| field.key == key && !field.required);
        let field = field.ok_or(BadField("?"))?;
        let (bad, text) = (BadField(field.key), text.trim());
        if text.chars().count() > field.most || text.chars().any(char::is_control) {
            return Err(bad);
        }
        let given = Some(text).filter(|text| !text.is_empty());
        match field.key {
            "name" => self.name = given.map(String::from),
            "phone" => {
                let plain = |c: char| c.is_ascii_digit() || "+-/(). ".contains(c);
                if !text.chars().all(plain) {
                    return Err(bad);
                }
                self.phone = given.map(String::from);
            }
            "language" => {
                let known = |text| Language::ALL.iter().find(|(tag, _, _)| *tag == text);
                self.language = given.map(|text| known(text).ok_or(bad)).transpose()?.map(|l| l.2);
            }
            "zone" => self.zone = given.map(|text| Zone::of(text).ok_or(bad)).transpose()?,
            "findable" => {
                let read = given.map(|text| Findable::of(text).ok_or(bad)).transpose()?;
                self.findable = read.unwrap_or_default();
            }
            _ => return Err(bad),
        }
        Ok(())
    }

    /// What stands in a field, as it is kept; nothing for what is at its default.
    pub fn text(&self, key: &str) -> Option<&str> {
        match key {
            "name" => self.name.as_deref(),
            "phone" => self.phone.as_deref(),
            "language" => self.language.map(Language::tag),
            "zone" => self.zone.map(Zone::name),
            "findable" if self.findable != Findable::default() => Some(self.findable.word()),
            _ => None,
        }
    }
}

impl People {
    /// The profile of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn profile(&self, account: u64) -> Result<Profile, PeopleError> {
        let row = self.store.profile(account).await?;
        let mut profile = Profile::default();
        let sealed = [
            ("name", "profile.name", row.name),
            ("phone", "profile.phone", row.phone),
            ("language", "profile.language", row.language),
            ("zone", "profile.zone", row.zone),
            ("findable", "profile.findable", row.findable),
        ];
        for (key, column, sealed) in sealed {
            let Some(text) = sealed.and_then(|sealed| self.seal.open(column, &sealed)) else {
                continue;
            };
            // What a later version offers and this one does not is like what was never chosen.
            let _ = profile.set(key, &text);
        }
        Ok(profile)
    }

    /// Puts a profile in place of the one before.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn set_profile(
        &self,
        account: u64,
        profile: &Profile,
        now: Wall,
    ) -> Result<(), PeopleError> {
        let seal = |key: &str, column: &'static str| {
            let text = profile.text(key);
            if crate::sabotage::off("profile-seal") {
                return Ok(text.map(|text| text.as_bytes().to_vec()));
            }
            text.map(|text| self.seal.seal(column, text)).transpose()
        };
        let row = ProfileRow {
            name: seal("name", "profile.name")?,
            phone: seal("phone", "profile.phone")?,
            language: seal("language", "profile.language")?,
            zone: seal("zone", "profile.zone")?,
            findable: seal("findable", "profile.findable")?,
        };
        Ok(self.store.set_profile(account, row, now).await?)
    }

    /// Whoever has this address, if they let this seeker find them (promise Q6). An address that nobody has gets the
    /// same answer as one whose owner allows nobody, after the same questions to the store: `shared` is asked in
    /// either case, of account 0 where there is none.
    ///
    /// `shared` says whether the two accounts share a device.
    ///
    /// # Errors
    /// The store's.
    pub async fn findable<F, A>(
        &self,
        seeker: &Person,
        address: &Email,
        shared: F,
    ) -> Result<Option<Person>, PeopleError>
    where
        F: FnOnce(u64, u64) -> A,
        A: Future<Output = Result<bool, StoreError>>,
    {
        let found = self.store.account(self.seal.index(EMAIL, address.as_str())).await?;
        let number = found.as_ref().map_or(0, |account| account.number);
        let profile = self.profile(number).await?;
        let together = shared(seeker.account, number).await?;
        let allowed = profile.findable == Findable::Shared && together;
        let allowed = allowed || crate::sabotage::off("people-findable");
        Ok(found.filter(|_| allowed).and_then(|account| self.person(&account)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_what_its_fields_say_and_nothing_else() {
        let mut profile = Profile::default();
        let good = [
            ("name", " Åsa Öberg "),
            ("phone", "+46 (0)8-123 45"),
            ("language", "sv"),
            ("zone", "Europe/Stockholm"),
            ("findable", "shared"),
        ];
        for (key, text) in good {
            profile.set(key, text).unwrap();
            assert_eq!(profile.text(key), Some(text.trim()), "{key}");
        }
        let long = "a".repeat(101);
        let bad = [
            ("name", "a\u{1b}[2J"),
            ("name", &long),
            ("phone", "call me"),
            ("language", "fr"),
            ("language", "sv-SE"),
            ("zone", "Mars/Olympus"),
            ("findable", "everybody"),
            ("email", "x@example.net"),
            ("password", "x"),
        ];
        for (key, text) in bad {
            assert!(profile.set(key, text).is_err(), "{key} {text}");
        }
        for field in FIELDS.iter().filter(|field| !field.required) {
            profile.set(field.key, "").unwrap();
        }
        assert_eq!(profile, Profile::default());
    }
}

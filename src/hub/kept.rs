//! What each table is for, in words: the page that says what this hub keeps, and a person's download, read these.

mod licenses;

use super::speech::{Said, said};

/// A table in words.
pub struct About {
    /// The table.
    pub table: &'static str,
    /// What stands in it.
    pub what: Said,
    /// Why.
    pub why: Said,
}

const fn about(table: &'static str, what: Said, why: Said) -> About {
    About { table, what, why }
}

/// Every table but `meta`, which holds the number of the schema.
pub static TABLES: &[About] = &[
    about(
        "account",
        said(
            "your mail address (sealed) and a hash of your password",
            "Ihre E-Mail-Adresse (versiegelt) und ein Hash Ihres Passworts",
            "din e-postadress (förseglad) och en hash av ditt lösenord",
        ),
        said("so that you can sign in", "damit Sie sich anmelden können", "så att du kan logga in"),
    ),
    about(
        "profile",
        said(
            "what you wrote on the page “Account”, each field sealed",
            "was Sie auf der Seite „Konto“ angegeben haben, jedes Feld versiegelt",
            "det du skrev på sidan ”Konto”, varje fält förseglat",
        ),
        said(
            "you may; nothing of it is needed",
            "Sie dürfen; nichts davon ist nötig",
            "du får; inget av det behövs",
        ),
    ),
    about(
        "invitation",
        said(
            "a hash of the link you were invited by",
            "ein Hash des Links, mit dem Sie eingeladen wurden",
            "en hash av länken du blev inbjuden med",
        ),
        said(
            "so that the link works once",
            "damit der Link einmal gilt",
            "så att länken gäller en gång",
        ),
    ),
    about(
        "browser",
        said(
            "a hash of your sign-in's cookie, its time, and your network without its last part",
            "ein Hash des Anmelde-Cookies, der Zeitpunkt und Ihr Netz ohne seinen letzten Teil",
            "en hash av inloggningens kaka, tiden, och ditt nät utan sin sista del",
        ),
        said(
            "so that you stay signed in, and can end it from elsewhere",
            "damit Sie angemeldet bleiben und es von anderswo beenden können",
            "så att du förblir inloggad, och kan avsluta det från annat håll",
        ),
    ),
    about(
        "half_session",
        said(
            "a hash of the cookie between password and code",
            "ein Hash des Cookies zwischen Passwort und Code",
            "en hash av kakan mellan lösenord och kod",
        ),
        said(
            "for the second step of a sign-in",
            "für den zweiten Schritt der Anmeldung",
            "för inloggningens andra steg",
        ),
    ),
    about(
        "trusted_browser",
        said(
            "a hash of the cookie of a browser you trust, its time, and its network without its last part",
            "ein Hash des Cookies eines Browsers, dem Sie vertrauen, Zeitpunkt und Netz ohne seinen letzten Teil",
            "en hash av kakan i en webbläsare du litar på, tiden, och dess nät utan sin sista del",
        ),
        said(
            "so that it is not asked for a code",
            "damit er nicht nach einem Code gefragt wird",
            "så att den inte behöver någon kod",
        ),
    ),
    about(
        "second_factor",
        said(
            "the key your app makes codes with (sealed), and how many were wrong in a row",
            "der Schlüssel, mit dem Ihre App Codes bildet (versiegelt), und wie viele zuletzt falsch waren",
            "nyckeln som din app gör koder med (förseglad), och hur många som varit fel i rad",
        ),
        said("to check your codes", "um Ihre Codes zu prüfen", "för att kontrollera dina koder"),
    ),
    about(
        "recovery_code",
        said(
            "hashes of your recovery codes",
            "Hashes Ihrer Wiederherstellungscodes",
            "hashar av dina återställningskoder",
        ),
        said(
            "so that each works once",
            "damit jeder einmal gilt",
            "så att var och en gäller en gång",
        ),
    ),
    about(
        "account_log",
        said(
            "what happened in your account, when, and from which network without its last part",
            "was in Ihrem Konto geschah, wann, und aus welchem Netz ohne seinen letzten Teil",
            "vad som hände i ditt konto, när, och från vilket nät utan sin sista del",
        ),
        said(
            "so that you see when it was somebody else",
            "damit Sie sehen, wenn es jemand anderes war",
            "så att du ser när det var någon annan",
        ),
    ),
    about(
        "outbox",
        said(
            "which lines of that log wait to be sent to you by mail",
            "welche Zeilen dieses Protokolls darauf warten, Ihnen gemailt zu werden",
            "vilka rader i loggen som väntar på att skickas till dig med e-post",
        ),
        said(
            "so that no letter is lost",
            "damit kein Brief verloren geht",
            "så att inget brev går förlorat",
        ),
    ),
    about(
        "device",
        said(
            "a device's name and public key, and whose it is",
            "Name und öffentlicher Schlüssel eines Geräts, und wem es gehört",
            "en enhets namn och publika nyckel, och vems den är",
        ),
        said(
            "so that the device is known here",
            "damit das Gerät hier bekannt ist",
            "så att enheten är känd här",
        ),
    ),
    about(
        "device_key",
        said(
            "the key a device is about to use",
            "der Schlüssel, den ein Gerät demnächst benutzt",
            "nyckeln som en enhet snart använder",
        ),
        said(
            "so that it can change its key",
            "damit es seinen Schlüssel wechseln kann",
            "så att den kan byta nyckel",
        ),
    ),
    about(
        "pending",
        said(
            "a device's request to be let in: name, public key and code",
            "der Wunsch eines Geräts nach Aufnahme: Name, öffentlicher Schlüssel und Code",
            "en enhets begäran om att släppas in: namn, publik nyckel och kod",
        ),
        said("until you decided", "bis Sie entschieden haben", "tills du har bestämt dig"),
    ),
    about(
        "ddns",
        said("a device's addresses", "die Adressen eines Geräts", "en enhets adresser"),
        said(
            "its name in DNS answers with them",
            "sein Name im DNS antwortet damit",
            "dess namn i DNS svarar med dem",
        ),
    ),
    about(
        "service",
        said(
            "what a device publishes through the relay",
            "was ein Gerät über das Relay veröffentlicht",
            "vad en enhet publicerar genom reläet",
        ),
        said("so that visitors find it", "damit Besucher es finden", "så att besökare hittar det"),
    ),
    about(
        "link_log",
        said(
            "visits of a device: when, how long, how many bytes, from which network without its last part",
            "Besuche eines Geräts: wann, wie lange, wie viele Bytes, aus welchem Netz ohne seinen letzten Teil",
            "besök hos en enhet: när, hur länge, hur många byte, från vilket nät utan sin sista del",
        ),
        said(
            "so that its owner sees who uses it",
            "damit der Besitzer sieht, wer es benutzt",
            "så att ägaren ser vem som använder den",
        ),
    ),
    about(
        "restriction",
        said(
            "which data of a device is kept and not used",
            "welche Daten eines Geräts aufbewahrt und nicht benutzt werden",
            "vilka uppgifter om en enhet som sparas men inte används",
        ),
        said(
            "because its owner wants so",
            "weil der Besitzer es so will",
            "för att ägaren vill så",
        ),
    ),
    about(
        "ticket",
        said(
            "hashes of what a device shows at its next session",
            "Hashes dessen, was ein Gerät bei seiner nächsten Sitzung vorzeigt",
            "hashar av det en enhet visar upp vid nästa session",
        ),
        said(
            "so that a copy of the device is noticed",
            "damit eine Kopie des Geräts auffällt",
            "så att en kopia av enheten märks",
        ),
    ),
    about(
        "quarantine",
        said(
            "that two boxes use one device's identity",
            "dass zwei Geräte dieselbe Identität benutzen",
            "att två apparater använder samma identitet",
        ),
        said(
            "so that neither does harm",
            "damit keines Schaden anrichtet",
            "så att ingen av dem gör skada",
        ),
    ),
    about(
        "known_browser",
        said(
            "a hash of the cookie of a browser you signed in with",
            "ein Hash des Cookies eines Browsers, mit dem Sie sich angemeldet haben",
            "en hash av kakan i en webbläsare du loggat in med",
        ),
        said(
            "so that you are told of a new one",
            "damit Sie von einem neuen erfahren",
            "så att du får veta om en ny",
        ),
    ),
    about(
        "address_change",
        said(
            "another mail address you asked for (sealed)",
            "eine andere E-Mail-Adresse, um die Sie gebeten haben (versiegelt)",
            "en annan e-postadress du bett om (förseglad)",
        ),
        said("until you confirm it", "bis Sie sie bestätigen", "tills du bekräftar den"),
    ),
    about(
        "identity",
        said(
            "who you are at a provider you sign in by: a keyed hash, and the provider (sealed)",
            "wer Sie bei einem Anbieter sind, über den Sie sich anmelden: ein Hash, und der Anbieter (versiegelt)",
            "vem du är hos en leverantör du loggar in via: en hash, och leverantören (förseglad)",
        ),
        said(
            "so that you can sign in by it",
            "damit Sie sich darüber anmelden können",
            "så att du kan logga in via den",
        ),
    ),
    about(
        "visibility",
        said("who may find a device", "wer ein Gerät finden darf", "vem som får hitta en enhet"),
        said(
            "so that nobody else does",
            "damit es sonst niemand tut",
            "så att ingen annan gör det",
        ),
    ),
    about(
        "share",
        said(
            "with which accounts a device is shared",
            "mit welchen Konten ein Gerät geteilt ist",
            "vilka konton en enhet delas med",
        ),
        said(
            "because its owner wants so",
            "weil der Besitzer es so will",
            "för att ägaren vill så",
        ),
    ),
    about(
        "share_invitation",
        said(
            "the mail address somebody was invited to a device by (sealed)",
            "die E-Mail-Adresse, mit der jemand zu einem Gerät eingeladen wurde (versiegelt)",
            "e-postadressen som någon bjöds in till en enhet med (förseglad)",
        ),
        said(
            "until they accept or decline",
            "bis sie annehmen oder ablehnen",
            "tills de tackar ja eller nej",
        ),
    ),
    about(
        "access_log",
        said(
            "whole addresses of who connects, sealed; only where whoever runs this hub wants it",
            "ganze Adressen derer, die sich verbinden, versiegelt; nur wo der Betreiber es will",
            "hela adresser för dem som ansluter, förseglade; bara där driftaren vill",
        ),
        said(
            "to find abuse and faults",
            "um Missbrauch und Fehler zu finden",
            "för att hitta missbruk och fel",
        ),
    ),
    about(
        "auth_key",
        said(
            "keys by which the operator lets devices in; nothing of you",
            "Schlüssel, mit denen der Betreiber Geräte aufnimmt; nichts von Ihnen",
            "nycklar som driftaren släpper in enheter med; inget om dig",
        ),
        said(
            "to set up many devices",
            "um viele Geräte einzurichten",
            "för att sätta upp många enheter",
        ),
    ),
    about(
        "account_lock",
        said(
            "that whoever runs this hub has locked the account",
            "dass der Betreiber das Konto gesperrt hat",
            "att driftaren har låst kontot",
        ),
        said("so that nobody signs in", "damit sich niemand anmeldet", "så att ingen loggar in"),
    ),
    about(
        "audit",
        said(
            "what operators looked at and did, by account number (sealed)",
            "was Betreiber angesehen und getan haben, nach Kontonummer (versiegelt)",
            "vad driftare tittat på och gjort, efter kontonummer (förseglat)",
        ),
        said(
            "to hold operators to account",
            "um Betreiber zur Rechenschaft zu ziehen",
            "för att driftare ska stå till svars",
        ),
    ),
    about(
        "audit_head",
        said(
            "the number, time and hash of the last line of that log",
            "Nummer, Zeit und Prüfsumme der letzten Zeile davon",
            "nummer, tid och kontrollsumma för den loggens sista rad",
        ),
        said(
            "so that no line is taken away",
            "damit keine Zeile verschwindet",
            "så att ingen rad försvinner",
        ),
    ),
    about(
        "hold",
        said(
            "that rows are held for a legal reason, with the reason (sealed)",
            "dass Zeilen aus rechtlichem Grund zurückgehalten werden, mit dem Grund (versiegelt)",
            "att rader hålls kvar av rättsliga skäl, med skälet (förseglat)",
        ),
        said(
            "the law may demand it, for six months at most",
            "das Gesetz kann es verlangen, höchstens sechs Monate",
            "lagen kan kräva det, i högst sex månader",
        ),
    ),
    about(
        "held",
        said(
            "the rows that are held, out of use (sealed)",
            "die zurückgehaltenen Zeilen, außer Gebrauch (versiegelt)",
            "raderna som hålls kvar, ur bruk (förseglade)",
        ),
        said(
            "the same; your receipt named it",
            "dasselbe; Ihre Quittung nannte es",
            "samma; ditt kvitto nämnde det",
        ),
    ),
    licenses::LICENSE_ISSUER,
    licenses::LICENSE_WITHDRAWN,
    licenses::LICENSE_PRODUCT,
    licenses::LICENSE_POLICY,
    licenses::LICENSE,
    licenses::LICENSE_SEAT,
    licenses::LICENSE_TAKEN,
    licenses::LICENSE_KEY,
    licenses::LICENSE_LOG,
    licenses::LICENSE_VOID,
];

/// A table in words.
pub fn of(table: &str) -> Option<&'static About> {
    TABLES.iter().find(|about| about.table == table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::sweep::{EXPIRING, RULES};

    #[test]
    fn every_table_that_has_a_rule_is_explained_and_no_other() {
        let ruled = || RULES.iter().map(|rule| rule.table).chain(EXPIRING.iter().copied());
        for table in ruled() {
            assert!(of(table).is_some(), "`{table}` has no words");
        }
        for about in TABLES {
            assert!(ruled().any(|table| table == about.table), "there is no `{}`", about.table);
        }
    }
}

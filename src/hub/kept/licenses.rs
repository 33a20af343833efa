//! What the tables of licenses are for, in words.

use super::{About, about};
use crate::hub::speech::said;

pub(super) const LICENSE_ISSUER: About = about(
    "license_issuer",
    said(
        "keys this hub signs licenses with (sealed), and their certificates",
        "Schlüssel, mit denen dieser Hub Lizenzen signiert (versiegelt), und ihre Zertifikate",
        "nycklar som den här hubben signerar licenser med (förseglade), och deras certifikat",
    ),
    said(
        "so that devices can check a license without asking",
        "damit Geräte eine Lizenz prüfen können, ohne zu fragen",
        "så att enheter kan kontrollera en licens utan att fråga",
    ),
);
pub(super) const LICENSE_WITHDRAWN: About = about(
    "license_withdrawn",
    said(
        "ids of keys for licenses that their issuer has withdrawn",
        "Kennungen von Lizenzschlüsseln, die ihr Aussteller zurückgezogen hat",
        "id för licensnycklar som deras utfärdare har dragit tillbaka",
    ),
    said(
        "so that devices refuse what a stolen key signs",
        "damit Geräte ablehnen, was ein gestohlener Schlüssel signiert",
        "så att enheter vägrar det som en stulen nyckel signerar",
    ),
);
pub(super) const LICENSE_PRODUCT: About = about(
    "license_product",
    said(
        "what is licensed here, by its name",
        "was hier lizenziert wird, mit Namen",
        "vad som licensieras här, med namn",
    ),
    said(
        "so that there is something to license",
        "damit es etwas zu lizenzieren gibt",
        "så att det finns något att licensiera",
    ),
);
pub(super) const LICENSE_POLICY: About = about(
    "license_policy",
    said(
        "the terms licenses are given by",
        "die Bedingungen, nach denen Lizenzen vergeben werden",
        "villkoren som licenser ges efter",
    ),
    said(
        "so that equal licenses are equal",
        "damit gleiche Lizenzen gleich sind",
        "så att lika licenser är lika",
    ),
);
pub(super) const LICENSE: About = about(
    "license",
    said(
        "a license: product, terms, times, and whose it is",
        "eine Lizenz: Produkt, Bedingungen, Zeiten und wem sie gehört",
        "en licens: produkt, villkor, tider och vems den är",
    ),
    said(
        "so that your devices may use what you have",
        "damit Ihre Geräte benutzen dürfen, was Sie haben",
        "så att dina enheter får använda det du har",
    ),
);
pub(super) const LICENSE_SEAT: About = about(
    "license_seat",
    said(
        "which device has which seat of a license, and hashes of its serial number and network cards (sealed)",
        "welches Gerät welchen Platz einer Lizenz hat, und Hashes seiner Seriennummer und Netzwerkkarten (versiegelt)",
        "vilken enhet som har vilken plats av en licens, och hashar av dess serienummer och nätverkskort (förseglade)",
    ),
    said(
        "so that a lease holds on that box, and no seat is given out twice",
        "damit eine Zusage auf diesem Gerät gilt und kein Platz zweimal vergeben wird",
        "så att ett lån gäller på den enheten, och ingen plats ges ut två gånger",
    ),
);
pub(super) const LICENSE_TAKEN: About = about(
    "license_taken",
    said(
        "that a seat of a license is taken until a day, without by which device",
        "dass ein Platz einer Lizenz bis zu einem Tag belegt ist, ohne von welchem Gerät",
        "att en plats av en licens är upptagen till en dag, utan av vilken enhet",
    ),
    said(
        "a device that is gone may still have its lease",
        "ein Gerät, das fort ist, kann seine Zusage noch haben",
        "en enhet som är borta kan ha sitt lån kvar",
    ),
);
pub(super) const LICENSE_KEY: About = about(
    "license_key",
    said(
        "a hash of the product key of a license",
        "ein Hash des Produktschlüssels einer Lizenz",
        "en hash av en licens produktnyckel",
    ),
    said(
        "so that who types the key gets the license",
        "damit die Lizenz bekommt, wer den Schlüssel eingibt",
        "så att den som skriver nyckeln får licensen",
    ),
);
pub(super) const LICENSE_LOG: About = about(
    "license_log",
    said(
        "what happened with a license and when: issued, activated, released",
        "was mit einer Lizenz geschah und wann: vergeben, aktiviert, freigegeben",
        "vad som hände med en licens och när: utgiven, aktiverad, släppt",
    ),
    said(
        "so that you can ask why a seat is taken",
        "damit Sie fragen können, warum ein Platz belegt ist",
        "så att du kan fråga varför en plats är upptagen",
    ),
);
pub(super) const LICENSE_VOID: About = about(
    "license_void",
    said(
        "random numbers of licenses that do not hold any more, without whose they were",
        "Zufallszahlen von Lizenzen, die nicht mehr gelten, ohne wem sie gehörten",
        "slumptal för licenser som inte gäller längre, utan vems de var",
    ),
    said(
        "so that devices learn that they are void",
        "damit Geräte erfahren, dass sie ungültig sind",
        "så att enheter får veta att de är ogiltiga",
    ),
);

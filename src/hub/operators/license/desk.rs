//! The same, done.

use super::{DAY, LicenseAct, MOST_DAYS, checked, end, text, unknown};
use crate::clock::Wall;
use crate::hub::keys::random;
use crate::hub::license::office::{Bringer, Brought, Office, key_hash};
use crate::hub::license::{notice, signing, stats};
use crate::hub::operators::act::{Done, Refused};
use crate::hub::operators::desk::{Desk, Target, failed};
use crate::hub::operators::shown;
use crate::hub::store::license::{IssuerRow, LicenseRow, Moved, Policy, Product, SeatRow, Whose};
use crate::wire::label::printable;
use crate::wire::license::{LicenseId, ProductKey, jws, key};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Desk<'_> {
    /// The account that holds the license an act is about, or is to hold it.
    pub(in crate::hub::operators) async fn holder(
        &self,
        act: &LicenseAct,
    ) -> Result<Target, Refused> {
        if let LicenseAct::Issue { holder: Some(who), .. }
        | LicenseAct::List { holder: Some(who) } = act
        {
            return Ok(Target::Holder(Some(self.person(who).await?.0.account)));
        }
        let Some(lid) = act.lid() else { return Ok(Target::Holder(None)) };
        let row = self.store.license(lid.to_owned()).await.map_err(|e| failed(&e))?;
        Ok(Target::Holder(row.ok_or_else(|| unknown(lid))?.account))
    }

    pub(in crate::hub::operators) async fn license(
        &self,
        act: &LicenseAct,
        target: &Target,
        unmasked: bool,
    ) -> Done {
        let account = if let Target::Holder(account) = target { *account } else { None };
        match act {
            LicenseAct::SignerNew {}
            | LicenseAct::SignerList {}
            | LicenseAct::SignerInstall { .. }
            | LicenseAct::SignerDrop { .. }
            | LicenseAct::SignerWithdraw { .. } => self.signer(act).await,
            LicenseAct::ProductAdd { .. }
            | LicenseAct::ProductList {}
            | LicenseAct::PolicyAdd { .. }
            | LicenseAct::PolicyList {} => self.catalog(act).await,
            LicenseAct::Issue { .. } => self.issue(act, account).await,
            LicenseAct::List { holder } => {
                let whose = match (holder, account) {
                    (Some(_), Some(account)) => Whose::Account(account),
                    _ => Whose::All,
                };
                let rows = self.store.licenses(whose).await.map_err(|e| failed(&e))?;
                Ok(
                    json!({ "licenses": rows.iter().map(|row| self.license_row(row)).collect::<Vec<_>>() }),
                )
            }
            LicenseAct::Show { lid } => self.show_license(lid, unmasked).await,
            LicenseAct::Stats {} => {
                stats::counts(self.store, self.now).await.map_err(|e| failed(&e))
            }
            LicenseAct::Revoke { .. }
            | LicenseAct::Transfer { .. }
            | LicenseAct::Prolong { .. }
            | LicenseAct::KeyMake { .. }
            | LicenseAct::SeatFree { .. }
            | LicenseAct::Answer { .. } => self.change_license(act).await,
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "it gets the acts of its kind only")]
    async fn signer(&self, act: &LicenseAct) -> Done {
        match act {
            LicenseAct::SignerNew {} => {
                let made = signing::make(self.store, self.now).await.map_err(|e| failed(&e))?;
                Ok(json!({ "kid": made.kid, "key": made.key }))
            }
            LicenseAct::SignerInstall { certificate, root } => {
                let root = jws::public_key(root).map_err(|e| failed(&e))?;
                let certified = signing::certified(certificate.trim(), &root, self.now);
                let (kid, holds) = certified.map_err(|e| failed(&e))?;
                if self.is_withdrawn(&kid).await? {
                    let why = format!("the issuer has withdrawn this key: {kid}");
                    return Err(Refused::new(why).hint("qcloud-hub license signer new"));
                }
                let document = certificate.trim().to_owned();
                let known = self.store.certify(kid.clone(), document, holds.exp).await;
                if !known.map_err(|e| failed(&e))? {
                    let why = format!("the certificate is for another key: {kid}");
                    return Err(Refused::new(why).hint("qcloud-hub license signer list"));
                }
                Ok(json!({ "kid": kid, "from": holds.nbf.rfc3339(), "until": holds.exp.rfc3339() }))
            }
            LicenseAct::SignerDrop { kid } => {
                let was = self.store.drop_issuer(kid.clone()).await.map_err(|e| failed(&e))?;
                if !was {
                    let why = format!("there is no key {}", printable(kid, 50));
                    return Err(Refused::new(why).hint("qcloud-hub license signer list"));
                }
                Ok(json!({ "dropped": kid }))
            }
            LicenseAct::SignerWithdraw { document, root } => {
                let root = jws::public_key(root).map_err(|e| failed(&e))?;
                self.withdraw(document.trim(), &root).await
            }
            _ => {
                let rows = self.store.issuers().await.map_err(|e| failed(&e))?;
                let withdrawn = self.store.withdrawn().await.map_err(|e| failed(&e))?;
                let row = |row: &IssuerRow| {
                    json!({
                        "kid": row.kid,
                        "certified": row.certificate.is_some(),
                        "withdrawn": withdrawn.iter().any(|other| other.kid == row.kid),
                        "until": row.expires_at.rfc3339(),
                        "made": row.made_at.rfc3339(),
                    })
                };
                Ok(json!({ "signers": rows.iter().map(row).collect::<Vec<_>>() }))
            }
        }
    }

    async fn is_withdrawn(&self, kid: &str) -> Result<bool, Refused> {
        let rows = self.store.withdrawn().await.map_err(|e| failed(&e))?;
        Ok(rows.iter().any(|row| row.kid == kid))
    }

    /// Has every answer tell devices that keys were withdrawn, and signs with none of them from now on.
    async fn withdraw(&self, document: &str, root: &[u8; jws::KEY_BYTES]) -> Done {
        let list = signing::withdrawal(document, root).map_err(|e| failed(&e))?;
        let rows = self.store.withdrawn().await.map_err(|e| failed(&e))?;
        let others = rows.iter().filter(|row| !list.kids.contains(&row.kid));
        let others: BTreeSet<_> = others.map(|row| row.document.as_str()).collect();
        if others.len() >= signing::MOST_WITHDRAWALS {
            let why = "every answer would carry too many of these documents";
            let hint = "name all keys in one: qcloud-hub license withdraw KID,KID --root FILE";
            return Err(Refused::new(why).hint(hint));
        }
        let (kids, text) = (list.kids.clone(), document.to_owned());
        self.store.withdraw(kids, text, self.now).await.map_err(|e| failed(&e))?;
        let until = signing::until(self.store, self.now).await.map_err(|e| failed(&e))?;
        Ok(json!({ "withdrawn": list.kids, "signs_until": until.map(Wall::rfc3339) }))
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "it gets the acts of its kind only")]
    async fn catalog(&self, act: &LicenseAct) -> Done {
        let name = |typed: &str| {
            let product = key::Product::parse(typed).map_err(|e| failed(&e))?;
            text("a name", product.as_str())
        };
        match act {
            LicenseAct::ProductAdd { product, name: called } => {
                let product = Product {
                    product: name(product)?,
                    name: text("the name of a product", called)?,
                };
                let set = self.store.set_product(product.clone(), self.now).await;
                set.map_err(|e| failed(&e))?;
                Ok(json!(product))
            }
            LicenseAct::PolicyAdd { product, policy, terms } => {
                let (product, policy) = (name(product)?, name(policy)?);
                let policy = Policy { product, policy, terms: checked(terms)? };
                let known = self.store.set_policy(policy.clone(), self.now).await;
                if !known.map_err(|e| failed(&e))? {
                    let why = format!("there is no product {}", policy.product);
                    return Err(Refused::new(why).hint("qcloud-hub license product add"));
                }
                Ok(json!(policy))
            }
            LicenseAct::PolicyList {} => {
                let all = self.store.policies().await.map_err(|e| failed(&e))?;
                Ok(json!({ "policies": all }))
            }
            _ => {
                let all = self.store.products().await.map_err(|e| failed(&e))?;
                Ok(json!({ "products": all }))
            }
        }
    }

    async fn issue(&self, act: &LicenseAct, account: Option<u64>) -> Done {
        let LicenseAct::Issue { product, policy, seats, days, key, .. } = act else {
            return Err(Refused::new("this is not done"));
        };
        let all = self.store.policies().await.map_err(|e| failed(&e))?;
        let found = all.into_iter().find(|row| row.product == *product && row.policy == *policy);
        let none = || {
            let (product, policy) = (printable(product, 64), printable(policy, 64));
            Refused::new(format!("there is no policy {policy} of {product}"))
                .hint("qcloud-hub license policy list")
        };
        let mut terms = found.ok_or_else(none)?.terms;
        terms.seats = seats.unwrap_or(terms.seats);
        terms.days = days.or(terms.days);
        let terms = checked(&terms)?;
        let lid = LicenseId::of(random().map_err(|e| failed(&e))?).to_string();
        let starts_at = Wall::from_unix_seconds(self.now.unix_seconds());
        let row = LicenseRow {
            lid: lid.clone(),
            product: product.clone(),
            policy: policy.clone(),
            account,
            ends_at: end(&terms, starts_at),
            terms,
            starts_at,
            made_at: starts_at,
            void: None,
        };
        self.store.issue(row.clone()).await.map_err(|e| failed(&e))?;
        let mut shown = self.license_row(&row);
        if *key || account.is_none() {
            shown["key"] = self.new_key(&lid).await?.into();
        }
        notice::send(self.store, self.people, self.now).await.map_err(|e| failed(&e))?;
        Ok(shown)
    }

    async fn new_key(&self, lid: &str) -> Result<String, Refused> {
        let key = ProductKey::of(random().map_err(|e| failed(&e))?);
        let hash = key_hash(&key.hash()).ok_or_else(|| Refused::new("SHA-256 is not 32 bytes"))?;
        let set = self.store.set_license_key(lid.to_owned(), hash, false, self.now).await;
        if !set.map_err(|e| failed(&e))? {
            return Err(Refused::new("a license that is void has no key"));
        }
        Ok(key.expose())
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "it gets the acts of its kind only")]
    async fn change_license(&self, act: &LicenseAct) -> Done {
        match act {
            LicenseAct::Revoke { lid } => {
                let epoch = self.store.revoke_license(lid.clone(), self.now).await;
                let epoch = epoch.map_err(|e| failed(&e))?.ok_or_else(|| unknown(lid))?;
                Ok(json!({ "revoked": lid, "epoch": epoch }))
            }
            LicenseAct::Transfer { lid, to } => {
                let (person, _) = self.person(to).await?;
                let moved = self
                    .store
                    .move_license(lid.clone(), None, Some(person.account), self.now)
                    .await;
                moved_or_not(moved.map_err(|e| failed(&e))?, lid)?;
                let about = format!("{lid}, given to you");
                self.tell_holder(person.account, &about).await?;
                Ok(json!({ "license": lid, "account": person.account }))
            }
            LicenseAct::Prolong { lid, days } => {
                let row = self.store.license(lid.clone()).await.map_err(|e| failed(&e))?;
                let row = row.ok_or_else(|| unknown(lid))?;
                let end = row.ends_at.ok_or_else(|| Refused::new("it does not end"))?;
                let days =
                    u32::try_from(*days).ok().filter(|d| (1..=MOST_DAYS).contains(&(*d).into()));
                let days = days
                    .ok_or_else(|| Refused::new(format!("1 to {MOST_DAYS} days are possible")))?;
                let end = Wall(end.max(self.now).0.saturating_add(DAY.saturating_mul(days)));
                let done = self.store.prolong(lid.clone(), end, self.now).await;
                if !done.map_err(|e| failed(&e))? {
                    return Err(Refused::new("a license that is void stays void"));
                }
                Ok(json!({ "license": lid, "ends": end.rfc3339() }))
            }
            LicenseAct::KeyMake { lid } => {
                Ok(json!({ "license": lid, "key": self.new_key(lid).await? }))
            }
            LicenseAct::SeatFree { lid, seat } => {
                let was = self.store.clear_seat(lid.clone(), *seat, self.now).await;
                let was = was.map_err(|e| failed(&e))?;
                Ok(json!({ "license": lid, "seat": seat, "changed": was }))
            }
            LicenseAct::Answer { text, lid } => {
                let office = Office { store: self.store, people: self.people, now: self.now };
                let brought = office.bring(text, lid.as_deref(), Bringer::Operator).await;
                match brought.map_err(|e| failed(&e))? {
                    Brought::Answer { lid, text } => Ok(json!({ "license": lid, "answer": text })),
                    Brought::Freed { lid, was_taken } => {
                        Ok(json!({ "license": lid, "freed": was_taken }))
                    }
                }
            }
            _ => Err(Refused::new("this is not done")),
        }
    }

    fn license_row(&self, row: &LicenseRow) -> Value {
        json!({
            "license": row.lid,
            "product": row.product,
            "policy": row.policy,
            "account": row.account,
            "model": row.terms.model,
            "plan": row.terms.plan,
            "seats": row.terms.seats,
            "state": state(row, self.now),
            "made": row.made_at.rfc3339(),
            "ends": row.ends_at.map(Wall::rfc3339),
        })
    }

    async fn show_license(&self, lid: &str, unmasked: bool) -> Done {
        let row = self.store.license(lid.to_owned()).await.map_err(|e| failed(&e))?;
        let row = row.ok_or_else(|| unknown(lid))?;
        let mut shown = self.license_row(&row);
        let people = self.people.all().await.map_err(|e| failed(&e))?;
        let holder = people.iter().find(|(person, _)| Some(person.account) == row.account);
        shown["holder"] = json!(holder.map(|(person, _)| shown::email(&person.email, unmasked)));
        shown["terms"] = json!(row.terms);
        let seats = self.store.seats(lid.to_owned(), self.now).await.map_err(|e| failed(&e))?;
        let seat = |seat: &SeatRow| {
            json!({
                "seat": seat.seat,
                "device": seat.device,
                "lease": seat.seq,
                "offline": seat.offline,
                "ip": seat.ip.filter(|_| unmasked),
                "until": seat.ends_at.rfc3339(),
            })
        };
        shown["taken"] = seats.iter().map(seat).collect();
        let blocked = self.store.blocked(lid.to_owned(), self.now).await.map_err(|e| failed(&e))?;
        let block = |(seat, until): &(u32, Wall)| json!({ "seat": seat, "until": until.rfc3339() });
        shown["blocked"] = blocked.iter().map(block).collect();
        let log = self.store.transactions(lid.to_owned()).await.map_err(|e| failed(&e))?;
        shown["log"] = log
            .iter()
            .map(|line| json!({ "what": line.what, "at": line.made_at.rfc3339() }))
            .collect();
        shown["masked"] = json!(!unmasked);
        Ok(shown)
    }
}

/// How a license stands, in one word.
pub fn state(row: &LicenseRow, now: Wall) -> &'static str {
    match (row.void, row.is_good(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "good",
        (None, false) => "ended",
    }
}

/// Why a license was not moved.
fn moved_or_not(moved: Moved, lid: &str) -> Result<(), Refused> {
    Err(match moved {
        Moved::Yes => return Ok(()),
        Moved::NotYours => unknown(lid),
        Moved::Fixed => Refused::new("the terms of this license do not let it go to somebody else"),
        Moved::Over => Refused::new("this license is void or has ended"),
        Moved::InUse => {
            Refused::new("seats of this license are taken: its devices must release them first")
                .hint(format!("qcloud-hub license show {lid}"))
        }
    })
}

//! Products and policies, on SQLite. Nothing here is about anybody.

use super::{Policy, Product, Terms, seconds};
use crate::clock::Wall;
use crate::hub::store::sqlite::{engine, many, one, write};
use crate::hub::store::{StoreError, schema};
use rusqlite::{Connection, Row, params};

pub(super) fn set_product(
    connection: &Connection,
    product: &Product,
    now: Wall,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO license_product (product, name, made_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (product) DO UPDATE SET name = excluded.name";
    let values = params![product.product, product.name, seconds(now)];
    write(connection, "note a product", sql, values).map(drop)
}

pub(super) fn products(connection: &Connection) -> Result<Vec<Product>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Product { product: schema::column(row, 0)?, name: schema::column(row, 1)? })
    };
    many(connection, "SELECT product, name FROM license_product ORDER BY product", [], read)
}

pub(super) fn set_policy(
    connection: &Connection,
    policy: &Policy,
    now: Wall,
) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM license_product WHERE product = ?1";
    if one(connection, sql, [&policy.product], schema::only_count)? != Some(1) {
        return Ok(false);
    }
    let sql = "INSERT INTO license_policy (product, policy, terms, made_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (product, policy) DO UPDATE SET terms = excluded.terms";
    let Policy { product, policy, terms } = policy;
    let values = params![product, policy, written(terms)?, seconds(now)];
    write(connection, "note a policy", sql, values)?;
    Ok(true)
}

pub(super) fn policies(connection: &Connection) -> Result<Vec<Policy>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Policy {
            product: schema::column(row, 0)?,
            policy: schema::column(row, 1)?,
            terms: terms(row, 2)?,
        })
    };
    let sql = "SELECT product, policy, terms FROM license_policy ORDER BY product, policy";
    many(connection, sql, [], read)
}

pub(super) fn terms(row: &Row<'_>, at: usize) -> Result<Terms, StoreError> {
    let text: String = schema::column(row, at)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { what: "terms of a license" })
}

pub(super) fn written(terms: &Terms) -> Result<String, StoreError> {
    serde_json::to_string(terms).map_err(|e| engine("write terms down", e))
}

//! One generation of a document as bytes: a line of JSON that says what follows, then the body.
//!
//! The checksum is over the exact bytes of the body and over the numbers of the first line, so that no
//! flipped bit can make a damaged file look old, new, or made by a later version. The first line keeps
//! its form in every later version.

use super::SCHEMA;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: u32,
    generation: u64,
    sum: String,
}

/// A file, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    /// There is none.
    Missing,
    /// Its checksum holds.
    Good { generation: u64, body: Value },
    /// Its checksum holds, and a later version wrote it.
    Future { schema: u32 },
    /// It is not what was written, and this is what is wrong.
    Bad(String),
}

pub(super) fn encode(generation: u64, body: &Value) -> Vec<u8> {
    encode_as(SCHEMA, generation, body)
}

pub(super) fn encode_as(schema: u32, generation: u64, body: &Value) -> Vec<u8> {
    let body = format!("{body}\n");
    let sum = sum(schema, generation, body.as_bytes());
    let header = serde_json::json!(Header { schema, generation, sum });
    format!("{header}\n{body}").into_bytes()
}

pub(super) fn decode(bytes: &[u8]) -> Read {
    let bad = |what: &str| Read::Bad(what.into());
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return bad("cut off") };
    let (first, rest) = bytes.split_at(end);
    let Ok(header) = serde_json::from_slice::<Header>(first) else {
        return bad("its first line is not understood");
    };
    let body = rest.get(1..).unwrap_or_default();
    if sum(header.schema, header.generation, body) != header.sum {
        return bad("its checksum does not fit");
    }
    if header.schema > SCHEMA {
        return Read::Future { schema: header.schema };
    }
    match serde_json::from_slice(body) {
        Ok(body) => Read::Good { generation: header.generation, body },
        Err(error) => Read::Bad(error.to_string()),
    }
}

/// Generation and body of a document whose checksum holds, and the same written again.
pub fn fuzz(bytes: &[u8]) -> Option<(u64, Value, Vec<u8>)> {
    match decode(bytes) {
        Read::Good { generation, body } => {
            let again = encode(generation, &body);
            Some((generation, body, again))
        }
        Read::Missing | Read::Future { .. } | Read::Bad(_) => None,
    }
}

fn sum(schema: u32, generation: u64, body: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(&schema.to_be_bytes());
    context.update(&generation.to_be_bytes());
    context.update(body);
    HEXLOWER.encode(context.finish().as_ref())
}

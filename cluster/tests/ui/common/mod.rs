//! What the programs share.
#![allow(dead_code)]

use due_codec::{Json, Protobuf};
use due_core::{Call, Notify};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Ask(pub u32);
#[derive(Serialize, Deserialize)]
pub struct Told(pub u32);
#[derive(Clone)]
pub struct Rooms;

pub const ASK: Call<Ask, Told, Json> = Call::new(1, "ask");
pub const NOTE: Notify<Ask, Json> = Notify::new(2, "note");
pub const PROTO: Call<Ask, Told, Protobuf> = Call::new(3, "proto");

//! The routes of the fleet example as its clients know them.

use due::prelude::*;
use serde::{Deserialize, Serialize};

pub(crate) const LOGIN: Call<i64, String> = Call::new(1, "login");
pub(crate) const ENTER: Call<Enter, Vec<i64>> = Call::new(2, "room.enter");
pub(crate) const ROLL: Call<(), Rolled> = Call::new(3, "room.roll");
pub(crate) const CHEER: Call<String, ()> = Call::new(4, "cheer");
pub(crate) const HEARD: Push<Cheered> = Push::new(102, "heard");

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Enter {
    pub(crate) room: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rolled {
    pub(crate) who: i64,
    pub(crate) value: u32,
    pub(crate) process: u32,
    pub(crate) opening: u64,
    pub(crate) count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cheered {
    pub(crate) text: String,
    pub(crate) process: u32,
}

//! One file for each scenario: whom it starts, which loads it gives, what should be reached.

pub(crate) mod actors;
pub(crate) mod extras;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod linked;
pub(crate) mod links;
pub(crate) mod lossy;
pub(crate) mod neighbours;
pub(crate) mod open;
pub(crate) mod published;
pub(crate) mod rooms;
pub(crate) mod series;
pub(crate) mod visits;

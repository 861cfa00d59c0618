//! Route constants with JSON as the default codec.

#[cfg(feature = "codec-json")]
mod by_default {
    use due_codec::Json;

    /// A request with exactly one answer; bodies are JSON unless the third type says otherwise.
    pub type Call<Q, P, C = Json> = due_core::Call<Q, P, C>;
    /// Client to server, without an answer.
    pub type Notify<Q, C = Json> = due_core::Notify<Q, C>;
    /// Server to client.
    pub type Push<T, C = Json> = due_core::Push<T, C>;
    /// A subject of the event bus.
    pub type Topic<T, C = Json> = due_core::Topic<T, C>;
}

#[cfg(feature = "codec-json")]
pub use by_default::{Call, Notify, Push, Topic};
#[cfg(not(feature = "codec-json"))]
pub use due_core::{Call, Notify, Push, Topic};

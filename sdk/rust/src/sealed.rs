//! Bodies on their way out and in, where they are encrypted.

use std::sync::Arc;

use due_core::{
    Codec, CodecError, Encryptor, RouteId,
    crypto::{open_body, seal_body},
};

use crate::CallError;

/// The client's encryptor, if it has one.
pub(crate) type Seal = Option<Arc<dyn Encryptor>>;

/// The body of a request.
pub(crate) fn encoded<Q, C: Codec<Q>>(seal: &Seal, route: RouteId, value: &Q) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    C::default().encode(value, &mut body)?;
    let Some(by) = seal else { return Ok(body) };
    let mut sealed = Vec::new();
    seal_body(&**by, route, &body, &mut sealed).map_err(|e| CodecError::new("encrypted", e))?;
    Ok(sealed)
}

/// The value of an answer or a push.
pub(crate) fn decoded<T, C: Codec<T>>(seal: &Seal, route: RouteId, body: &[u8]) -> Result<T, CodecError> {
    let Some(by) = seal.as_deref().filter(|_| !C::RAW) else { return C::default().decode(body) };
    let mut plain = Vec::new();
    open_body(by, route, body, &mut plain).map_err(|e| CodecError::new("encrypted", e))?;
    C::default().decode(&plain)
}

//! Bodies as they are: for routes without a type, and for handlers that write their answer's bytes themselves.

use std::{sync::Arc, task::Context};

use bytes::Bytes;
use due_core::{Codec, CodecError};

use super::{
    erased::{Answer, RouteHandler, Start},
    mount::Make,
    request::Request,
};
use crate::fault::Fault;

/// The codec of handlers that have no route constant (fallback, events): bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    const RAW: bool = true;

    fn encode(&self, value: &Bytes, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}

impl Codec<()> for Raw {
    fn encode(&self, _: &(), _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> Result<(), CodecError> {
        Ok(())
    }
}

/// Handlers that look at the borrowed request and append their answer's bytes: see
/// [`Routes::raw`](super::Routes::raw).
pub(crate) struct Direct<F>(Arc<F>);

impl<F> Direct<F>
where
    F: Fn(&Request<'_>, &mut Vec<u8>) -> Result<(), Fault> + Send + Sync + 'static,
{
    pub(crate) fn new(answer: F) -> Self {
        Self(Arc::new(answer))
    }
}

impl<F> Make for Direct<F>
where
    F: Fn(&Request<'_>, &mut Vec<u8>) -> Result<(), Fault> + Send + Sync + 'static,
{
    fn make(&self) -> Box<dyn RouteHandler> {
        Box::new(Direct(Arc::clone(&self.0)))
    }
}

impl<F> RouteHandler for Direct<F>
where
    F: Fn(&Request<'_>, &mut Vec<u8>) -> Result<(), Fault> + Send + Sync + 'static,
{
    fn start(&mut self, rq: &Request<'_>, _: &mut Context<'_>, out: &mut Vec<u8>) -> Start {
        let from = out.len();
        Start::Done(match (self.0)(rq, out) {
            Ok(()) => Answer::Reply,
            Err(fault) => {
                out.truncate(from);
                Answer::Fault(fault)
            }
        })
    }
}

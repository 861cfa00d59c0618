//! From `tracing` to records.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::SystemTime,
};

use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record as Values},
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use crate::{
    capture::Capture,
    hub::Hub,
    record::{Field, Record, Span, Value},
    writer::is_writer,
};

/// Most spans of a record: the innermost ones.
const MOST_SPANS: usize = 16;

/// Makes a record of each event and gives it to the hub.
pub(crate) struct Collect(pub(crate) Arc<Hub>);

/// The fields of a span, kept with it.
struct Fields(Arc<Vec<Field>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // First the values, whose `Debug` may do anything, then the span, which is locked meanwhile.
        let mut capture = Capture::of_span(&[]);
        attributes.record(&mut capture);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Fields(Arc::new(capture.fields)));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let before = fields(&span);
        let mut capture = Capture::of_span(&before);
        values.record(&mut capture);
        span.extensions_mut().replace(Fields(Arc::new(merged(&before, capture.fields))));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.0.is_open() || is_writer() {
            return;
        }
        let scope = context.event_scope(event).into_iter().flatten();
        let mut spans: Vec<Span> = scope.take(MOST_SPANS).map(|span| shown(&span)).collect();
        spans.reverse();
        let record = record(event, spans);
        let key = key(event, &record);
        self.0.log(record, key);
    }
}

/// A span has a value for each of its fields at most: the last one.
fn merged(before: &[Field], new: Vec<Field>) -> Vec<Field> {
    let kept = before.iter().filter(|old| new.iter().all(|field| field.name != old.name));
    kept.cloned().collect::<Vec<_>>().into_iter().chain(new).collect()
}

fn shown<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Span {
    Span { name: span.name(), fields: fields(span) }
}

fn fields<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Arc<Vec<Field>> {
    span.extensions().get::<Fields>().map(|fields| fields.0.clone()).unwrap_or_default()
}

fn record(event: &Event<'_>, spans: Vec<Span>) -> Record {
    let mut capture = Capture::of_event();
    event.record(&mut capture);
    // Records of the crate `log` come as events of one target; their own is in a field.
    let target = match event.normalized_metadata() {
        Some(log) => Cow::Owned(log.target().to_owned()),
        None => Cow::Borrowed(event.metadata().target()),
    };
    let Capture { message, fields, .. } = capture;
    Record { time: SystemTime::now(), level: *event.metadata().level(), target, message, fields, spans, repeated: 0 }
}

/// Equal for equal lines of one place of the program.
fn key(event: &Event<'_>, record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.metadata().callsite().hash(&mut hasher);
    (&record.target, &record.message).hash(&mut hasher);
    let of_spans = record.spans.iter().flat_map(Span::fields);
    for Field { name, value } in record.fields.iter().chain(of_spans) {
        name.hash(&mut hasher);
        match value {
            Value::Bool(b) => b.hash(&mut hasher),
            Value::Int(n) => n.hash(&mut hasher),
            Value::Uint(n) => n.hash(&mut hasher),
            Value::Float(n) => n.to_bits().hash(&mut hasher),
            Value::Text(text) => text.hash(&mut hasher),
        }
    }
    hasher.finish()
}

//! The body of a route that carries nothing.

use std::any::Any;

/// `Some(())` when `T` is `()`, else `None`. The compiler folds it: the answer depends on the type alone.
pub(crate) fn unit<T: 'static>() -> Option<T> {
    let mut slot: Option<T> = None;
    let any: &mut dyn Any = &mut slot;
    if let Some(unit) = any.downcast_mut::<Option<()>>() {
        *unit = Some(());
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn only_the_unit_type_is_unit() {
        assert_eq!(unit::<()>(), Some(()));
        assert_eq!(unit::<u8>(), None);
        assert_eq!(unit::<Option<()>>(), None);
        assert_eq!(unit::<[u8; 0]>(), None);
    }
}

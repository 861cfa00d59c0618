use due_core::Codec;

/// Bytes of error text that any refusal stays under.
const TEXT_MAX: usize = 300;

/// Decodes `bytes`. What is refused has a short text; what is accepted is written the same way for ever after.
pub(super) fn keeps<T: 'static, C: Codec<T> + Codec<()>>(codec: C, bytes: &[u8]) {
    assert!(Codec::<()>::decode(&codec, bytes).is_ok(), "() decodes from any body");
    match Codec::<T>::decode(&codec, bytes) {
        Ok(value) => settles(codec, &value),
        Err(e) => assert!(e.to_string().len() < TEXT_MAX, "an error quotes too much"),
    }
}

fn settles<T: 'static, C: Codec<T>>(codec: C, value: &T) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert!(codec.encode(value, &mut first).is_ok(), "what was read can be written");
    let again = codec.decode(&first);
    assert!(again.is_ok(), "what was written can be read: {:?}", again.err());
    if let Ok(again) = again {
        assert!(codec.encode(&again, &mut second).is_ok());
    }
    assert_eq!(first, second, "the same value gives the same bytes");
}

//! Names, loading once, and decoding of every token.

use lacon_tokens::{EncodingName, Error, encoding, loads};

#[test]
fn names_and_alias() {
    for name in EncodingName::ALL {
        assert_eq!(name.as_str().parse(), Ok(name));
    }
    assert_eq!("gpt2".parse(), Ok(EncodingName::R50kBase));
    let Err(Error::UnknownEncoding { nearest, .. }) = "o200k_bas".parse::<EncodingName>() else {
        panic!("accepted a wrong name");
    };
    assert_eq!(nearest, Some("o200k_base"));
}

#[test]
fn sixty_four_threads_load_once() {
    std::thread::scope(|scope| {
        for i in 0..64 {
            scope.spawn(move || encoding(EncodingName::ALL[i % 6]).count("many things in few words"));
        }
    });
    for name in EncodingName::ALL {
        let records = loads();
        let of_name: Vec<_> = records.iter().filter(|record| record.encoding == name).collect();
        assert_eq!(of_name.len(), 1, "{name}");
        assert!(of_name[0].bytes <= 25 << 20, "{name} holds {} bytes", of_name[0].bytes);
    }
}

#[test]
fn every_token_decodes_and_encodes_to_itself() {
    for name in EncodingName::ALL {
        let encoding = encoding(name);
        for id in 0..encoding.id_limit() {
            let Ok(bytes) = encoding.token_bytes(id) else { continue };
            if let Ok(text) = std::str::from_utf8(bytes) {
                assert_eq!(encoding.decode(&[id]).as_deref(), Ok(text));
            }
        }
        assert!(matches!(encoding.decode(&[u32::MAX]), Err(Error::UnknownToken { id: u32::MAX, .. })));
    }
}

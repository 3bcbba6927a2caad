//! Whatever the secrets and the text: no secret is left, however each of its bytes is written, and a stream is
//! masked as the whole, wherever it is cut.
#![no_main]

use conveyor_mask::{Mask, SHORTEST};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (Vec<Vec<u8>>, Vec<u8>, Vec<u8>)| {
    let (secrets, text, cuts) = data;
    // A secret of asterisks could be what hides another.
    let secrets: Vec<_> = secrets
        .into_iter()
        .filter(|secret| !secret.contains(&b'*'))
        .take(8)
        .collect();
    let mask = Mask::new(secrets.iter().map(|secret| ("secret", &secret[..])));
    let whole = mask.mask(&text).into_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        assert!(!whole.windows(secret.len()).any(|part| part == &secret[..]));
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        let ways = cuts.iter().copied().chain(std::iter::repeat(0));
        let spelled: Vec<u8> = secret
            .iter()
            .zip(ways)
            .flat_map(|(byte, way)| match way % 4 {
                0 => vec![*byte],
                1 => format!("%{byte:02X}").into_bytes(),
                2 => format!("%{byte:02x}").into_bytes(),
                _ => format!("\\x{byte:02x}").into_bytes(),
            })
            .collect();
        let masked = mask.mask(&[&text[..], &spelled].concat()).into_owned();
        assert!(!masked.windows(spelled.len()).any(|part| part == spelled));
    }
    let (mut masker, mut given, mut rest) = (mask.stream(), Vec::new(), &text[..]);
    for cut in cuts {
        let (chunk, next) = rest.split_at(usize::from(cut).min(rest.len()));
        given.extend(masker.push(chunk));
        rest = next;
    }
    given.extend(masker.push(rest));
    given.extend(masker.finish());
    assert_eq!(given, whole);
});

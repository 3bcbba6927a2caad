//! Whatever the secrets and the text: no secret is left, and a stream is masked as the whole, wherever
//! it is cut.
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

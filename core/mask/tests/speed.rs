//! How fast texts are masked: `cargo test --release -p conveyor-mask --test speed -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "what it measures is read by a person")]

use conveyor_mask::Mask;
use std::hint::black_box;
use std::time::Instant;

#[test]
#[ignore = "a measurement"]
fn speed() {
    let plain =
        "2026-11-27T22:23:33Z INFO worker: request 4711 took 12 ms and was answered with 200\n";
    let json = "{\"time\":\"2026-11-27\",\"message\":\"a \\\"quoted\\\" word\\n\",\"path\":\"C:\\\\dir\"}\n";
    let url =
        "GET /search?q=a%20b+c%2Fd&amp;x=%C3%A4&next=%2Fhome%2Fuser HTTP/1.1 200 1234 Mozilla\n";
    let escapes = "\\\\%25+~0&amp;\\u0025";
    let large: Vec<u8> = (0..64 << 10)
        .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let token = b"ghp_16C7e42F292c6912E7710c838347Ae178B4a".as_slice();
    for (secrets, values) in [
        ("no secret", vec![]),
        ("one secret", vec![("token", token)]),
        ("64 KiB", vec![("key", &large[..])]),
    ] {
        let began = Instant::now();
        let mask = Mask::new(values);
        println!("{secrets}: made in {:?}", began.elapsed());
        for (name, text) in [
            ("plain", plain),
            ("JSON", json),
            ("URLs", url),
            ("escapes", escapes),
        ] {
            let text = text.repeat((32 << 20) / text.len());
            let speed = |work: &mut dyn FnMut()| {
                let began = Instant::now();
                work();
                text.len() as f64 / 1e6 / began.elapsed().as_secs_f64()
            };
            let lines = speed(&mut || {
                for line in text.as_bytes().chunks(200) {
                    black_box(mask.mask(line));
                }
            });
            let stream = speed(&mut || {
                let mut masker = mask.stream();
                for chunk in text.as_bytes().chunks(16 << 10) {
                    black_box(masker.push(chunk));
                }
            });
            println!("{secrets}, {name}: lines {lines:.0} MB/s, stream {stream:.0} MB/s");
        }
    }
}

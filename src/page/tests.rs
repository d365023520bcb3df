use super::*;

#[test]
fn placeholder() {
    assert_eq!(tick(1_000_000), "1 ms");
}

//! The heads of stream messages survive the wire, and nothing else passes for one.

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn a_request_head_survives_the_wire_whatever_follows(connection: u64, rest: [u8; 5]) {
        let head = RequestHead { connection: connection >> 1, continues: connection & 1 != 0 };
        let mut bytes = [0; REQUEST_HEAD + 5];
        bytes[..REQUEST_HEAD].copy_from_slice(&head.to_bytes());
        bytes[REQUEST_HEAD..].copy_from_slice(&rest);
        prop_assert_eq!(RequestHead::from_bytes(&bytes), Some(head));
    }

    #[test]
    fn a_reply_head_survives_the_wire(consumed: u32, more: bool, mid_request: bool, close: bool) {
        let head = ReplyHead { consumed, more, mid_request, close };
        prop_assert_eq!(ReplyHead::from_bytes(&head.to_bytes()), Some(head));
    }

    #[test]
    fn eight_bytes_are_a_reply_head_exactly_if_their_flags_are_known(bytes: [u8; REPLY_HEAD]) {
        let flags = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        match ReplyHead::from_bytes(&bytes) {
            Some(head) => prop_assert_eq!(head.to_bytes(), bytes),
            None => prop_assert!(flags > 7),
        }
    }

    #[test]
    fn a_code_names_an_operation_exactly_if_the_operation_has_it(code: u16) {
        match Op::from_code(code) {
            Some(op) => prop_assert_eq!(op as u16, code),
            None => prop_assert!(!(1..=4).contains(&code)),
        }
    }
}

#[test]
fn every_operation_is_found_by_its_code() {
    for op in [Op::Data, Op::Pull, Op::Abort, Op::Close] {
        assert_eq!(Op::from_code(op as u16), Some(op));
    }
}

#[test]
fn each_known_flag_is_read_alone() {
    let flags = |bits: u32| {
        let mut bytes = [0; REPLY_HEAD];
        bytes[4..].copy_from_slice(&bits.to_le_bytes());
        ReplyHead::from_bytes(&bytes)
    };
    assert_eq!(flags(1), Some(ReplyHead { more: true, ..ReplyHead::default() }));
    assert_eq!(flags(2), Some(ReplyHead { mid_request: true, ..ReplyHead::default() }));
    assert_eq!(flags(4), Some(ReplyHead { close: true, ..ReplyHead::default() }));
    assert_eq!(flags(8), None);
}

#[test]
fn heads_that_are_cut_short_are_refused() {
    for length in 0..8 {
        assert_eq!(RequestHead::from_bytes(&[0; 8][..length]), None);
        assert_eq!(ReplyHead::from_bytes(&[0; 8][..length]), None);
    }
}

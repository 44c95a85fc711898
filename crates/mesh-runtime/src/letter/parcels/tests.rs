//! What waits beside a simple queue of it.

use mesh_core::Sheaf;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::codec::DecodeError;
use crate::context::Context;
use crate::failure::Failure;
use crate::letter::Back;
use crate::letter::bundle::{Bundle, Opening};

struct Nobody;

#[derive(Debug)]
struct Small(u32);

#[derive(Debug)]
struct Other(u32, u32);

#[derive(Debug)]
struct Large(u32, [u64; 20]);

macro_rules! message {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = ();
        }

        impl Handler<$name> for Nobody {
            async fn handle(&mut self, _: $name, _: &mut Context<Self>) -> Result<(), Failure> {
                Ok(())
            }
        }
    };
}

message!(Small);
message!(Other);
message!(Large);

impl Actor for Nobody {
    const NAME: &'static str = "nobody";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Small,
    Other,
    Large,
    Letter,
    Boxed,
    Together,
    Pop,
}

const fn cast<M: Message>(message: M) -> Cast<M> {
    Cast { message, from: None }
}

/// Two messages with this number, as they come from another process.
fn together(number: u32) -> Bundle<Small> {
    fn decode(bytes: &[u8]) -> Result<Small, DecodeError> {
        let number = bytes.try_into().map(u32::from_le_bytes);
        number.map(Small).or(Err(DecodeError::OtherType))
    }
    let opening = Opening {
        back: |_| Back::Nobody,
        decode_first: |bodies| decode(bodies.first()),
        decode: |bytes| decode(bytes),
    };
    let all = [number.to_le_bytes(); 2].concat();
    Bundle { bodies: Sheaf::new(all.into(), [0..4, 4..8]), from: None, opening }
}

/// The number of a message, and its name.
fn open(letter: Box<dyn AnyLetter>) -> (&'static str, u32) {
    let letter = letter.into_any();
    if let Some(letter) = letter.downcast_ref::<Letter<Small>>() {
        ("Small", letter.message.0)
    } else if let Some(letter) = letter.downcast_ref::<Letter<Other>>() {
        assert_eq!(letter.message.1, !letter.message.0);
        ("Other", letter.message.0)
    } else if let Some(sealed) = letter.downcast_ref::<Sealed<Small>>() {
        ("Small", (sealed.decode)(&sealed.bytes).unwrap().0)
    } else {
        let letter = letter.downcast_ref::<Letter<Large>>().unwrap();
        assert_eq!(letter.message.1, [7; 20]);
        ("Large", letter.message.0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the types, all come out in the order in which they went in, each with its label.
    #[test]
    fn they_come_out_in_the_order_in_which_they_went_in(
        deeds in vec(
            prop_oneof![
                4 => Just(Deed::Small),
                2 => Just(Deed::Other),
                1 => Just(Deed::Large),
                1 => Just(Deed::Letter),
                1 => Just(Deed::Boxed),
                1 => Just(Deed::Together),
                6 => Just(Deed::Pop),
            ],
            0..200,
        ),
    ) {
        let mut parcels = Parcels::<Nobody>::default();
        let mut naive = VecDeque::new();
        for (number, deed) in (0_u32..).zip(deeds) {
            let name = match deed {
                Deed::Small => {
                    parcels.put(cast(Small(number)));
                    "Small"
                }
                Deed::Other => {
                    parcels.put(cast(Other(number, !number)));
                    "Other"
                }
                Deed::Large => {
                    parcels.put(cast(Large(number, [7; 20])));
                    "Large"
                }
                Deed::Letter => {
                    parcels.put(Letter::from(cast(Other(number, !number))));
                    "Other"
                }
                Deed::Boxed => {
                    parcels.put(Box::new(Letter::from(cast(Small(number)))) as Box<dyn Parcel<Nobody>>);
                    "Small"
                }
                Deed::Together => {
                    parcels.push_together(together(number), 2);
                    naive.push_back(("Small", number));
                    "Small"
                }
                Deed::Pop => {
                    prop_assert_eq!(parcels.pop().map(open), naive.pop_front());
                    continue;
                }
            };
            naive.push_back((name, number));
            prop_assert_eq!(parcels.len(), naive.len());
            prop_assert_eq!(parcels.label().map(|(_, name)| name), naive.front().map(|one| one.0));
        }
        while let Some(next) = naive.pop_front() {
            prop_assert!(!parcels.is_empty());
            prop_assert_eq!(parcels.pop().map(open), Some(next));
        }
        prop_assert!(parcels.is_empty() && parcels.label().is_none() && parcels.pop().is_none());
    }
}

/// Small messages stand in the memory of those before them; of very many, not all of that is kept.
#[test]
fn the_memory_of_small_messages_is_used_again() {
    let mut stack = Stack::new();
    (0..100).for_each(|number| stack.push(cast(Small(number))));
    let capacity = stack.others.capacity();
    while stack.take_first().is_some() {}
    assert_eq!(stack.others.capacity(), capacity);

    (0..100_000).for_each(|number| stack.push(cast(Small(number))));
    while stack.take_first().is_some() {}
    assert!(stack.others.capacity() * size_of::<Cast<Small>>() <= KEPT);
}

/// Many an actor is never sent two at once, nor messages of two types.
#[test]
fn one_message_needs_no_memory_but_that_of_its_stack() {
    let mut parcels = Parcels::<Nobody>::default();
    for number in 0..3 {
        parcels.put(cast(Small(number)));
        let stack = parcels.stack_of::<Cast<Small>>(0).unwrap();
        assert_eq!((stack.first.is_some(), stack.others.capacity()), (true, 0));
        assert!(parcels.pop().is_some() && parcels.more.is_none());
    }
}

/// Nor is all of the memory for their order kept, where each follows one of another type.
#[test]
fn the_memory_for_the_order_of_very_many_is_not_kept() {
    let mut parcels = Parcels::<Nobody>::default();
    for number in 0..100_000 {
        parcels.put(cast(Small(number)));
        parcels.put(cast(Other(number, !number)));
    }
    while parcels.pop().is_some() {}
    let runs = &parcels.more.unwrap().runs;
    assert!(runs.capacity() * size_of::<Run>() <= KEPT);
}

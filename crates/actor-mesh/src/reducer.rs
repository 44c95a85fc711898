//! Reducers: how the replies of many are merged into one.

use bytes::Bytes;
use mesh_cast::ReducerId;
use mesh_cast::shell::{Merge, MergeError};
use mesh_core::PortId;
use mesh_runtime::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Merges replies of type `T`, two into one, in the processes that they pass on their way.
///
/// It is known by its name in every process, so a program [registers](crate::ActorRegistry::reducer) it where it
/// registers its actors; those that are here are registered already. One that is not is missed only where a mesh has a tree:
/// directly replies are merged where the call was made, which has the reducer itself. So it may work on few processes, and
/// not on more than the [fan-out](crate::ActorSpec::fan_out), where it is told as
/// [`RankError::NotMerged`](crate::RankError::NotMerged).
///
/// # What must hold
///
/// `merge(merge(a, b), c)` and `merge(a, merge(b, c))` are the same, since nobody says which come first. What is
/// merged is in the order of the ranks of the mesh, unless a process on the way is lost or slow: where the order
/// matters, [call](crate::ActorMeshRef::call) instead.
///
/// # Examples
///
/// ```
/// use actor_mesh::Reducer;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Mean { sum: f64, count: u64 }
///
/// struct Means;
///
/// impl Reducer<Mean> for Means {
///     const NAME: &'static str = "doc.Means";
///
///     fn merge(one: Mean, other: Mean) -> Mean {
///         Mean { sum: one.sum + other.sum, count: one.count + other.count }
///     }
/// }
/// ```
pub trait Reducer<T>: 'static {
    /// What it is called, for values of this type: no two reducers of a program may be called the same. Names that
    /// begin with `meshwarden.` are those of the reducers here.
    const NAME: &'static str;

    /// Merges two values. It runs on the runtime of the user, and must be as quick as a handler. One that panics
    /// is the failure of those ranks whose replies it was to merge.
    fn merge(one: T, other: T) -> T;
}

/// The sum. That of whole numbers wraps around: so it does not depend on the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum;

/// The least. Floating-point numbers are ordered as [`f64::total_cmp`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Min;

/// The greatest. Floating-point numbers are ordered as [`f64::total_cmp`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Max;

/// Whether all are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct All;

/// Whether any is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Any;

macro_rules! reducer {
    ($of:ident of $type:ty: $merge:expr) => {
        impl Reducer<$type> for $of {
            const NAME: &'static str =
                concat!("meshwarden.", stringify!($of), ".", stringify!($type));

            fn merge(one: $type, other: $type) -> $type {
                let merge: fn($type, $type) -> $type = $merge;
                merge(one, other)
            }
        }
    };
}

macro_rules! whole_numbers {
    ($($type:ty)*) => {$(
        reducer!(Sum of $type: |one, other| one.wrapping_add(other));
        reducer!(Min of $type: |one, other| one.min(other));
        reducer!(Max of $type: |one, other| one.max(other));
    )*};
}

macro_rules! real_numbers {
    ($($type:ty)*) => {$(
        reducer!(Sum of $type: |one, other| one + other);
        reducer!(Min of $type: |one, other| if other.total_cmp(&one).is_lt() { other } else { one });
        reducer!(Max of $type: |one, other| if other.total_cmp(&one).is_gt() { other } else { one });
    )*};
}

whole_numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);
real_numbers!(f32 f64);
reducer!(All of bool: |one, other| one && other);
reducer!(Any of bool: |one, other| one || other);

/// Names a reducer wherever replies are merged.
pub(crate) fn id_of<R: Reducer<T>, T>() -> ReducerId {
    ReducerId(PortId::named(R::NAME).number())
}

/// How a process on the way merges, which knows the replies only as bytes.
pub(crate) fn merge_of<R, T>() -> Merge
where
    R: Reducer<T>,
    T: Serialize + DeserializeOwned,
{
    |values| {
        let mut merged = None;
        for bytes in values {
            let value: T = codec::decode(bytes).map_err(|why| MergeError(why.into()))?;
            merged = Some(match merged {
                None => value,
                Some(before) => R::merge(before, value),
            });
        }
        // There is at least one.
        let Some(merged) = merged else { return Ok(Bytes::new()) };
        codec::encode(R::NAME, &merged).map_err(|why| MergeError(why.into()))
    }
}

/// Those that every process knows.
pub(crate) fn known() -> impl Iterator<Item = (ReducerId, Merge)> {
    macro_rules! numbers {
        ($($type:ty)*) => {
            [$(
                (id_of::<Sum, $type>(), merge_of::<Sum, $type>()),
                (id_of::<Min, $type>(), merge_of::<Min, $type>()),
                (id_of::<Max, $type>(), merge_of::<Max, $type>()),
            )*]
        };
    }
    let numbers = numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
    let truths = [
        (id_of::<All, bool>(), merge_of::<All, bool>()),
        (id_of::<Any, bool>(), merge_of::<Any, bool>()),
    ];
    numbers.into_iter().chain(truths)
}

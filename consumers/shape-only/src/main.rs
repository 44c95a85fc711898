//! Rank arithmetic, without anything else.
#![forbid(unsafe_code)]

use mesh_shape::{Rank, Region, ShapeError, extent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = Region::all(extent!(hosts = 2, gpus = 4)?);
    assert_eq!(all.extent().ravel(&[1, 2])?, Rank::new(6));
    assert!(matches!(all.extent().ravel(&[2, 0]), Err(ShapeError::OutOfBounds { .. })));

    let even = all.parse_slice("hosts=1,gpus=::2")?;
    assert_eq!(even.extent().to_string(), "gpus=2");
    assert_eq!(even.base_rank(Rank::new(1)), Some(Rank::new(6)));
    Ok(())
}

//! The dims of an extent that is being made, checked one by one.

use super::{Extent, Table};
use crate::inline_vec::InlineVec;
use crate::shape_error::ShapeError;

/// The dims that were checked so far.
pub(super) struct Dims {
    names: Vec<Box<str>>,
    sizes: Vec<usize>,
    product: usize,
}

impl Default for Dims {
    fn default() -> Self {
        Self { names: Vec::new(), sizes: Vec::new(), product: 1 }
    }
}

impl Dims {
    pub(super) fn push_name(&mut self, name: String) -> Result<(), ShapeError> {
        if self.names.len() == Extent::NDIM_MAX {
            return Err(ShapeError::TooManyDims { limit: Extent::NDIM_MAX });
        }
        if name.is_empty() {
            return Err(ShapeError::EmptyName { axis: self.names.len() });
        }
        if self.names.iter().any(|known| **known == *name) {
            return Err(ShapeError::DuplicateDim { name });
        }
        self.names.push(name.into());
        Ok(())
    }

    pub(super) fn push_size(&mut self, size: usize) -> Result<(), ShapeError> {
        let product = self.product.checked_mul(size.max(1));
        let Some(product) = product.filter(|product| *product <= Extent::SIZE_MAX) else {
            return Err(ShapeError::TooLarge { limit: Extent::SIZE_MAX });
        };
        self.product = product;
        self.sizes.push(size);
        Ok(())
    }

    pub(super) fn into_extent(self) -> Extent {
        let places = InlineVec::from_fn(self.names.len(), |at| u8::try_from(at).unwrap_or(u8::MAX));
        let table = Table::of_names(self.names.into());
        Extent::from_parts(table.into(), places, (&*self.sizes).into())
    }
}

//! Rows: structs of atomics that may lie in a [`Region`](super::region::Region) like single ones.

/// Declares a struct of cells that is a cell itself.
macro_rules! row {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        #[repr(C)]
        $vis struct $name { $($(#[$doc])* pub(crate) $field: $type,)* }

        // SAFETY: every field is a `Cell`, or `zero` would not compile. So zero is valid for each
        // of them and none needs `Drop`; what stands in the padding does not matter.
        unsafe impl $crate::memory::region::Cell for $name {
            fn zero() -> Self {
                Self { $($field: <$type as $crate::memory::region::Cell>::zero(),)* }
            }

            fn clear(&self) {
                $($crate::memory::region::Cell::clear(&self.$field);)*
            }
        }
    };
}

pub(crate) use row;

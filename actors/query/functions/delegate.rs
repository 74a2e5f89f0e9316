//! Methods that a function has as another one has them.

/// Each of these methods is that of `self.inner`.
macro_rules! delegate {
    ($(fn $name:ident(&self $(, $arg:ident: $kind:ty)*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self $(, $arg: $kind)*) $(-> $result)? {
            self.inner.inner().$name($($arg),*)
        })*
    };
}

pub(super) use delegate;

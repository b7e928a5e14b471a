//! Which of the bindings' items a check is about.

use crate::bindings::Bindings;

/// Indices into the lists of [`Bindings`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) aggregates: Vec<usize>,
    pub(crate) enumerations: Vec<usize>,
    pub(crate) constants: Vec<usize>,
    pub(crate) callbacks: Vec<usize>,
    pub(crate) functions: Vec<usize>,
    pub(crate) rewritten: Vec<usize>,
    pub(crate) statics: Vec<usize>,
}

impl Selection {
    /// Everything.
    pub(crate) fn all(bindings: &Bindings) -> Self {
        Self {
            aggregates: (0..bindings.aggregates.len()).collect(),
            enumerations: (0..bindings.enumerations.len()).collect(),
            constants: (0..bindings.constants.len()).collect(),
            callbacks: (0..bindings.callbacks.len()).collect(),
            functions: (0..bindings.functions.len()).collect(),
            rewritten: (0..bindings.rewritten.len()).collect(),
            statics: (0..bindings.statics.len()).collect(),
        }
    }
}

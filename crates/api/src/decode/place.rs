//! Where in an object something is. No I/O.

/// A place, as a chain that leads up to the object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// The object itself.
    Root,
    /// A field of an object.
    Field(&'a Place<'a>, &'a str),
    /// An element of a list.
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// As messages write it: `spec.steps[0].image`.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(above, name) => match above.path() {
                path if path.is_empty() => (*name).to_owned(),
                path => format!("{path}.{name}"),
            },
            Self::Index(above, index) => format!("{}[{index}]", above.path()),
        }
    }

    /// As RFC 6901 writes it: `/spec/steps/0/image`.
    pub(super) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(above, name) => {
                format!(
                    "{}/{}",
                    above.pointer(),
                    name.replace('~', "~0").replace('/', "~1")
                )
            }
            Self::Index(above, index) => format!("{}/{index}", above.pointer()),
        }
    }

    /// Whether it lies in an object's metadata, which is not ours to judge.
    pub(super) fn in_metadata(&self) -> bool {
        match self {
            Self::Root => false,
            Self::Field(above, name) => *name == "metadata" || above.in_metadata(),
            Self::Index(above, _) => above.in_metadata(),
        }
    }
}

//! How a table of the file is declared: its type, its description and its reader at once.

use crate::config::node::At;

/// Where a table stands. Two tables that say the same are the same, wherever they stand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stands(pub(crate) At);

impl PartialEq for Stands {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Declares a table. What is written as documentation is what the schema and the page about the
/// file say; a value behind `=` is the default, which is what holds where nothing is said.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $kind:ty $(= $default:literal)?,
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            /// Where it stands.
            pub(crate) stands: crate::config::section::Stands,
            $($(#[doc = $doc])+ pub(crate) $field: $kind,)*
        }

        impl $name {
            pub(crate) fn description() -> &'static crate::config::describe::Description {
                static DESCRIPTION: crate::config::describe::Description =
                    crate::config::describe::Description {
                        title: stringify!($name),
                        about: concat!($($about, "\n"),+),
                        fields: &[$(crate::config::describe::Field {
                            name: stringify!($field),
                            about: concat!($($doc, "\n"),+),
                            kind: <$kind as crate::config::setting::Setting>::KIND,
                            need: crate::config::section::section!(@need $kind $(= $default)?),
                        },)*],
                    };
                &DESCRIPTION
            }

            /// What is wrong with it as a whole.
            #[allow(dead_code, reason = "some tables cannot be wrong as a whole")]
            pub(crate) fn refuse(
                &self,
                path: &str,
                error: &dyn std::error::Error,
            ) -> crate::config::problem::Problem {
                let message = crate::config::problem::whole_message(error);
                crate::config::problem::Problem::new(self.stands.0, path, message)
            }
        }

        impl crate::config::setting::Setting for $name {
            const KIND: crate::config::describe::Kind =
                crate::config::describe::Kind::Table(Self::description);

            fn read(
                node: &crate::config::node::Node,
                reader: &mut crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                let table = reader.table(node, Self::description())?;
                // Every option is read before the first that is wrong ends it.
                $(let $field: Option<$kind> = table.field(
                    reader,
                    stringify!($field),
                    crate::config::section::section!(@need $kind $(= $default)?),
                );)*
                Some(Self {
                    stands: crate::config::section::Stands(table.at()),
                    $($field: $field?,)*
                })
            }
        }
    };
    (@need $kind:ty = $default:literal) => {
        crate::config::describe::Need::Default($default)
    };
    (@need $kind:ty) => {
        <$kind as crate::config::setting::Setting>::NEED
    };
}

pub(crate) use section;

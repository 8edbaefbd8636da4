//! How options are declared: each once, with its type, default and meaning. From
//! the declaration come its reading, its documentation, its environment variable,
//! and what is said of an unknown name beside it.

use super::reader::Members;
use crate::limit::Limits;

/// An object of the configuration whose members are known.
pub(super) trait Section: Sized {
    /// Reads every member, or its default, and notes what is wrong.
    fn members(members: &mut Members<'_, '_>) -> Self;

    /// Sets the limits that its members name.
    fn limits(&self, limits: &mut Limits);
}

/// One option, as it is declared.
pub(super) struct Member<T> {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) meaning: &'static str,
    /// It cannot change while the node runs.
    pub(super) restart: bool,
    /// Its default depends on the limit profile.
    pub(super) by_profile: bool,
    /// Its default, under the profile with these limits.
    pub(super) default: fn(&Limits) -> T,
}

/// Declares a section. Each option has its meaning as documentation, a type, and a
/// default: `= value`, `=> limit` for a number of the limit profile that it
/// overrides, or else that of its type. `@restart` stands before an option that
/// cannot change while the node runs. `..name: Section` takes the members of
/// another section in. `unsupported` names options of Centrifugo that stand here
/// and are refused whatever `compat` says, with what to do instead.
macro_rules! section {
    (@default $limits:ident) => { Default::default() };
    (@default $limits:ident = $default:expr) => { $default };
    (@default $limits:ident => $limit:ident) => { $limits.$limit };
    (@is) => { false };
    (@is $any:ident) => { true };
    (
        $(#[doc = $about:literal])*
        $section:ident {
            $(
                $(#[doc = $meaning:literal])+
                $(@$restart:ident)? $name:ident: $kind:ty $(= $default:expr)? $(=> $limit:ident)?,
            )*
            $(..$flat:ident: $flat_kind:ty,)?
        }
        $(unsupported { $($other:ident: $instead:literal,)* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone)]
        pub(in crate::config) struct $section {
            $(pub(in crate::config) $name: $kind,)*
            $(pub(in crate::config) $flat: $flat_kind,)?
        }

        impl $crate::config::section::Section for $section {
            fn members(members: &mut $crate::config::reader::Members<'_, '_>) -> $section {
                $(members.unsupported(&[$((stringify!($other), $instead),)*]);)?
                $section {
                    $($name: members.member(&$crate::config::section::Member {
                        // A word of Rust is written with `r#`.
                        name: stringify!($name).trim_start_matches("r#"),
                        meaning: concat!($($meaning),+),
                        restart: section!(@is $($restart)?),
                        by_profile: section!(@is $($limit)?),
                        default: |_limits| section!(@default _limits $(= $default)? $(=> $limit)?),
                    }),)*
                    $($flat: <$flat_kind as $crate::config::section::Section>::members(members),)?
                }
            }

            fn limits(&self, _limits: &mut $crate::limit::Limits) {
                $($(_limits.$limit = self.$name;)?)*
            }
        }

        impl Default for $section {
            fn default() -> $section {
                $crate::config::reader::defaults()
            }
        }

        impl $crate::config::kind::Kind for $section {
            const IS_SECTION: bool = true;

            fn name() -> String {
                "object".to_owned()
            }

            fn read(
                reader: &mut $crate::config::reader::Reader<'_>,
                place: &str,
                written: &serde_json::Value,
            ) -> Option<$section> {
                reader.section(place, written)
            }

            fn show(&self) -> Option<serde_json::Value> {
                None
            }

            fn example(reader: &mut $crate::config::reader::Reader<'_>, place: &str) {
                let _: Option<$section> = reader.section(place, &serde_json::json!({}));
            }
        }
    };
}

pub(super) use section;

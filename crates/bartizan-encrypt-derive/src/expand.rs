//! Writes the sealed struct and what leads to it and back.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Ident, parse2};

use crate::input::{Field, Input};

/// The code for a struct, or the error that tells why there is none.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    match parse2(input).and_then(Input::read) {
        Ok(input) => expand(&input),
        Err(error) => error.into_compile_error(),
    }
}

fn expand(input: &Input) -> TokenStream {
    let Input {
        name,
        visibility,
        sealed,
        derives,
        root,
        ..
    } = input;
    let markers = input.fields.iter().filter_map(|field| marker(input, field));
    let members = input.fields.iter().map(|field| member(input, field));
    let place = place(input);
    let values = input.fields.iter().map(|field| {
        let member = &field.name;
        match &field.path {
            Some(_) => quote! {
                #member: keys.seal(&place, #root::Plain::new(self.#member).expose())?
            },
            None => quote!(#member: self.#member),
        }
    });
    let openers = input.fields.iter().filter_map(|field| opener(input, field));
    let reseals = input
        .fields
        .iter()
        .filter(|field| field.path.is_some())
        .map(|field| {
            let member = &field.name;
            quote! {
                if let ::core::option::Option::Some(value) = keys.reseal(&place, &self.#member)? {
                    self.#member = value;
                    changed = true;
                }
            }
        });
    let about = format!("[`{name}`] with its fields sealed.");
    quote! {
        #(#markers)*

        #[doc = #about]
        #[derive(#(#derives),*)]
        #visibility struct #sealed {
            #(#members),*
        }

        impl #name {
            #place

            /// Seals the fields that are to be sealed; what was plain of them is wiped.
            ///
            /// # Errors
            ///
            /// If the keys of its place are not at hand, or a value cannot be sealed.
            #visibility fn seal(
                self,
                keys: &#root::Prepared,
            ) -> ::core::result::Result<#sealed, #root::EncryptError> {
                let place = self.place()?;
                ::core::result::Result::Ok(#sealed {
                    #(#values),*
                })
            }
        }

        impl #sealed {
            #place

            #(#openers)*

            /// Seals anew what is not under the key that seals now; whether anything was.
            ///
            /// # Errors
            ///
            /// If a field does not open, or cannot be sealed.
            #visibility fn reseal(
                &mut self,
                keys: &#root::Prepared,
            ) -> ::core::result::Result<bool, #root::EncryptError> {
                let place = self.place()?;
                let mut changed = false;
                #(#reseals)*
                ::core::result::Result::Ok(changed)
            }
        }
    }
}

/// The type that names a sealed field.
fn marker(input: &Input, field: &Field) -> Option<TokenStream> {
    let path = field.path.as_ref()?;
    let Input {
        visibility,
        collection,
        root,
        ..
    } = input;
    let marker = marker_name(input, field);
    let about = format!(
        "Names the field `{}` of [`{}`].",
        field.name.unraw(),
        input.name
    );
    Some(quote! {
        #[doc = #about]
        #[derive(Clone, Copy, Debug)]
        #visibility enum #marker {}

        impl #root::Field for #marker {
            const COLLECTION: &'static str = #collection;
            const PATH: &'static str = #path;
        }
    })
}

fn member(input: &Input, field: &Field) -> TokenStream {
    let Field {
        name,
        visibility,
        docs,
        of,
        path,
    } = field;
    let root = &input.root;
    let of = match path {
        Some(_) => {
            let marker = marker_name(input, field);
            quote!(#root::Encrypted<#of, #marker>)
        }
        None => quote!(#of),
    };
    let undocumented = docs.is_empty().then(|| {
        let about = format!("As in [`{}`].", input.name);
        quote!(#[doc = #about])
    });
    quote!(#(#docs)* #undocumented #visibility #name: #of)
}

fn opener(input: &Input, field: &Field) -> Option<TokenStream> {
    field.path.as_ref()?;
    let (root, visibility) = (&input.root, &field.visibility);
    let (name, of) = (&field.name, &field.of);
    let open = format_ident!("open_{}", field.name.unraw(), span = field.name.span());
    let about = format!("Opens `{}`.", field.name.unraw());
    Some(quote! {
        #[doc = #about]
        ///
        /// # Errors
        ///
        /// If it was sealed elsewhere, or its key is not to be had.
        #visibility fn #open(
            &self,
            keys: &#root::Prepared,
        ) -> ::core::result::Result<#root::Plain<#of>, #root::EncryptError> {
            keys.open(&self.place()?, &self.#name)
        }
    })
}

/// Where a value of either struct belongs, and whose keys that takes.
fn place(input: &Input) -> TokenStream {
    let Input {
        visibility,
        tenant,
        root,
        ..
    } = input;
    let text = |part: &Ident| quote!(::std::string::ToString::to_string(&self.#part).as_str());
    let tenant = text(tenant);
    let record = input.record.as_ref().map(|record| {
        let record = text(record);
        quote!(let place = place.with_record(#record)?;)
    });
    let subject = input.subject.as_ref().map(text);
    let bound = subject
        .as_ref()
        .map(|subject| quote!(let place = place.with_subject(#subject)?;));
    let scope = match &subject {
        Some(subject) => quote!(#root::KeyScope::subject(#tenant, #subject)),
        None => quote!(#root::KeyScope::tenant(#tenant)),
    };
    quote! {
        /// The place that its fields are bound to.
        ///
        /// # Errors
        ///
        /// If a part of it is empty or too long.
        #visibility fn place(&self) -> ::core::result::Result<#root::Place, #root::EncryptError> {
            let place = #root::Place::new(#tenant)?;
            #record
            #bound
            ::core::result::Result::Ok(place)
        }

        /// The scope whose keys it takes.
        #visibility fn scope(&self) -> #root::KeyScope {
            #scope
        }
    }
}

/// `PatientSsn` for the field `ssn` of `Patient`.
fn marker_name(input: &Input, field: &Field) -> Ident {
    let name = field.name.unraw().to_string();
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    });
    let camel: String = words.collect();
    format_ident!("{}{camel}", input.name.unraw(), span = field.name.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of an input; empty if there is none.
    fn error(input: TokenStream) -> String {
        let found = parse2(input).and_then(Input::read);
        found
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_sealed_says_why() {
        for (input, expected) in [
            (
                quote!(
                    enum E {
                        A,
                    }
                ),
                "only a struct",
            ),
            (
                quote!(
                    struct S(u8);
                ),
                "named fields",
            ),
            (
                quote!(
                    struct S<T> {
                        a: T,
                    }
                ),
                "parameters",
            ),
            (
                quote!(
                    struct S {
                        #[encrypt]
                        a: u8,
                    }
                ),
                "collection",
            ),
            (
                quote!(
                    #[encrypt(collection = "s")]
                    struct S {
                        #[encrypt]
                        a: u8,
                    }
                ),
                "tenant",
            ),
            (
                quote!(
                    #[encrypt(collection = "", tenant = t)]
                    struct S {
                        t: u8,
                        #[encrypt]
                        a: u8,
                    }
                ),
                "is empty",
            ),
            (
                quote!(
                    #[encrypt(collection = "s", tenant = x)]
                    struct S {
                        t: u8,
                        #[encrypt]
                        a: u8,
                    }
                ),
                "no field has this name",
            ),
            (
                quote!(
                    #[encrypt(collection = "s", tenant = a)]
                    struct S {
                        #[encrypt]
                        a: u8,
                    }
                ),
                "is sealed itself",
            ),
            (
                quote!(
                    #[encrypt(collection = "s", tenant = t)]
                    struct S {
                        t: u8,
                    }
                ),
                "no field says",
            ),
            (
                quote!(
                    #[encrypt(collection = "s", tenant = t, tenent = t)]
                    struct S {
                        t: u8,
                    }
                ),
                "expected collection",
            ),
            (
                quote! {
                    #[encrypt(collection = "s", tenant = t)]
                    struct S { t: u8, #[encrypt(path = "b")] a: u8, #[encrypt] b: u8 }
                },
                "two fields have this path",
            ),
            (
                quote! {
                    #[encrypt(collection = "s", tenant = t)]
                    struct S { t: u8, #[encrypt(pad = "b")] a: u8 }
                },
                "expected path",
            ),
        ] {
            let found = error(input.clone());
            assert!(found.contains(expected), "{input}: {found}");
        }
        let good = quote! {
            #[encrypt(collection = "s", tenant = t, record = t, derive(Clone, Debug))]
            struct S { t: u8, #[encrypt(path = "b")] a: u8 }
        };
        assert_eq!(error(good.clone()), "");
        assert!(!derive(good).to_string().contains("compile_error"));
        assert!(
            derive(quote!(
                enum E {}
            ))
            .to_string()
            .contains("compile_error")
        );
    }
}

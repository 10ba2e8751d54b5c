//! Reads the struct and what its attributes say.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr, Path, Type, Visibility};

/// The struct.
pub(crate) struct Input {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) sealed: Ident,
    pub(crate) collection: LitStr,
    pub(crate) tenant: Ident,
    pub(crate) record: Option<Ident>,
    pub(crate) subject: Option<Ident>,
    pub(crate) derives: Vec<Path>,
    pub(crate) root: Path,
    pub(crate) fields: Vec<Field>,
}

/// One of its fields.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) of: Type,
    /// Its path, if it is sealed.
    pub(crate) path: Option<LitStr>,
}

#[derive(Default)]
struct Settings {
    collection: Option<LitStr>,
    tenant: Option<Ident>,
    record: Option<Ident>,
    subject: Option<Ident>,
    sealed: Option<Ident>,
    derives: Vec<Path>,
    root: Option<Path>,
}

impl Input {
    pub(crate) fn read(input: DeriveInput) -> syn::Result<Self> {
        if !input.generics.params.is_empty() {
            let message = "a struct with parameters cannot be sealed";
            return Err(syn::Error::new_spanned(&input.generics, message));
        }
        let Data::Struct(data) = input.data else {
            return Err(syn::Error::new_spanned(
                &input.ident,
                "only a struct can be sealed",
            ));
        };
        let Fields::Named(named) = data.fields else {
            let message = "only a struct with named fields can be sealed";
            return Err(syn::Error::new_spanned(&input.ident, message));
        };
        let settings = Settings::read(&input.attrs)?;
        let fields = named
            .named
            .into_iter()
            .map(Field::read)
            .collect::<syn::Result<Vec<_>>>()?;
        let missing = |what: &str| {
            let message = format!("say `#[encrypt({what})]` on the struct");
            syn::Error::new_spanned(&input.ident, message)
        };
        let root = syn::parse_quote!(::bartizan_encrypt);
        let read = Self {
            sealed: settings.sealed.unwrap_or_else(|| {
                Ident::new(
                    &format!("{}Sealed", input.ident.unraw()),
                    input.ident.span(),
                )
            }),
            collection: settings
                .collection
                .ok_or_else(|| missing("collection = \"...\""))?,
            tenant: settings.tenant.ok_or_else(|| missing("tenant = field"))?,
            record: settings.record,
            subject: settings.subject,
            derives: settings.derives,
            root: settings.root.unwrap_or(root),
            visibility: input.vis,
            name: input.ident,
            fields,
        };
        read.check()?;
        Ok(read)
    }

    /// What the place is made of has to be there, and to be readable.
    fn check(&self) -> syn::Result<()> {
        if self.collection.value().is_empty() {
            return Err(syn::Error::new_spanned(&self.collection, "is empty"));
        }
        for part in [
            Some(&self.tenant),
            self.record.as_ref(),
            self.subject.as_ref(),
        ] {
            let Some(part) = part else { continue };
            let field = self.fields.iter().find(|field| field.name == *part);
            match field {
                None => return Err(syn::Error::new_spanned(part, "no field has this name")),
                Some(field) if field.path.is_some() => {
                    let message = "is sealed itself, so that nothing can be bound to it";
                    return Err(syn::Error::new_spanned(part, message));
                }
                Some(_) => {}
            }
        }
        let mut paths: Vec<_> = self.fields.iter().filter_map(|f| f.path.as_ref()).collect();
        if paths.is_empty() {
            let message = "no field says `#[encrypt]`";
            return Err(syn::Error::new_spanned(&self.name, message));
        }
        paths.sort_by_key(|path| path.value());
        let twice = paths.windows(2).find_map(|pair| match pair {
            [one, other] if one.value() == other.value() => Some(other),
            _ => None,
        });
        match twice {
            Some(path) => {
                let message = "two fields have this path";
                Err(syn::Error::new_spanned(path, message))
            }
            None => Ok(()),
        }
    }
}

impl Settings {
    fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut settings = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("encrypt")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("collection") {
                    settings.collection = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("tenant") {
                    settings.tenant = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("record") {
                    settings.record = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("subject") {
                    settings.subject = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("sealed") {
                    settings.sealed = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    settings.root = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("derive") {
                    meta.parse_nested_meta(|derive| {
                        settings.derives.push(derive.path);
                        Ok(())
                    })?;
                } else {
                    let known = "collection, tenant, record, subject, sealed, derive or crate";
                    return Err(meta.error(format!("expected {known}")));
                }
                Ok(())
            })?;
        }
        Ok(settings)
    }
}

impl Field {
    fn read(field: syn::Field) -> syn::Result<Self> {
        let name = field
            .ident
            .ok_or_else(|| syn::Error::new(Span::call_site(), "only named fields can be sealed"))?;
        let mut path = None;
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("encrypt")) {
            if path.is_some() {
                let message = "a field is sealed once";
                return Err(syn::Error::new_spanned(attribute, message));
            }
            let mut given = LitStr::new(&name.unraw().to_string(), name.span());
            if !matches!(attribute.meta, syn::Meta::Path(_)) {
                attribute.parse_nested_meta(|meta| {
                    if !meta.path.is_ident("path") {
                        return Err(meta.error("expected path"));
                    }
                    given = meta.value()?.parse()?;
                    if given.value().is_empty() {
                        return Err(syn::Error::new_spanned(&given, "is empty"));
                    }
                    Ok(())
                })?;
            }
            path = Some(given);
        }
        let mut docs = field.attrs;
        docs.retain(|attribute| attribute.path().is_ident("doc"));
        Ok(Self {
            name,
            visibility: field.vis,
            docs,
            of: field.ty,
            path,
        })
    }
}

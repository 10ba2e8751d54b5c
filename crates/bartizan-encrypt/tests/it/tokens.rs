//! Random tokens, and the table that leads back.

use bartizan_core::Subject;
use bartizan_encrypt::{
    EncryptErrorKind, Place, StoreAnswer, StoreError, Token, TokenError, TokenFile, TokenRow,
    TokenRows, TokenStore, TokenVault,
};

use crate::support::{Setup, place};

const CARD: &str = "4111111111111111";

/// A folder that is removed again.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("bartizan-vault-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn table(&self, capacity: usize) -> TokenFile {
        TokenFile::open(&self.0.join("tokens"), capacity).unwrap()
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.0.join("tokens")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn of(subject: &str) -> Place {
    Place::new("acme").unwrap().with_subject(subject).unwrap()
}

fn kind(error: &TokenError) -> Option<EncryptErrorKind> {
    match error {
        TokenError::Encrypt(error) => Some(error.kind()),
        _ => None,
    }
}

#[tokio::test]
async fn a_token_leads_back_where_it_was_given_out_and_tells_nothing() {
    let (setup, folder) = (Setup::new(), Folder::new("back"));
    let vault = TokenVault::new(setup.keyring.clone(), "card", folder.table(10));
    let token = vault.exchange(&place(), CARD).await.unwrap();
    let another = vault.exchange(&place(), CARD).await.unwrap();
    assert_ne!(token, another, "two of one value differ");
    let opened = vault.resolve(&place(), &token).await.unwrap();
    assert_eq!(opened.expose(), CARD);
    assert!(!folder.content().contains(CARD));

    let elsewhere = Place::new("acme").unwrap();
    let refused = vault.resolve(&elsewhere, &token).await.unwrap_err();
    assert_eq!(kind(&refused), Some(EncryptErrorKind::ContextMismatch));
    let other = TokenVault::new(setup.keyring.clone(), "account", folder.table(10));
    let refused = other.resolve(&place(), &token).await.unwrap_err();
    assert_eq!(kind(&refused), Some(EncryptErrorKind::ContextMismatch));
    let unknown: Token = "tok_AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    let refused = vault.resolve(&place(), &unknown).await.unwrap_err();
    assert!(matches!(refused, TokenError::Unknown));

    // Another process finds it again; removed, it is gone.
    drop(vault);
    let vault = TokenVault::new(setup.keyring.clone(), "card", folder.table(10));
    assert_eq!(
        vault.resolve(&place(), &token).await.unwrap().expose(),
        CARD
    );
    assert!(vault.remove(&token).await.unwrap());
    assert!(!vault.remove(&token).await.unwrap());
    let refused = vault.resolve(&place(), &token).await.unwrap_err();
    assert!(matches!(refused, TokenError::Unknown));
    assert!(!format!("{vault:?} {refused:?} {opened:?}").contains(CARD));
}

#[tokio::test]
async fn whoever_is_forgotten_has_no_tokens() {
    let (setup, folder) = (Setup::new(), Folder::new("forgotten"));
    let table = folder.table(10);
    let vault = TokenVault::new(setup.keyring.clone(), "card", table.clone());
    let hers = vault.exchange(&of("alice"), CARD).await.unwrap();
    let row = table.find(&hers).await.unwrap().unwrap();
    let scope = bartizan_encrypt::KeyScope::subject("acme", "alice");
    setup.keyring.rotate(&scope).await.unwrap();
    vault.exchange(&of("alice"), CARD).await.unwrap();
    let his = vault.exchange(&of("bob"), CARD).await.unwrap();
    assert!(!folder.content().contains("alice"));
    let alice = Subject::new("acme", "alice");
    assert_eq!(vault.forget(&alice).await.unwrap(), 2, "under either key");
    assert_eq!(vault.forget(&alice).await.unwrap(), 0, "once");
    let refused = vault.resolve(&of("alice"), &hers).await.unwrap_err();
    assert!(matches!(refused, TokenError::Unknown));
    // A row from a backup does not bring her back.
    assert!(table.insert(row).await.unwrap());
    let refused = vault.resolve(&of("alice"), &hers).await.unwrap_err();
    assert_eq!(kind(&refused), Some(EncryptErrorKind::Shredded));
    let refused = vault.exchange(&of("alice"), CARD).await.unwrap_err();
    assert_eq!(kind(&refused), Some(EncryptErrorKind::Shredded));
    assert_eq!(
        vault.resolve(&of("bob"), &his).await.unwrap().expose(),
        CARD
    );
}

#[tokio::test]
async fn a_row_under_another_token_does_not_open() {
    let (setup, folder) = (Setup::new(), Folder::new("swapped"));
    let table = folder.table(10);
    let vault = TokenVault::new(setup.keyring.clone(), "card", table.clone());
    let one = vault.exchange(&place(), CARD).await.unwrap();
    let two = vault.exchange(&place(), "5500000000000004").await.unwrap();
    let row = table.find(&two).await.unwrap().unwrap();
    let swapped = TokenRow {
        token: one.clone(),
        ..row
    };
    table.insert(swapped).await.unwrap();
    let refused = vault.resolve(&place(), &one).await.unwrap_err();
    assert_eq!(kind(&refused), Some(EncryptErrorKind::ContextMismatch));
}

#[tokio::test]
async fn a_full_table_takes_nothing_in() {
    let (setup, folder) = (Setup::new(), Folder::new("full"));
    let vault = TokenVault::new(setup.keyring, "card", folder.table(2));
    for _ in 0..2 {
        vault.exchange(&place(), CARD).await.unwrap();
    }
    let refused = vault.exchange(&place(), CARD).await.unwrap_err();
    assert!(matches!(refused, TokenError::Full));
}

/// A table that cannot be reached.
#[derive(Debug)]
struct Down;

impl TokenStore for Down {
    fn find<'s>(&'s self, _: &'s Token) -> StoreAnswer<'s, Option<TokenRow>> {
        Box::pin(std::future::ready(Err(StoreError::new("planned"))))
    }

    fn insert(&self, _: TokenRow) -> StoreAnswer<'_, bool> {
        Box::pin(std::future::ready(Err(StoreError::new("planned"))))
    }

    fn remove<'s>(&'s self, _: TokenRows<'s>) -> StoreAnswer<'s, usize> {
        Box::pin(std::future::ready(Err(StoreError::new("planned"))))
    }
}

#[tokio::test]
async fn no_token_is_given_out_that_is_not_stored() {
    let setup = Setup::new();
    let vault = TokenVault::new(setup.keyring, "card", Down);
    let refused = vault.exchange(&place(), CARD).await.unwrap_err();
    assert!(matches!(refused, TokenError::Store(_)));
    assert!(!format!("{refused} {refused:?}").contains(CARD));
    let failed = vault.forget(&Subject::new("acme", "alice")).await;
    assert!(
        matches!(failed, Err(TokenError::Store(_))),
        "the rows are left"
    );
}

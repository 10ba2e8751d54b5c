//! What attacks are made from. Each method says what it needs, and fails by naming it.

use serde_json::Value;

use crate::authority::{Authority, Identity};
use crate::draft::{Draft, Field};
use crate::error::GivenError;
use crate::keys::Thief;
use crate::leaf::Leaf;
use crate::remote::Remote;
use crate::target::Target;
use crate::token::Token;
use crate::volley::{Shot, Volley};

/// What is missing for an attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Need(pub(crate) &'static str);

impl From<GivenError> for Need {
    fn from(_: GivenError) -> Self {
        Self("an authority whose key can be used")
    }
}

/// What an attack is built from.
pub(crate) struct Given<'a> {
    pub(crate) target: &'a Target,
    pub(crate) remote: Option<&'a Remote>,
    /// Which versions of HTTP the control request is accepted by, over the network.
    pub(crate) http1: bool,
    pub(crate) http2: bool,
    pub(crate) thief: Thief,
}

pub(crate) type Made = Result<Volley, Need>;

impl Given<'_> {
    /// The control request, with a token of its own where tokens can be made.
    pub(crate) fn control(&self) -> Draft {
        let draft = self.target.draft.clone();
        match &self.target.signer {
            Some(signer) => {
                draft.field("authorization", format!("Bearer {}", signer.token().sign()))
            }
            None => draft,
        }
    }

    /// The control request with another token.
    pub(crate) fn bearing(&self, token: &str) -> Draft {
        let draft = self.target.draft.clone();
        draft.field("authorization", format!("Bearer {token}"))
    }

    /// The control request without its credentials.
    pub(crate) fn bare(&self) -> Result<Draft, Need> {
        let mut draft = self.control();
        let mut had = false;
        for name in &self.target.credentials {
            had |= draft.has(name);
            draft = draft.without(name);
        }
        match had {
            true => Ok(draft),
            false => Err(Need("a credential (Target::with_bearer)")),
        }
    }

    /// A good token: made anew, or that of the control request.
    pub(crate) fn good(&self) -> Result<Token, Need> {
        if let Some(signer) = &self.target.signer {
            return Ok(signer.token());
        }
        let value = self.target.draft.value("authorization");
        let token = value.strip_prefix("Bearer ").and_then(Token::parse);
        token.ok_or(Need("a bearer token that is a JWT (Target::with_bearer)"))
    }

    /// A good token that can be changed and signed again.
    pub(crate) fn minted(&self) -> Result<Token, Need> {
        match &self.target.signer {
            Some(signer) => Ok(signer.token()),
            None => Err(Need("the issuer's key (Target::with_signer)")),
        }
    }

    /// Other tokens in the control request.
    pub(crate) fn tokens<I: IntoIterator<Item = String>>(
        &self,
        make: impl FnOnce(Token) -> I,
    ) -> Made {
        let shots = make(self.good()?).into_iter();
        let shots: Vec<_> = shots.map(|token| self.bearing(&token)).collect();
        Ok(Volley::new("given", self.control(), shots))
    }

    /// Other tokens by the issuer's own key.
    pub(crate) fn mints<I: IntoIterator<Item = Token>>(
        &self,
        make: impl FnOnce(Token) -> I,
    ) -> Made {
        let shots = make(self.minted()?).into_iter();
        let shots: Vec<_> = shots.map(|token| self.bearing(&token.sign())).collect();
        Ok(Volley::new("given", self.control(), shots))
    }

    /// Other requests with good credentials.
    pub(crate) fn drafts<I: IntoIterator<Item = Draft>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        Ok(Volley::new("given", self.control(), make(self.control())))
    }

    /// Other requests without credentials.
    pub(crate) fn bares<I: IntoIterator<Item = Draft>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        let shots = make(self.bare()?);
        Ok(Volley::new("given", self.control(), shots))
    }

    /// As [`drafts`](Self::drafts), of a service of plain HTTP.
    pub(crate) fn plain<I: IntoIterator<Item = Draft>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        self.is_plain()?;
        self.drafts(make)
    }

    /// Other requests of a service of gRPC.
    pub(crate) fn grpcs<I: IntoIterator<Item = Draft>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        match self.target.grpc {
            true => self.drafts(make),
            false => Err(Need("a gRPC method (Target::grpc)")),
        }
    }

    /// Other requests with a body that is JSON.
    pub(crate) fn bodies<I: IntoIterator<Item = Draft>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        let json = self.target.draft.value("content-type");
        match json.starts_with("application/json") {
            true => self.drafts(make),
            false => Err(Need("a control request with JSON (Target::with_json)")),
        }
    }

    /// Bytes over a connection for HTTP/1.1.
    pub(crate) fn raws<I: IntoIterator<Item = Vec<u8>>>(
        &self,
        make: impl FnOnce(Draft) -> I,
    ) -> Made {
        self.over_http1()?;
        let control = Shot::Raw(self.control().http1());
        let shots = make(self.control()).into_iter().map(Shot::Raw);
        Ok(Volley::new("http/1.1", control, shots))
    }

    /// Fields over a connection for HTTP/2.
    pub(crate) fn fields<I: IntoIterator<Item = Vec<Field>>>(
        &self,
        make: impl FnOnce(Vec<Field>) -> I,
    ) -> Made {
        let scheme = self.over_http2()?;
        let shot = |draft: &Draft, fields| {
            Shot::Fields(fields, draft.body.clone(), draft.trailers.clone())
        };
        let draft = self.control();
        let shots = make(draft.http2(scheme)).into_iter();
        let shots: Vec<_> = shots.map(|fields| shot(&draft, fields)).collect();
        let control = self.control();
        let control = shot(&control, control.http2(scheme));
        Ok(Volley::new("h2", control, shots))
    }

    /// Frames over a connection for HTTP/2: made from the fields of a request, and its body.
    pub(crate) fn frames<I: IntoIterator<Item = Vec<u8>>>(
        &self,
        make: impl FnOnce(Vec<Field>, Vec<u8>) -> I,
    ) -> Made {
        let scheme = self.over_http2()?;
        let draft = self.control();
        let shots = make(draft.http2(scheme), draft.body.clone()).into_iter();
        let shots: Vec<_> = shots.map(Shot::Frames).collect();
        let control = self.control();
        let fields = control.http2(scheme);
        let control = Shot::Fields(fields, control.body, control.trailers);
        Ok(Volley::new("h2", control, shots))
    }

    /// Other client certificates of the authority that the service believes.
    pub(crate) fn leaves<I: IntoIterator<Item = Leaf>>(
        &self,
        make: impl FnOnce(Leaf) -> I,
    ) -> Made {
        let authority = self.authority()?;
        let mut shots = Vec::new();
        for leaf in make(self.leaf()?) {
            shots.push(Shot::As(Some(leaf.issue(authority)?), self.control()));
        }
        Ok(Volley::new("certificate", self.certified()?, shots))
    }

    /// The control request under certificates of the attacker's choice.
    pub(crate) fn identities<I: IntoIterator<Item = Option<Identity>>>(
        &self,
        make: impl FnOnce(&Authority, Leaf) -> Result<I, Need>,
    ) -> Made {
        let identities = make(self.authority()?, self.leaf()?)?.into_iter();
        let shots: Vec<_> = identities.map(|it| Shot::As(it, self.control())).collect();
        Ok(Volley::new("certificate", self.certified()?, shots))
    }

    /// The control request under a new certificate of the authority.
    pub(crate) fn certified(&self) -> Result<Shot, Need> {
        let identity = self.leaf()?.issue(self.authority()?)?;
        Ok(Shot::As(Some(identity), self.control()))
    }

    /// A certificate that the service accepts, to be changed.
    pub(crate) fn leaf(&self) -> Result<Leaf, Need> {
        let names = self.identity()?.names();
        match names.is_empty() {
            true => Err(Need("a client certificate with alternative names")),
            false => Ok(Leaf::new(names)),
        }
    }

    pub(crate) fn authority(&self) -> Result<&Authority, Need> {
        let remote = self.remote.filter(|remote| remote.tls);
        let remote = remote.ok_or(Need("a service behind an https URL"))?;
        let authority = remote.authority.as_ref();
        authority.ok_or(Need("the authority of clients (Remote::with_authority)"))
    }

    pub(crate) fn identity(&self) -> Result<&Identity, Need> {
        let remote = self.remote.filter(|remote| remote.tls);
        let remote = remote.ok_or(Need("a service behind an https URL"))?;
        let identity = remote.identity.as_ref();
        identity.ok_or(Need("a client certificate (Remote::with_certificate)"))
    }

    pub(crate) fn key_set(&self) -> Result<&Value, Need> {
        let key_set = self.target.key_set.as_ref();
        key_set.ok_or(Need("the issuer's key set (Target::with_key_set)"))
    }

    pub(crate) fn open_path(&self) -> Result<&str, Need> {
        let path = self.target.open_path.as_deref();
        path.ok_or(Need("an open route (Target::with_open_path)"))
    }

    /// What the credential does not allow, as a request with that credential.
    pub(crate) fn forbidden(&self) -> Result<Draft, Need> {
        let forbidden = self.target.forbidden.as_ref();
        let (method, path) =
            forbidden.ok_or(Need("a request that is forbidden (Target::with_forbidden)"))?;
        Ok(self.control().method(method).target(path))
    }

    pub(crate) fn limit(&self) -> Result<usize, Need> {
        let limit = self.target.limit;
        let limit = limit.ok_or(Need("a limit (Target::with_limit)"))?;
        usize::try_from(limit).map_err(|_| Need("a limit (Target::with_limit)"))
    }

    pub(crate) fn origin(&self) -> Result<&str, Need> {
        let origin = self.target.dpop.as_deref();
        origin.ok_or(Need(
            "a service that takes proofs of possession (Target::with_dpop)",
        ))
    }

    pub(crate) fn is_plain(&self) -> Result<(), Need> {
        match self.target.grpc {
            true => Err(Need("a service that is not gRPC")),
            false => Ok(()),
        }
    }

    pub(crate) fn over_http1(&self) -> Result<(), Need> {
        match (self.remote, self.http1) {
            (None, _) => Err(Need("a service behind a URL")),
            (_, false) => Err(Need("a service that takes HTTP/1.1")),
            _ => Ok(()),
        }
    }

    /// The scheme, if the service takes HTTP/2.
    pub(crate) fn over_http2(&self) -> Result<&'static str, Need> {
        match (self.remote, self.http2) {
            (None, _) => Err(Need("a service behind a URL")),
            (_, false) => Err(Need("a service that takes HTTP/2")),
            (Some(remote), _) => Ok(if remote.tls { "https" } else { "http" }),
        }
    }
}

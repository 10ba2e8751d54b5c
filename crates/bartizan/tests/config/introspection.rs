//! Opaque tokens, asked about as the file says.

use bartizan::config::Config;
use bartizan_testkit::{DevelopmentCa, Host, SigningAlgorithm, TokenIssuer};

use crate::sample::Folder;
use crate::service::call;

#[tokio::test]
async fn answers_are_as_large_as_the_file_lets_them_be() {
    let folder = Folder::new();
    let ca = DevelopmentCa::new("issuer.example").unwrap();
    let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256)
        .await
        .unwrap();
    issuer.add_client("orders", "hunter2");
    folder.write("client", "hunter2");
    folder.write("roots.pem", &ca.certificate_pem());
    let token = issuer.mint().token().audience("orders").scope("echo");
    let token = issuer.opaque(&token);
    let (name, endpoint) = (issuer.mint().issuer(), issuer.introspection_endpoint());
    for (fetch, expected) in [
        ("", None),
        (
            "fetch = { body_limit = '64KiB', deadline = '60s', connect_timeout = '60s' }",
            None,
        ),
        (
            "fetch = { body_limit = '64B' }",
            Some("jwt.introspection_unavailable"),
        ),
    ] {
        let text = format!(
            "[[rules.rule]]\nname = 'echo'\neffect = 'allow'\nfrom = [{{ scopes = ['echo'] }}]\n\
             [[tokens.issuer]]\nissuer = '{name}'\naudiences = ['orders']\n\
             [tokens.issuer.introspection]\nurl = '{endpoint}'\nevery_token = true\n\
             client_id = 'orders'\nsecret = 'file:client'\nroots = 'roots.pem'\n{fetch}\n"
        );
        let config = Config::load(folder.write("bartizan.toml", &text)).unwrap();
        let configured = config.build().await.unwrap();
        let call = call("192.0.2.1", None, Some(&token));
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), expected, "{fetch}");
    }
}

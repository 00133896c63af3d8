//! `lacon ui`: a local page that shows runs and traces.

use std::{net::Ipv4Addr, path::PathBuf, process::ExitCode};

use lacon_ui::Options;

use super::{Common, trace::read_file};
use crate::{args::ui::UiArgs, failure::Failure, signals::Signals, text};

/// Serves the page until a signal.
pub fn run(common: &Common, args: &UiArgs) -> Result<ExitCode, Failure> {
    let folder = match &args.dir {
        Some(dir) => dir.clone(),
        None => PathBuf::from(common.settings(&[])?.text("run.out")),
    };
    if !folder.exists() {
        return Err(Failure::input(format!(
            "{}: there is no such folder\nhint: name a folder with traces: lacon ui DIR",
            folder.display()
        )));
    }
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)
        .map_err(|e| Failure::input(format!("this system gives no random numbers: {e}")))?;
    let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let options = Options {
        folder,
        scorers: lacon_trading::traces::SCORERS,
        read: Box::new(|path| read_file(path).map_err(|failure| failure.message)),
        proxy: args.proxy,
        proxy_token: args.proxy_token.clone(),
        token: token.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::input(format!("cannot start the event loop: {e}")))?;
    let code = runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|e| {
                Failure::input(format!(
                    "cannot listen on 127.0.0.1:{}: {e}\nhint: --port 0 takes a free one",
                    args.port
                ))
            })?;
        let address =
            listener.local_addr().map_err(|e| Failure::input(format!("the listener has no address: {e}")))?;
        text::out(&format!("http://{address}/?token={token}"));
        text::note("open this address in a browser on this machine; Ctrl-C ends it");
        let mut signals = Signals::new();
        let mut code = 0;
        lacon_ui::serve(listener, options, async { code = signals.next().await })
            .await
            .map_err(|e| Failure::input(format!("the page cannot be served: {e}")))?;
        Ok(ExitCode::from(code))
    });
    // A file that is being read may take longer than a person waits.
    runtime.shutdown_background();
    code
}

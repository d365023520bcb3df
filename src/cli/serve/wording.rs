//! What is wrong with the settings of a service, in the words in which they were typed.

use std::path::Path;

use super::ServeArgs;
use crate::cli::CliError;
use crate::language::Location;
use crate::run::RunError;
use crate::scenario::ScenarioError;

/// Where settings stand in a file.
const SECTION: &str = "reference.";

/// The flags that were given in place of settings, as typed, behind the keys of those; of two keys that begin alike the longer one
/// first.
fn flags(args: &ServeArgs) -> Vec<(&'static str, String)> {
    let tls = &args.tls;
    let key = tls.key.as_ref().map(|key| ("--tls-key", key));
    let of_files = [
        ("reference.admission.tokens_file", "--tokens", &args.tokens_file),
        ("reference.admission.jwt.hs256", "--jwt-hs256", &args.jwt_hs256),
        ("reference.admission.jwt.eddsa", "--jwt-eddsa", &args.jwt_eddsa),
        ("reference.tls.client_ca", "--tls-client-ca", &tls.client_ca),
        ("reference.tls.client_crl", "--tls-client-crl", &tls.client_crl),
        ("reference.tls.cert", "--tls-cert", &tls.certificate),
    ];
    let typed = |flag: &str, file: &Path| format!("{flag} {}", file.display());
    let mut flags: Vec<_> = of_files
        .into_iter()
        .filter_map(|(key, flag, file)| Some((key, typed(flag, file.as_ref()?))))
        .collect();
    let own = key.or_else(|| Some(("--tls-cert", tls.certificate.as_ref()?)));
    flags.extend(own.map(|(flag, file)| ("reference.tls.key", typed(flag, file))));
    // The tokens themselves are nobody's business.
    flags.extend((!args.tokens.is_empty()).then(|| ("reference.admission.tokens", "--token".to_owned())));
    flags
}

/// What is wrong with the settings.
pub(super) fn of_settings(error: ScenarioError, args: &ServeArgs) -> CliError {
    let ScenarioError::Faulty(mut found) = error else { return CliError::usage(error) };
    let flags = flags(args);
    let is_whole = args.set.iter().any(|text| text.starts_with(SECTION));
    for problem in &mut found.problems {
        let Location::Given(words) = &mut problem.location else { continue };
        let key = words.trim_start_matches("--set ");
        let is_of =
            |own: &str| key.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some((_, flag)) = flags.iter().find(|(own, _)| is_of(own)) {
            words.clone_from(flag);
            problem.key.clear();
        } else if !is_whole {
            *words = words.replacen(SECTION, "", 1);
            problem.key = problem.key.trim_start_matches(SECTION).to_owned();
        }
    }
    CliError::usage(found)
}

/// What is wrong with the files that they name, or with the start of the service.
pub(super) fn of_start(error: RunError, args: &ServeArgs) -> CliError {
    let mut error = CliError::from(error);
    for (key, flag) in flags(args) {
        error.message = error.message.replace(key, &flag);
    }
    error
}

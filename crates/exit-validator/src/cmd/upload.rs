//! `exit-validator upload`: reports to object stores, and runs between hosts.

#[cfg(feature = "upload")]
pub(crate) use with::VERB;
#[cfg(not(feature = "upload"))]
pub(crate) const VERB: super::Verb = super::Verb::left_out(NAME, Some(NAME));

const NAME: &str = "upload";

#[cfg(feature = "upload")]
mod with {
    use std::path::Path;

    use clap::Args;
    use upload::app::{self, UploadError, UploadMachine};
    use upload::cli::{UploadCli, Usage};
    use upload::config::{self, ConfigError, Environment};
    use upload::err::Cause;
    use upload::progress::BarScreen;

    use crate::cmd::{Call, Verb, now, random, runtime};
    use crate::exit::Exit;
    use crate::terminal::{Ended, Failure, print, start_log};

    pub(crate) const VERB: Verb = Verb {
        name: super::NAME,
        link: Some(super::NAME),
        arguments: UploadCli::augment_args,
        run,
        exits: &[
            Exit::Output,
            Exit::Stores,
            Exit::Older,
            Exit::Late,
            Exit::Local,
            Exit::NoCredentials,
            Exit::Denied,
            Exit::NoBucket,
            Exit::ClockSkew,
            Exit::NoRoute,
            Exit::Throttled,
            Exit::Unavailable,
            Exit::Conflict,
            Exit::Unverified,
            Exit::Answer,
        ],
    };

    fn run(call: &Call<'_>) -> Ended {
        let cli: UploadCli = call.arguments();
        let screen = BarScreen::new(cli.progress());
        start_log(call.log, screen.clone());
        let usage =
            |error: &dyn std::error::Error| Failure::saying(Exit::Usage, &error.to_string());
        let file = cli.config_file().map(std::path::PathBuf::as_path);
        let environment = environment(file).map_err(|error| usage(&error))?;
        let only_check = cli.check_settings();
        let config = cli.check(&environment).map_err(|error| usage(&error))?;
        let targets = match config::targets(&environment, &config.targets) {
            Ok(targets) if only_check => {
                let names: String =
                    targets.iter().map(|target| format!("{}\n", target.name)).collect();
                print(names.as_bytes())?;
                return Ok(Exit::Done);
            }
            // That there is nowhere to upload to is no fault of the settings.
            Err(ConfigError::NoTarget) if only_check => {
                print(b"no store is enabled\n")?;
                return Ok(Exit::Done);
            }
            targets => targets.map_err(|error| usage(&error))?,
        };
        let machine = UploadMachine { chance, now, random: random() };
        // Hashing large files has threads of its own.
        match runtime()?.block_on(app::run(config, targets, machine, &screen)) {
            Ok(causes) => Ok(exit_of_all(&causes)),
            Err(error) => Err(Failure::saying(
                match error {
                    UploadError::Local(_) => Exit::Local,
                    UploadError::Internal(_) => Exit::Internal,
                },
                &error.to_string(),
            )),
        }
    }

    /// The file's settings, and over them those of the process.
    fn environment(file: Option<&Path>) -> Result<Environment, Usage> {
        let mut all = Environment::new();
        if let Some(path) = file {
            let bytes = std::fs::read(path)
                .map_err(|error| Usage(format!("cannot read {path:?}: {error}")))?;
            let settings =
                settings::parse(&bytes).map_err(|error| Usage(format!("{path:?}: {error}")))?;
            all.extend(settings.into_iter().map(|(name, setting)| (name, setting.value)));
        }
        let process = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        all.extend(process.filter(|(_, value)| !value.trim().is_empty()));
        Ok(all)
    }

    #[expect(clippy::disallowed_methods, reason = "the program's edge: the library takes it")]
    fn chance() -> f64 {
        rand::random()
    }

    /// How it ends where this ended a store's turn.
    const fn exit_of(cause: Cause) -> Exit {
        match cause {
            Cause::Local | Cause::Incomplete | Cause::Newer => Exit::Local,
            Cause::Deadline => Exit::Late,
            Cause::Older => Exit::Older,
            Cause::NoCredentials | Cause::BadKey => Exit::NoCredentials,
            Cause::Denied => Exit::Denied,
            Cause::NoBucket | Cause::Elsewhere => Exit::NoBucket,
            Cause::ClockSkew => Exit::ClockSkew,
            Cause::NoRoute => Exit::NoRoute,
            Cause::Throttled => Exit::Throttled,
            Cause::Unavailable => Exit::Unavailable,
            Cause::Conflict | Cause::OtherNotices => Exit::Conflict,
            Cause::Unverified => Exit::Unverified,
            Cause::NotFound
            | Cause::Changed
            | Cause::TooSoon
            | Cause::Unsupported
            | Cause::Other => Exit::Answer,
        }
    }

    /// How it ends where these stores' turns failed: as the one, or as several for one reason do.
    fn exit_of_all(causes: &[Cause]) -> Exit {
        let mut exits = causes.iter().copied().map(exit_of);
        match exits.next() {
            None => Exit::Done,
            Some(first) if exits.all(|exit| exit == first) => first,
            Some(_) => Exit::Stores,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn one_code_of_many() {
            assert_eq!(exit_of_all(&[]), Exit::Done);
            assert_eq!(exit_of_all(&[Cause::NoBucket, Cause::NoBucket]), Exit::NoBucket);
            assert_eq!(exit_of_all(&[Cause::NoCredentials, Cause::BadKey]), Exit::NoCredentials);
            assert_eq!(exit_of_all(&[Cause::BadKey, Cause::NoBucket]), Exit::Stores);
        }
    }
}

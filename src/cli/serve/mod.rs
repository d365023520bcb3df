//! `squall serve`: the bundled reference system alone.

mod exposure;
mod folder;
mod instance;
mod wording;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use self::folder::{FleetDevices, Folder};
use self::instance::InstanceArgs;
use super::CliError;
use super::args::LogForm;
use super::exit::Exit;
use super::screen;
use super::signal::Interrupts;
use crate::language::{quote, veiled};
use crate::reference::{self, Config, Issued, Server, TlsCredentials};
use crate::run::{bundled, certificate};
use crate::scenario::{Override, Overrides, load_setup};
use crate::service::{Setup, Tls};
use crate::units::Span;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ServeArgs {
    /// Address to listen on; where others than this machine reach it, ask for tokens
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) bind: IpAddr,

    /// Port of HTTP and WebSocket; 0 takes a free one [default: 8080, over TLS 8443]
    #[arg(long, value_name = "PORT")]
    pub(super) http_port: Option<u16>,

    /// Port of MQTT; 0 takes a free one [default: 1883, over TLS 8883]
    #[arg(long, value_name = "PORT")]
    pub(super) mqtt_port: Option<u16>,

    /// Answer HTTP requests for this name, too: else only those for localhost, a loopback address, or the address they came in at
    #[arg(long = "allow-host", value_name = "NAME", value_parser = allowed_host)]
    pub(super) hosts: Vec<String>,

    /// Let pages of this origin change things and open a WebSocket, too: else only the service's own may
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_parser = allowed_origin)]
    pub(super) origins: Vec<String>,

    #[command(flatten)]
    pub(super) tls: TlsArgs,

    /// A file with a [reference] section, such as a scenario
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Change one setting, such as queue.overflow=drop-oldest; docs/reference.md has them all
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,

    /// Log to standard error: nothing, lines of text, or JSON objects
    #[arg(long, value_enum, default_value_t = LogForm::Off)]
    pub(super) log: LogForm,

    /// Accept faults over POST /v1/faults
    #[arg(long)]
    pub(super) faults: bool,

    /// A token with all rights, in place of those in the file; '${NAME}' takes it from the environment, which no list of processes shows
    #[arg(long = "token", value_name = "TEXT")]
    pub(super) tokens: Vec<String>,

    /// A CSV file of tokens: token, and where stated rights (of publish, read and control, separated by spaces), device and name
    #[arg(long = "tokens", value_name = "FILE")]
    pub(super) tokens_file: Option<PathBuf>,

    /// Accept signed tokens (JWT) by the secret of HS256 in this file
    #[arg(long, value_name = "FILE")]
    pub(super) jwt_hs256: Option<PathBuf>,

    /// Accept signed tokens (JWT) by the public Ed25519 key in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(super) jwt_eddsa: Option<PathBuf>,

    #[command(flatten)]
    pub(super) instances: InstanceArgs,

    /// Threads that compute verdicts; 0 computes them where readings come in
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(super) workers: Option<u32>,

    /// Readings the queue holds before the service sheds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) queue: Option<u32>,

    /// Verdicts the cache holds; 0 turns it off
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub(super) cache: Option<u32>,

    /// Processor time one inference costs on top, such as 200us
    #[arg(long, value_name = "SPAN")]
    pub(super) inference: Option<Span>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsArgs {
    /// Speak TLS on all ports, by a throw-away authority; its certificates and keys are in this folder, which is made if need be
    #[arg(long = "tls", value_name = "DIR", num_args = 0..=1, default_missing_value = FOLDER)]
    folder: Option<PathBuf>,

    /// Leave certificates there for devices, too, such as those of meters=100: meters-00000.pem and so on
    #[arg(long = "tls-devices", value_name = "FLEET=N", conflicts_with = "certificate")]
    devices: Vec<FleetDevices>,

    /// Speak TLS by this certificate (a PEM file, its own first) instead
    #[arg(long = "tls-cert", value_name = "FILE", conflicts_with = "folder")]
    certificate: Option<PathBuf>,

    /// The key of that certificate; in the same file unless given
    #[arg(long = "tls-key", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Have clients show a certificate that these authorities issued
    #[arg(long = "tls-client-ca", value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Refuse clients whose certificate is in these revocation lists
    #[arg(long = "tls-client-crl", value_name = "FILE", requires = "client_ca")]
    client_crl: Option<PathBuf>,
}

/// The folder of a throw-away authority, unless another is named.
const FOLDER: &str = "squall-tls";

impl TlsArgs {
    fn asks(&self) -> bool {
        let files = [&self.folder, &self.certificate, &self.client_ca];
        files.iter().any(|file| file.is_some()) || !self.devices.is_empty()
    }

    /// Changes what a file says of TLS.
    fn amend(&self, setup: &mut Setup) {
        if !self.asks() {
            return;
        }
        let tls = setup.tls.get_or_insert_with(Tls::default);
        if let Some(certificate) = &self.certificate {
            let key = self.key.as_ref().unwrap_or(certificate);
            tls.certificate = Some((certificate.clone(), key.clone()));
        } else if self.folder.is_some() {
            tls.certificate = None;
        }
        if let Some(authorities) = &self.client_ca {
            tls.client_ca = Some(authorities.clone());
            tls.demands_certificates = true;
            tls.client_crl.clone_from(&self.client_crl);
        }
    }

    /// Where the files of a throw-away authority lie.
    fn folder(&self) -> Folder<'_> {
        Folder(self.folder.as_deref().unwrap_or(Path::new(FOLDER)))
    }
}

fn allowed_host(text: &str) -> Result<String, String> {
    reference::host(text).ok_or_else(|| "no name of a host; write for example squall.test".to_owned())
}

fn allowed_origin(text: &str) -> Result<String, String> {
    reference::origin(text).ok_or_else(|| "no origin; write for example https://lab.example:8443".to_owned())
}

/// Serves until the first interrupt.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit, CliError> {
    let setup = setup(args)?;
    if let Some(count) = args.instances.count {
        return instance::serve_several(args, &setup, usize::from(count));
    }
    let (http, mqtt) = if setup.tls.is_some() { (8_443, 8_883) } else { (8_080, 1_883) };
    let config = Config {
        bind: args.bind,
        http_port: args.http_port.unwrap_or(http),
        mqtt_port: args.mqtt_port.unwrap_or(mqtt),
        hosts: args.hosts.clone(),
        origins: args.origins.clone(),
        tls: setup.tls.as_ref().map(|tls| credentials(args, tls)).transpose()?,
        setup,
        ..Config::default()
    };
    log(args.log);
    let interrupts = Interrupts::listen(|_| {}).map_err(CliError::failed)?;
    let server = bundled::start(&config).map_err(|error| wording::of_start(error, args))?;
    if let Some(warning) = exposure::warning(args.bind, &config.setup) {
        warn(&warning, args.log);
    }
    announce(&server, args, &config.setup)
        .map_err(|error| CliError::failed(format!("cannot write to standard output: {error}")))?;
    if args.instances.tethered {
        instance::wait(&interrupts);
    } else {
        interrupts.wait();
    }
    bundled::record(&server, &config.setup)?;
    server.stop();
    Ok(Exit::Fine)
}

/// Has events written to standard error; who never asks for them pays nothing for them.
fn log(form: LogForm) {
    let lines = tracing_subscriber::fmt().with_writer(io::stderr).with_target(false);
    // A second attempt in one process, as in tests, finds the first one's.
    let _ = match form {
        LogForm::Off => Ok(()),
        LogForm::Text => lines.with_ansi(false).try_init(),
        LogForm::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Says so on standard error, as a line of the log where there is one.
fn warn(text: &str, log: LogForm) {
    match log {
        LogForm::Off => screen::note(&format!("warning: {text}")),
        LogForm::Text | LogForm::Json => tracing::warn!("{text}"),
    }
}

/// The flags on tokens as settings. Paths are those of the command line, not of the file.
fn keys(args: &ServeArgs) -> Result<Vec<Override>, CliError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut set = Vec::new();
    if !args.tokens.is_empty() {
        let tokens: Vec<String> = args.tokens.iter().map(|token| quoted(token)).collect();
        set.push(format!("reference.admission.tokens=[{}]", tokens.join(", ")));
    }
    for (key, path) in [
        ("tokens_file", &args.tokens_file),
        ("jwt.hs256.file", &args.jwt_hs256),
        ("jwt.eddsa.file", &args.jwt_eddsa),
    ] {
        let Some(path) = path else { continue };
        let path = std::path::absolute(path).map_err(CliError::failed)?;
        set.push(format!("reference.admission.{key}={}", quoted(&path.display().to_string())));
    }
    set.iter().map(|text| Override::parse(text).map_err(CliError::usage)).collect()
}

/// What the file says, changed by `--set`, changed by the flags.
fn setup(args: &ServeArgs) -> Result<Setup, CliError> {
    let set = args.set.iter().map(|text| {
        let whole = if text.starts_with("reference.") { text.clone() } else { format!("reference.{text}") };
        Override::parse(&whole).map_err(|_| {
            CliError::usage(format!(
                "--set {}: no setting; write KEY=VALUE, for example queue.overflow=drop-oldest",
                quote(&veiled(text))
            ))
        })
    });
    let set = set.chain(keys(args)?.into_iter().map(Ok)).collect::<Result<_, _>>()?;
    let overrides = Overrides { set, ..Overrides::default() };
    let mut setup =
        load_setup(args.config.as_deref(), &overrides).map_err(|error| wording::of_settings(error, args))?;
    setup.faults |= args.faults;
    setup.supervised = args.instances.tethered;
    if let Some(count) = args.workers {
        setup.workers.count = count as usize;
    }
    if let Some(capacity) = args.queue {
        setup.queue.capacity = capacity as usize;
    }
    if let Some(capacity) = args.cache {
        setup.cache.capacity = capacity as usize;
    }
    if let Some(cost) = args.inference {
        setup.inference.cost = cost;
    }
    args.tls.amend(&mut setup);
    Ok(setup)
}

/// What the service speaks TLS with; throw-away certificates are left in their folder.
fn credentials(args: &ServeArgs, tls: &Tls) -> Result<TlsCredentials, CliError> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let bound = (!args.bind.is_unspecified()).then(|| args.bind.to_string());
    names.extend(bound.into_iter().chain(args.hosts.iter().cloned()));
    names.dedup();
    let folder = args.tls.folder();
    let authority = if tls.is_throw_away() { Some(folder.authority()?) } else { None };
    let secured =
        certificate::secured(tls, &names, authority).map_err(|error| wording::of_start(error, args))?;
    if let Some(authority) = &secured.authority {
        let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
        let credentials = &secured.credentials;
        let own = Issued { certificate: text(&credentials.certificate), key: text(&credentials.key) };
        folder.write("server", &own)?;
        folder.add_devices(authority, &args.tls.devices)?;
    }
    Ok(secured.credentials)
}

/// Prints the addresses, one per line, ready to be copied behind `--target`.
fn announce(server: &Server, args: &ServeArgs, setup: &Setup) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let page = bundled::page(server);
    writeln!(out, "squall reference system")?;
    for (protocol, url) in bundled::addresses(server) {
        writeln!(out, "  {:<5} {url}", protocol.name())?;
    }
    writeln!(out, "  page     {page}")?;
    writeln!(out, "  health   {page}health")?;
    writeln!(out, "  metrics  {page}metrics")?;
    if let Some(found) = server.restored() {
        writeln!(out, "  state    {found}")?;
    }
    if setup.admission.asks() {
        writeln!(out, "  tokens   asked for: Authorization: Bearer TOKEN, over MQTT the password")?;
    }
    if let Some(tls) = setup.tls.as_ref().filter(|tls| tls.is_throw_away()) {
        instruct(&mut out, server, &args.tls.folder(), tls)?;
    }
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

/// Says how to use the certificates of the throw-away authority, in lines to be copied.
fn instruct(out: &mut impl Write, server: &Server, folder: &Folder<'_>, tls: &Tls) -> io::Result<()> {
    let shown = |name: &str| folder.path(name).display().to_string();
    // No certificate is of the address that stands for all.
    let place = |address: SocketAddr| match address.ip() {
        ip if ip.is_unspecified() => ("localhost".to_owned(), format!("localhost:{}", address.port())),
        ip => (ip.to_string(), address.to_string()),
    };
    let ((_, http), (mqtt_host, mqtt)) = (place(server.http_addr()), place(server.mqtt_addr()));
    let certified = if tls.issues_clients() {
        format!(" --cert {} --key {}", shown("device.pem"), shown("device.key"))
    } else {
        String::new()
    };
    let ca = shown("ca.pem");
    // A scenario's paths begin where it lies.
    let whole = std::path::absolute(folder.0).unwrap_or_else(|_| folder.0.to_owned());
    let devices = if tls.issues_clients() {
        let of = |name: &str| whole.join(name).display().to_string();
        format!(
            " --set 'target.tls.cert={}' --set 'target.tls.key={}'",
            of("{{device}}.pem"),
            of("{{device}}.key")
        )
    } else {
        String::new()
    };
    writeln!(out, "certificates of a throw-away authority are in {}:", folder.0.display())?;
    writeln!(out, "  curl --cacert {ca}{certified} https://{http}/health")?;
    writeln!(
        out,
        "  mosquitto_pub --cafile {ca}{certified} -h {mqtt_host} -p {} -q 1 -t devices/d/readings -m '{{\"device\":\"d\",\"seq\":1,\"value\":21.5}}'",
        server.mqtt_addr().port()
    )?;
    write!(out, "  squall run SCENARIO.toml")?;
    for (protocol, url) in reference::addresses(&http, &mqtt, true) {
        write!(out, " --target {}={url}", protocol.name())?;
    }
    writeln!(out, " --set 'target.tls.ca={}'{devices}", whole.join("ca.pem").display())
}

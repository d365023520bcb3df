//! What CI systems are given, `action.yml` and `contrib/gitlab/squall.yml`: the shell of their steps, executed against the bundled
//! service with stand-ins for `gh`, `cargo` and GitLab's API.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use squall::reference::{Config, Server};

use crate::http_service::Service;
use crate::program::{only_run, told};
use crate::skip;

const SCENARIO: &str = r#"
[scenario]
name = "small"
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "500ms"
[[phase]]
name = "steady"
duration = "500ms"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "100/s"
"#;

/// Keeps what it is asked, and finds the releases and comments that lie in the home.
const GH: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$HOME/gh.txt"
case "$1 $2" in
"release download")
    [ -d "$HOME/release" ] && cp "$HOME/release"/* "$7" ;;
"api --paginate")
    cat "$HOME/comments.txt" ;;
esac
"#;

/// "Builds" the program under test; it is too busy once where the home says so.
const CARGO: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$HOME/cargo.txt"
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
cat >"$2/bin/squall" <<WRAPPER
#!/bin/sh
if [ "\$1" = run ] && [ -e "$HOME/busy" ]; then
    rm "$HOME/busy"
    exit 12
fi
exec $SQUALL "\$@"
WRAPPER
chmod +x "$2/bin/squall"
"#;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The lines of `text` that stand deeper than `margin`, from behind the line `head` on, without the margin.
fn block(text: &str, head: &str, margin: usize) -> Option<String> {
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    let inside = lines.take_while(|line| line.is_empty() || line.starts_with(&" ".repeat(margin)));
    let lines: Vec<_> = inside.map(|line| line.get(margin..).unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

/// The pairs `key: value` at the margin of a block.
fn pairs(block: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(": ").filter(|_| !line.starts_with([' ', '#', '-']))?;
        Some((key.to_owned(), value.trim_matches('"').to_owned()))
    };
    block.lines().filter_map(pair).collect()
}

/// A machine of CI: a home with programs of its own, and a checkout.
struct Machine {
    folder: tempfile::TempDir,
    /// Expressions of the workflow, and what they stand for.
    values: BTreeMap<String, String>,
    path: Vec<PathBuf>,
    server: Server,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["bin", "home", "checkout"] {
            fs::create_dir(folder.path().join(place)).unwrap();
        }
        for (name, text) in [("gh", GH), ("cargo", CARGO)] {
            let program = folder.path().join("bin").join(name);
            fs::write(&program, text).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let machine = Self {
            path: vec![folder.path().join("bin")],
            folder,
            values: BTreeMap::new(),
            server: Server::start(&Config::default()).unwrap(),
        };
        machine.write("checkout/load.toml", SCENARIO);
        machine.write("checkout/out of reach.toml", "[[budget]]\nname = \"hopeless\"\np50 = \"<1us\"\n");
        machine.write("home/comments.txt", "");
        machine
    }

    fn at(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    fn write(&self, place: &str, text: &str) {
        fs::write(self.at(place), text).unwrap();
    }

    fn read(&self, place: &str) -> String {
        fs::read_to_string(self.at(place)).unwrap_or_default()
    }

    /// An argument per line.
    fn arguments(&self) -> String {
        format!("--target=http=http://{}/v1/readings\n--budget=out of reach.toml", self.server.http_addr())
    }

    /// Executes a script in the checkout.
    fn execute(&self, shell: &[&str], script: &str, variables: &BTreeMap<String, String>) -> Output {
        self.write("script", script);
        let own = self.path.iter().rev().cloned();
        let systems = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
        let path = std::env::join_paths(own.chain(systems)).unwrap();
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(self.at("script"))
            .current_dir(self.at("checkout"))
            .stdin(Stdio::null());
        command.env("PATH", path).env("HOME", self.at("home")).env("SQUALL", env!("CARGO_BIN_EXE_squall"));
        command.env("no_proxy", "127.0.0.1").envs(variables).output().unwrap()
    }

    /// Executes the step of `action.yml` that has this name, as GitHub does.
    fn step(&mut self, name: &str) -> Output {
        let action = file("action.yml");
        let step =
            action.split("\n    - ").find(|step| step.starts_with(&format!("name: {name}\n"))).unwrap();
        let mut variables: BTreeMap<_, _> = pairs(&block(step, "      env:", 8).unwrap_or_default());
        for value in variables.values_mut() {
            let expression = value.strip_prefix("${{ ").and_then(|rest| rest.strip_suffix(" }}")).unwrap();
            *value = self.values.get(expression).unwrap_or_else(|| panic!("{name}: {expression}")).clone();
        }
        for (variable, value) in [
            ("RUNNER_OS", "Linux"),
            ("RUNNER_ARCH", "X64"),
            ("GITHUB_SHA", "0123abc"),
            ("GITHUB_REPOSITORY", "them/app"),
            ("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR")),
        ] {
            variables.insert(variable.into(), value.into());
        }
        for (variable, file) in
            [("GITHUB_OUTPUT", "output"), ("GITHUB_PATH", "path"), ("GITHUB_STEP_SUMMARY", "summary.md")]
        {
            variables.insert(variable.into(), self.at(file).display().to_string());
        }
        let script = block(step, "      run: |", 8).unwrap();
        let output = self.execute(&["bash", "--noprofile", "--norc", "-eo", "pipefail"], &script, &variables);
        let id = pairs(&step.replace("      ", "")).remove("id").unwrap_or_default();
        for line in self.read("output").lines() {
            let (key, value) = line.split_once('=').unwrap();
            self.values.insert(format!("steps.{id}.outputs.{key}"), value.to_owned());
        }
        self.path.extend(self.read("path").lines().map(PathBuf::from));
        for file in ["output", "path"] {
            self.write(file, "");
        }
        output
    }

    /// Gives an input of the action.
    fn give(&mut self, input: &str, value: &str) {
        self.values.insert(format!("inputs.{input}"), value.to_owned());
    }

    fn output(&self, name: &str) -> &str {
        &self.values[&format!("steps.load.outputs.{name}")]
    }
}

#[track_caller]
fn assert_fine(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

/// A budget out of reach failed, or this machine was too busy to judge it.
#[track_caller]
fn assert_judged(output: &Output) -> i32 {
    let code = output.status.code().unwrap();
    assert!(matches!(code, 99 | 12), "{}", told(output));
    if code == 12 {
        skip::disturbed("the machine was too busy to judge budgets");
    }
    code
}

#[test]
fn no_step_has_what_others_write_in_its_shell() {
    let workflows = [".github/workflows/ci.yml", ".github/workflows/release.yml", "action.yml"];
    for path in workflows {
        let text = file(path);
        let mut inside = None;
        for line in text.lines() {
            let depth = line.len() - line.trim_start().len();
            if inside.is_some_and(|shell| depth <= shell && !line.is_empty()) {
                inside = None;
            }
            assert!(inside.is_none() || !line.contains("${{ github.event"), "{path}: {line}");
            assert!(inside.is_none() || !line.contains("${{ inputs"), "{path}: {line}");
            if line.trim_start().trim_start_matches("- ").starts_with("run: |") {
                inside = Some(depth);
            }
        }
    }
}

#[test]
fn the_action_installs_runs_repeats_and_comments() {
    let mut machine = Machine::new();
    let inputs = block(&file("action.yml"), "inputs:", 2).unwrap();
    for input in inputs.lines().filter(|line| !line.starts_with(' ')).map(|line| line.trim_end_matches(':')) {
        let default = pairs(&block(&inputs, &format!("{input}:"), 2).unwrap())["default"].clone();
        machine.give(input, &default);
    }
    machine.give("scenario", "load.toml");
    machine.give("arguments", &machine.arguments());
    for (expression, value) in [
        ("github.action_repository", "us/squall"),
        ("github.action_ref", "v9"),
        ("github.event.pull_request.number", "7"),
    ] {
        machine.values.insert(expression.into(), value.into());
    }
    install(&mut machine);

    // Too busy at first, and then a budget is out of reach.
    machine.write("home/busy", "");
    let output = machine.step("Load");
    let code = assert_judged(&output);
    assert!(!machine.at("home/busy").exists());
    assert_eq!(machine.output("exit-code"), code.to_string());
    assert!(machine.output("run").starts_with("squall-out/results/2/small/"), "{}", machine.output("run"));
    assert!(told(&output).contains("\n::"), "{}", told(&output));
    assert!(code == 12 || machine.read("summary.md").contains("hopeless"), "{}", machine.read("summary.md"));
    for file in ["junit.xml", "page.html", "comment.md", "metrics.txt"] {
        assert!(!machine.read(&format!("checkout/squall-out/{file}")).is_empty(), "{file}");
    }
    // What has no run has no outputs, and is not tried again.
    machine.give("scenario", "nothing.toml");
    machine.give("out", "nothing");
    let output = machine.step("Load");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert_eq!(machine.output("exit-code"), "2");
    assert_fine(&machine.step("Comment"));
    assert!(!machine.read("home/gh.txt").contains("api"), "there is nothing to say");

    machine.give("out", "squall-out");
    assert_fine(&machine.step("Comment"));
    machine.write("home/comments.txt", "55\n56\n");
    assert_fine(&machine.step("Comment"));
    let asked = machine.read("home/gh.txt");
    for word in [
        "select(.body | startswith(\"<!-- squall:run:small -->\"))",
        "pr comment 7 --repo them/app --body-file squall-out/comment.md\n",
        "--method PATCH repos/them/app/issues/comments/55 -F body=@squall-out/comment.md\n",
    ] {
        assert_eq!(asked.matches(word).count().min(1), 1, "{word}: {asked}");
    }
}

/// By building what came with the action, from the cache, and from a release.
fn install(machine: &mut Machine) {
    assert_fine(&machine.step("Identify"));
    let folder = PathBuf::from(&machine.values["steps.squall.outputs.folder"]);
    let output = machine.step("Install");
    assert_fine(&output);
    let built = format!("install --locked --path {} --root", env!("CARGO_MANIFEST_DIR"));
    assert!(machine.read("home/cargo.txt").starts_with(&built), "{}", machine.read("home/cargo.txt"));
    assert!(told(&machine.step("Install")).starts_with("cached\nsquall "));
    let wrapper = fs::read(folder.join("squall")).unwrap();

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(machine.at("home/release")).unwrap();
    let name = format!("squall-9.0.0-{}-unknown-linux-gnu", std::env::consts::ARCH);
    fs::write(machine.at("home/release").join(&name), wrapper).unwrap();
    let sum = format!("cd \"$HOME/release\" && sha256sum {name} >{name}.sha256");
    assert_fine(&machine.execute(&["sh"], &sum, &BTreeMap::new()));
    let output = machine.step("Install");
    assert_fine(&output);
    assert!(told(&output).contains(&format!("{name}: OK")), "{}", told(&output));
    assert_eq!(machine.read("home/cargo.txt").lines().count(), 1, "what is released is not built");
    let asked = format!("release download v9 --repo us/squall --dir {}", folder.display());
    assert!(machine.read("home/gh.txt").contains(&asked), "{}", machine.read("home/gh.txt"));
    assert_eq!(machine.path.last(), Some(&folder));

    // What is not what was released is not installed.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(machine.at("home/release").join(&name), "another").unwrap();
    assert_fine(&machine.step("Install"));
    assert_eq!(machine.read("home/cargo.txt").lines().count(), 2, "it is built instead");
}

/// The script of a job under such a key, all items of it.
fn script(job: &str, key: &str) -> String {
    let items = block(job, &format!("  {key}:"), 4).unwrap();
    items
        .split("- |\n")
        .map(|item| {
            item.lines()
                .map(|line| line.get(2..).unwrap_or_default())
                .fold(String::new(), |all, line| all + line + "\n")
        })
        .collect()
}

#[test]
fn the_template_installs_runs_and_comments() {
    let machine = Machine::new();
    let job = file("contrib/gitlab/squall.yml");
    let checkout = machine.at("checkout");
    let mut variables = pairs(&block(&job, "  variables:", 4).unwrap());
    for (name, value) in [
        ("SQUALL_GIT", "https://example.com/squall.git"),
        ("SQUALL_TAG", "v9"),
        ("SQUALL_ARGUMENTS", &machine.arguments()),
        ("CI_PROJECT_DIR", checkout.to_str().unwrap()),
        ("CI_COMMIT_SHORT_SHA", "0123abc"),
    ] {
        variables.insert(name.into(), value.into());
    }
    machine.write("home/busy", "");
    // It is GitLab that runs the job again.
    let busy = machine.execute(&["sh", "-e"], &script(&job, "script"), &variables);
    assert_eq!(busy.status.code(), Some(12), "{}", told(&busy));
    let output = machine.execute(&["sh", "-e"], &script(&job, "script"), &variables);
    assert_judged(&output);
    let built = machine.read("home/cargo.txt");
    let asked = format!(
        "install --locked --git https://example.com/squall.git --tag v9 --root {}/.squall squall\n",
        checkout.display()
    );
    assert_eq!(built, asked, "once");
    only_run(&checkout.join("squall-out/results"));
    for file in ["junit.xml", "page.html", "comment.md", "metrics.txt"] {
        assert!(!machine.read(&format!("checkout/squall-out/{file}")).is_empty(), "{file}");
    }
    comments_on_the_merge_request(&machine, &script(&job, "after_script"), &mut variables);
}

fn comments_on_the_merge_request(machine: &Machine, script: &str, variables: &mut BTreeMap<String, String>) {
    const OTHERS_AND_OWN: &str =
        r#"[{"id": 54, "body": "well done"}, {"id": 55, "body": "<!-- squall:run:small -->\nold text"}]"#;
    if !Command::new("python3").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return skip::missing("python3");
    }
    // Without a token, or outside a merge request.
    assert_fine(&machine.execute(&["sh", "-e"], script, variables));
    let notes = "/projects/3/merge_requests/7/notes";
    for (listed, last) in [("[]", format!("POST {notes} ")), (OTHERS_AND_OWN, format!("PUT {notes}/55 "))] {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", listed.len());
        let api = Service::start((head + listed).leak());
        for (name, value) in [
            ("CI_API_V4_URL", format!("http://{}", api.addr())),
            ("CI_MERGE_REQUEST_PROJECT_ID", "3".to_owned()),
            ("CI_MERGE_REQUEST_IID", "7".to_owned()),
            ("SQUALL_NOTE_TOKEN", "a-token".to_owned()),
        ] {
            variables.insert(name.into(), value);
        }
        assert_fine(&machine.execute(&["sh", "-e"], script, variables));
        let lines = api.request_lines();
        assert_eq!(lines[0], format!("GET {notes}?per_page=100&page=1 HTTP/1.1"), "{lines:?}");
        assert!(lines.len() == 2 && lines[1].starts_with(&last), "{lines:?}");
        assert!(api.heads().iter().all(|head| head.to_lowercase().contains("private-token: a-token\r\n")));
    }
}

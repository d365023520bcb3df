//! Pages of Markdown, as far as tests look into them: which there are, their blocks of code, and the commands in those.

use std::fs;
use std::path::Path;

/// A fenced block of code.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The first word after the fence.
    pub(crate) language: String,
    /// The second: what the reader is told to save it as.
    pub(crate) file: Option<String>,
    pub(crate) text: String,
}

/// The README and every page under `docs`: path from the root of the repository, and text.
pub(crate) fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec!["README.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    let read = |path: String| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    };
    found.into_iter().map(read).collect()
}

/// The blocks of a page in their order, also those that are indented as a part of a list.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in page.lines() {
        let body = line.trim_start();
        match open.take() {
            Some((_, block)) if body == "```" => blocks.push(block),
            Some((indent, mut block)) => {
                block.text += line.get(indent..).unwrap_or_default();
                block.text.push('\n');
                open = Some((indent, block));
            }
            None => {
                let Some(info) = body.strip_prefix("```") else { continue };
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let block = Block { language, file: words.next(), text: String::new() };
                open = Some((line.len() - body.len(), block));
            }
        }
    }
    blocks
}

/// The commands of a block in the language of a shell (`sh`), or after the prompts of a session (`console`); continued lines
/// are joined.
pub(crate) fn commands(block: &Block) -> Vec<String> {
    let text = block.text.replace("\\\n", " ");
    let command = |line: &str| match block.language.as_str() {
        "sh" => Some(line.trim().to_owned()),
        "console" => line.strip_prefix("$ ").map(str::to_owned),
        _ => None,
    };
    let typed = |line: &String| !line.is_empty() && !line.starts_with('#');
    text.lines().filter_map(command).filter(typed).collect()
}

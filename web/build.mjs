// Usage: node build.mjs OUT. Writes the page into the folder OUT, and removes what was there.
//
// The output depends on the sources and on the lockfile alone: names have a hash of the content, and no path or time gets
// into it. So CI can compare a fresh build with the one that is committed.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const [out] = process.argv.slice(2);
if (!out) throw new Error('usage: node build.mjs OUT');

const result = await build({
  absWorkingDir: here, entryPoints: ['src/main.tsx', 'src/style.css'], outdir: 'out', write: false, bundle: true, minify: true, format: 'esm',
  target: ['es2022', 'chrome120', 'firefox120', 'safari17'], legalComments: 'none', metafile: true, logLevel: 'warning', charset: 'utf8',
});

const files = new Map();
/** Adds a file under a name with a hash of its content, and returns the name. */
function add(name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 10);
  const hashed = `assets/${name.replace('.', `-${hash}.`)}`;
  files.set(hashed, content);
  return hashed;
}
const output = (ending) => result.outputFiles.find(({ path }) => path.endsWith(ending)).contents;
const names = {
  script: add('page.js', output('main.js')),
  style: add('page.css', output('style.css')),
  icon: add('icon.svg', readFileSync(join(here, 'src/icon.svg'))),
};
files.set('index.html', readFileSync(join(here, 'src/index.html'), 'utf8').replace(/\{\{(\w+)\}\}/g, (_, name) => names[name]));
files.set('licenses.txt', licences());

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'assets'), { recursive: true });
for (const [name, content] of files) writeFileSync(join(out, name), content);

/** The licences of the packages that the script contains: their licence file, else the notices at the top of their files. */
function licences() {
  const packages = new Map();
  for (const input of Object.keys(result.metafile.inputs)) {
    const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(input) ?? [];
    if (name) packages.set(name, [...packages.get(name) ?? [], input]);
  }
  const texts = [...packages].sort(([a], [b]) => a < b ? -1 : 1).map(([name, inputs]) => {
    const folder = join(here, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? readFileSync(join(folder, file), 'utf8') : notices(inputs);
    if (!text) throw new Error(`${name} ${version} has neither a licence file nor notices`);
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return [...texts, readFileSync(join(here, '../LICENSE'), 'utf8')].join(`\n${'-'.repeat(80)}\n\n`);
}

/** The comments at the top of files, each once. */
function notices(inputs) {
  const all = new Set();
  for (const input of inputs) {
    const [top = ''] = /^(\/\/.*\n)*/.exec(readFileSync(join(here, input), 'utf8')) ?? [];
    if (/copyright/i.test(top)) all.add(top.replace(/^\/\/ ?/gm, ''));
  }
  return [...all].sort().join('\n');
}

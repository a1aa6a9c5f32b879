// Makes of ../public what a server is best given where the way is long, as through Tor: few files, each
// named by its content, so that a browser keeps them for good and asks for the page alone. The sources
// stay plain modules, and work without this.
//
// node build.js OUT

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build as bundle } from "esbuild";

const HERE = fileURLToPath(new URL("./", import.meta.url));

/** The pages, as they are in this repository. */
const PUBLIC = resolve(HERE, "../public");

/** Where the files lie that are named by their content. */
const ASSETS = "assets";

/** What is copied as it is. */
const COPIED = ["favicon.svg", "vendor/uplot/LICENSE"];

/**
 * @param {string} name
 * @param {string | Uint8Array} content
 * @returns {string} the name with a part of the content's hash
 */
function hashed(name, content) {
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 12);
  return name.replace(/(\.\w+)$/, `-${digest}$1`);
}

/**
 * All style sheets of the page as one, in their order.
 * @param {string} html
 * @param {string} pages
 * @returns {Promise<string>}
 */
async function styles(html, pages) {
  const links = [...html.matchAll(/<link rel="stylesheet" href="([^"]+)"(?: media="(\w+)")?>/g)];
  const parts = await Promise.all(
    links.map(async ([, href, media]) => {
      const text = await readFile(join(pages, href), "utf8");
      return media === undefined ? text : `@media ${media} {\n${text}\n}`;
    }),
  );
  const { outputFiles } = await bundle({
    stdin: { contents: parts.join("\n"), loader: "css" },
    minify: true,
    write: false,
    logLevel: "error",
    // Nesting and light-dark() stay as they are written.
    target: "esnext",
  });
  return outputFiles[0].text;
}

/**
 * The scripts: one that the page needs, and one that comes when somebody looks at the trends.
 * @param {string} pages
 * @returns {Promise<{files: Map<string, Uint8Array>, entry: string, early: string}>} `files` by name
 */
async function scripts(pages) {
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const shared = /** @type {const} */ ({
    bundle: true,
    minify: true,
    write: false,
    target: "esnext",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    outdir: ASSETS,
    logLevel: "error",
    legalComments: "inline",
  });
  const modules = await bundle({
    ...shared,
    entryPoints: [join(pages, "js/main.js")],
    format: "esm",
    splitting: true,
  });
  const early = await bundle({
    ...shared,
    entryPoints: [join(pages, "js/theme-early.js")],
    format: "iife",
  });
  for (const { path, contents } of [...modules.outputFiles, ...early.outputFiles]) {
    files.set(basename(path), contents);
  }
  /** @type {(stem: string) => string} */
  const named = (stem) => {
    const name = [...files.keys()].find((one) => one.startsWith(`${stem}-`));
    if (name === undefined) throw new Error(`no ${stem} was made`);
    return name;
  };
  // What the first script imports at once is asked for with it.
  return { files, entry: named("main"), early: named("theme-early") };
}

/**
 * The page, which names the few files in the place of the many.
 * @param {string} html
 * @param {{style: string, early: string, entry: string, chunks: readonly string[]}} names
 * @returns {string}
 */
export function page(html, { style, early, entry, chunks }) {
  const preload = chunks
    .map((name) => `    <link rel="modulepreload" href="${ASSETS}/${name}">\n`)
    .join("");
  return html
    .replace(/ *<!-- Every module[^\n]*-->\n/, "")
    .replace(/ *<link rel="modulepreload"[^\n]*\n/g, "")
    .replace(/ *<link rel="stylesheet"[^\n]*\n/g, "")
    .replace(
      /( *)<script src="js\/theme-early\.js"><\/script>\n/,
      `$1<script src="${ASSETS}/${early}"></script>\n$1<link rel="stylesheet" href="${ASSETS}/${style}">\n${preload}`,
    )
    .replace("js/main.js", `${ASSETS}/${entry}`);
}

/**
 * @param {Uint8Array} content of a module
 * @returns {string[]} the files beside it that it imports at once
 */
function importsOf(content) {
  const text = new TextDecoder().decode(content);
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*"\.\/([\w.-]+\.js)"/g)].map(([, name]) => name);
}

/**
 * Builds into a directory, which is emptied of an earlier build's files first.
 * @param {string} out
 * @param {string} [pages]
 * @returns {Promise<string[]>} the files made
 */
export async function build(out, pages = PUBLIC) {
  const html = await readFile(join(pages, "index.html"), "utf8");
  const css = await styles(html, pages);
  const style = hashed("style.css", css);
  const { files, entry, early } = await scripts(pages);
  const chunks = [...new Set(importsOf(files.get(entry) ?? new Uint8Array()))];
  await rm(join(out, ASSETS), { recursive: true, force: true });
  /** @type {Map<string, string | Uint8Array>} */
  const made = new Map();
  for (const [name, content] of files) made.set(`${ASSETS}/${name}`, content);
  made.set(`${ASSETS}/${style}`, css);
  for (const name of COPIED) made.set(name, await readFile(join(pages, name)));
  // Last: it names all others.
  made.set("index.html", page(html, { style, early, entry, chunks }));
  for (const [name, content] of made) {
    const path = join(out, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return [...made.keys()];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [out, more] = process.argv.slice(2);
  if (out === undefined || more !== undefined || out.startsWith("-")) {
    console.error("usage: node build.js OUT");
    process.exit(2);
  }
  for (const name of await build(resolve(out))) console.log(name);
}

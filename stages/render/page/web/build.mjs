// Builds ../page.html, ../page_licences.txt and ../page.json from this folder: npm ci && npm run build.
// With --check DIRECTORY the three files are written there instead.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const at = process.argv.indexOf("--check");
const target = at < 0 ? join(here, "..") : process.argv[at + 1];
const read = (...path) => readFileSync(join(here, ...path), "utf8");
const digest = (text, encoding = "hex") => createHash("sha256").update(text, "utf8").digest(encoding);

const bundle = async (entry, extra) => {
  const made = await build({ entryPoints: [join(here, "src", entry)], bundle: true, minify: true, write: false, target: "es2022", charset: "utf8", ...extra });
  return made.outputFiles[0].text.trim();
};

const three = JSON.parse(read("node_modules", "three", "package.json"));
const licence = read("node_modules", "three", "LICENSE").trim();
const notice = `/*! three.js ${three.version}\n${licence.replaceAll("*/", "* /")}\n*/`;
// "</script" and "<!--" would end or comment out the element that holds the script
const script = `${notice}\n${await bundle("main.js", { format: "iife", legalComments: "none" })}`.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const style = await bundle("style.css");
const parts = { SCRIPT: script, STYLE: style, SCRIPT_DIGEST: digest(script, "base64"), STYLE_DIGEST: digest(style, "base64") };
const page = read("src", "page.html").replace(/@(SCRIPT|STYLE|SCRIPT_DIGEST|STYLE_DIGEST)@/g, (_, name) => parts[name]);

const sources = ["build.mjs", "package.json", "package-lock.json", ...readdirSync(join(here, "src")).sort().map((name) => `src/${name}`)];
const manifest = {
  comment: "sha256 of the built page and of what it was built from; tests/render/test_page_bundle.py compares them",
  three: three.version,
  page: digest(page),
  sources: Object.fromEntries(sources.map((name) => [name, digest(read(...name.split("/")))])),
};
mkdirSync(target, { recursive: true });
writeFileSync(join(target, "page.html"), page);
writeFileSync(join(target, "page.json"), `${JSON.stringify(manifest, null, 1)}\n`);
writeFileSync(join(target, "page_licences.txt"), `page.html contains three.js ${three.version} (https://threejs.org):\n\n${licence}\n`);
console.log(`page.html: ${page.length} characters, three.js ${three.version}`);

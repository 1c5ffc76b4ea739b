// build.mjs OUT.c - bundles the console and writes every file of it, compressed, into one C source (../console.h).
//
// Names of assets carry a hash of their bytes, so that a browser may keep them for ever; the page itself names them and
// is asked for again each time.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, extname } from "node:path";
import { gzipSync } from "node:zlib";

const types = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const result = await build({
  absWorkingDir: import.meta.dirname ?? dirname(new URL(import.meta.url).pathname),
  entryPoints: { main: "src/main.ts", style: "src/styles.css" },
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  outdir: "/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  metafile: true,
  write: false,
});

// The parts for other people's pages: one file, at an address that stays (../embed.c); its look is in it.
const embed = await build({
  absWorkingDir: import.meta.dirname ?? dirname(new URL(import.meta.url).pathname),
  entryPoints: { patchbay: "src/embed.ts" },
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  loader: { ".css": "text" },
  outdir: "/embed/v1",
  write: false,
});

const here = (name) => readFileSync(new URL(name, import.meta.url));
const assets = result.outputFiles.map((f) => ({ path: f.path, bytes: Buffer.from(f.contents), immutable: true }));
const named = (start, end) => assets.find((a) => a.path.startsWith(`/assets/${start}-`) && a.path.endsWith(end)).path;
const page = here("src/index.html").toString().replace("%STYLE%", named("style", ".css")).replace("%MAIN%", named("main", ".js"));

embed.outputFiles.forEach((f) => assets.push({ path: f.path, bytes: Buffer.from(f.contents), immutable: false }));
assets.push({ path: "/", bytes: Buffer.from(page), immutable: false });
assets.push({ path: "/favicon.svg", bytes: here("src/favicon.svg"), immutable: false });

const literal = (bytes) => [...bytes].map((b, i) => (i % 32 ? "" : "\n    ") + b + ",").join("");
const rows = assets.map((a, i) => {
  const packed = gzipSync(a.bytes, { level: 9 });
  const etag = createHash("sha256").update(a.bytes).digest("hex").slice(0, 16);
  const type = types[extname(a.path) || ".html"];
  return {
    data: `static const unsigned char packed_${i}[] = {${literal(packed)}\n};`,
    row: `    { ${JSON.stringify(a.path)}, ${JSON.stringify(type)}, "W/\\"${etag}\\"", packed_${i}, sizeof packed_${i}, ${a.bytes.length}, ${a.immutable} },`,
  };
});

mkdirSync(dirname(process.argv[2]), { recursive: true });
writeFileSync(process.argv[2], `#include "console.h"

${rows.map((r) => r.data).join("\n")}

const struct console_asset console_assets[] = {
${rows.map((r) => r.row).join("\n")}
};
const size_t console_assets_n = sizeof console_assets / sizeof console_assets[0];
`);

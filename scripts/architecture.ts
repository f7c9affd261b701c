/**
 * The rules of the tree, as one pure function from sources to complaints: who may import whom, where a library may
 * be named, and a few names that are not used. Held by test/unit/architecture.test.ts.
 */
import { isBuiltin } from "node:module";
import { posix } from "node:path";

/** One source file: its path from the repository's root, with `/`, and its text. */
export interface Source {
  path: string;
  text: string;
}

interface Import {
  target: string;
  /** Not there while the files load: types, which the compiler erases, and `import()`. It cannot close a circle. */
  absent_at_load: boolean;
}

/** Which packages a package may import. One that is not named here may import protocol. */
const arrows: Record<string, string[]> = {
  protocol: [],
  ports: ["protocol"],
  view: ["protocol"],
  agent: ["protocol", "ports"],
  controller: ["protocol", "ports", "view"],
  ctl: ["protocol", "ports", "view"],
  dashboard: ["protocol", "view"],
};

/** The packages that end up as programs: what two of them need is a shared port. */
const programs = new Set(["agent", "controller", "ctl", "dashboard"]);

/** What a browser runs too. */
const in_browsers = new Set(["view", "dashboard"]);

/** What the leaf may use from outside: all of it computes, none of it reads or sends. */
const leaf_libraries = new Set(["zod", "tweetnacl", "node:crypto", "node:buffer"]);

/** Libraries that may be imported anywhere. zod is the language that shapes are written in, preact that of the page: no outside system. */
const everywhere = new Set(["zod", "preact"]);

const vague_name = /(^|-)(utils?|helpers?|manager)(-|$)/;

/** Every complaint about the sources, in the order of the paths; none when the tree is right. */
export function complaints(sources: Source[]): string[] {
  const files = sources
    .map(({ path, text }) => {
      const code = withoutComments(text);
      return { path, code, package_name: path.split("/")[1] ?? "", imports: importsOf(code) };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const found: string[] = [];
  for (const file of files) {
    found.push(...codeComplaints(file.path, file.code));
    for (const { target } of file.imports) {
      const complaint = arrowComplaint(file.path, file.package_name, target);
      if (complaint) found.push(`${file.path}: imports ${target}: ${complaint}`);
    }
  }
  return [...found, ...libraryComplaints(files), ...cycleComplaints(files)];
}

function codeComplaints(path: string, code: string): string[] {
  const found: string[] = [];
  const parts = path
    .replace(/\.tsx?$/, "")
    .split("/")
    .slice(3);
  for (const part of parts.filter((part) => vague_name.test(part))) {
    found.push(
      `${path}: "${part}" says nothing about what is inside, so everything ends up there: name it by its noun`,
    );
  }
  if (/^\s*export\s+default\b|\bas\s+default\b[^;]*\}/m.test(code)) {
    found.push(
      `${path}: has a default export: each import could call it differently, and search would miss it; name it`,
    );
  }
  if (/\bsetMaxListeners\(0\b/.test(code))
    found.push(`${path}: with no limit a leak of listeners is never told: say how many there may be`);
  return found;
}

/** Why this import is wrong, or undefined. */
function arrowComplaint(path: string, package_name: string, target: string): string | undefined {
  if (target.startsWith(".")) {
    const own_source = `packages/${package_name}/src/`;
    if (resolved(path, target).startsWith(own_source)) return undefined;
    return "a relative import stays inside its package; write @muster/<package>, so that the arrows can be seen";
  }
  if (target.startsWith("@muster/")) {
    const wanted = target.split("/")[1] ?? "";
    const allowed = arrows[package_name] ?? ["protocol"];
    if (wanted === package_name)
      return "inside a package imports are relative, so that it can be moved whole";
    if (allowed.includes(wanted)) return undefined;
    const list = allowed.length > 0 ? `only ${allowed.join(" and ")}` : "no other package";
    return `${package_name} may import ${list}: the programs meet on the wire, and what they share lives below them`;
  }
  if (isBuiltin(target) && !target.startsWith("node:"))
    return `write node:${target}, so that no package can stand in`;
  if (in_browsers.has(package_name) && isBuiltin(target))
    return "a browser, which runs this too, has no Node";
  if (package_name === "protocol" && !leaf_libraries.has(libraryOf(target))) {
    return `protocol is the leaf without input or output; it may use ${[...leaf_libraries].join(", ")}`;
  }
  return undefined;
}

function libraryComplaints(files: { path: string; package_name: string; imports: Import[] }[]): string[] {
  const users = new Map<string, Map<string, Set<string>>>();
  for (const { path, package_name, imports } of files) {
    for (const { target } of imports) {
      const library = libraryOf(target);
      if (/^[.]|^@muster\//.test(target) || isBuiltin(target) || everywhere.has(library)) continue;
      const packages = users.get(library) ?? new Map<string, Set<string>>();
      packages.set(package_name, (packages.get(package_name) ?? new Set()).add(path));
      users.set(library, packages);
    }
  }
  const found: string[] = [];
  for (const [library, packages] of users) {
    for (const [package_name, paths] of packages) {
      if (paths.size > 1) {
        found.push(
          `${library} is imported in ${[...paths].join(" and ")}: a library has one port per package, so that it can be ` +
            "replaced and faked in one place; let the port export what the others need, types too (only zod is free)",
        );
      }
      if (programs.has(package_name) && packages.has("ports")) {
        found.push(
          `${library} is imported in ${[...paths].join(" and ")}, but @muster/ports has the port for it: use that`,
        );
      }
    }
  }
  return found;
}

/** One complaint for each import that closes a circle; types and `import()` do not count. */
function cycleComplaints(files: { path: string; imports: Import[] }[]): string[] {
  const known = new Map(files.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const circle = [...trail.slice(start), path].join(" → ");
      found.push(
        `${circle}: files that import each other load in an order nobody chose; move what both need below them`,
      );
      return;
    }
    if (done.has(path)) return;
    for (const { target, absent_at_load } of known.get(path) ?? []) {
      if (!absent_at_load && target.startsWith(".")) visit(resolved(path, target), [...trail, path]);
    }
    done.add(path);
  };
  for (const path of known.keys()) visit(path, []);
  return found;
}

function resolved(path: string, target: string): string {
  return posix.join(posix.dirname(path), target);
}

/** "@scope/name/file" → "@scope/name", "name/file" → "name"; Node's own modules stay whole. */
function libraryOf(target: string): string {
  if (target.startsWith("node:")) return target;
  return target
    .split("/")
    .slice(0, target.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Comments may hold examples of imports. Good enough for import lines, not for code in general: strings can hold `//`. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "").replace(/^\s*\/\/.*$/gm, "");
}

const static_import = /^\s*(?:import|export)\s+(type\s+)?(?:[\w$*{][^;"'`]*?\sfrom\s*)?["']([^"']+)["']/gm;
const dynamic_import = /\bimport\(\s*["'`]([^"'`]+)["'`]\s*\)/g;

function importsOf(code: string): Import[] {
  const fixed = [...code.matchAll(static_import)];
  const lazy = [...code.matchAll(dynamic_import)];
  return [
    ...fixed.map(([, type, target]) => ({ target: target ?? "", absent_at_load: type !== undefined })),
    ...lazy.map(([, target]) => ({ target: target ?? "", absent_at_load: true })),
  ];
}

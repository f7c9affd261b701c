/** The files below templates/ and files/ by their names there, and a folder of them as the files of a container. */
import { fileSource, type TemplateSource } from "./jinja.ts";

/** One file of a folder: rendered from its source, or copied as it is. */
export type FolderFile = {
  /** Path below the folder, without `.j2`. */
  readonly name: string;
  readonly from: { readonly template: TemplateSource } | { readonly copy: string | Uint8Array };
};

const SCRIPT = /\.sh$/;

export class Templates {
  readonly sources = new Map<string, TemplateSource>();
  readonly copies = new Map<string, string | Uint8Array>();
  /** What is no text below templates/, and texts as they are there. */
  readonly raw = new Map<string, string | Uint8Array>();

  constructor(files: ReadonlyMap<string, string | null>, bytes: ReadonlyMap<string, Uint8Array>) {
    for (const [file, text] of files) {
      const name = file.slice(file.indexOf("/") + 1);
      const content = text ?? bytes.get(file) ?? new Uint8Array();
      if (file.startsWith("files/")) this.copies.set(name, content);
      if (!file.startsWith("templates/")) continue;
      this.raw.set(name, content);
      if (text !== null) this.sources.set(name, fileSource(file, text));
    }
  }

  /** The files of a folder below templates/, or else below files/; none when there is no such folder. */
  folder(path: string): FolderFile[] {
    const within = `${path.replace(/\/+$/, "")}/`;
    const below = (names: Iterable<string>) => [...names].filter((name) => name.startsWith(within)).sort();
    const found = below(this.raw.keys()).map((name): FolderFile => {
      const inner = name.slice(within.length);
      const source = inner.endsWith(".j2") ? this.sources.get(name) : undefined;
      if (source !== undefined) return { name: inner.slice(0, -".j2".length), from: { template: source } };
      return { name: inner, from: { copy: this.raw.get(name) ?? "" } };
    });
    if (found.length > 0) return found;
    return below(this.copies.keys()).map((name) => ({
      name: name.slice(within.length),
      from: { copy: this.copies.get(name) ?? "" },
    }));
  }

  /** Names of all folders, for suggestions. */
  folders(): Set<string> {
    const names = [...this.raw.keys(), ...this.copies.keys()];
    return new Set(
      names.flatMap((name) => (name.includes("/") ? [`${name.slice(0, name.lastIndexOf("/"))}/`] : [])),
    );
  }
}

/** A script is executable in the container, as it is when a folder is copied by hand. */
export const modeOf = (name: string): string => (SCRIPT.test(name) ? "0755" : "0644");

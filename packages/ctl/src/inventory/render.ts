/**
 * A declared resource of one host → the resource as it goes into the manifest: templates rendered, the folder's short forms written
 * out, the spec checked. Template whitespace is as Ansible's `template` module has it; see the header of `jinja.ts`.
 */
import type { ImagePin } from "@muster/protocol/resources/container";
import { type Kind, type OnDrift, OnDriftSchema, type Resource } from "@muster/protocol/resources/index";
import type { Contents, Placed } from "./contents.ts";
import type { HostFaults } from "./faults.ts";
import { CommonFields, FORMS } from "./forms.ts";
import { declaredImage, type ImagePins, type UsedImage, unpinned } from "./images.ts";
import {
  Float,
  isTemplate,
  LazyDict,
  Reference,
  type Rendered,
  referenceMessage,
  type TemplateEngine,
  typeName,
  Undefined,
  type Value,
} from "./jinja.ts";
import { MetricsAt } from "./metrics-at.ts";
import type { Unordered } from "./order.ts";
import { type Place, suggest } from "./problem.ts";
import type { Declared } from "./resources.ts";
import type { Checked } from "./spec.ts";
import { modeOf, type Templates } from "./templates.ts";
import { type HostVariables, REFERENCE } from "./variables.ts";
import { type Entry, type MapNode, nodeText, type ScalarNode, type YamlNode } from "./yaml.ts";

/** Thrown when a resource cannot be rendered; the fault is noted already. */
class Refused extends Error {}

/** What all hosts are rendered from, and into. */
export type Shared = {
  readonly engine: TemplateEngine;
  readonly templates: Templates;
  readonly contents: Contents;
  /** Null: not needed, and what comes of it is not signed. */
  readonly images: ImagePins | null;
  /** Every image that is named, for `ctl image update`. */
  readonly used: Map<string, UsedImage>;
  readonly faults: HostFaults;
  readonly checked: Checked;
};

/** How the text of a file may be given. */
const FILE_FORMS = FORMS.file?.one_of ?? [];
/** Instead of the fields of a manifest that no person writes. */
const OWN_HINT: Readonly<Record<string, string>> = {
  blob: "source: FILE, below files/",
  pin: "image: NAME:TAG, and `ctl image update`",
};

/** Renders the resources of one host. */
export class HostRenderer {
  private readonly variables: HostVariables;
  private readonly shared: Shared;
  private readonly engine: TemplateEngine;
  private readonly templates: Templates;

  constructor(variables: HostVariables, shared: Shared) {
    this.variables = variables;
    this.shared = shared;
    this.engine = shared.engine;
    this.templates = shared.templates;
  }

  /** The resource, or null with its faults noted. */
  render(declared: Declared): Unordered | null {
    const what = `${declared.kind}/${declared.name}`;
    const fault = (at: Place, message: string, hint?: string) =>
      this.shared.faults.add(this.variables.host, what, at, message, hint);
    const kind = declared.kind as Kind;
    /** Fields without a value because of a fault; the others still run, so that all faults of a resource show at once. */
    const failed = new Set<string>();
    const attempt = <T>(field: string, work: () => T): T | undefined => {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        failed.add(field);
        return undefined;
      }
    };
    const { entries } = declared.fields;
    attempt("name", () => {
      const why = this.shared.checked.nameFault(kind, declared.name);
      if (why !== null) refuse(fault, declared.at, `\`${declared.name}\` is no name for a ${kind}: ${why}`);
    });
    const needs = attempt("needs", () => this.needs(entries.get("needs")?.value, fault)) ?? [];
    const on_drift = attempt("on_drift", () => this.onDrift(entries.get("on_drift")?.value, fault));
    const metrics = hasMetrics(kind)
      ? attempt(METRICS, () => this.metrics(entries.get(METRICS)?.value, fault))
      : undefined;
    if (kind === "file" && !this.oneForm(declared, fault)) failed.add("content");
    const made = new Map<string, unknown>();
    const own = FORMS[kind]?.without ?? [];
    for (const [key, entry] of entries) {
      if (Object.hasOwn(CommonFields.shape, key) || (key === METRICS && hasMetrics(kind))) continue;
      const field = kind === "file" && FILE_FORMS.includes(key) ? "content" : key;
      const value = attempt(field, () => {
        if (own.includes(key)) refuse(fault, entry.at, `\`${key}\` is written by ctl`, OWN_HINT[key]);
        return this.field(kind, key, entry, fault);
      });
      if (value === undefined) continue;
      if (kind === "file" && field === "content") {
        const placed = attempt(field, () => this.placed(value as string | Uint8Array, entry.at, fault));
        for (const [name, part] of Object.entries(placed ?? {})) made.set(name, part);
      } else made.set(field, value);
    }
    if (kind === "container" && typeof made.get("image") === "string") {
      const at = entries.get("image")?.value.at ?? declared.at;
      const image = attempt("pin", () => this.image(String(made.get("image")), declared.name, at, fault));
      for (const [name, part] of Object.entries(image ?? {})) made.set(name, part);
    } else if (kind === "container") failed.add("pin");
    // fromEntries keeps a key such as __proto__ as a plain field, for the schema to refuse.
    const spec: Record<string, unknown> = Object.fromEntries(made);
    const extra = Object.keys(FORMS[kind]?.fields ?? {});
    const checked = this.shared.checked.spec(kind, what, spec, declared.fields, declared.at, extra, failed);
    for (const each of checked.faults) fault(each.at, each.message, each.hint);
    if (failed.size > 0 || checked.faults.length > 0) return null;
    const resource = {
      kind,
      name: declared.name,
      spec: checked.spec,
      needs: [],
      ...(on_drift ? { on_drift } : {}),
    };
    // `Checked` gave the spec the type that belongs to `kind`.
    return {
      ...{ resource: resource as unknown as Resource, at: declared.at, needs },
      ...(metrics == null ? {} : { metrics }),
    };
  }

  /** The value of one field in the manifest's form. */
  private field(kind: Kind, key: string, { value }: Entry, fault: Fault): unknown {
    if (kind === "file" && FILE_FORMS.includes(key)) return this.content(key, value, fault);
    if (kind === "file" && key === "validate") return this.command(value, fault);
    if (kind === "bird" && key === "config") return this.template(value, fault);
    if (kind === "container" && key === "files") return this.folders(value, fault);
    if (kind === "sysctl" && key === "value") return this.sysctl(value, fault);
    return this.plain(value, fault);
  }

  private needs(node: YamlNode | undefined, fault: Fault): { ref: string; at: Place }[] {
    if (node === undefined) return [];
    if (node.t !== "list")
      refuse(fault, node.at, `\`needs\` must be a list, found ${nodeText(node)}`, "needs: [service/bird]");
    return node.items.map((item) => {
      const ref = this.plain(item, fault);
      if (typeof ref !== "string" || !/^[a-z]+\/./.test(ref))
        refuse(fault, item.at, `\`needs\` holds kind/name, found ${nodeText(item)}`, "needs: [service/bird]");
      return { ref, at: item.at };
    });
  }

  private metrics(node: YamlNode | undefined, fault: Fault): Unordered["metrics"] | null {
    if (node === undefined) return null;
    const given = MetricsAt.safeParse(this.plain(node, fault));
    if (given.success) return { text: given.data, at: node.at };
    const why = given.error.issues[0]?.message ?? "wrong form";
    return refuse(fault, node.at, `\`${METRICS}\` is ${nodeText(node)}: ${why}`);
  }

  private onDrift(node: YamlNode | undefined, fault: Fault): OnDrift | null {
    if (node === undefined) return null;
    const given = OnDriftSchema.safeParse(this.plain(node, fault));
    if (!given.success) refuse(fault, node.at, `\`on_drift\` is ${nodeText(node)}`, "correct, report or ask");
    return given.data;
  }

  private oneForm(declared: Declared, fault: Fault): boolean {
    const given = FILE_FORMS.filter((form) => declared.fields.entries.has(form));
    if (given.length === 1) return true;
    const hint = "template: motd.j2 (rendered), source: key.pub (copied from files/) or content: text";
    if (given.length === 0) fault(declared.at, `file/${declared.name} has no content`, hint);
    for (const form of given.slice(1)) {
      const entry = declared.fields.entries.get(form);
      if (entry !== undefined)
        fault(entry.at, `file/${declared.name} has both \`${given[0]}\` and \`${form}\``, hint);
    }
    return false;
  }

  /** How a content stands in the manifest. */
  private placed(content: string | Uint8Array, at: Place, fault: Fault): Exclude<Placed, { fault: string }> {
    const placed = this.shared.contents.place(content);
    return "fault" in placed ? refuse(fault, at, `the file ${placed.fault}`) : placed;
  }

  /** The image and what the lock says that it is. */
  private image(text: string, container: string, at: Place, fault: Fault): { image: string; pin: ImagePin } {
    const { used, images } = this.shared;
    const { image, pin } = declaredImage(text);
    if (pin !== null) return { image, pin };
    const known = used.get(image) ?? { image, at, containers: new Set(), hosts: new Set() };
    used.set(image, known);
    known.containers.add(container);
    known.hosts.add(this.variables.host);
    if (images === null) return { image, pin: { digest: `sha256:${"0".repeat(64)}` } };
    const locked = images.get(image);
    if (locked !== undefined) return { image, pin: locked };
    const { message, hint } = unpinned(image, images);
    return refuse(fault, at, message, hint);
  }

  /** Directory in the container → folder of templates, written out as directory → path below it → file. */
  private folders(node: YamlNode, fault: Fault): Record<string, Record<string, unknown>> {
    const hint = "files: { /etc/prometheus: prometheus/ }, where templates/prometheus/ is a folder";
    if (node.t !== "map")
      refuse(fault, node.at, `\`files\` maps directories to folders, found ${nodeText(node)}`, hint);
    return Object.fromEntries(
      [...node.entries].map(([directory, { value }]) => {
        if (value.t !== "scalar" || typeof value.value !== "string")
          refuse(fault, value.at, `expected a folder below templates/, found ${nodeText(value)}`, hint);
        return [directory, this.folder(String(this.plain(value, fault)), value.at, fault)];
      }),
    );
  }

  private folder(path: string, at: Place, fault: Fault): Record<string, unknown> {
    const found = this.templates.folder(path);
    if (found.length === 0)
      refuse(
        fault,
        at,
        `no folder templates/${path.replace(/\/+$/, "")}/ with files in it${suggest(path, this.templates.folders())}`,
      );
    const twice = found.find(({ name }, index) => found.findIndex((each) => each.name === name) !== index);
    if (twice !== undefined)
      refuse(fault, at, `templates/${path}: ${twice.name} is there with .j2 and without`);
    return Object.fromEntries(
      found.map(({ name, from }) => {
        const content =
          "copy" in from
            ? from.copy
            : this.rendered(this.engine.render(from.template, this.variables), fault);
        return [name, { ...this.placed(content, at, fault), mode: modeOf(name) }];
      }),
    );
  }

  private content(form: string, node: YamlNode, fault: Fault): string | Uint8Array {
    if (form === "template") return this.template(node, fault);
    if (form === "content") {
      const text = this.text(node, "content", fault);
      this.refuseReference(text, fault);
      if (!isTemplate(text.text)) return text.text;
      return this.rendered(this.engine.render(text, this.variables), fault);
    }
    const name = String(this.plain(this.text(node, "source", fault), fault));
    const copy = this.templates.copies.get(name);
    if (copy === undefined) {
      const hint = this.templates.sources.has(name)
        ? `templates/${name} is a template: write template: ${name}`
        : undefined;
      refuse(fault, node.at, `no file files/${name}${suggest(name, this.templates.copies.keys())}`, hint);
    }
    return copy;
  }

  private template(node: YamlNode, fault: Fault): string {
    const name = String(this.plain(this.text(node, "the name of a template", fault), fault));
    const source = this.templates.sources.get(name);
    if (source !== undefined) return this.rendered(this.engine.render(source, this.variables), fault);
    if (this.templates.raw.has(name)) refuse(fault, node.at, `templates/${name} is not UTF-8 text`);
    const hint = name.includes("\n") ? "put the text into a file below templates/ and name that" : undefined;
    return refuse(
      fault,
      node.at,
      `no template templates/${name.split("\n")[0]}${suggest(name, this.templates.sources.keys())}`,
      hint,
    );
  }

  private command(node: YamlNode, fault: Fault): unknown {
    const value = this.plain(node, fault);
    if (typeof value !== "string") return value;
    // A command line as a person writes it; words in quotes stay whole, nothing else is special.
    return [...value.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
      (word) => word[1] ?? word[2] ?? word[3] ?? "",
    );
  }

  private sysctl(node: YamlNode, fault: Fault): unknown {
    const value = this.plain(node, fault);
    if (typeof value === "boolean")
      refuse(
        fault,
        node.at,
        `a sysctl is a number or text, found ${nodeText(node)}`,
        `write ${value ? 1 : 0}`,
      );
    return typeof value === "number" ? String(value) : value;
  }

  private text(node: YamlNode, what: string, fault: Fault): ScalarNode {
    if (node.t === "scalar" && typeof node.value === "string") return node;
    return refuse(fault, node.at, `expected ${what === "content" ? "text" : what}, found ${nodeText(node)}`);
  }

  private refuseReference(node: ScalarNode, fault: Fault): void {
    if (REFERENCE.test(node.text)) {
      const at = `${node.at.file}:${node.at.line}:${node.at.column}`;
      refuse(fault, node.at, referenceMessage(new Reference(node.text, at)));
    }
  }

  private rendered<T>(result: Rendered<T>, fault: Fault): T {
    for (const each of result.faults) fault(each, each.message);
    if (result.value === null && result.faults.length > 0) throw new Refused();
    return result.value as T;
  }

  /** A value of the file as plain data, strings with templates rendered. */
  private plain(node: YamlNode, fault: Fault): unknown {
    if (node.t === "list") return node.items.map((item) => this.plain(item, fault));
    if (node.t === "map") return this.plainMap(node, fault);
    if (typeof node.value !== "string") return node.value;
    this.refuseReference(node, fault);
    if (!isTemplate(node.text)) return node.value;
    return data(this.rendered<Value>(this.engine.value(node, this.variables), fault), node.at, fault);
  }

  private plainMap(node: MapNode, fault: Fault): Record<string, unknown> {
    return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, this.plain(value, fault)]));
  }
}

const METRICS = "metrics";
const hasMetrics = (kind: Kind) => Object.hasOwn(FORMS[kind]?.fields ?? {}, METRICS);

type Fault = (at: Place, message: string, hint?: string) => void;

function refuse(fault: Fault, at: Place, message: string, hint?: string): never {
  fault(at, message, hint);
  throw new Refused();
}

function data(value: Value, at: Place, fault: Fault): unknown {
  if (value instanceof Float) return value.value;
  if (value instanceof Reference) return refuse(fault, at, referenceMessage(value));
  if (value instanceof Undefined) return refuse(fault, at, value.message);
  if (Array.isArray(value)) return [...value].map((item) => data(item, at, fault));
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, of]) => [String(key), data(of, at, fault)]));
  if (value instanceof LazyDict || (typeof value === "object" && value !== null))
    return refuse(fault, at, `${typeName(value)} cannot be the value of a field`);
  return value;
}
